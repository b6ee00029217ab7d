"""Pieces of trigger inversion by PyTorch's autograd in double precision: writes inversion.json.

A stamp of 4x4 pixels on three pictures goes through a linear map in place of an encoder. The loss is DECREE's (minus the
mean cosine of all pairs of different rows, plus a weight times the mask's sum) or Neural Cleanse's (cross-entropy of a
class). Gradients are those of the numbers behind mask and pattern, and the numbers after three steps of Adam. Anomaly
indices come from scipy's median absolute deviation.
"""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import median_abs_deviation

EDGE, BATCH, WIDTH, CLASSES, TARGET, SCALE = 4, 3, 5, 4, 2, 7.0
PIXELS = EDGE * EDGE * 3
generator = np.random.default_rng(5)
pictures = generator.random((BATCH, PIXELS)).astype(np.float32)
encoder = generator.normal(size=(WIDTH, PIXELS)).astype(np.float32) / 4
classes = generator.normal(size=(CLASSES, WIDTH)).astype(np.float32)
classes /= np.linalg.norm(classes, axis=1, keepdims=True)
mask = generator.uniform(0.1, 0.9, EDGE * EDGE).astype(np.float32)
pattern = generator.uniform(0.1, 0.9, PIXELS).astype(np.float32)


def stamped(mask_number, pattern_number):
    m = torch.tanh(mask_number) / 2 + 0.5
    p = torch.tanh(pattern_number) / 2 + 0.5
    m3 = m.reshape(-1, 1).repeat(1, 3).reshape(-1)
    return (1 - m3) * torch.tensor(pictures).double() + m3 * p, m


def decree(x, m):
    unit = torch.nn.functional.normalize(x @ torch.tensor(encoder).double().T, dim=-1)
    cosines = unit @ unit.T
    off = ~torch.eye(BATCH, dtype=torch.bool)
    return -cosines[off].mean(), 0.02 * m.sum()


def cleanse(x, m):
    unit = torch.nn.functional.normalize(x @ torch.tensor(encoder).double().T, dim=-1)
    logits = SCALE * unit @ torch.tensor(classes).double().T
    return torch.nn.functional.cross_entropy(logits, torch.full((BATCH,), TARGET)), 0.02 * m.sum()


def case(name, loss, betas):
    numbers = [torch.atanh(2 * torch.tensor(v).double() - 1).requires_grad_() for v in (mask, pattern)]
    optimiser = torch.optim.Adam(numbers, lr=0.1, betas=betas)
    out = {"name": name, "betas": betas}
    for step in range(3):
        optimiser.zero_grad()
        main, size = loss(*stamped(*numbers))
        (main + size).backward()
        if step == 0:
            out["loss"] = main.item()
            out["mask"], out["pattern"] = (n.grad.tolist() for n in numbers)
        optimiser.step()
    out["mask_after"], out["pattern_after"] = ((torch.tanh(n) / 2 + 0.5).tolist() for n in numbers)
    return out


def anomalies(norms):
    centre = np.median(norms)
    return ((centre - norms) / median_abs_deviation(norms, scale="normal")).tolist()


norms = [[0.31, 0.28, 0.35, 0.30, 0.02, 0.33, 0.29], [4.0, 9.0, 1.0, 6.0], [0.5, 0.1, 0.6, 0.55, 0.62]]
golden = {
    "edge": EDGE, "width": WIDTH, "target": TARGET, "scale": SCALE, "weight": 0.02, "lr": 0.1,
    "pictures": pictures.reshape(-1).tolist(), "encoder": encoder.reshape(-1).tolist(),
    "classes": classes.reshape(-1).tolist(), "mask": mask.tolist(), "pattern": pattern.tolist(),
    "cases": [case("decree", decree, (0.5, 0.9)), case("neural-cleanse", cleanse, (0.5, 0.9))],
    "anomalies": [{"norms": n, "indices": anomalies(np.array(n))} for n in norms],
}
Path(__file__).with_name("inversion.json").write_text(json.dumps(golden) + "\n")
