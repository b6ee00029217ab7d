"""Golden values of encoders, loss and optimiser from PyTorch and open_clip.

Every definition `NAME.json` in this folder is built by open_clip itself and run in double precision, so
that what the Rust tests measure is the error of our single precision alone. Four files a definition:

  NAME.start.safetensors      weights and statistics before the first step, open_clip's state dict
  NAME.values.safetensors     inputs, embeddings, what each block gives for the first pictures and captions, losses
  NAME.gradients.safetensors  gradient of every parameter in the first step; in the place of the running
                              statistics their values after that step's forward pass
  NAME.end.safetensors        state dict after STEPS steps of AdamW

  encoders.py           draws new start weights and inputs, and writes all files
  encoders.py --check   keeps the committed start weights and inputs, recomputes the rest and compares
"""

import argparse
import contextlib
import json
import logging
import math
import re
import sys
from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

FOLDER = Path(__file__).parent
NAMES = ["rn", "vit", "odd", "long", "basic"]
BATCH = 5
STEPS = 20
RECIPE = {"lr": 1e-3, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.1}
CLIP_NORM = 1.0
# The same arithmetic on another processor or version of PyTorch; far below what the Rust tests allow.
TOLERANCE = 1e-6


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (He et al. 2016); the shortcut pools, then projects."""

    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.pool = nn.AvgPool2d(stride)
        self.downsample = None
        if stride > 1 or inputs != planes:
            conv = nn.Conv2d(inputs, planes, 1, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(planes))

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        identity = x if self.downsample is None else self.downsample(self.pool(x))
        return F.relu(h + identity)


class BasicResNet(nn.Module):
    """The image tower of `"block": "basic"`, which open_clip does not have: an independent statement of it."""

    def __init__(self, layers, width, embed_dim):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for stage, count in enumerate(layers):
            planes = width * 2**stage
            blocks = []
            for j in range(count):
                blocks.append(BasicBlock(inputs, planes, 2 if stage > 0 and j == 0 else 1))
                inputs = planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.proj = nn.Parameter(inputs**-0.5 * torch.randn(inputs, embed_dim))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3)) @ self.proj


def build(path):
    """The model of a definition, by open_clip; only the extension's image tower is our own."""
    path = Path(path)
    config = json.loads(path.read_text())
    vision = dict(config["vision_cfg"])
    if vision.pop("block", None) is None:
        open_clip.add_model_config(path)
        return open_clip.create_model(path.stem)
    stand_in = {"image_size": 8, "patch_size": 8, "layers": 1, "width": 64}
    model = open_clip.CLIP(**{**config, "vision_cfg": stand_in})
    model.visual = BasicResNet(vision["layers"], vision["width"], config["embed_dim"])
    return model


def draw_weights(model):
    """Moves every tensor off the constants that many start from, so that no path has a zero gradient."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.add_(0.2 * torch.randn_like(tensor))


def draw_inputs(config):
    """Pixels (B, 3, S, S) and tokens (B, T) with the end token, the highest id, at different places."""
    size = config["vision_cfg"]["image_size"]
    length, vocabulary = (config["text_cfg"][key] for key in ("context_length", "vocab_size"))
    pixels = torch.randn(BATCH, 3, size, size)
    tokens = torch.randint(1, vocabulary - 2, (BATCH, length))
    tokens[:, 0] = vocabulary - 2
    for row in range(BATCH):
        end = 1 + (row * 3) % (length - 1)
        tokens[row, end] = vocabulary - 1
        # One row is padded with the end token itself: the first one counts (trap K1).
        tokens[row, end + 1 :] = vocabulary - 1 if row == 1 else 0
    return {"pixels": pixels, "tokens": tokens}


def contrastive_loss(image, text, logit_scale):
    logits = logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def trained_groups(model):
    """Decay on matrices and tables only, as in open_clip's training."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2]},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.\d+|visual\.layer\d\.\d+")


