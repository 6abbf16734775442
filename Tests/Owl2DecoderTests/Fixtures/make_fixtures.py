#!/usr/bin/env python3
"""Make the tiny modules of Owl2VisionTests, Owl2AbstractorTests and Owl2DecoderTests, and what the reference computes.

    pip install torch safetensors
    python3 make_fixtures.py REFERENCE

REFERENCE is the folder of the reference implementation (owl2_ref.py). Documentation/Fixtures.md describes the result.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, sys.argv[1])
import owl2_ref as reference

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
generator = torch.Generator().manual_seed(9)


def random(*shape, scale=1.0, mean=0.0):
    return torch.empty(shape).normal_(mean, scale, generator=generator)


class Weights(dict):
    """Weights by name, rounded to float16, which is what is stored."""

    def put(self, name, *shape, scale=1.0, mean=0.0):
        self[name] = random(*shape, scale=scale, mean=mean).half().float()

    def linear(self, name, outputs, inputs, bias=True):
        self.put(name + ".weight", outputs, inputs, scale=1.3 / inputs ** 0.5)
        if bias:
            self.put(name + ".bias", outputs, scale=0.2)

    def norm(self, name, width, bias=True):
        self.put(name + ".weight", width, scale=0.2, mean=1)
        if bias:
            self.put(name + ".bias", width, scale=0.2)


def write(module, configuration, weights, expected, name="weights"):
    folder = os.path.join(TESTS, f"Owl2{module}Tests", "Fixtures")
    save_file({k: v.half().contiguous() for k, v in weights.items()}, os.path.join(folder, name + ".safetensors"))
    save_file({k: v.clone().contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(configuration, file, indent=2)
        file.write("\n")


def make_vision():
    c = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, image_size=12, patch_size=4,
             hidden_act="quick_gelu", layer_norm_eps=1e-3)
    w, p = Weights(), "model.vision_model."
    w.put(p + "embeddings.cls_token", 1, 1, 24)
    w.put(p + "embeddings.position_embedding", 1, 10, 24)
    w.put(p + "embeddings.patch_embed.weight", 24, 3, 4, 4, scale=0.15)
    w.norm(p + "embeddings.pre_layernorm", 24)
    w.norm(p + "post_layernorm", 24)
    for i in range(2):
        layer = f"{p}encoder.layers.{i}."
        w.linear(layer + "self_attn.query_key_value", 72, 24)
        w.linear(layer + "self_attn.dense", 24, 24)
        w.linear(layer + "mlp.fc1", 40, 24)
        w.linear(layer + "mlp.fc2", 24, 40)
        w.norm(layer + "input_layernorm", 24)
        w.norm(layer + "post_attention_layernorm", 24)
    pixels = random(3, 3, 12, 12)
    expected = {"pixels": pixels}
    for act in ("quick_gelu", "gelu"):
        expected[act] = reference.vision_encoder(w, {"visual_config": {"visual_model": dict(c, hidden_act=act)}}, pixels)
    write("Vision", c, w, expected)


def make_abstractor():
    c = dict(hidden_size=24, encoder_hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_learnable_queries=5, grid_size=3, layer_norm_eps=1e-2)
    w, p = Weights(), "model.visual_abstractor."
    w.put(p + "query_embeds", 1, 5, 24)
    w.put(p + "vit_eos", 1, 1, 20)
    w.linear(p + "visual_fc", 20, 24)
    stored = Weights()
    for i in range(2):
        layer = f"{p}encoder.layers.{i}.crossattention."
        for name in ("query", "key", "value"):
            w.linear(layer + "attention." + name, 24, 24)
        w.linear(layer + "output.out_proj", 24, 24)
        w.linear(layer + "output.mlp.w1", 40, 24)
        w.linear(layer + "output.mlp.w2", 24, 40)
        w.linear(layer + "output.mlp.w3", 40, 24)
        for name, width in (("norm1", 24), ("normk", 24), ("output.norm2", 24), ("output.mlp.ffn_ln", 40)):
            w.norm(layer + name, width)
        stored.put(layer + "attention.q_pos_embed", 5, 24)
        stored.put(layer + "attention.k_pos_embed", 10, 24)
    cfg = {"visual_config": {"visual_abstractor": c}}
    features = random(3, 10, 24)
    expected = {
        "features": features, "computed": reference.abstractor(w, cfg, features),
        "stored": reference.abstractor(Weights({**w, **stored}), cfg, features),
        "queries": reference.sincos_1d(24, torch.arange(5)), "patches": reference.sincos_2d(24, 3),
    }
    write("Abstractor", c, stored, expected, name="positions")
    write("Abstractor", c, w, expected)


def make_decoder():
    c = dict(vocab_size=30, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=8, rms_norm_eps=1e-3, rope_theta=500.0)
    w = Weights()
    w.put("model.embed_tokens.weight", 30, 32)
    w.norm("model.norm", 32, bias=False)
    w.linear("lm_head", 30, 32, bias=False)
    for i in range(2):
        layer = f"model.layers.{i}."
        w.linear(layer + "self_attn.q_proj", 32, 32, bias=False)
        w.linear(layer + "self_attn.o_proj", 32, 32, bias=False)
        for modality in (0, 1):
            for name in ("k_proj", "v_proj"):
                w.linear(f"{layer}self_attn.{name}.multiway.{modality}", 16, 32, bias=False)
            for name in ("input_layernorm", "post_attention_layernorm"):
                w.norm(f"{layer}{name}.multiway.{modality}", 32, bias=False)
        for name, outputs, inputs in (("gate_proj", 48, 32), ("up_proj", 48, 32), ("down_proj", 32, 48)):
            w.linear(f"{layer}mlp.{name}", outputs, inputs, bias=False)
    rows = 13
    modality = torch.tensor([[0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0]])
    embeddings = random(1, rows, 32)
    expected = {"embeddings": embeddings[0], "modality": modality[0]}
    for name, scaling in (("plain", None), ("linear", {"type": "linear", "factor": 2.0}), ("dynamic", {"type": "dynamic", "factor": 2.0})):
        cfg, hidden = dict(c, rope_scaling=scaling), []
        expected[name] = reference.decoder(w, cfg, embeddings, modality, hidden)[0]
        if scaling is None:
            expected.update({f"hidden.{index}": value[0] for index, value in enumerate(hidden)})
    tied = Weights({**w, "lm_head.weight": w["model.embed_tokens.weight"]})
    expected["tied"] = reference.decoder(tied, c, embeddings, modality)[0]
    write("Decoder", c, w, expected)


with torch.no_grad():
    make_vision()
    make_abstractor()
    make_decoder()
