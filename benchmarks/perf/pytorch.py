"""PyTorch eager fp32, measured as `toxiclip bench --json` measures ours.

A training step is forward of both towers, symmetric contrastive loss, backward, AdamW with decay on matrices
only, clamp of the temperature. Prints one JSON object.
"""

import math

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import models
import timing


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


def workload(args, model, definition):
    """What one iteration does."""
    if args.what == "train-step":
        pixels = models.draw_pixels(definition, args.batch)
        tokens = models.draw_tokens(definition, args.batch)
        optimizer = optimizer_of(model.train())
        return lambda: train_step(model, optimizer, pixels, tokens, args.grad_clip_norm)
    model.eval().requires_grad_(False)
    image = args.what == "image"
    draw = models.draw_pixels if image else models.draw_tokens
    encode = model.encode_image if image else model.encode_text
    inputs = draw(definition, args.batch)
    return torch.inference_mode()(lambda: encode(inputs))


def main():
    parser = timing.arguments(__doc__)
    # Ours clips at a norm of 1; leaving it out here can only make PyTorch look faster.
    parser.add_argument("--grad-clip-norm", type=float, default=0, help="0: no clipping")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model, definition = models.build(args.encoder)
    parameters = sum(p.numel() for p in model.parameters())
    once = workload(args, model, definition)
    with FlopCounterMode(display=False) as flops:
        once()
    gflop = flops.get_total_flops() / 1e9 / args.batch
    timing.report(args, once, parameters=parameters, gflop_per_item=gflop)


if __name__ == "__main__":
    main()
