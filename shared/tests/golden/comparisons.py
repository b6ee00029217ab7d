"""Golden values of paired comparisons, by SciPy and statsmodels.

Run:  python3 shared/tests/golden/comparisons.py   (needs numpy, scipy, statsmodels; writes comparisons.json)

* McNemar's exact test: statsmodels.
* Exchange of whole clusters: SciPy's exact permutation test for paired samples, all 2^clusters exchanges; where
  these are too many, sums counted in whole numbers, which agree with SciPy where both can be had.
* Intervals: SciPy's bootstrap over clusters for one seed; over seeds a bootstrap in NumPy that redraws seeds and,
  once for all seeds, clusters.
* Holm: statsmodels. Places: counted pair by pair.
"""

import collections
import json
import pathlib

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(20230715)


def mcnemar_cases():
    tables = [(1, 0), (3, 3), (0, 6), (10, 1), (5, 14), (40, 22), (125, 0), (260, 301)]
    p = lambda b, c: float(mcnemar([[50, b], [c, 20]], exact=True).pvalue)
    return [dict(larger=b, smaller=c, p=p(b, c)) for b, c in tables]


def exact_p(differences):
    """The share of all exchanges, by SciPy where they can be listed; zeros change nothing and only cost time."""
    d = np.array([int(x) for x in differences if x])
    if len(d) < 2:
        return 1.0
    if len(d) > 13:
        return counted_p(d)
    test = stats.permutation_test((d, np.zeros_like(d)), lambda a, b, axis: np.sum(a - b, axis=axis),
                                  permutation_type="samples", vectorized=True, n_resamples=np.inf)
    assert abs(test.pvalue - counted_p(d)) < 1e-12
    return float(test.pvalue)


def counted_p(d):
    """How many exchanges lead to each sum, in whole numbers."""
    ways = collections.Counter({0: 1})
    for x in map(int, d):
        after = collections.Counter()
        for total, count in ways.items():
            after[total + x] += count
            after[total - x] += count
        ways = after
    seen = abs(int(d.sum()))
    return sum(count for total, count in ways.items() if abs(total) >= seen) / 2 ** len(d)


def exchange_cases():
    cases = [[1, 1, 1, 1], [2, -1, 3, 0, 5], [4, 4, -4, 4], [-7, -2, -9, 1, -3]]
    cases += [[int(x) for x in rng.integers(-spread, 2 * spread, n)] for spread, n in [(1, 9), (3, 12), (40, 11), (500, 13)]]
    return [dict(differences=c, p=exact_p(c)) for c in cases]


def hierarchical(differences, resamples=40_000):
    """differences: seeds × clusters × queries. Seeds and clusters are redrawn, clusters once for all seeds."""
    sums = differences.sum(axis=2)
    seeds, clusters = sums.shape
    size = differences.shape[2]
    generator = np.random.default_rng(7)
    drawn = generator.integers(0, clusters, (resamples, clusters))
    chosen = generator.integers(0, seeds, (resamples, seeds))
    means = np.array([sums[s][:, c].sum(axis=1).mean() / (size * clusters) for s, c in zip(chosen, drawn)])
    return np.quantile(means, [0.025, 0.975])


def one_seed(differences):
    per_cluster = differences[0].mean(axis=1)
    ci = stats.bootstrap((per_cluster,), np.mean, n_resamples=40_000, method="percentile",
                         random_state=np.random.default_rng(3)).confidence_interval
    return ci.low, ci.high


def comparison(seeds, clusters, queries, draw):
    shape = (seeds, clusters, queries)
    first, second = draw(shape)
    differences = first - second
    lo, hi = one_seed(differences) if seeds == 1 else hierarchical(differences)
    by_seed, by_cluster = differences.sum(axis=(1, 2)), differences.sum(axis=(0, 2))
    return dict(seeds=seeds, clusters=clusters, queries=queries, first=first.ravel().tolist(),
                second=second.ravel().tolist(), difference=float(differences.mean()), lo=float(lo), hi=float(hi),
                p=exact_p(by_cluster), larger=int((differences > 0).sum()), smaller=int((differences < 0).sum()),
                agreeing=int((np.sign(by_seed) == np.sign(by_seed.sum())).sum()) if by_seed.sum() else 0)


def hits(p, q, shared):
    """Hits (position 0) and misses (position 50) of two models that agree on a `shared` part of the queries."""
    def draw(shape):
        common = rng.random(shape) < (p + q) / 2
        one, two, same = rng.random(shape) < p, rng.random(shape) < q, rng.random(shape) < shared
        return (np.where(np.where(same, common, a), 1, 0) for a in (one, two))
    return draw


def positions(shift):
    def draw(shape):
        level = rng.integers(0, 300, shape[1])[None, :, None]
        a = level + rng.integers(0, 40, shape)
        return a, np.maximum(0, level + rng.integers(0, 40, shape) - shift)
    return draw


def holm_cases():
    cases = [[0.01], [0.04, 0.01, 0.03], [0.2, 0.2, 0.9, 0.0004, 0.012], [float(x) for x in rng.random(15) ** 4]]
    return [dict(p=p, corrected=multipletests(p, method="holm")[1].tolist()) for p in cases]


def place_cases():
    cases = []
    for n in (1, 3, 6):
        values = rng.normal(size=n)
        better = [[bool(a > b + 0.7) for b in values] for a in values]
        places = [[1 + sum(better[j][i] for j in range(n)), n - sum(better[i][j] for j in range(n))] for i in range(n)]
        cases.append(dict(better=better, places=places))
    return cases


if __name__ == "__main__":
    golden = dict(
        mcnemar=mcnemar_cases(), exchange=exchange_cases(), holm=holm_cases(), places=place_cases(),
        hits=[comparison(1, 90, 1, hits(0.7, 0.5, 0.2)), comparison(1, 40, 5, hits(0.8, 0.7, 0.5)),
              comparison(3, 12, 5, hits(0.7, 0.6, 0.6)), comparison(5, 50, 3, hits(0.5, 0.45, 0.2))],
        positions=[comparison(1, 12, 5, positions(25)), comparison(3, 40, 4, positions(2))],
    )
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(golden) + "\n")
    print(f"wrote {out}")
