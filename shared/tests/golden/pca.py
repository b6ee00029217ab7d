"""Golden values of the plane of principal components, by NumPy's singular value decomposition.

Run:  python3 shared/tests/golden/pca.py   (needs numpy; writes pca.json beside itself)
"""

import json
import pathlib

import numpy as np

rng = np.random.default_rng(1901)


def case(n, dim, spread):
    points = rng.normal(size=(n, dim)) * spread ** -np.arange(dim)
    u, s, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    plane = u[:, :2] * s[:2]
    return dict(points=points.tolist(), plane=plane.tolist(), kept=float((s[:2] ** 2).sum() / (s**2).sum()))


if __name__ == "__main__":
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps([case(7, 3, 1.5), case(25, 8, 1.2), case(12, 20, 1.05)]) + "\n")
    print(f"wrote {out}")
