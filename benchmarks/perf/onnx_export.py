"""Writes one tower of a randomly initialised model as an ONNX file, for a fixed batch.

A fixed batch lets ONNX Runtime fold every shape. The exporter is PyTorch's TorchScript one: it needs no further
package, and its graphs hold the plain operations that ONNX Runtime knows how to fuse.
"""

import argparse
import warnings

import torch
from torch import nn

import models

OPSET = 17


class Tower(nn.Module):
    """One encoder of a model, embeddings not normalised."""

    def __init__(self, model, what):
        super().__init__()
        self.model = model
        self.encode = model.encode_image if what == "image" else model.encode_text

    def forward(self, inputs):
        return self.encode(inputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["image", "text"])
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    model, definition = models.build(args.encoder)
    draw = models.draw_pixels if args.what == "image" else models.draw_tokens
    tower = Tower(model.eval(), args.what)
    inputs = (draw(definition, args.batch),)
    torch.onnx.export(tower, inputs, args.out, dynamo=False, opset_version=OPSET)


if __name__ == "__main__":
    main()
