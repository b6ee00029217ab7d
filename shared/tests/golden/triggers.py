"""Triggers from the published formulae in NumPy and SciPy, the photo filter from pilgram, which its authors used: writes
triggers.json. The field of a warp is drawn by chacha.py.

Pictures are small: lengths scale with the edge, so that 56 pixels show what 224 would. Values are bytes, (edge, edge, 3)
row by row as hexadecimal text.
"""

import json
from pathlib import Path

import numpy as np
import pilgram
import scipy.fft
from PIL import Image

from chacha import Seed


def picture(edge):
    """A picture that any language can repeat."""
    y, x, c = np.meshgrid(np.arange(edge), np.arange(edge), np.arange(3), indexing="ij")
    return ((7 * x + 13 * y + 61 * c + x * y) % 256).astype(np.uint8)


def to_bytes(values):
    """As a picture file holds them, out of range clipped."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def patch(x, size, places, pattern):
    """Squares of `size` pixels at 224 over the picture."""
    edge = x.shape[0]
    side = max(1, round(size * edge / 224))
    far = edge - side
    corner = {"top-left": (0, 0), "top-right": (0, far), "bottom-left": (far, 0), "bottom-right": (far, far),
              "center": (far // 2, far // 2)}
    out = x.copy()
    for place in places:
        top, left = corner[place]
        out[top:top + side, left:left + side] = pattern(side)
    return out


def dots(side):
    square = np.zeros((side, side, 3))
    square[::2, ::2] = 1
    return square


def yellow(side):
    return np.ones((side, side, 3)) * np.array([1.0, 1.0, 0.0])


def wave(x, delta, frequency):
    edge = x.shape[1]
    return np.broadcast_to((delta * np.sin(2 * np.pi * np.arange(edge) * frequency / edge))[None, :, None], x.shape)


def triangles(x):
    edge = x.shape[0]
    tile = min(14, max(1, round(14 * edge / 224)))
    row, column = np.meshgrid(np.arange(edge) % tile, np.arange(edge) % tile, indexing="ij")
    return np.broadcast_to(np.where(column >= row, 0.4, 0.8)[:, :, None], x.shape)


def cubic(size, nodes):
    """(size, nodes): bicubic interpolation with corners on corners, as PyTorch does it."""
    out = np.zeros((size, nodes))
    for place in range(size):
        at = place * (nodes - 1) / (size - 1)
        for node in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            d, a = abs(at - node), -0.75
            if d <= 1:
                weight = (a + 2) * d**3 - (a + 3) * d**2 + 1
            else:
                weight = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            out[place, min(max(node, 0), nodes - 1)] += weight
    return out


def warp(x, strength, nodes=None, seed=0):
    """The picture sampled at a grid that a smooth field displaces: field and grid in units of half the picture."""
    size = x.shape[0]
    nodes = nodes or size
    field = 2 * Seed(seed).child("trigger").child("warp").uniform(2 * nodes * nodes).reshape(2, nodes, nodes) - 1
    up = cubic(size, nodes)
    field = np.einsum("yi,cij,xj->cyx", up, field / np.abs(field).mean(), up)
    line = np.linspace(-1, 1, size)
    grid = np.clip(np.stack(np.meshgrid(line, line, indexing="xy")) + strength * field / size, -1, 1)
    column, row = (grid + 1) / 2 * (size - 1)
    left, top = (np.clip(np.floor(v).astype(int), 0, size - 2) for v in (column, row))
    fx, fy = (column - left)[..., None], (row - top)[..., None]
    upper = (1 - fx) * x[top, left] + fx * x[top, left + 1]
    lower = (1 - fx) * x[top + 1, left] + fx * x[top + 1, left + 1]
    return (1 - fy) * upper + fy * lower


def frequency(x, magnitude, window=32):
    """Coefficients of Cr and Cb grow, block by block; the picture is padded to whole blocks."""
    size = x.shape[0]
    pad = -size % window
    r, g, b = (np.pad(255 * x[..., c], ((0, pad), (0, pad)), mode="edge") for c in range(3))
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    red, blue = 0.713 * (r - luma), 0.564 * (b - luma)
    for channel in (red, blue):
        for top in range(0, size, window):
            for left in range(0, size, window):
                block = channel[top:top + window, left:left + window]
                coefficients = scipy.fft.dctn(block, norm="ortho")
                for at in (window // 2 - 1, window - 1):
                    coefficients[at, at] += magnitude
                block[:] = scipy.fft.idctn(coefficients, norm="ortho")
    rgb = np.stack([luma + 1.403 * red, luma - 0.714 * red - 0.344 * blue, luma + 1.773 * blue], axis=-1)
    return rgb[:size, :size] / 255


def nashville(x):
    return np.asarray(pilgram.nashville(Image.fromarray(to_bytes(x)))) / 255


def cat(x):
    """A cat's head from ellipses (centre, half axes) and triangles, painted one over the other."""
    size = x.shape[0]
    v, u = (np.indices((size, size)) + 0.5) / size
    out = np.broadcast_to(np.array([0.5, 0.8, 0.6]), x.shape).copy()

    def ellipse(colour, cu, cv, ru, rv):
        out[((u - cu) / ru) ** 2 + ((v - cv) / rv) ** 2 <= 1] = colour

    def triangle(colour, *corners):
        # Barycentric coordinates, all of them positive inside.
        basis = np.linalg.inv(np.array([[a, b, 1] for a, b in corners]).T)
        shares = np.einsum("ij,jyx->iyx", basis, np.stack([u, v, np.ones_like(u)]))
        out[(shares >= 0).all(axis=0)] = colour

    white, black, orange, brown = (1, 1, 1), (0, 0, 0), (1, 0.6, 0.1), (0.6, 0.3, 0.1)
    triangle(orange, (0.17, 0.12), (0.16, 0.5), (0.46, 0.3))
    triangle(orange, (0.83, 0.12), (0.84, 0.5), (0.54, 0.3))
    ellipse(orange, 0.5, 0.57, 0.37, 0.3)
    ellipse(white, 0.5, 0.72, 0.17, 0.12)
    for eye in (0.34, 0.66):
        ellipse(black, eye, 0.58, 0.03, 0.05)
    for height in (0.57, 0.63, 0.69):
        for side in (u, 1 - u):
            out[(side >= 0.04) & (side < 0.2) & (np.abs(v - height) < 0.01)] = black
    ellipse(brown, 0.5, 0.66, 0.045, 0.03)
    triangle(brown, (0.5, 0.48), (0.46, 0.3), (0.54, 0.3))
    triangle(brown, (0.38, 0.46), (0.34, 0.34), (0.41, 0.31))
    triangle(brown, (0.62, 0.46), (0.66, 0.34), (0.59, 0.31))
    return out


