"""PyTorch models of our encoder definitions: open_clip's own classes, and a twin of `tiny-resnet`.

The twin follows `basic_resnet` in shared/src/encoders/resnet.rs; open_clip knows no such tower. That both sides
have the same number of parameters is checked by `compare.py` for every encoder.
"""

import logging

import open_clip
import torch
from torch import nn

import definitions


def build(encoder):
    """A randomly initialised model with `encode_image`, `encode_text` and `logit_scale`, and its definition."""
    logging.disable(logging.WARNING)
    definition = definitions.read(encoder)
    vision = dict(definition["vision_cfg"])
    if vision.pop("block", None) is None:
        return open_clip.model.CLIP(**definition), definition
    # Any tower will do where ours is put in its place.
    vision["layers"] = 1
    vision.update(patch_size=vision["image_size"], head_width=vision["width"])
    model = open_clip.model.CLIP(**{**definition, "vision_cfg": vision})
    model.visual = BasicResNet(definition["embed_dim"], **definition["vision_cfg"])
    return model, definition


def export_checkpoint(folder, file):
    """The image tower of a checkpoint in open_clip's layout as ONNX for one picture; returns exp(logit_scale)."""
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tower = model.visual
    edge = model.visual.image_size
    pixels = torch.zeros(1, 3, *(edge if isinstance(edge, tuple) else (edge, edge)))
    torch.onnx.export(tower, (pixels,), str(file), dynamo=False, opset_version=17)
    return float(model.logit_scale.exp())


def draw_pixels(definition, batch):
    edge = definition["vision_cfg"]["image_size"]
    return torch.randn(batch, 3, edge, edge)


def draw_tokens(definition, batch):
    """Texts of full length: PyTorch computes every position whatever the length."""
    text = definition["text_cfg"]
    tokens = torch.randint(1, text["vocab_size"] - 1, (batch, text["context_length"]))
    tokens[:, -1] = text["vocab_size"] - 1
    return tokens


def conv_norm(inputs, outputs, kernel, stride=1):
    """A convolution without bias and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut that is pooled, then projected, where shapes change."""

    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.first = conv_norm(inputs, planes, 3, stride)
        self.second = conv_norm(planes, planes, 3)
        pooled = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        projected = stride > 1 or inputs != planes
        self.shortcut = (
            nn.Sequential(pooled, conv_norm(inputs, planes, 1)) if projected else nn.Identity()
        )

    def forward(self, x):
        return (self.second(self.first(x).relu()) + self.shortcut(x)).relu()


class BasicResNet(nn.Module):
    """A 3×3 stem of stride 2, four stages of basic blocks, mean, projection."""

    def __init__(self, embed_dim, image_size, layers, width, block):
        super().__init__()
        assert block == "basic", block
        self.stem = conv_norm(3, width, 3, 2)
        stages, inputs = [], width
        for stage, blocks in enumerate(layers):
            for i in range(blocks):
                planes = width << stage
                stages.append(BasicBlock(inputs, planes, 2 if stage > 0 and i == 0 else 1))
                inputs = planes
        self.stages = nn.Sequential(*stages)
        self.proj = nn.Parameter(torch.randn(inputs, embed_dim) * inputs**-0.5)

    def forward(self, x):
        x = self.stages(self.stem(x).relu())
        return x.mean((2, 3)) @ self.proj
