"""Loads checkpoints that toxiclip wrote with the real open_clip, and compares embeddings.

  checkpoints.py DIR...

Each DIR is a checkpoint with `example.safetensors` beside it: `images` (N, S, S, 3) as 8-bit values in I64,
`image_features` and `text_features` as our program computed them, not normalised, and the captions as a JSON
list under `__metadata__.captions`. Pictures go through open_clip's own preprocessing and captions through
`open_clip.get_tokenizer`, so that the configuration and the tokenizer files are tested too.
"""

import json
import logging
import sys
from pathlib import Path

import numpy
import open_clip
import torch
from PIL import Image
from safetensors import safe_open

TOLERANCE = 1e-5


def example(path):
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return tensors, json.loads(file.metadata()["captions"])


def deviation(ours, theirs):
    """Largest difference and largest magnitude."""
    return (ours - theirs).abs().max().item(), theirs.abs().max().item()


def compare(directory):
    """Whether open_clip's embeddings are ours."""
    source = f"local-dir:{directory}"
    model, preprocess = open_clip.create_model_from_pretrained(source)
    model.eval()
    tokenizer = open_clip.get_tokenizer(source)
    ours, captions = example(directory / "example.safetensors")
    pictures = [Image.fromarray(x.numpy().astype(numpy.uint8)) for x in ours["images"]]
    with torch.no_grad():
        image = model.encode_image(torch.stack([preprocess(p) for p in pictures]))
        text = model.encode_text(tokenizer(captions))
    good = True
    for kind, theirs in (("image", image), ("text", text)):
        difference, magnitude = deviation(ours[f"{kind}_features"], theirs)
        good &= difference < TOLERANCE * max(1.0, magnitude)
        print(
            f"{directory.name:10} {kind:5} {len(theirs):4} embeddings, "
            f"largest difference {difference:.1e} of {magnitude:.1e}"
        )
    return good


def main():
    logging.disable(logging.WARNING)
    results = [compare(Path(directory)) for directory in sys.argv[1:]]
    if not results or not all(results):
        sys.exit(f"open_clip's embeddings are not ours within {TOLERANCE}")


if __name__ == "__main__":
    main()
