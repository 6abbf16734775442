#!/usr/bin/env python3
"""Draws the example pictures of this folder: coloured shapes, as the small bundled model knows them.

    pip install pillow
    ./draw.py
"""
from math import cos, pi, sin
from pathlib import Path

from PIL import Image, ImageDraw

PAINT = {
    "red": "#d42828", "green": "#2aa344", "blue": "#2b53d6", "yellow": "#efd62c", "purple": "#8a34a8",
    "orange": "#f38c22", "white": "#f9f9f9", "black": "#0d0d0d", "gray": "#8c8c8c", "pink": "#fabfce",
}

# file, edge in pixels, background, then shapes as (shape, colour, centre x, centre y, reach, tilt in degrees);
# places and reach are fractions of the edge
PICTURES = [
    ("red-circle.png", 224, "white", [("circle", "red", 0.48, 0.53, 0.27, 0)]),
    ("purple-star.png", 448, "gray", [("star", "purple", 0.55, 0.5, 0.3, 6)]),
    ("small-triangle.png", 224, "pink", [("triangle", "green", 0.4, 0.42, 0.17, -8)]),
    ("square-and-star.png", 448, "black", [("square", "yellow", 0.27, 0.35, 0.21, 10), ("star", "blue", 0.7, 0.66, 0.22, 0)]),
    ("three-shapes.png", 448, "white", [
        ("star", "orange", 0.22, 0.7, 0.14, -5), ("circle", "blue", 0.5, 0.27, 0.21, 0), ("star", "green", 0.78, 0.68, 0.14, 9)]),
    ("circle-and-triangle.jpg", 448, "gray", [("circle", "orange", 0.29, 0.62, 0.22, 0), ("triangle", "blue", 0.72, 0.36, 0.22, 5)]),
]
OVERSAMPLING = 4


def outline(shape, x, y, reach, tilt):
    """The corners of a polygon: the reach is the distance of its outermost corners from its centre."""
    corners, inner, first = {"square": (4, None, 45), "triangle": (3, None, 0), "star": (5, 0.42, 0)}[shape]
    radii = [reach] if inner is None else [reach, inner * reach]
    step = 2 * pi / (corners * len(radii))
    for corner in range(corners * len(radii)):
        angle = corner * step + (first + tilt) * pi / 180
        radius = radii[corner % len(radii)]
        yield x + radius * sin(angle), y - radius * cos(angle)


def draw(edge, background, shapes):
    """One picture, drawn large and made small, so that its edges are smooth."""
    scale = edge * OVERSAMPLING
    picture = Image.new("RGB", (scale, scale), PAINT[background])
    canvas = ImageDraw.Draw(picture)
    for shape, colour, x, y, reach, tilt in shapes:
        x, y, reach = x * scale, y * scale, reach * scale
        if shape == "circle":
            radius = 0.9 * reach
            canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=PAINT[colour])
        else:
            canvas.polygon(list(outline(shape, x, y, reach, tilt)), fill=PAINT[colour])
    return picture.resize((edge, edge), Image.LANCZOS)


if __name__ == "__main__":
    for name, edge, background, shapes in PICTURES:
        options = {"quality": 92} if name.endswith(".jpg") else {"optimize": True}
        draw(edge, background, shapes).save(Path(__file__).with_name(name), **options)
