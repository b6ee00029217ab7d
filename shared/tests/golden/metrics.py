"""Golden values of the metrics, by other means than ours: stable argsort, scipy's Wilson and bootstrap, scikit-learn.

Run:  python3 shared/tests/golden/metrics.py   (needs numpy, scipy, scikit-learn; writes metrics.json beside itself)
"""

import json
import pathlib

import numpy as np
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

rng = np.random.default_rng(20240229)


def order(scores):
    """Descending by score, equal scores by ascending index."""
    return np.argsort(-np.asarray(scores, np.float32), kind="stable")


def rank(scores, targets):
    position = np.empty(len(scores), int)
    position[order(scores)] = np.arange(len(scores))
    return int(min(position[t] for t in targets))


def floats(a):
    """float32 values written so that reading them gives the same float32."""
    return [float(np.float32(x)) for x in np.asarray(a).ravel()]


def rank_cases():
    cases = []
    for i in range(40):
        n = int(rng.integers(2, 30))
        # Few distinct values make many ties; the last cases have none.
        scores = rng.integers(-2, 3, n) / 4 if i < 30 else rng.normal(size=n)
        targets = [int(t) for t in rng.choice(n, int(rng.integers(1, n)), replace=False)]
        k = int(rng.integers(1, n + 2))
        cases.append(dict(scores=floats(scores), targets=targets, rank=rank(scores, targets),
                          k=k, top=[int(i) for i in order(scores)[:k]]))
    return cases


def wilson_cases():
    cases = []
    for hits, n in [(0, 1), (1, 1), (0, 40), (40, 40), (29, 40), (1, 549), (270, 549), (124, 125), (25_000, 49_950)]:
        ci = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
        cases.append(dict(hits=hits, n=n, lo=ci.low, hi=ci.high))
    return cases


def wilson(p, n):
    """Both roots of (p - x)^2 = z^2 x (1 - x) / n."""
    z2 = stats.norm.ppf(0.975) ** 2
    lo, hi = sorted(np.roots([1 + z2 / n, -(2 * p + z2 / n), p * p]).real)
    return max(lo, 0.0), min(hi, 1.0)


def effective(values, weights, clusters):
    """Kish's size over the design effect: variance between clusters over that of single judgements."""
    v, w = np.asarray(values, float), np.asarray(weights, float)
    mean = np.average(v, weights=w)
    names = sorted(set(clusters))
    member = np.array([[c == name for c in clusters] for name in names], float)
    between = ((member @ (w * (v - mean))) ** 2).sum()
    single = ((w * (v - mean)) ** 2).sum()
    if single < 1e-12 or len(names) < 2:
        return w.sum() ** 2 / ((member @ w) ** 2).sum()
    c, n = len(names), len(v)
    deff = max(1.0, between / single * (c / (c - 1)) / (n / (n - 1)))
    return max(1.0, w.sum() ** 2 / (w**2).sum() / deff)


def rate(values, weights, clusters):
    p = float(np.average(values, weights=weights))
    lo, hi = wilson(p, effective(values, weights, clusters))
    return dict(value=p, lo=float(lo), hi=float(hi), n=len(values))


def mean_rank(ranks, clusters):
    """Percentile bootstrap over clusters by scipy; intervals agree up to the noise of resampling."""
    names = sorted(set(clusters))
    sums = np.array([sum(r for r, c in zip(ranks, clusters) if c == name) for name in names], float)
    sizes = np.array([sum(c == name for c in clusters) for name in names], float)

    def ratio(s, m, axis=-1):
        return np.sum(s, axis=axis) / np.sum(m, axis=axis)

    ci = stats.bootstrap((sums, sizes), ratio, paired=True, n_resamples=40_000, method="percentile",
                         random_state=np.random.default_rng(1)).confidence_interval
    return dict(value=float(np.mean(ranks)), lo=float(ci.low), hi=float(ci.high), n=len(ranks))


