"""Is a plane true, the slow way: patch by patch and cell by cell, with nothing but loops and sorted lists."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


def apart(one: Rows, other: Rows) -> float:
    return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(one, other, strict=True)))


def nearest(vectors: Rows, i: int, k: int, pictures: Labels | None = None) -> list[int]:
    """The k nearest other patches, or those of other pictures; equals by number."""
    others = [j for j in range(len(vectors)) if j != i and (pictures is None or pictures[j] != pictures[i])]
    return sorted(others, key=lambda j: (apart(vectors[i], vectors[j]), j))[:k]


def rank(vectors: Rows, i: int, j: int) -> int:
    """1 if no other patch is nearer to i than j is."""
    mine = apart(vectors[i], vectors[j])
    return 1 + sum(apart(vectors[i], vectors[m]) < mine for m in range(len(vectors)) if m != i)


def recall(vectors: Rows, points: Rows, k: int) -> float:
    hits = [rank(vectors, i, j) <= k for i in range(len(points)) for j in nearest(points, i, k)]
    return sum(hits) / len(hits)


def trustworthiness(vectors: Rows, points: Rows, k: int) -> float:
    total = len(points)
    penalty = sum(max(0, rank(vectors, i, j) - k) for i in range(total) for j in nearest(points, i, k))
    return 1 - 2 * penalty / (total * k * (2 * total - 3 * k - 1))


def purity(
    where: Rows, labels: Labels, k: int, pictures: Labels | None = None, rows: Sequence[int] | None = None
) -> float | None:
    """Over patches with a label, the mean share of their labelled neighbours that have it."""
    shares = []
    for i in range(len(where)) if rows is None else rows:
        known = [j for j in nearest(where, i, k, pictures) if labels[j] >= 0]
        if labels[i] >= 0 and known:
            shares.append(sum(labels[j] == labels[i] for j in known) / len(known))
    return sum(shares) / len(shares) if shares else None


def divergence(affinities: Rows, points: Rows) -> float:
    """KL of two dense matrices of probabilities."""
    pairs = [(i, j) for i in range(len(points)) for j in range(len(points)) if i != j]
    kernel = {(i, j): 1 / (1 + apart(points[i], points[j]) ** 2) for i, j in pairs}
    p_all, q_all = sum(float(affinities[pair]) for pair in pairs), sum(kernel.values())
    known = [(affinities[pair] / p_all, kernel[pair] / q_all) for pair in pairs if affinities[pair] > 0]
    return float(sum(p * math.log(p / q) for p, q in known))


def distance_preservation(vectors: Rows, plane: npt.NDArray[np.integer], p: float) -> float:
    """DPQ of the cells that hold a patch."""
    cells = [(r, c) for r, c in np.ndindex(plane.shape) if plane[r, c] >= 0]
    on_grid, by_vector = [0.0] * (len(cells) - 1), [0.0] * (len(cells) - 1)
    for r, c in cells:
        others = [
            ((r - y) ** 2 + (c - x) ** 2, apart(vectors[plane[r, c]], vectors[plane[y, x]]))
            for y, x in cells
            if (y, x) != (r, c)
        ]
        for k in range(1, len(cells)):
            on_grid[k - 1] += sum(d for _, d in sorted(others)[:k]) / k / len(cells)
            by_vector[k - 1] += sum(sorted(d for _, d in others)[:k]) / k / len(cells)
    mean = by_vector[-1]
    gains = [[max(0.0, (mean - d) / mean) for d in curve] for curve in (on_grid, by_vector)]
    norms = [math.pow(sum(gain**p for gain in curve), 1 / p) for curve in gains]
    return norms[0] / norms[1]


def adjacent_distance(vectors: Rows, plane: npt.NDArray[np.integer], different: bool) -> float:
    """Mean distance of the vectors of cells beside or below each other."""
    pairs = [((r, c), cell) for r, c in np.ndindex(plane.shape) for cell in ((r + 1, c), (r, c + 1))]
    inside = [(plane[a], plane[b]) for a, b in pairs if b[0] < plane.shape[0] and b[1] < plane.shape[1]]
    taken = [(i, j) for i, j in inside if min(i, j) >= 0 and (i != j or not different)]
    found = [apart(vectors[i], vectors[j]) for i, j in taken]
    return sum(found) / len(found)


def typical_distance(vectors: Rows, plane: npt.NDArray[np.integer]) -> float:
    """Mean distance of the vectors of all pairs of cells that show different patches."""
    cells = [n for n in plane.ravel().tolist() if n >= 0]
    pairs = [(i, j) for place, i in enumerate(cells) for j in cells[:place] if i != j]
    return sum(apart(vectors[i], vectors[j]) for i, j in pairs) / len(pairs)


def same_by_chance(plane: npt.NDArray[np.integer]) -> float:
    """Share of the pairs of any two cells that show the same patch."""
    cells = [n for n in plane.ravel().tolist() if n >= 0]
    pairs = [cells[i] == cells[j] for i in range(len(cells)) for j in range(i)]
    return sum(pairs) / len(pairs)
