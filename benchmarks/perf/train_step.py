"""One training step in PyTorch eager fp32, as `toxiclip bench train-step --json` measures ours.

Forward of both towers, symmetric contrastive loss, backward, AdamW with decay on matrices only, clamp of
the temperature; the model is open_clip's own, built from our definition. Prints one JSON object.

  train_step.py [--encoder small-clip] [--batch 128] [--iters 10] [--threads 2] [--grad-clip-norm X]
"""

import argparse
import json
import logging
import math
import resource
import statistics
import time
from pathlib import Path

import open_clip
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

ENCODERS = Path(__file__).parents[1] / "encoders"


def build(name):
    """The model and its definition."""
    logging.disable(logging.WARNING)
    path = ENCODERS / f"{name}.json"
    open_clip.add_model_config(path)
    return open_clip.create_model(name).train(), json.loads(path.read_text())


def draw_batch(config, size):
    """Random pixels and texts of full length: PyTorch computes every position whatever the length."""
    edge = config["vision_cfg"]["image_size"]
    length, vocabulary = (config["text_cfg"][key] for key in ("context_length", "vocab_size"))
    pixels = torch.randn(size, 3, edge, edge)
    tokens = torch.randint(1, vocabulary - 1, (size, length))
    tokens[:, -1] = vocabulary - 1
    return pixels, tokens


def optimizer_of(model):
    trained = list(model.parameters())
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), eps=1e-6)


def train_step(model, optimizer, pixels, tokens, clip_norm):
    optimizer.zero_grad(set_to_none=True)
    image = F.normalize(model.encode_image(pixels), dim=-1)
    text = F.normalize(model.encode_text(tokens), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    labels = torch.arange(len(logits))
    loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    loss.backward()
    if clip_norm:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, math.log(100))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="small-clip")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--iters", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--grad-clip-norm", type=float)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model, config = build(args.encoder)
    optimizer = optimizer_of(model)
    step = (model, optimizer, *draw_batch(config, args.batch), args.grad_clip_norm)
    with FlopCounterMode(display=False) as flops:
        train_step(*step)
    train_step(*step)
    seconds = []
    for _ in range(args.iters):
        start = time.perf_counter()
        train_step(*step)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({
        "what": "train-step",
        "encoder": args.encoder,
        "batch": args.batch,
        "iters": args.iters,
        "threads": args.threads,
        "per_second": args.batch / median,
        "seconds_median": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "gflop_per_item": flops.get_total_flops() / 1e9 / args.batch,
    }))


if __name__ == "__main__":
    main()