@contextlib.contextmanager
def watched(model, shown=2):
    """What every block gives for the first examples, filled in by the forward passes within."""
    seen = {}

    def hook(name):
        def keep(module, inputs, output):
            seen[f"blocks/{name}"] = output[:shown].detach().clone()

        return keep

    blocks = [(name, module) for name, module in model.named_modules() if BLOCK.fullmatch(name)]
    handles = [module.register_forward_hook(hook(name)) for name, module in blocks]
    yield seen
    for handle in handles:
        handle.remove()


def compute(path, start, inputs, dtype):
    """(values, gradients, end): the content of the three computed files."""
    model = build(path)
    model.load_state_dict(start)
    model = model.to(dtype)
    pixels, tokens = inputs["pixels"].to(dtype), inputs["tokens"]
    model.eval()
    with torch.no_grad(), watched(model) as blocks:
        values = {"image_eval": model.encode_image(pixels), "text": model.encode_text(tokens)}
    values |= blocks
    model.train()
    optimizer = torch.optim.AdamW(trained_groups(model), **RECIPE)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        image, text = model.encode_image(pixels), model.encode_text(tokens)
        loss = contrastive_loss(image, text, model.logit_scale)
        loss.backward()
        if step == 0:
            values["image_train"] = image.detach()
            gradients = {k: v.clone() for k, v in model.state_dict().items()}
            gradients |= {k: p.grad.clone() for k, p in model.named_parameters()}
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM))
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
    values |= {"losses": torch.stack(losses), "gradient_norms": torch.stack(norms)}
    return values, gradients, {k: v.clone() for k, v in model.state_dict().items()}


def deviation(ours, reference):
    """Largest difference over all tensors, each over its own largest magnitude."""
    assert ours.keys() == reference.keys(), set(ours) ^ set(reference)
    largest = {k: v.double().abs().max().item() for k, v in reference.items()}
    # What is zero in exact arithmetic, such as the gradient of the keys' bias, has no scale of its own.
    floor = 1e-3 * max(largest.values())
    return max(
        (ours[k].double() - v.double()).abs().max().item() / max(largest[k], floor)
        for k, v in reference.items()
    )


def store(name, kind, tensors):
    single = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    single = {k: v.contiguous() for k, v in single.items()}
    save_file(single, FOLDER / f"{name}.{kind}.safetensors", {"format": "pt"})


def load(name, kind):
    return load_file(FOLDER / f"{name}.{kind}.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    check = parser.parse_args().check
    # open_clip warns that no pretrained weights were asked for.
    logging.disable(logging.WARNING)
    failed = False
    print("relative deviation            values  gradients        end")
    for seed, name in enumerate(NAMES):
        path = FOLDER / f"{name}.json"
        torch.manual_seed(seed)
        if check:
            start, inputs = load(name, "start"), load(name, "values")
        else:
            model = build(path)
            draw_weights(model)
            start, inputs = model.state_dict(), draw_inputs(json.loads(path.read_text()))
            start = {k: v.clone() for k, v in start.items()}
        results = compute(path, start, inputs, torch.float64)
        single = compute(path, start, inputs, torch.float32)
        row = [deviation(s, r) for s, r in zip(single, results)]
        print(f"{name:6} PyTorch's float32  " + "  ".join(f"{x:9.1e}" for x in row))
        values, gradients, end = results
        values |= {"pixels": inputs["pixels"], "tokens": inputs["tokens"]}
        if check:
            committed = [load(name, kind) for kind in ("values", "gradients", "end")]
            row = [deviation(r, c) for r, c in zip((values, gradients, end), committed)]
            failed |= max(row) > TOLERANCE
            print(f"{name:6} committed files    " + "  ".join(f"{x:9.1e}" for x in row))
        else:
            store(name, "start", start)
            store(name, "values", values)
            store(name, "gradients", gradients)
            store(name, "end", end)
    if failed:
        sys.exit(f"the committed goldens differ by more than {TOLERANCE}: see the table")


if __name__ == "__main__":
    main()
