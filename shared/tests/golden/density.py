"""Golden values of local densities: k-distance, SLOF, LID and DAO, by whole distance matrices in NumPy and SciPy.

The formulae as written (`formula`), and as the published code of Huang et al. 2025 computes them (`released`). SLOF as
written is checked against scikit-learn's neighbours, LID against its definition one sample at a time.

Run:  python3 shared/tests/golden/density.py   (needs numpy, scipy, scikit-learn; writes density.json beside itself)
"""

import json
import pathlib

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

rng = np.random.default_rng(2025)


def repaired(scores):
    return np.nan_to_num(scores, nan=1000.0, posinf=1000.0, neginf=0.0)


def lid(rows, k):
    """Rows of ascending distances; the k first against entry k."""
    return -k / np.log(rows[:, :k] / rows[:, k : k + 1] + 1e-4).sum(axis=1)


def matrices(x):
    full = cdist(x, x)
    n = len(x)
    without = full[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    return full, without


def formula(x, k):
    full, without = matrices(x)
    others = np.sort(without, axis=1)
    radius = others[:, k - 1]
    apart = full + np.diag(np.full(len(x), np.inf))
    near = np.argsort(apart, axis=1, kind="stable")[:, :k]
    dims = lid(others, k)
    return dict(
        k_distance=radius,
        lid=repaired(lid(others, k)),
        moments=repaired(others[:, :k].mean(1) / (others[:, k] - others[:, :k].mean(1))),
        slof=repaired((radius[:, None] / radius[near]).mean(1)),
        dao=repaired((dims[near] * np.log(radius[:, None] / radius[near])).mean(1)),
    )


def released(x, k):
    full, without = matrices(x)
    a, d = np.sort(without, axis=1), np.sort(full, axis=1)
    near = np.argsort(without, axis=1, kind="stable")[:, :k]  # positions without self, used with self
    own = a[:, k][:, None]
    return dict(
        k_distance=a[:, k],
        slof=repaired((own / d[:, k][near]).mean(1)),
        dao=repaired((lid(d, k)[near] * np.log(own / d[:, k][near])).mean(1)),
    )


def case(x, k, check=True):
    x = x.astype(np.float32)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        want = dict(formula=formula(wide, k), released=released(wide, k))
    if check:
        distances, _ = NearestNeighbors(n_neighbors=k + 2).fit(wide).kneighbors(wide)
        assert np.allclose(distances[:, k], want["formula"]["k_distance"], rtol=1e-9)
        one = distances[3, 1:]
        assert np.isclose(-1 / np.mean([np.log(one[m] / one[k] + 1e-4) for m in range(k)]), want["formula"]["lid"][3])
    return dict(
        dim=x.shape[1],
        k=k,
        vectors=x.ravel().tolist(),
        **{rule: {name: v.tolist() for name, v in scores.items()} for rule, scores in want.items()},
    )


if __name__ == "__main__":
    blob = rng.normal(size=(40, 6))
    two = np.concatenate([rng.normal(size=(30, 9)), 0.05 * rng.normal(size=(12, 9)) + 4])
    equal = np.concatenate([rng.normal(size=(12, 3)), np.repeat(rng.normal(size=(1, 3)), 8, axis=0)])
    cases = [case(blob, 4), case(two, 7), case(equal, 5, check=False)]
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(cases) + "\n")
    print(f"wrote {out}")
