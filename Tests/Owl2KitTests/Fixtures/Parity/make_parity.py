#!/usr/bin/env python3
"""Makes the parity fixtures of this folder: tiny random checkpoints, and what a PyTorch reference computes on them.

    pip install torch numpy pillow sentencepiece protobuf safetensors
    ./make_parity.py REFERENCE [CASE...]

REFERENCE is the folder of the reference implementation (oracle.py and owl2_ref.py). Documentation/Fixtures.md says
what the files hold and how closely the library must agree with them.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
TOKENIZER = HERE.parents[3] / "Sources/COwl2BundledModel/model/tokenizer.model"
# The two best logits of each greedy step differ by this part of the largest magnitude, or another seed is taken:
# rounding must not decide which token comes next.
CLEAR_MARGIN = 1e-3

# Small enough for a repository, yet no two widths alike that could be mistaken for one another.
SMALL = {
    "hidden_size": 48, "intermediate_size": 80,
    "visual_config.visual_model.hidden_size": 32, "visual_config.visual_model.intermediate_size": 56,
    "visual_config.visual_abstractor.hidden_size": 32, "visual_config.visual_abstractor.encoder_hidden_size": 32,
    "visual_config.visual_abstractor.intermediate_size": 40,
}

CASES = [
    dict(name="sharded-bin-no-positions", dtype="float16", layout="bin", positions=False,
         about="a PyTorch file per layer; position tables to be computed; configuration fields left to their defaults",
         settings={**SMALL, "rms_norm_eps": 1e-6}, images=["gradient.png", "translucent.png"], steps=32,
         absent=["rope_theta", "rope_scaling", "num_key_value_heads", "rms_norm_eps", "hidden_act",
                 "visual_config.visual_model.hidden_act", "visual_config.visual_model.layer_norm_eps",
                 "visual_config.visual_abstractor.layer_norm_eps"],
         prompt="USER: What is in <|image|> and in <|image|>? ASSISTANT:"),
    dict(name="single-bin-bfloat16", dtype="bfloat16", layout="single", about="one PyTorch file; wider; legacy tokenizer",
         settings={"num_hidden_layers": 2}, images=["gradient.png"], steps=32, legacy=True,
         prompt="USER: <|image|>Describe the image. ASSISTANT: A star.</s>USER: How many stars? ASSISTANT:"),
    dict(name="single-safetensors-grouped", dtype="float32", layout="single-safetensors",
         about="one safetensors file; three query heads share a key and value head",
         settings={**SMALL, "num_key_value_heads": 2}, images=["palette.png"], steps=48,
         prompt="USER: <|image|>What color is the circle? ASSISTANT: "),
    dict(name="numbered-bin-linear", dtype="float16", layout="numbered",
         about="two numbered PyTorch files; positions divided by two; neighbouring markers",
         settings={**SMALL, "rope_scaling": {"type": "linear", "factor": 2.0}},
         images=["gradient.png", "palette.png", "translucent.png"], steps=24,
         prompt="<|image|><|image|>USER: Which? <|image|> ASSISTANT:"),
    dict(name="sharded-safetensors-dynamic", dtype="float16", layout="safetensors",
         about="safetensors with an index; the answer crosses the original 40 positions, so that cached keys turn anew",
         settings={**SMALL, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 40},
         images=["gradient.png"], steps=48, prompt="USER: <|image|>Is it red? ASSISTANT:"),
    dict(name="gelu-encoder", dtype="float16", layout="single", about="the visual encoder's other activation",
         settings={**SMALL, "visual_config.visual_model.hidden_act": "gelu"}, images=["palette.png"], steps=24,
         prompt="USER: <|image|>What shape is blue? ASSISTANT:"),
    dict(name="text-only", dtype="bfloat16", layout="safetensors", positions=False,
         about="no picture; another base of the rotary embedding",
         settings={**SMALL, "rope_theta": 5000.0}, images=[], steps=64,
         prompt="USER: What is seven plus five? ASSISTANT:"),
]


def pictures():
    """The pictures by name, each of another colour type and shape."""
    y, x = np.mgrid[0:27, 0:41]
    gradient = np.stack([x * 6, y * 9, (x * y) % 256], -1).astype(np.uint8)
    y, x = np.mgrid[0:38, 0:19]
    translucent = np.stack([255 - x * 12, x * 5 + y * 3, y * 6, (x + y) * 4], -1).astype(np.uint8)
    rings = ((np.hypot(*np.mgrid[-30:30, -32:32]) / 4).astype(np.uint8) * 37).astype(np.uint8)
    return {
        "gradient.png": Image.fromarray(gradient),
        "translucent.png": Image.fromarray(translucent, "RGBA"),
        "palette.png": Image.fromarray(np.stack([rings, 255 - rings, rings // 2], -1)).quantize(12),
    }


def parent(configuration, dotted):
    *path, last = dotted.split(".")
    for key in path:
        configuration = configuration[key]
    return configuration, last


class Maker:
    """Makes cases with the reference of a folder."""

    def __init__(self, folder):
        sys.path.insert(0, folder)
        import oracle, owl2_ref, sentencepiece, torch
        from safetensors.torch import save_file
        self.oracle, self.owl2_ref, self.torch, self.save = oracle, owl2_ref, torch, save_file
        self.vocabulary_size = sentencepiece.SentencePieceProcessor(str(TOKENIZER)).vocab_size()

    def make(self, case):
        """One case: the first seed whose greedy answer is clear-cut and has its full length."""
        configuration = self.oracle.make_config("nano", self.vocabulary_size, case["dtype"])
        for dotted, value in case["settings"].items():
            fields, key = parent(configuration, dotted)
            fields[key] = value
        for seed in range(1, 1000):
            folder = HERE / case["name"]
            shutil.rmtree(folder, ignore_errors=True)
            self.oracle.make_checkpoint(
                configuration, seed, str(folder), case["layout"], str(TOKENIZER), case.get("positions", True))
            self.edit_json(folder / "tokenizer_config.json", {"legacy": case.get("legacy", False)})
            for name in case["images"]:
                pictures()[name].save(folder / name, optimize=True)
            images = [str(folder / name) for name in case["images"]]
            expected, _ = self.oracle.run(str(folder), case["prompt"], images, case["steps"])
            if len(expected["greedy"]) == case["steps"] and self.is_clear(folder, expected):
                break
        else:
            raise SystemExit(f"{case['name']}: no seed fits")
        self.edit_json(folder / "config.json", {}, absent=case.get("absent", []))
        (folder / "prompt.txt").write_text(case["prompt"])
        self.save({name: tensor.contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{case['name']}: seed {seed}, {len(expected['logits'])} rows, {size / 1e6:.2f} MB")

    def is_clear(self, folder, expected):
        """Whether no step of the greedy answer is nearly a tie."""
        weights, configuration = self.oracle.load_checkpoint(str(folder))
        answer = expected["greedy"].tolist()
        ids = expected["input_ids"].tolist()
        for step in range(len(answer)):
            rows = self.owl2_ref.splice(weights, configuration, ids + answer[:step], expected.get("image_embeds"))
            logits = self.owl2_ref.decoder(weights, configuration, *rows)[0, -1]
            best = logits.topk(2).values
            if best[0] - best[1] < CLEAR_MARGIN * logits.abs().max():
                return False
        return True

    @staticmethod
    def edit_json(path, values, absent=()):
        content = json.loads(path.read_text())
        content.update(values)
        for dotted in absent:
            fields, key = parent(content, dotted)
            del fields[key]
        path.write_text(json.dumps(content, indent=2) + "\n")


def main():
    maker = Maker(sys.argv[1])
    for case in CASES:
        if not sys.argv[2:] or case["name"] in sys.argv[2:]:
            maker.make(case)
    summary = [{key: case[key] for key in ("name", "about", "images", "steps")} for case in CASES]
    (HERE / "cases.json").write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
