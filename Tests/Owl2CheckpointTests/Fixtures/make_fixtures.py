#!/usr/bin/env python3
"""Make the checkpoints of the tests, and expected.json with what PyTorch sees in them.

    pip install torch numpy safetensors
    python3 make_fixtures.py

expected.json: {directory: {layout, tensors: {key: {type, shape, hex}}}}; `hex` is the elements row by row, little-endian.
"""
import collections
import json
import os

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}
expected = {}


def random(*shape, dtype=torch.float32, seed=[0]):
    seed[0] += 1
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed[0])) * 8
    return (values > 0) if dtype == torch.bool else values.abs().to(dtype) if dtype == torch.uint8 else values.to(dtype)


def path(directory, name):
    os.makedirs(os.path.join(HERE, directory), exist_ok=True)
    return os.path.join(HERE, directory, name)


def expect(directory, layout, tensors):
    def entry(tensor):
        data = tensor.detach().contiguous().clone()
        raw = data.flatten().view(torch.uint8) if data.numel() else torch.empty(0, dtype=torch.uint8)
        return {"type": TYPES[tensor.dtype], "shape": list(tensor.shape), "hex": bytes(raw.tolist()).hex()}
    expected[directory] = {"layout": layout, "tensors": {k: entry(v) for k, v in tensors.items()}}


def index(directory, name, weight_map):
    with open(path(directory, name + ".index.json"), "w") as file:
        json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, file, indent=1)


def every_type():
    return {"types." + TYPES[t]: random(3, 5, dtype=t) for t in TYPES}


def views():
    base = random(4, 6)
    return {
        "view.base": base, "view.row": base[2], "view.rows": base[1:3], "view.column": base[:, 3], "view.transposed": base.t(),
        "view.steps": base[::2, 1::2], "view.expanded": base[:1].expand(3, 6), "view.scalar": base[1, 1],
        "view.halves": random(2, 3, 4, dtype=torch.float16).permute(2, 0, 1), "view.bytes": random(3, 4, dtype=torch.uint8).t(),
        "view.longs": random(3, 4, dtype=torch.int64).t(), "view.empty": random(0, 4), "view.one": base[3:4, 5:6],
    }


def singles():
    tensors = every_type() | views()
    torch.save(tensors, path("bin-single", "pytorch_model.bin"))
    expect("bin-single", "PyTorch, 1 file", tensors)
    for protocol in (3, 4, 5):
        torch.save(tensors, path(f"bin-protocol{protocol}", "pytorch_model.bin"), pickle_protocol=protocol)
        expect(f"bin-protocol{protocol}", "PyTorch, 1 file", tensors)

    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2), torch.nn.BatchNorm1d(2))
    with torch.no_grad():
        for parameter in module.parameters(): parameter.copy_(random(*parameter.shape))
    torch.save(module.state_dict(), path("bin-state-dict", "pytorch_model.bin"))
    expect("bin-state-dict", "PyTorch, 1 file", module.state_dict())
    parameters = collections.OrderedDict(module.named_parameters())
    torch.save({"epoch": 3, "state_dict": parameters, "best": None, "loss": 0.5}, path("bin-nested", "pytorch_model.bin"))
    expect("bin-nested", "PyTorch, 1 file", parameters)

    tensors = every_type() | {"empty": random(0, 4), "scalar": random(), "with \"quotes\" and \\ and é and 日本": random(2)}
    save_file(tensors, path("safetensors-single", "model.safetensors"), metadata={"format": "pt", "note": "é \"quoted\"\n"})
    expect("safetensors-single", "safetensors, 1 file", tensors)


def sharded():
    tensors = {f"model.layers.{i}.{n}": random(4, 3, dtype=t) for i in range(3)
               for n, t in (("weight", torch.float16), ("bias", torch.bfloat16), ("rotary_emb.inv_freq", torch.float32))}
    layer = lambda key: int(key.split(".")[2])
    part = lambda wanted: {k: v for k, v in tensors.items() if wanted(layer(k))}
    names = [f"pytorch_model-{i + 1}-of-3.bin" for i in range(3)]
    for i, name in enumerate(names): torch.save(part(lambda n: n == i), path("bin-published", name))
    index("bin-published", "pytorch_model.bin", {k: names[layer(k)] for k in tensors})
    expect("bin-published", "PyTorch, 3 files", tensors)
    names = [f"pytorch_model-{i + 1:05d}-of-00002.bin" for i in range(2)]
    for i, name in enumerate(names): torch.save(part(lambda n: (n > 0) == i), path("bin-numbered", name))
    index("bin-numbered", "pytorch_model.bin", {k: names[layer(k) > 0] for k in tensors})
    expect("bin-numbered", "PyTorch, 2 files", tensors)
    names = [f"model-{i + 1:05d}-of-00003.safetensors" for i in range(3)]
    for i, name in enumerate(names): save_file(part(lambda n: n == i), path("safetensors-sharded", name))
    index("safetensors-sharded", "model.safetensors", {k: names[layer(k)] for k in tensors})
    expect("safetensors-sharded", "safetensors, 3 files", tensors)


def refused():
    torch.save({"a": random(2)}, path("refused", "legacy.bin"), _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), path("refused", "module.bin"))
    torch.save({"a": 1, "b": [2]}, path("refused", "numbers.bin"))
    torch.save(random(2), path("refused", "tensor.bin"))
    torch.save({"a": random(2).to(torch.complex64)}, path("refused", "complex.bin"))


if __name__ == "__main__":
    singles(), sharded(), refused()
    with open(os.path.join(HERE, "expected.json"), "w") as file: json.dump(expected, file, indent=0, ensure_ascii=False)