def retrieval(images=60, captions=3, width=6, noise=1.1):
    """An embedding space with several captions per picture, and an attack on some of them."""
    x = rng.normal(size=(images, width))
    t = np.repeat(x, captions, axis=0) + noise * rng.normal(size=(images * captions, width))
    unit = lambda a: (a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32)
    # Scores rounded to 1/16 so that ties occur.
    similarity = np.round(unit(t) @ unit(x).T * 16) / 16
    owner = np.repeat(np.arange(images), captions)
    queries = np.flatnonzero(owner < 8)
    targets = list(range(50, 60))
    random = sorted(int(i) for i in rng.choice(images * captions, len(queries), replace=False))
    expect = {}
    ir = np.array([rank(similarity[q], [owner[q]]) for q in range(len(owner))])
    tr = np.array([rank(similarity[:, i], np.flatnonzero(owner == i)) for i in range(images)])
    hit = np.array([rank(similarity[q], targets) for q in queries])
    hit_random = np.array([rank(similarity[q], targets) for q in random])
    one = lambda a: np.ones(len(a))
    for k in (1, 5, 10):
        expect[f"ir@{k}"] = rate(ir < k, one(ir), [int(o) for o in owner])
        expect[f"tr@{k}"] = rate(tr < k, one(tr), list(range(images)))
    for k in (1, 5, 10, 20, 30, 50):
        expect[f"hit@{k}"] = rate(hit < k, one(hit), [int(owner[q]) for q in queries])
        expect[f"hit@{k}.random"] = rate(hit_random < k, one(hit_random), [int(owner[q]) for q in random])
    expect["min-rank"] = mean_rank(hit, [int(owner[q]) for q in queries])
    expect["min-rank.random"] = mean_rank(hit_random, [int(owner[q]) for q in random])
    return dict(images=images, captions=captions, similarity=floats(similarity), queries=[int(q) for q in queries],
                targets=targets, random=random, expect=expect)


def zero_shot(pictures=150, classes=12):
    labels = rng.integers(0, classes - 1, pictures)  # the last class has no picture
    labels[:40] = 0  # unbalanced on purpose
    logits = np.round(rng.normal(size=(pictures, classes)) * 4) / 4
    logits[np.arange(pictures), labels] += 1.5
    ranks = np.array([rank(logits[i], [labels[i]]) for i in range(pictures)])
    sizes = np.bincount(labels, minlength=classes)
    ids = list(range(pictures))
    expect = {
        "ca": rate(ranks < 1, np.ones(pictures), ids),
        "ca@5": rate(ranks < 5, np.ones(pictures), ids),
        "mpcr": rate(ranks < 1, 1 / sizes[labels], ids),
    }
    recalls = [np.mean(ranks[labels == c] < 1) for c in range(classes) if sizes[c]]
    assert abs(expect["mpcr"]["value"] - np.mean(recalls)) < 1e-12
    return dict(classes=classes, labels=[int(l) for l in labels], logits=floats(logits), expect=expect)


def detection():
    """Scores of detectors from blind to perfect, many of them tied, and a cut that drops some pairs."""
    cases = []
    for pairs, poisoned, shift, step in [(400, 20, 1.5, 0.25), (300, 9, 0.0, 0.5), (150, 12, 9.0, 0.125),
                                         (500, 1, 2.0, 0.25), (250, 40, 1.0, 1e-6)]:
        truth = np.zeros(pairs, bool)
        truth[rng.choice(pairs, poisoned, replace=False)] = True
        scores = np.round((rng.normal(size=pairs) + shift * truth) / step) * step
        scores = np.float32(scores)
        dropped = scores > np.quantile(scores, 0.8)
        fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
        expect = {
            "auroc": roc_auc_score(truth, scores),
            "auprc": average_precision_score(truth, scores),
            "tpr@fpr0.01": tpr[fpr <= 0.01].max(),
            "dropped.poisoned": dropped[truth].mean(),
            "dropped.clean": dropped[~truth].mean(),
        }
        cases.append(dict(scores=floats(scores), poisoned=truth.tolist(), dropped=dropped.tolist(),
                          expect={k: float(v) for k, v in expect.items()}))
    return cases


def shift(images=20, captions=3, width=5):
    """Embeddings of one model and of another that moved a little."""
    unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
    x, t = unit(rng.normal(size=(images, width))), unit(rng.normal(size=(images * captions, width)))
    distance = lambda a, noise: 1 - (a * unit(a + noise * rng.normal(size=a.shape))).sum(1)
    dx, dt = np.float32(distance(x, 0.3)), np.float32(distance(t, 0.1))
    expect = {"shift.image": float(dx.astype(float).mean()), "shift.text": float(dt.astype(float).mean())}
    return dict(image=floats(dx), text=floats(dt), expect=expect)


if __name__ == "__main__":
    golden = dict(ranks=rank_cases(), wilson=wilson_cases(), retrieval=retrieval(), zero_shot=zero_shot(),
                  detection=detection(), shift=shift())
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(golden) + "\n")
    print(f"wrote {out}")
