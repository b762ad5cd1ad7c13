"""CKA, Procrustes and neighbours with all pictures by all pictures at once, in float64, by the definitions."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def song(k: Array, m: Array) -> float:
    """The unbiased HSIC of two kernel matrices, diagonals left out. Song et al. 2012, equation 5."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    both = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k.sum(axis=0) @ m.sum(axis=0)) / (n - 2)
    return float(((k * m).sum() + both) / (n * (n - 3)))


def cka(x: Array, y: Array) -> float:
    """Debiased linear CKA of (pictures, channels)."""
    k, m = x @ x.T, y @ y.T
    return song(k, m) / float(np.sqrt(song(k, k) * song(m, m)))


def biased_cka(x: Array, y: Array) -> float:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    k, m = x @ x.T, y @ y.T
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def hsic_on_positions(x: Array, y: Array) -> float:
    """Of (pictures, positions, channels): the mean over all ordered fours of different pictures, one by one."""
    n, m = x.shape[:2]
    means = x.mean(axis=1), y.mean(axis=1)
    products = [a.T @ b / m for a, b in zip(x, y, strict=True)]
    total = 0.0
    fours = list(permutations(range(n), 4))
    for i, j, k, o in fours:
        one = products[i] - np.outer(means[0][i], means[1][j])
        other = products[k] - np.outer(means[0][k], means[1][o])
        total += float((one * other).sum())
    return total / len(fours)


def cka_on_positions(x: Array, y: Array) -> float:
    scale = np.sqrt(hsic_on_positions(x, x) * hsic_on_positions(y, y))
    return hsic_on_positions(x, y) / float(scale)


def jackknife_half_width(x: Array, y: Array, runs: int, quantile: float) -> float:
    """Half the interval by leaving out each run of neighbouring pictures, and computing all anew."""
    own = np.arange(len(x)) * runs // len(x)
    values = np.array([cka(x[own != run], y[own != run]) for run in range(runs)])
    return float(quantile * np.sqrt((runs - 1) / runs * ((values - values.mean()) ** 2).sum()))


def shares(x: Array, y: Array) -> Array:
    """What each picture adds to the sum of products of centred kernels over pairs of different pictures."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    both = (x @ x.T) * (y @ y.T)
    added = np.abs(both.sum(axis=1) - np.diag(both))
    return np.asarray(added / added.sum())


def procrustes(x: Array, y: Array) -> float:
    """The best that any rotation of the one does, as a cosine."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    values = np.linalg.svd(x.T @ y, compute_uv=False)
    return float(values.sum() / np.linalg.norm(x) / np.linalg.norm(y))


def neighbours(x: Array, k: int) -> list[set[int]]:
    """The k nearest others of each row, one distance at a time; of equally near ones the first."""
    found = []
    for i, row in enumerate(x):
        others = [(float(((row - other) ** 2).sum()), j) for j, other in enumerate(x) if j != i]
        found.append({j for _, j in sorted(others)[:k]})
    return found
