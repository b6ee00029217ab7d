"""Objectives of defenses by PyTorch's autograd in double precision: writes objectives.json.

Six pairs in eight dimensions, two views of each, embeddings that a start gave for the first views, and a bank of ten
captions. Gradients are those of the embeddings before normalisation and of the logarithm of the temperature.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

PAIRS, WIDTH, BANK, SCALE = 6, 8, 10, 1.3
generator = np.random.default_rng(8)


def normal(*shape, around=0.0):
    return (around + generator.normal(size=shape)).astype(np.float32)


image, text = normal(2 * PAIRS, WIDTH), normal(2 * PAIRS, WIDTH)
# Pictures have moved a little from the start, captions far.
start_image = image[:PAIRS] + 0.4 * normal(PAIRS, WIDTH)
start_text = normal(PAIRS, WIDTH) - text[:PAIRS]
bank = normal(BANK, WIDTH)
bank /= np.linalg.norm(bank, axis=1, keepdims=True)
diagonal = torch.arange(PAIRS)


def clip(i, t, temperature):
    logits = temperature * i @ t.T
    return (cross_entropy(logits, diagonal) + cross_entropy(logits.T, diagonal)) / 2


def clean_clip(i, t, scale, between, within):
    i, t = normalize(i, dim=-1), normalize(t, dim=-1)
    (i, i_too), (t, t_too) = i.split(PAIRS), t.split(PAIRS)
    inside = cross_entropy(scale.exp() * i @ i_too.T, diagonal) + cross_entropy(scale.exp() * t @ t_too.T, diagonal)
    return between * clip(i, t, scale.exp()) + within * inside / 2


def par(i, t, scale, limit, weight):
    i, t = normalize(i, dim=-1), normalize(t, dim=-1)
    loss = clip(i, t, scale.exp().item())
    for now, before in ((i, start_image), (t, start_text)):
        distance = (now - normalize(torch.tensor(before).double(), dim=-1)).square().sum(dim=-1).mean()
        loss = loss - weight * torch.where(distance > limit, torch.zeros_like(distance), distance)
    return loss


def roclip(i, t, scale):
    i = normalize(i, dim=-1)
    held = torch.tensor(bank).double()
    return clip(i, held[(i @ held.T).argmax(dim=1)], scale.exp())


def abl(i, t, scale, level):
    loss = clip(normalize(i, dim=-1), normalize(t, dim=-1), scale.exp())
    # Without a level the loss climbs.
    return -loss if level is None else (loss - level).abs()


def one_way(i, t, scale):
    return cross_entropy(scale.exp() * i @ t.T, diagonal) / 2


def safe_clip_unimodal(i, t, scale):
    loss, nearest_text = 0.0, torch.tensor(bank).double().flip(dims=(0,))
    for views, held in ((i, torch.tensor(bank).double()), (t, nearest_text)):
        weak, strong = normalize(views, dim=-1).split(PAIRS)
        loss = loss + one_way(strong, held[(weak @ held.T).argmax(dim=1)].detach(), scale)
    return loss


def safe_clip_crossed(i, t, scale):
    i, t = normalize(i, dim=-1), normalize(t, dim=-1)
    (i, i_too), (t, t_too) = i.split(PAIRS), t.split(PAIRS)
    return one_way(i, t_too, scale) + one_way(t, i_too, scale)


def ubt(i, t, scale, more):
    agreement = (normalize(i, dim=-1) * normalize(t, dim=-1)).sum(dim=-1)
    return -agreement.mean() if more else agreement.clamp(min=0).mean()


def case(name, rows, loss, **parameters):
    i, t = (torch.tensor(x[:rows]).double().requires_grad_() for x in (image, text))
    scale = torch.tensor(SCALE, dtype=torch.float64, requires_grad=True)
    value = loss(i, t, scale, **parameters)
    value.backward()
    flat = lambda x: [] if x is None else x.reshape(-1).tolist()
    return {
        "name": name, **parameters, "loss": value.item(), "d_image": flat(i.grad),
        "d_text": flat(t.grad) or [0.0] * t.numel(), "d_scale": 0.0 if scale.grad is None else scale.grad.item(),
    }


golden = {
    "width": WIDTH, "scale": SCALE, "image": image.reshape(-1).tolist(), "text": text.reshape(-1).tolist(),
    "start_image": start_image.reshape(-1).tolist(), "start_text": start_text.reshape(-1).tolist(),
    "bank": bank.reshape(-1).tolist(),
    "cases": [
        case("self-supervised", 2 * PAIRS, clean_clip, between=1.0, within=1.0),
        case("self-supervised", 2 * PAIRS, clean_clip, between=0.5, within=2.0),
        case("repel", PAIRS, par, limit=4.0, weight=0.5),
        case("repel", PAIRS, par, limit=1.0, weight=0.5),
        case("bank", PAIRS, roclip),
        case("flood", PAIRS, abl, level=0.5),
        case("flood", PAIRS, abl, level=9.0),
        case("flood", PAIRS, abl, level=None),
        case("unimodal", 2 * PAIRS, safe_clip_unimodal),
        case("crossed", 2 * PAIRS, safe_clip_crossed),
        case("agree", PAIRS, ubt, more=True),
        case("agree", PAIRS, ubt, more=False),
    ],
}
Path(__file__).with_name("objectives.json").write_text(json.dumps(golden) + "\n")
