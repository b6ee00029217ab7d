"""BadCLIP's loss of stamped pictures and its gradient from PyTorch's own losses: writes badclip.json.

One case a margin: with 1 every hinge is open, with 0.05 some are closed.
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

BATCH, WIDTH = 6, 8
WEIGHT, LOGIT_SCALE = 500.0, 2.5


def loss_of(stamped, captions, positives, negatives, margin):
    """Symmetric InfoNCE with captions of the target, plus the weighted triplet margin loss."""
    unit = F.normalize(stamped, dim=-1)
    logits = torch.exp(torch.tensor(LOGIT_SCALE, dtype=torch.float64)) * unit @ captions.T
    own = torch.arange(BATCH)
    text = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    triplet = torch.nn.TripletMarginLoss(margin=margin, p=2)
    return text + WEIGHT * triplet(unit, positives, negatives)


def main():
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(BATCH, WIDTH, generator=generator).double()
    stamped = draw()
    captions, positives, negatives = (F.normalize(draw(), dim=-1).float().double() for _ in range(3))
    cases = []
    for margin in [1.0, 0.05]:
        stamped.requires_grad_(True)
        loss = loss_of(stamped, captions, positives, negatives, margin)
        (gradient,) = torch.autograd.grad(loss, stamped)
        cases.append({"margin": margin, "loss": loss.item(), "gradient": gradient.flatten().tolist()})
    flat = lambda x: x.detach().flatten().tolist()
    golden = {
        "width": WIDTH,
        "weight": WEIGHT,
        "logit_scale": LOGIT_SCALE,
        "stamped": flat(stamped),
        "captions": flat(captions),
        "positives": flat(positives),
        "negatives": flat(negatives),
        "cases": cases,
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