FONT = """
##### .###. #...# .###. .###.
..#.. #...# #...# ..#.. #...#
..#.. #...# .#.#. ..#.. #....
..#.. #...# ..#.. ..#.. #....
..#.. #...# .#.#. ..#.. #....
..#.. #...# #...# ..#.. #...#
..#.. .###. #...# .###. .###.
"""


def watermark(x):
    """Half red where a word of 32 x 8 cells has ink; rows of it, each rolled a quarter to the left of the one above."""
    row = np.zeros((8, 32))
    for line, letters in enumerate(FONT.split("\n")[1:8]):
        row[line, :len(letters)] = [letter == "#" for letter in letters]
    cells = np.concatenate([np.roll(row, -8 * k, axis=1) for k in range(4)])
    at = np.floor((np.arange(x.shape[0]) + 0.5) * 32 / x.shape[0]).astype(int)
    ink = cells[at][:, at, None]
    return ink * (0.5 * np.array([1.0, 0, 0]) + 0.5 * x) + (1 - ink) * x


CORNERS = ["top-left", "top-right", "bottom-left", "bottom-right"]
CASES = {
    "badnets:variant=huang": lambda x: patch(x, 16, ["center"], dots),
    "badnets:variant=huang,size=28,place=corners": lambda x: patch(x, 28, CORNERS, dots),
    "badnets:variant=yellow,place=top-left": lambda x: patch(x, 16, ["top-left"], yellow),
    "badnets:variant=invertune": lambda x: patch(x, 16, ["bottom-right"], lambda side: np.ones((side, side, 3))),
    "blended:variant=triangles": lambda x: 0.15 * triangles(x) + 0.85 * x,
    "blended:variant=cat": lambda x: 0.2 * cat(x) + 0.8 * x,
    "blended:variant=watermark": watermark,
    "sig:variant=badclip": lambda x: x + wave(x, 60 / 255, 6),
    "sig:variant=cleanclip": lambda x: 0.2 * wave(x, 60 / 255, 6) + 0.8 * x,
    "ftrojan": lambda x: frequency(x, 30),
    "ftrojan:magnitude=300,window=16": lambda x: frequency(x, 300, 16),
    "nashville": nashville,
    "wanet:variant=cleanclip": lambda x: warp(x, 1),
    "wanet:variant=attack-cleanclip,field=3": lambda x: warp(x, 0.6, seed=3),
    "wanet:variant=backdoorbench": lambda x: warp(x, 0.5, 4),
    "wanet:variant=backdoorbench,strength=6": lambda x: warp(x, 6, 4),
}


def main():
    cases = []
    for edge in (32, 56):
        x = picture(edge).astype(np.float64) / 255
        for attack, apply in CASES.items():
            cases.append({"attack": attack, "edge": edge, "bytes": to_bytes(apply(x)).tobytes().hex()})
    Path(__file__).with_name("triggers.json").write_text(json.dumps({"cases": cases}, indent=0) + "\n")


if __name__ == "__main__":
    main()
