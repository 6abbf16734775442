/// The names of tensors in GGUF, which are at most 63 characters long, beside the keys of the published checkpoint.
///
/// They follow llama.cpp: `blk` is a layer of the decoder, `v` the visual encoder. `vis_` marks what visual rows use in
/// place of the text's, and `a` is the visual abstractor. `#` is the number of a layer.
enum GGUFTensorNames {
    private static let decoder = [
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
        "model.layers.#.input_layernorm.multiway.0.weight": "blk.#.attn_norm.weight",
        "model.layers.#.input_layernorm.multiway.1.weight": "blk.#.vis_attn_norm.weight",
        "model.layers.#.self_attn.q_proj.weight": "blk.#.attn_q.weight",
        "model.layers.#.self_attn.k_proj.multiway.0.weight": "blk.#.attn_k.weight",
        "model.layers.#.self_attn.k_proj.multiway.1.weight": "blk.#.vis_attn_k.weight",
        "model.layers.#.self_attn.v_proj.multiway.0.weight": "blk.#.attn_v.weight",
        "model.layers.#.self_attn.v_proj.multiway.1.weight": "blk.#.vis_attn_v.weight",
        "model.layers.#.self_attn.o_proj.weight": "blk.#.attn_output.weight",
        "model.layers.#.post_attention_layernorm.multiway.0.weight": "blk.#.ffn_norm.weight",
        "model.layers.#.post_attention_layernorm.multiway.1.weight": "blk.#.vis_ffn_norm.weight",
        "model.layers.#.mlp.gate_proj.weight": "blk.#.ffn_gate.weight",
        "model.layers.#.mlp.up_proj.weight": "blk.#.ffn_up.weight",
        "model.layers.#.mlp.down_proj.weight": "blk.#.ffn_down.weight",
    ]

    private static let visionEmbeddings = [
        "model.vision_model.embeddings.cls_token": "v.class_embd",
        "model.vision_model.embeddings.patch_embed.weight": "v.patch_embd.weight",
        "model.vision_model.embeddings.position_embedding": "v.position_embd.weight",
        "model.visual_abstractor.query_embeds": "a.query_embd",
        "model.visual_abstractor.vit_eos": "a.eos_embd",
        "model.visual_abstractor.encoder.layers.#.crossattention.attention.q_pos_embed": "a.blk.#.attn_q_pos",
        "model.visual_abstractor.encoder.layers.#.crossattention.attention.k_pos_embed": "a.blk.#.attn_k_pos",
    ]

    /// Layers with a weight and a bias, without these words.
    private static let withBias = [
        "model.vision_model.embeddings.pre_layernorm": "v.pre_ln",
        "model.vision_model.post_layernorm": "v.post_ln",
        "model.vision_model.encoder.layers.#.input_layernorm": "v.blk.#.ln1",
        "model.vision_model.encoder.layers.#.self_attn.query_key_value": "v.blk.#.attn_qkv",
        "model.vision_model.encoder.layers.#.self_attn.dense": "v.blk.#.attn_out",
        "model.vision_model.encoder.layers.#.post_attention_layernorm": "v.blk.#.ln2",
        "model.vision_model.encoder.layers.#.mlp.fc1": "v.blk.#.ffn_up",
        "model.vision_model.encoder.layers.#.mlp.fc2": "v.blk.#.ffn_down",
        "model.visual_abstractor.encoder.layers.#.crossattention.norm1": "a.blk.#.ln_q",
        "model.visual_abstractor.encoder.layers.#.crossattention.normk": "a.blk.#.ln_k",
        "model.visual_abstractor.encoder.layers.#.crossattention.attention.query": "a.blk.#.attn_q",
        "model.visual_abstractor.encoder.layers.#.crossattention.attention.key": "a.blk.#.attn_k",
        "model.visual_abstractor.encoder.layers.#.crossattention.attention.value": "a.blk.#.attn_v",
        "model.visual_abstractor.encoder.layers.#.crossattention.output.out_proj": "a.blk.#.attn_out",
        "model.visual_abstractor.encoder.layers.#.crossattention.output.norm2": "a.blk.#.ln2",
        "model.visual_abstractor.encoder.layers.#.crossattention.output.mlp.w1": "a.blk.#.ffn_gate",
        "model.visual_abstractor.encoder.layers.#.crossattention.output.mlp.w2": "a.blk.#.ffn_down",
        "model.visual_abstractor.encoder.layers.#.crossattention.output.mlp.w3": "a.blk.#.ffn_up",
        "model.visual_abstractor.encoder.layers.#.crossattention.output.mlp.ffn_ln": "a.blk.#.ffn_norm",
        "model.visual_abstractor.visual_fc": "a.output",
    ]

    private static let namesByKey: [String: String] = {
        var names = decoder.merging(visionEmbeddings) { first, _ in first }
        for (key, name) in withBias {
            for part in ["weight", "bias"] { names["\(key).\(part)"] = "\(name).\(part)" }
        }
        return names
    }()

    private static let keysByName = Dictionary(uniqueKeysWithValues: namesByKey.map { ($0.value, $0.key) })

    /// The name of a checkpoint's key, or nil for a key that the model has no use for.
    static func name(ofKey key: String) -> String? { translate(key, by: namesByKey) }

    /// The checkpoint's key of a name, or nil for a name that is not one of these.
    static func key(ofName name: String) -> String? { translate(name, by: keysByName) }

    /// Looks a text up by its pattern, in which the first number is `#`.
    private static func translate(_ text: String, by table: [String: String]) -> String? {
        var parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard let place = parts.firstIndex(where: { UInt($0).map(String.init) == String($0) }) else {
            return text.contains("#") ? nil : table[text]
        }
        let number = parts[place]
        parts[place] = "#"
        guard let translation = table[parts.joined(separator: ".")] else { return nil }
        return translation.replacing("#", with: number)
    }
}
