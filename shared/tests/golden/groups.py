"""Golden scores of detectors that look at groups: spectral signatures by NumPy's singular value decomposition, activation
clustering by FastICA and 2-means of scikit-learn.

Run:  python3 shared/tests/golden/groups.py   (needs numpy, scikit-learn; writes groups.json beside itself)
"""

import json
import pathlib

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import FastICA

rng = np.random.default_rng(2018)
COMPONENTS = 5


def groups(words):
    """Rows of each word, and of none, which is -1 here."""
    return [np.flatnonzero(words == word) for word in np.unique(words)]


def spectral(x, drop=0.15):
    centred = x - x.mean(axis=0)
    squares = (centred @ np.linalg.svd(centred, full_matrices=False)[2][0]) ** 2
    usual = np.quantile(squares, 1 - drop, method="inverted_cdf")
    return squares / usual if usual > 0 else np.where(squares > 0, 1000.0, 0.0)


def clustering(x, components=COMPONENTS):
    if len(x) <= components:
        return np.zeros(len(x))
    reduced = FastICA(components, whiten="unit-variance", max_iter=5000, random_state=0).fit_transform(x)
    labels = KMeans(2, n_init=100, random_state=0).fit_predict(reduced)
    return 0.5 - np.where(labels == 1, labels.mean(), 1 - labels.mean())


def case(method, x, words):
    x = x.round(3).astype(np.float32)
    wide = x.astype(np.float64)
    parted = np.zeros(len(x))
    for rows in groups(words):
        parted[rows] = method(wide[rows])
    return dict(
        dim=x.shape[1],
        vectors=[float(f"{v:.3f}") for v in x.ravel()],
        words=[None if word < 0 else int(word) for word in words],
        whole=method(wide).tolist(),
        parted=parted.tolist(),
    )


def poisoned(n, dim, share, far):
    """A blob of `n` rows of which a share lies elsewhere: enough rows that no chance direction parts them better."""
    x = rng.normal(size=(n, dim)) * 0.8 ** np.arange(dim)
    few = rng.permutation(n)[: int(share * n)]
    x[few] = 0.1 * x[few] + far
    return x


if __name__ == "__main__":
    scattered = rng.normal(size=(90, 12)) * 0.7 ** np.arange(12)
    words = rng.integers(-1, 4, size=90)
    words[[5, 17]] = 4  # two pictures, and
    words[23] = 5  # one, which has no direction
    x = np.concatenate([poisoned(300, 8, 0.3, 6.0), poisoned(200, 8, 0.25, 6.5), rng.normal(size=(5, 8))])
    parts = np.repeat([2, -1, 0], [300, 200, 5])
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(
        json.dumps(dict(spectral=case(spectral, scattered, words), clustering=case(clustering, x, parts))) + "\n"
    )
    print(f"wrote {out}")
