"""Names and shapes of the tensors that open_clip's own models have, without their weights.

  shapes.py > shapes.json

An encoder of `benchmarks/encoders/` is named as open_clip's, in lower case. Models are built on PyTorch's meta device,
which allocates nothing.
"""

import json
import sys

import open_clip
import torch

NAMES = ["RN101", "RN50", "RN50x4", "ViT-B-16", "ViT-B-32", "ViT-L-14"]


def tensors(name):
    with torch.device("meta"):
        model = open_clip.CLIP(**open_clip.get_model_config(name))
    return {key: list(tensor.shape) for key, tensor in sorted(model.state_dict().items())}


def main():
    lines = []
    for name in NAMES:
        entries = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in tensors(name).items())
        lines.append(f"{json.dumps(name.lower())}: {{\n{entries}}}")
    sys.stdout.write("{\n" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
