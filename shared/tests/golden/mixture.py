"""Golden mixtures of two normal distributions by scikit-learn, started from the lower and the upper half of the values.

Run:  python3 shared/tests/golden/mixture.py   (needs numpy, scikit-learn; writes mixture.json beside itself)
"""

import json
import pathlib

import numpy as np
from sklearn.mixture import GaussianMixture

rng = np.random.default_rng(2310)


def case(x):
    x = x.astype(np.float32)
    values = x.astype(np.float64)
    ascending = np.sort(values)
    low, high = ascending[: len(x) // 2], ascending[len(x) // 2 :]
    halves = [low, high]
    model = GaussianMixture(
        2, tol=1e-10, max_iter=100_000, weights_init=[len(h) / len(x) for h in halves], means_init=[[h.mean()] for h in halves],
        precisions_init=[[[1 / (h.var() + 1e-6)]] for h in halves],
    ).fit(values[:, None])
    larger = int(model.means_[:, 0].argmax())
    return dict(values=x.tolist(), larger=model.predict_proba(values[:, None])[:, larger].tolist())


if __name__ == "__main__":
    cases = [
        case(np.concatenate([rng.normal(0.1, 0.05, 60), rng.normal(0.5, 0.08, 900)])),
        case(np.concatenate([rng.normal(0.30, 0.10, 200), rng.normal(0.45, 0.05, 200)])),
        case(rng.beta(8, 3, 500)),
    ]
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(cases) + "\n")
    print(f"wrote {out}")
