"""Planes and neighbours the slow way: every cell against every patch, one number at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = Sequence[Sequence[float]]


def square(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum((x - y) * (x - y) for x, y in zip(a, b, strict=True))


def filled(points: Rows, centres: Rows) -> list[int]:
    """For each centre the nearest point; of equally near ones the first."""
    return [min(range(len(points)), key=lambda i: (square(points[i], centre), i)) for centre in centres]


def least_cost(points: Rows, centres: Rows) -> float:
    """The least sum of squared distances of any assignment of points to centres of their own."""
    return min(
        sum(square(p, centres[cell]) for p, cell in zip(points, cells, strict=True))
        for cells in itertools.permutations(range(len(centres)), len(points))
    )


def repeated(plane: Sequence[Sequence[int]]) -> tuple[int, int]:
    """How many adjacent pairs of cells show the same patch, and how many pairs have two patches."""
    same = pairs = 0
    for r, row in enumerate(plane):
        for c, patch in enumerate(row):
            for beside in ([row[c + 1]] if c + 1 < len(row) else []) + (
                [plane[r + 1][c]] if r + 1 < len(plane) else []
            ):
                if patch >= 0 and beside >= 0:
                    pairs += 1
                    same += patch == beside
    return same, pairs


def neighbours(vectors: Rows, k: int) -> list[list[int]]:
    """The k nearest others of each, nearest first; of equally near ones the first."""
    return [
        sorted((j for j in range(len(vectors)) if j != i), key=lambda j: (square(vectors[i], vectors[j]), j))[
            :k
        ]
        for i in range(len(vectors))
    ]


def conditional(distances: Sequence[float], perplexity: float) -> list[float]:
    """Gaussian affinities of one patch to its neighbours whose entropy is that of ``perplexity`` equal ones.

    The width is found by halving an interval of its logarithm.
    """
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        shares = _gaussian(distances, math.exp(middle))
        entropy = -math.fsum(p * math.log(p) for p in shares if p > 0)
        low, high = (middle, high) if entropy > math.log(perplexity) else (low, middle)
    return shares


def _gaussian(distances: Sequence[float], width: float) -> list[float]:
    nearest = min(distances)
    weights = [math.exp(-width * (d * d - nearest * nearest)) for d in distances]
    return [w / math.fsum(weights) for w in weights]


def affinities(vectors: Rows, perplexity: float) -> npt.NDArray[np.float64]:
    """The symmetric affinities of t-SNE, dense, from the 3 x perplexity nearest neighbours; they sum to 1."""
    table = np.zeros((len(vectors), len(vectors)))
    for i, near in enumerate(neighbours(vectors, int(3 * perplexity))):
        table[i, near] = conditional([math.sqrt(square(vectors[i], vectors[j])) for j in near], perplexity)
    return (table + table.T) / (2 * len(vectors))


def divergence(table: npt.NDArray[np.float64], points: Rows) -> float:
    """Kullback-Leibler divergence from affinities to those of the points under t-SNE's heavy-tailed kernel."""
    kernel = np.array([[1 / (1 + square(a, b)) for b in points] for a in points])
    np.fill_diagonal(kernel, 0)
    share = kernel / kernel.sum()
    return math.fsum(p * math.log(p / q) for p, q in zip(table.ravel(), share.ravel(), strict=True) if p > 0)
