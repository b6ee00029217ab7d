"""Golden scores of isolation forests by scikit-learn: means over several forests, whose random cuts are not ours.

Run:  python3 shared/tests/golden/isolation.py   (needs numpy, scikit-learn; writes isolation.json beside itself)
"""

import json
import pathlib

import numpy as np
from sklearn.ensemble import IsolationForest

rng = np.random.default_rng(2008)


def case(x):
    x = x.astype(np.float32)
    forests = [IsolationForest(n_estimators=1000, random_state=seed).fit(x) for seed in range(4)]
    scores = np.mean([-forest.score_samples(x) for forest in forests], axis=0)
    return dict(dim=x.shape[1], vectors=x.ravel().tolist(), scores=scores.tolist())


if __name__ == "__main__":
    blob = np.concatenate([rng.normal(size=(300, 4)), rng.normal(size=(10, 4)) * 0.2 + 4])
    small = rng.normal(size=(90, 7)) * np.arange(1, 8)
    steps = np.round(rng.normal(size=(280, 3)))  # many equal values, and one component that never varies
    steps[:, 1] = 1.0
    cases = [case(blob), case(small), case(steps)]
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(cases) + "\n")
    print(f"wrote {out}")
