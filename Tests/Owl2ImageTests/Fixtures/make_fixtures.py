#!/usr/bin/env python3
"""Make the pictures of the tests, and expected.json with what Pillow and NumPy make of them.

    pip install pillow numpy        and, for some samplings of JPEG, libturbojpeg 2.0 or later
    python3 make_fixtures.py

Documentation/Fixtures.md describes the result.
"""
import ctypes
import io
import json
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
MEAN = [0.48145466, 0.4578275, 0.40821073]
DEVIATION = [0.26862954, 0.26130258, 0.27577711]
random = np.random.default_rng(8)
pictures, fits = [], []


def fnv(data):
    """FNV-1a of 64 bits: small enough to be written anew in the tests."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


# ------------------------------------------------------------------ pictures
def keep(name, data, upright=False):
    """Write a picture and note Pillow's pixels of it."""
    with open(os.path.join(HERE, "pictures", name), "wb") as file:
        file.write(data)
    image = Image.open(io.BytesIO(data))
    entry = {"file": name, "width": image.width, "height": image.height, "pixels": image.convert("RGB").tobytes().hex()}
    if upright:
        turned = ImageOps.exif_transpose(image).convert("RGB")
        entry["upright"] = {"width": turned.width, "height": turned.height, "pixels": turned.tobytes().hex()}
    pictures.append(entry)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def packed(row, depth):
    """A row's samples as bytes."""
    if depth >= 8:
        return row.astype(">u2" if depth == 16 else np.uint8).tobytes()
    bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:]
    return np.packbits(bits.reshape(-1)).tobytes()


