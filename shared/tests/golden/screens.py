"""Golden values of the screens of inputs, by NumPy, SciPy and scikit-learn from the published formulae.

The model is a stand-in: a picture's vector is W·pixels, a text's is the sum of its bytes by position, both brought to
length 1. All references are overlays, so that their order does not matter.

Run:  python3 shared/tests/golden/screens.py   (needs numpy, scipy, scikit-learn; writes screens.json beside itself)
"""

import json
import pathlib
import re

import numpy as np
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score, roc_curve

rng = np.random.default_rng(20190217)
EDGE, WIDTH, CLASSES, SCALE, ALPHA = 4, 6, 12, 9.0, 0.5


def unit(a):
    return a / np.linalg.norm(a, axis=-1, keepdims=True)


def floats(a):
    return [float(np.float32(x)) for x in np.asarray(a).ravel()]


def single(a):
    """Inputs are single-precision numbers on both sides."""
    return np.float64(np.float32(a))


def strip(x, references):
    """Mean base-2 entropy by scipy of the class probabilities under every reference."""
    probabilities = softmax(SCALE * answers((1 - ALPHA) * x + ALPHA * references), axis=1)
    return float(np.mean(entropy(probabilities, base=2, axis=1)))


def answers(pictures):
    return images(pictures) @ classes.T


def images(pictures):
    return unit(pictures @ encoder.T)


def scale_up(x):
    label = np.argmax(answers(x[None]))
    scaled = np.stack([np.clip(x * n, 0, 1) for n in (3, 5, 7, 9, 11)])
    return float(np.mean(np.argmax(answers(scaled), axis=1) == label))


def text(sentence):
    codes = np.zeros(-(-len(sentence) // WIDTH) * WIDTH)
    codes[: len(sentence)] = list(sentence.encode())
    return unit(codes.reshape(-1, WIDTH).sum(0))


def bdetclip(x):
    """The lists are read from the source, which is where they are stated."""
    source = (pathlib.Path(__file__).parents[2] / "src/defenses/bdetclip.rs").read_text()
    benign, malignant = (re.findall(r'"([^"]*)"', re.search(name + r": \[&str; \d+\] = \[(.*?)\];", source, re.S)[1])
                         for name in ("BENIGN", "MALIGNANT"))
    cosine = lambda sentence: float(images(x) @ text(sentence))
    omega = 0.0
    for c in range(CLASSES):
        omega += np.mean([cosine(s.replace("{}", f"class {c}")) for s in benign])
        omega -= np.mean([cosine(s) for s in malignant])
    return omega


def dao(x, k):
    r, q = images(references), images(x)
    a = np.linalg.norm(r - q, axis=1)
    between = np.linalg.norm(r[:, None] - r[None], axis=2)
    others = np.sort(between[~np.eye(len(r), dtype=bool)].reshape(len(r), -1), axis=1)
    lid = -k / np.log(others[:, :k] / others[:, k : k + 1] + 1e-4).sum(1)
    near = np.argsort(a)[:k]
    return float(np.mean(lid[near] * np.log(np.sort(a)[k] / others[near, k])))


def metrics(clean=300, stamped=280, threshold=1.25):
    """Scores with ties, and what passes a threshold, by scikit-learn and counting."""
    truth = np.repeat([False, True], [clean, stamped])
    scores = np.float32(np.round((rng.normal(size=len(truth)) + 0.9 * truth) * 4) / 4)
    ranks = np.where(rng.uniform(size=len(truth)) < 0.6, 0, 3)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    rejected = scores >= threshold
    right = (ranks == 0) & ~rejected
    expect = {
        "screen.auroc": roc_auc_score(truth, scores),
        "screen.tpr@fpr0.01": tpr[fpr <= 0.01].max(),
        "screen.tpr": rejected[truth].mean(),
        "screen.fpr": rejected[~truth].mean(),
        "asr-passed": right[truth].mean(),
        "ca-passed": right[~truth].mean(),
    }
    return dict(scores=floats(scores), stamped=truth.tolist(), ranks=ranks.tolist(), threshold=threshold,
                expect={k: float(v) for k, v in expect.items()})


encoder = single(rng.normal(size=(WIDTH, EDGE * EDGE * 3)))
classes = single(unit(rng.normal(size=(CLASSES, WIDTH))))
references = single(rng.uniform(size=(12, EDGE * EDGE * 3)))
pictures = single(rng.uniform(size=(16, EDGE * EDGE * 3)) ** rng.uniform(0.3, 12.0, size=(16, 1)))

if __name__ == "__main__":
    golden = dict(
        edge=EDGE, width=WIDTH, scale=SCALE, alpha=ALPHA,
        encoder=floats(encoder), classes=floats(classes), references=floats(references), pictures=floats(pictures),
        strip=[strip(x, references) for x in pictures],
        scale_up=[scale_up(x) for x in pictures],
        bdetclip=[bdetclip(x) for x in pictures],
        k=3, dao_input=[dao(x, 3) for x in pictures],
        metrics=metrics(),
    )
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(golden) + "\n")
    print(f"wrote {out}")
