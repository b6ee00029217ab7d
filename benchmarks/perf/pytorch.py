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


def counted(once):
    """Floating-point operations of a call, in 10⁹."""
    with FlopCounterMode(display=False) as flops:
        once()
    return flops.get_total_flops() / 1e9


def prepare_step(args, model, definition):
    """One iteration of training, and its operations a pair."""
    pixels = models.draw_pixels(definition, args.batch)
    tokens = models.draw_tokens(definition, args.batch)
    optimizer = optimizer_of(model.train())
    once = lambda: train_step(model, optimizer, pixels, tokens, args.grad_clip_norm)
    return once, counted(once) / args.batch


def prepare_tower(args, model, definition):
    """One iteration of embedding, and its operations an item."""
    image = args.what == "image"
    draw = models.draw_pixels if image else models.draw_tokens
    model.eval()
    encode = model.encode_image if image else model.encode_text
    inputs = draw(definition, args.batch)
    # Fused inference paths hide their operations from the counter; with gradients they are not taken.
    gflop = counted(lambda: encode(inputs[:1]))
    model.requires_grad_(False)
    return torch.inference_mode()(lambda: encode(inputs)), gflop


def main():
    parser = timing.arguments(__doc__)
    # Ours clips at a norm of 1; leaving it out here can only make PyTorch look faster.
    parser.add_argument("--grad-clip-norm", type=float, default=0, help="0: no clipping")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model, definition = models.build(args.encoder)
    parameters = sum(p.numel() for p in model.parameters())
    prepare = prepare_step if args.what == "train-step" else prepare_tower
    once, gflop = prepare(args, model, definition)
    timing.report(args, once, parameters=parameters, gflop_per_item=gflop)


if __name__ == "__main__":
    main()
