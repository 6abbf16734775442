import Testing

@testable import Owl2Checkpoint

@Suite struct GGUFTensorNamesTests {
    @Test(
        "Keys and names, both ways",
        arguments: [
            ("model.embed_tokens.weight", "token_embd.weight"), ("lm_head.weight", "output.weight"),
            ("model.layers.0.self_attn.k_proj.multiway.0.weight", "blk.0.attn_k.weight"),
            ("model.layers.31.self_attn.k_proj.multiway.1.weight", "blk.31.vis_attn_k.weight"),
            ("model.layers.1023.post_attention_layernorm.multiway.1.weight", "blk.1023.vis_ffn_norm.weight"),
            ("model.vision_model.embeddings.pre_layernorm.bias", "v.pre_ln.bias"),
            ("model.vision_model.encoder.layers.23.self_attn.query_key_value.bias", "v.blk.23.attn_qkv.bias"),
            ("model.visual_abstractor.encoder.layers.5.crossattention.norm1.weight", "a.blk.5.ln_q.weight"),
            ("model.visual_abstractor.vit_eos", "a.eos_embd"),
        ])
    func pairs(key: String, name: String) {
        #expect(GGUFTensorNames.name(ofKey: key) == name)
        #expect(GGUFTensorNames.key(ofName: name) == key)
        #expect(name.utf8.count <= 63)
    }

    @Test(
        "What is no key or name of the model",
        arguments: [
            "", "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.-1.mlp.up_proj.weight",
            "model.layers.01.mlp.up_proj.weight", "model.layers.#.mlp.up_proj.weight",
            "blk.#.attn_q.weight", "blk.00.attn_q.weight", "blk..attn_q.weight", "blk.1.2.attn_q.weight",
        ])
    func others(text: String) {
        #expect(GGUFTensorNames.name(ofKey: text) == nil)
        #expect(GGUFTensorNames.key(ofName: text) == nil)
    }
}
