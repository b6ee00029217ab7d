"""Golden values of CLIP_benchmark's linear probe, by its own code: the weights that its AdamW ends with for a seed.

That code asks for CUDA; what it asks is answered by the CPU, where the random numbers are those of any machine.

Run:  python3 -P shared/tests/golden/linear_probe.py   (needs the environment of clip_benchmark.py, writes linear_probe.json;
-P because that script has the package's name)
"""

import json
import pathlib

import numpy as np
import torch
from clip_benchmark.metrics import linear_probe
from torch.utils.data import DataLoader

rng = np.random.default_rng(1906)


def on_cpu():
    """Everything that is moved to a GPU stays where it is."""
    torch.Tensor.cuda = lambda self, *_, **__: self
    torch.nn.Module.cuda = lambda self, *_, **__: self


def case(rows, width, classes, spread, seed, epochs, batch, lr):
    centres = rng.normal(size=(classes, width))
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=rows - classes)])
    points = centres[labels] + spread * rng.normal(size=(rows, width))
    unit = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    pictures = linear_probe.FeatureDataset(torch.tensor(unit), torch.tensor(labels))
    loader = DataLoader(pictures, batch_size=batch, shuffle=True, num_workers=0)
    fitted = linear_probe.train(loader, width, classes, 0, lr, epochs, False, "cpu", seed)
    weights, bias = fitted.state_dict()["module.weight"], fitted.state_dict()["module.bias"]
    return dict(
        width=width, unit=unit.ravel().tolist(), labels=labels.tolist(),
        seed=seed, epochs=epochs, batch=batch, lr=lr,
        weights=weights.tolist(), bias=bias.tolist(),
    )  # fmt: skip


if __name__ == "__main__":
    on_cpu()
    out = pathlib.Path(__file__).with_suffix(".json")
    # Batches that divide the pictures and that do not; more pictures than a batch has and fewer.
    cases = [case(64, 6, 4, 0.5, 0, 3, 16, 0.1), case(50, 8, 7, 1.0, 3, 10, 16, 0.1), case(30, 5, 3, 0.3, 7, 2, 64, 0.01)]
    out.write_text(json.dumps(cases) + "\n")
    print(f"wrote {out}")
