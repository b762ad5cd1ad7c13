"""How much of the distances between vectors an embedding or a plane keeps: each score by itself, numbers in and out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from layerscope.plane.distances import Real, Vectors, Whole
from layerscope.plane.embedding import Affinities
from layerscope.plane.grid import EMPTY, Plane
from layerscope.plane.libraries import library

NORM = 16  #: the p of DPQ: the nearest cells count most, as in the authors' own comparisons
_FLAT = 1e-6  #: gains below are rounding
_TERMS = 1 << 20  #: affinities or squares of distances looked at together


def recall(ranks: Whole, k: int) -> float:
    """Share of the k neighbours in the embedding (rows, k) whose rank in the representation is at most k."""
    return float((ranks <= k).mean())


def trustworthiness(ranks: Whole, k: int, total: int) -> float:
    """Venna and Kaski's: 1 for no intruder among the k nearest, 0 for the worst; the mean over the rows given."""
    return float(1 - 2 / (k * (2 * total - 3 * k - 1)) * np.maximum(ranks - k, 0).sum(axis=1).mean())


def purity(rows: Whole, near: Whole, labels: Whole) -> float | None:
    """Mean share of the labelled neighbours that have the row's label; None if there is no labelled pair."""
    pairs = (near >= 0) & (labels[near] >= 0) & (labels[rows] >= 0)[:, None]
    same = (pairs & (labels[near] == labels[rows][:, None])).sum(axis=1)
    return _mean_share(same, pairs.sum(axis=1))


def chance(rows: Whole, labels: Whole, groups: Whole | None) -> float | None:
    """The purity to expect of neighbours drawn at random, of other groups than the row's if there are any."""
    has = labels >= 0
    rows = rows[has[rows]]
    counted = np.full(len(rows), int(has.sum()))
    alike = _alike(labels, has)[rows]
    if groups is None:
        return _mean_share(alike - 1, counted - 1)
    _, both = np.unique(np.stack([labels, groups]), axis=1, return_inverse=True)
    return _mean_share(alike - _alike(both, has)[rows], counted - _alike(groups, has)[rows])


def _mean_share(part: Whole, whole: Whole) -> float | None:
    some = whole > 0
    return float((part[some] / whole[some]).mean()) if some.any() else None


def _alike(labels: Whole, has: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each patch, how many of those that count have its label."""
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    return np.bincount(codes, weights=has).astype(np.int64)[codes]


def divergences(affinities: Affinities, layouts: Sequence[Real], rows: Whole) -> list[float] | None:
    """KL(P || Q) in nats for each of the layouts, which have the same points in other orders; None if P is zero.

    P is made to add up to one. q is 1 / (1 + squared distance) over Z, its sum over all pairs; with only some of
    the rows Z is estimated from their sums.
    """
    weight = float(affinities.data.sum(dtype=np.float64))
    if weight <= 0:
        return None
    points = layouts[0]
    blocks = np.array_split(rows, -(-len(rows) * len(points) // _TERMS))
    z = sum(_kernel_sum(points, block) for block in blocks) * len(points) / len(rows)
    return [found + float(np.log(z)) for found in _costs(affinities, layouts, weight)]


def _kernel_sum(points: Real, rows: Whole) -> float:
    """Sum of 1 / (1 + squared distance) from the rows to every other point."""
    squares = library("scipy.spatial", "measuring a plane").distance.cdist(
        points[rows], points, "sqeuclidean"
    )
    squares += 1
    return float(np.reciprocal(squares, out=squares).sum()) - len(rows)


def _costs(affinities: Affinities, layouts: Sequence[Real], weight: float) -> npt.NDArray[np.float64]:
    """Sum of p * log(p * (1 + squared distance)) for each layout, some affinities at a time."""
    indptr, indices, data = affinities.indptr, affinities.indices, affinities.data
    totals = np.zeros(len(layouts))
    rows = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
    for start in range(0, len(data), _TERMS):
        part = slice(start, start + _TERMS)
        row, column, p = rows[part], indices[part], data[part].astype(np.float64) / weight
        own = float((p * np.log(np.where(p > 0, p, 1))).sum())
        for number, points in enumerate(layouts):
            squares = sum(np.square(axis[row] - axis[column]) for axis in points.T)
            totals[number] += own + float(p @ np.log1p(squares))
    return totals


def distance_preservation(vectors: Vectors, plane: Plane, rows: Whole) -> float | None:
    """The plane's DPQ (Barthel, Hezel, Jung and Schall 2023, p = NORM), seen from ``rows`` of its taken cells.

    D(k) is the mean distance of vectors from a cell to the k cells nearest on the grid, averaged over the rows;
    cells equally far on the grid come by rising distance of vectors, and empty ones are left out, as in the
    authors' code. D'(k) is the same with the k cells that have the nearest vectors, D the mean over all cells. The
    gains are max(0, (D - D(k)) / D), and DPQ the p-norm of the plane's over that of D', k from 1 to all. 0 to 1;
    None if all cells are equally far. With some of the rows every mean is over these.
    """
    taken = plane != EMPTY
    cells, (down, across) = plane[taken], np.argwhere(taken).T.astype(np.float64)
    on_grid, by_vector = np.zeros(len(cells)), np.zeros(len(cells))
    for at, (_, squares) in zip(rows, vectors.walk(cells[rows]), strict=True):
        of_cells = squares[cells]
        by_vector += np.sqrt(np.sort(of_cells), dtype=np.float64)
        distances = np.sqrt(of_cells, dtype=np.float64)
        limit = 2 * float(distances.max()) or 1.0
        distances /= limit
        distances += np.square(down - down[at]) + np.square(across - across[at])
        distances.sort()
        on_grid += (distances - np.floor(distances)) * limit
    ideal, found = _gains(by_vector, by_vector), _gains(on_grid, by_vector)
    if ideal.max(initial=0) < _FLAT:
        return None
    return min(1.0, float(np.linalg.norm(found, NORM) / np.linalg.norm(ideal, NORM)))


def _gains(summed: Real, all_summed: Real) -> Real:
    """For each k, how much nearer the first k are than all, as a share of the mean; the first cell is the row's own."""
    numbers = np.arange(1, len(summed))
    mean = all_summed[1:].mean() if len(numbers) else 0.0
    if mean <= 0:
        return np.zeros(len(numbers))
    gains: Real = np.maximum(0, 1 - np.cumsum(summed[1:]) / numbers / mean)
    return gains


def adjacent(plane: Plane) -> Whole:
    """Both cells of every pair of taken ones beside or below each other, (pairs, 2), as numbers row by row."""
    numbers = np.arange(plane.size).reshape(plane.shape)
    beside = np.stack([numbers[:, :-1].ravel(), numbers[:, 1:].ravel()], axis=1)
    below = np.stack([numbers[:-1].ravel(), numbers[1:].ravel()], axis=1)
    every = np.concatenate([beside, below])
    found: Whole = every[(plane.ravel()[every] != EMPTY).all(axis=1)]
    return found