def filtered(samples, depth):
    """Rows [height, width, channels], each behind its filter: none, sub and up in turn."""
    step = max(1, samples.shape[2] * depth // 8)
    result, previous = b"", None
    for y, row in enumerate(samples):
        line = packed(row.reshape(-1), depth)
        left = bytes(step) + line
        above = previous or bytes(len(line))
        kind = y % 3
        predicted = [bytes(len(line)), left, above][kind]
        result += bytes([kind]) + bytes((a - b) & 255 for a, b in zip(line, predicted))
        previous = line
    return result


PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, colour, depth, interlaced=False, palette=None, transparency=None):
    """A PNG of samples [height, width, channels]; Pillow itself writes few of the kinds."""
    height, width, _ = samples.shape
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [samples]
    data = b"".join(filtered(part, depth) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    optional = b"".join(chunk(k, c) for k, c in ((b"PLTE", palette), (b"tRNS", transparency)) if c is not None)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + optional + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


KINDS = {"grey": (0, 1, (1, 2, 4, 8, 16)), "rgb": (2, 3, (8, 16)), "palette": (3, 1, (1, 2, 4, 8)),
         "grey-alpha": (4, 2, (8, 16)), "rgba": (6, 4, (8, 16))}


def make_png():
    for kind, (colour, channels, depths) in KINDS.items():
        for depth in depths:
            for interlaced in (False, True):
                samples = random.integers(0, 1 << depth, (5, 11, channels))
                palette = random.bytes(3 << depth) if colour == 3 else None
                keep(f"{kind}-{depth}{'-interlaced' if interlaced else ''}.png", png(samples, colour, depth, interlaced, palette))
    keep("palette-too-short.png", png(random.integers(0, 16, (4, 9, 1)), 3, 4, palette=random.bytes(3 * 5)))
    keep("palette-with-alpha.png", png(random.integers(0, 4, (4, 9, 1)), 3, 2, palette=random.bytes(12), transparency=b"\0\x80"))
    keep("grey-with-colour-key.png", png(random.integers(0, 4, (4, 9, 1)), 0, 2, transparency=b"\0\2"))
    keep("rgb-with-colour-key.png", png(random.integers(0, 2, (4, 9, 3)) * 255, 2, 8, transparency=b"\0\xff\0\0\0\xff"))
    keep("rgb-with-palette.png", png(random.integers(0, 256, (4, 9, 3)), 2, 8, palette=random.bytes(30)))
    keep("grey-16-dark.png", png(random.integers(0, 300, (4, 9, 1)), 0, 16))
    for width, height in ((1, 1), (1, 9), (9, 1), (4, 1), (5, 2)):
        samples = random.integers(0, 256, (height, width, 3))
        keep(f"rgb-{width}x{height}-interlaced.png", png(samples, 2, 8, True))


# ------------------------------------------------------------------ JPEG
def turbo(pixels, pixel_format, sampling, quality=60, flags=0, **environment):
    """A JPEG by libturbojpeg, which knows more samplings than Pillow writes."""
    library, system = ctypes.CDLL("libturbojpeg.so.0"), ctypes.CDLL(None)
    library.tjInitCompress.restype = ctypes.c_void_p
    for name, value in environment.items():
        system.setenv(name.encode(), value.encode(), 1)
    pixels = np.ascontiguousarray(pixels)
    buffer, size = ctypes.c_void_p(None), ctypes.c_ulong(0)
    status = library.tjCompress2(
        ctypes.c_void_p(library.tjInitCompress()), ctypes.c_void_p(pixels.ctypes.data), pixels.shape[1], 0, pixels.shape[0],
        pixel_format, ctypes.byref(buffer), ctypes.byref(size), sampling, quality, flags)
    for name in environment:
        system.unsetenv(name.encode())
    assert status == 0
    return ctypes.string_at(buffer.value, size.value)


def pillow(image, format="JPEG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def scene(width, height, channels=3):
    y, x = np.mgrid[0:height, 0:width]
    layers = [x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), x * y * 3 % 256, 255 - (x * 5 + y) % 256]
    return np.stack(layers[:channels], -1).astype(np.uint8)


def make_jpeg():
    progressive = 16384
    for index, name in enumerate(("444", "422", "420", "grey", "440", "411")):
        keep(f"{name}.jpg", turbo(scene(19, 13), 0, index))
        keep(f"{name}-progressive.jpg", turbo(scene(35, 9), 0, index, flags=progressive))
        if name != "grey":
            keep(f"cmyk-{name}.jpg", turbo(scene(17, 9, 4), 11, index))
    keep("restarts.jpg", turbo(scene(40, 20), 0, 2, TJ_RESTART="1"))
    keep("arithmetic.jpg", turbo(scene(19, 13), 0, 2, TJ_ARITHMETIC="1"))
    keep("cmyk-pillow.jpg", pillow(Image.fromarray(scene(9, 9, 4), "CMYK"), quality=80))
    keep("rgb-components.jpg", pillow(Image.fromarray(scene(9, 9)), keep_rgb=True))
    keep("1x1.jpg", turbo(scene(1, 1), 0, 2))
    keep("1x30.jpg", turbo(scene(1, 30), 0, 2))
    keep("30x1.jpg", turbo(scene(30, 1), 0, 2))


# ------------------------------------------------------------------ EXIF
def exif(order, orientation, field_type=3):
    """EXIF data with one more tag in front of the orientation; order is < or >."""
    value = struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[field_type], orientation)
    mark = b"II" if order == "<" else b"MM"
    return (mark + struct.pack(order + "HIH", 42, 8, 2) + struct.pack(order + "HHII", 0x0100, 4, 1, 7)
            + struct.pack(order + "HHI", 0x0112, field_type, 1) + value + struct.pack(order + "I", 0))


def with_exif_in_png(data, content):
    """The eXIf chunk stands behind IHDR."""
    return data[:33] + chunk(b"eXIf", content) + data[33:]


def with_exif_in_jpeg(data, content):
    content = b"Exif\0\0" + content
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:]


def make_oriented():
    plain = png(random.integers(0, 256, (3, 5, 3)), 2, 8)
    for orientation in range(1, 9):
        order = "<>"[orientation % 2]
        keep(f"orientation-{orientation}.png", with_exif_in_png(plain, exif(order, orientation)), upright=True)
    photograph = turbo(scene(9, 5), 0, 0)
    keep("orientation-6.jpg", with_exif_in_jpeg(photograph, exif(">", 6)), upright=True)
    keep("orientation-3.jpg", with_exif_in_jpeg(photograph, exif("<", 3)), upright=True)
    keep("orientation-0.png", with_exif_in_png(plain, exif("<", 0)), upright=True)
    keep("orientation-9.png", with_exif_in_png(plain, exif("<", 9)), upright=True)


