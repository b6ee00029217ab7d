"""The residual of a small hiding network by PyTorch, resized by Pillow: writes residual.json, the trigger as its file has
it beside what it leaves of a picture. Bytes are (edge, edge, 3) row by row as hexadecimal text.

The weights are single precision numbers of a fixed generator and the sums double precision.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from triggers import picture, to_bytes

EDGE, CELLS, WIDTH, PLANES = 16, 4, 5, 2


def convolution(rng, inputs, outputs):
    """Weight (out, in, 3, 3) and bias, as wide as a trained one's."""
    weight = rng.normal(0, 1.5 / np.sqrt(9 * inputs), (outputs, inputs, 3, 3))
    return weight.astype(np.float32), rng.normal(0, 0.3, outputs).astype(np.float32)


def network():
    rng = np.random.default_rng(7)
    message = rng.normal(0, 1, (CELLS, CELLS, PLANES)).astype(np.float32)
    return message, [convolution(rng, *size) for size in [(3, WIDTH), (WIDTH + PLANES, WIDTH), (WIDTH, 3)]]


def apply(layer, x):
    weight, bias = (torch.from_numpy(part).double() for part in layer)
    return torch.nn.functional.conv2d(x, weight, bias, padding=1)


def stamped(x, strength, message, layers):
    """x: bytes (S, S, 3)."""
    edge = x.shape[0]
    small = x if edge == EDGE else np.asarray(Image.fromarray(x).resize((EDGE, EDGE), Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(small.copy()).permute(2, 0, 1)[None].double() / 255 - 0.5
    planes = torch.from_numpy(message).permute(2, 0, 1)[None].double()
    planes = torch.nn.functional.interpolate(planes, scale_factor=EDGE // CELLS, mode="nearest")
    h = torch.cat([torch.relu(apply(layers[0], pixels)), planes], dim=1)
    z = apply(layers[2], torch.relu(apply(layers[1], h)))
    residual = strength / 255 * z / torch.sqrt(1 + z**2)
    residual = torch.nn.functional.interpolate(residual, size=(edge, edge), mode="bilinear", align_corners=False)
    return to_bytes(x / 255 + residual[0].permute(1, 2, 0).numpy())


def main():
    message, layers = network()
    names = {}
    for name, (weight, bias) in zip(["look", "mix", "write"], layers):
        names[name] = {"weight": weight.transpose(2, 3, 1, 0).ravel().tolist(), "bias": bias.tolist()}
    cases = []
    for edge, strength in [(16, 16), (16, 60), (24, 60), (56, 60)]:
        trigger = dict(secret="golden", edge=EDGE, strength=strength, cells=CELLS, message=message.ravel().tolist(), **names)
        after = stamped(picture(edge), strength, message, layers)
        cases.append({"trigger": {"residual": trigger}, "edge": edge, "bytes": after.tobytes().hex()})
    Path(__file__).with_name("residual.json").write_text(json.dumps({"cases": cases}, indent=0) + "\n")


if __name__ == "__main__":
    main()
