"""Golden values of multinomial logistic regression, by scikit-learn in double precision.

The probe minimises mean cross-entropy + penalty/2·‖W‖², which is scikit-learn's objective with C = 1/(penalty·N). A
constant added to all biases changes no probability, so biases are centred.

Run:  python3 shared/tests/golden/logistic.py   (needs scikit-learn; writes logistic.json beside itself)
"""

import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(2112)


def case(rows, width, classes, penalty, spread):
    centres = rng.normal(size=(classes, width))
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=rows - classes)])
    points = centres[labels] + spread * rng.normal(size=(rows, width))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    # What the program gets is single precision.
    unit = unit.astype(np.float32).astype(np.float64)
    model = LogisticRegression(C=1 / (penalty * rows), tol=1e-10, max_iter=100_000).fit(unit, labels)
    return dict(
        penalty=penalty,
        width=width,
        unit=unit.ravel().tolist(),
        labels=labels.tolist(),
        weights=model.coef_.tolist(),
        bias=(model.intercept_ - model.intercept_.mean()).tolist(),
        probabilities=model.predict_proba(unit).tolist(),
    )


if __name__ == "__main__":
    out = pathlib.Path(__file__).with_suffix(".json")
    cases = [case(24, 5, 3, 1e-2, 0.5), case(40, 8, 7, 1e-3, 1.0), case(30, 16, 10, 1e-4, 0.3)]
    out.write_text(json.dumps(cases) + "\n")
    print(f"wrote {out}")