# ------------------------------------------------------------------ fits
def noise(width, height, seed):
    """The bytes that the tests make, too: the high byte of each state of a linear congruential generator."""
    state, count = seed, width * height * 3
    values = bytearray(count)
    for index in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        values[index] = state >> 56
    return Image.frombytes("RGB", (width, height), bytes(values))


def stretched(image, size):
    """Pillow's two resamplings, a band of rows at a time, as the square of a long picture is too large to be held."""
    edge, bands = max(image.size), []
    if image.height == 1:  # every row of the square is the same
        return image.resize((size, 1)).resize((size, size), Image.NEAREST)
    if image.width == edge or edge < 4000:
        return image.resize((edge, edge)).resize((size, size))
    for top in range(0, edge, 500):
        band = image.crop((0, top, image.width, min(edge, top + 500)))
        bands.append(band.resize((edge, band.height)).resize((size, band.height)))
    column = Image.new("RGB", (size, edge))
    for index, band in enumerate(bands):
        column.paste(band, (0, 500 * index))
    return column.resize((size, size))


def square(image, size, fit):
    short, edge = min(image.size), max(image.size)
    if fit == "stretch":
        return stretched(image, size)
    if fit == "pad":
        result = Image.new("RGB", (edge, edge), tuple(int(m * 255) for m in MEAN))
        result.paste(image, ((edge - image.width) // 2, (edge - image.height) // 2))
        return result.resize((size, size))
    sides = tuple(size if side == short else int(size * side / short) for side in image.size)
    image = image.resize(sides, resample=Image.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def normalised(image):
    x = (np.asarray(image).astype(np.float64) * (1 / 255)).astype(np.float32)
    x = (x - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def make_fits():
    sizes = [(1, 1), (2, 3), (7, 5), (14, 14), (15, 14), (64, 64), (33, 111), (111, 33), (200, 37), (37, 200), (97, 96), (13, 700),
             (700, 13), (1, 50), (50, 1), (1, 2001), (2001, 1), (2, 999), (999, 2)]
    targets = [14, 1, 28, 45, 64]
    for index, (width, height) in enumerate(sizes):
        for fit in ("stretch", "pad", "centerCrop"):
            for size in (targets[index % 5], targets[(index + 2) % 5]):
                add_fit(width, height, size, fit)
    for width, height in ((640, 427), (427, 640)):
        for fit in ("stretch", "pad", "centerCrop"):
            add_fit(width, height, 448, fit)
    add_fit(1, 65000, 28, "stretch")
    add_fit(65000, 1, 28, "stretch")
    add_fit(3, 5000, 28, "stretch")


def add_fit(width, height, size, fit):
    seed = len(fits) + 1
    result = square(noise(width, height, seed), size, fit)
    fits.append({"width": width, "height": height, "seed": seed, "size": size, "fit": fit, "bytes": fnv(result.tobytes()),
                 "floats": fnv(normalised(result).astype("<f4").tobytes())})


if __name__ == "__main__":
    os.makedirs(os.path.join(HERE, "pictures"), exist_ok=True)
    make_png()
    make_jpeg()
    make_oriented()
    make_fits()
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    table = normalised(np.repeat(every[:, :, None], 3, 2)).astype("<f4").tobytes().hex()
    with open(os.path.join(HERE, "expected.json"), "w") as file:
        lines = lambda entries: "[\n" + ",\n".join("  " + json.dumps(entry) for entry in entries) + "\n ]"
        file.write(f'{{\n "pictures": {lines(pictures)},\n "fits": {lines(fits)},\n "normalized": "{table}"\n}}\n')
    print(len(pictures), "pictures,", len(fits), "fits")
