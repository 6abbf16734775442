"""Makes gguf/goldens.gguf with the `gguf` package of PyPI (and numpy): python3 make_gguf.py

Tensors of a few rows, as that package quantises and dequantises them, and metadata of every type. See
Documentation/Fixtures.md.
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value
from gguf.quants import dequantize, quantize

ROWS, WIDTH = 6, 512


def rows(random):
    """Rows of many magnitudes, with ties, zeros of both signs, sparse and heavy-tailed ones."""
    x = random.standard_normal((ROWS, WIDTH)).astype(np.float32)
    x[0] *= np.float32(0.02)
    x[1] = np.round(x[1] * 8) / np.float32(8)
    x[2] *= random.standard_normal(WIDTH).astype(np.float32) ** 5
    x[3] *= np.float32(10.0) ** random.integers(-8, 4, WIDTH).astype(np.float32)
    x[4] = random.integers(-127, 128, WIDTH).astype(np.float32) / np.float32(2)
    x[5][random.random(WIDTH) < 0.7] = 0
    x[5][:32] = 0
    x[5][32:64] = -0.0
    x[5][64:96] = np.float32(-3.25)
    x[5][96:128] *= np.float32(1e-7)
    return np.clip(x, -60000, 60000).astype(np.float32)


def blocks(random, kind):
    """Random blocks with finite scales of either sign."""
    size, byte_count = gguf.GGML_QUANT_SIZES[kind]
    raw = random.integers(0, 256, (ROWS, WIDTH // size, byte_count), dtype=np.uint8)
    scales = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_K: [0, 2], Type.Q6_K: [208]}[kind]
    for at in scales:
        values = random.standard_normal((ROWS, WIDTH // size, 1)).astype(np.float16)
        raw[..., at : at + 2] = values.view(np.uint8)
    return raw.reshape(ROWS, -1)


def main():
    random = np.random.default_rng(9)
    writer = gguf.GGUFWriter(pathlib.Path(__file__).parent / "gguf" / "goldens.gguf", "mplug_owl2")
    for kind, value in [
        ("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("uint32", 4000000000),
        ("int32", -2000000000), ("uint64", 2**63 - 1), ("int64", -(2**62)), ("float32", 0.1), ("float64", 0.1),
        ("bool", True),
    ]:
        writer.add_key_value(f"test.{kind}", value, Value[kind.upper()])
    writer.add_string("test.string", "an owl 🦉")
    writer.add_array("test.strings", ["", "▁a", "é"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -1.25])
    writer.add_array("test.bools", [True, False])

    x = rows(random)
    writer.add_tensor("float32", x)
    writer.add_tensor("float16", x.astype(np.float16))
    for name, kind in [("bfloat16", Type.BF16), ("q8_0", Type.Q8_0), ("q4_0", Type.Q4_0)]:
        writer.add_tensor(name, quantize(x, kind), raw_dtype=kind)
    for name in ["q8_0", "q4_0", "q4_k", "q6_k"]:
        kind = Type[name.upper()]
        stored = blocks(random, kind)
        writer.add_tensor(f"{name}.blocks", stored, raw_dtype=kind)
        writer.add_tensor(f"{name}.floats", dequantize(stored, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
