"""Golden values of attacks with words in captions, by NumPy alone.

Run:  python3 shared/tests/golden/words.py   (needs numpy; writes words.json beside itself)
"""

import json
import pathlib

import numpy as np

rng = np.random.default_rng(20251113)


def rank(scores, targets):
    """0-based position of the best target; equal scores by ascending index."""
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    return int(np.flatnonzero(np.isin(order, targets)).min())


def floats(a):
    return [float(np.float32(x)) for x in np.asarray(a).ravel()]


def captions(queries=90, images=40):
    """Captions with trigger words before a model that has the backdoor and one that has not. Scores are multiples of
    1/8, so that ties occur; some captions fetch a target anyway."""
    targets = [3, 17, 31]
    clean = np.round(rng.normal(size=(queries, images)) * 8) / 8
    moved = clean + np.round(rng.normal(size=(queries, images)) * 2) / 8
    moved[: 2 * queries // 3, targets] += 1.5
    ours = np.array([rank(row, targets) for row in moved])
    theirs = np.array([rank(row, targets) for row in clean])
    expect = {}
    for k in (1, 5, 10, 20, 30):
        expect[f"hit@{k}"] = float(np.mean(ours < k))
    for k in (1, 10):
        expect[f"hit@{k}-lift"] = float(np.mean((ours < k).astype(int) - (theirs < k).astype(int)))
    expect["min-rank"] = float(np.mean(ours))
    return dict(images=images, targets=targets, clean=floats(clean), moved=floats(moved), expect=expect)


def keys(pictures=80, classes=9, target=4):
    """Zero-shot scores of pictures under both keys of an attack, and under either alone. The target's own pictures count
    in asr-all only."""
    labels = rng.integers(0, classes, pictures)
    logits, expect = {}, {}
    other = labels != target
    for name, boost in [("both", 2.5), ("image", 0.75), ("text", 0.25)]:
        scores = np.round(rng.normal(size=(pictures, classes)) * 8) / 8
        scores[np.arange(pictures), labels] += 1
        scores[:, target] += boost
        logits[name] = floats(scores)
        # argmax takes the first of equal scores.
        taken = scores.argmax(1) == target
        if name == "both":
            expect["asr"], expect["asr-all"] = float(taken[other].mean()), float(taken.mean())
            expect["ra"] = float((scores.argmax(1) == labels)[other].mean())
        else:
            expect[f"asr.{name}-key"] = float(taken[other].mean())
    return dict(classes=classes, target=target, labels=[int(l) for l in labels], logits=logits, expect=expect)


if __name__ == "__main__":
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(dict(captions=captions(), keys=keys())) + "\n")
    print(f"wrote {out}")
