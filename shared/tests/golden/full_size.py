"""A ViT-B/32 and a ModifiedResNet-50 of open_clip's own with random weights, written as checkpoints that other programs read:
what `toxiclip embed` makes of pictures and captions, beside what open_clip does.

  full_size.py PROGRAM [NAME...]

PROGRAM is the built `toxiclip`, NAME an architecture of open_clip's. Prints the largest difference of a unit vector's element
and the smallest cosine; fails above 1e-4 or below 0.99999.
"""

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import open_clip
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from encoders import draw_weights

CAPTIONS = ["a photo of a fox.", "caf&eacute; – schÃ¶n", "🦊 in the snow, 1999", "word " * 100]


def pictures(folder):
    rng = numpy.random.default_rng(0)
    folder.mkdir()
    for i, (width, height) in enumerate([(500, 375), (224, 224), (300, 640), (97, 131)]):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=numpy.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return sorted(folder.iterdir())


def checkpoint(model, name, folder):
    """open_clip's hub layout, without a tokenizer: it is open_clip's own."""
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors", {"format": "pt"})
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": open_clip.get_model_config(name)}))


def compare(program, name, folder):
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    draw_weights(model)
    model.eval()
    files = pictures(folder / "pictures")
    checkpoint(model, name, folder / name)
    (folder / "captions.txt").write_text("\n".join(CAPTIONS) + "\n")
    out = folder / "features.safetensors"
    command = [program, "embed", "--checkpoint", folder / name, "--images", folder / "pictures", "--texts", folder / "captions.txt", "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    ours = load_file(out)
    with torch.no_grad():
        image = model.encode_image(torch.stack([preprocess(Image.open(f)) for f in files]), normalize=True)
        text = model.encode_text(open_clip.get_tokenizer(name)(CAPTIONS), normalize=True)
    good = True
    for key, theirs in (("image_features", image), ("text_features", text)):
        largest = (ours[key] - theirs).abs().max().item()
        cosine = (ours[key] * theirs).sum(1).min().item()
        good &= largest < 1e-4 and cosine > 0.99999
        print(f"{name:10} {key:14} largest difference {largest:.1e}, smallest cosine {cosine:.7f}", flush=True)
    return good


def main():
    logging.disable(logging.WARNING)
    program, names = Path(sys.argv[1]).resolve(), sys.argv[2:] or ["ViT-B-32", "RN50"]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            if not compare(program, name, Path(folder)):
                sys.exit("not open_clip's embeddings")


if __name__ == "__main__":
    main()
