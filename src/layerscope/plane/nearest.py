"""Who is near whom, exactly: of vectors of a layer, and of points in the plane.

Distances are Euclidean, of differences in float64. An index proposes candidates and says how far all others are at
least; the candidates are put in order, and where another might belong among the nearest, more are proposed.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from layerscope.errors import LayerscopeError
from layerscope.plane.libraries import library

__all__ = ["nearest"]

Array: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Groups: TypeAlias = tuple[Array, Array]

_VALUES = 1 << 22  # values of candidates in memory at once: 32 MB
_PLANAR = 3  # of so many columns or fewer a tree is quick
_ROUNDING = 1e-12  # of a squared distance: far more than two ways of computing it differ by


def nearest(queries: Array, among: Array, k: int, *, apart: Groups | None = None) -> tuple[Numbers, Floats]:
    """The ``k`` nearest rows of ``among`` (N, C) to each query (M, C) and their distances, (M, k), the nearest first.

    Equals come by number. ``apart``: a group of each query and one of each row; those of its own group are left out,
    itself for one. Where fewer than k are left, the rest is -1 and infinitely far. Raises LayerscopeError for another
    number of columns, none to be near to, or groups that are not one for each; and if a library is missing.
    """
    _check(queries, among, k, apart)
    numbers, planar = np.arange(len(among)), among.shape[1] <= _PLANAR
    if k == 1 and apart is None and planar:  # of points in one place only the first can be the nearest
        numbers = np.sort(np.unique(among, axis=0, return_index=True)[1])
        among = among[numbers]
    found, squares = np.full((len(queries), k), -1), np.full((len(queries), k), np.inf)
    index: _Index = _Tree(among) if planar else _Products(among, queries.dtype)
    left, reach = np.arange(len(queries)), min(len(among), k + (1 if apart is None else 9))
    while len(left):
        unsure = []
        parts = min(len(left), -(-len(left) * reach * among.shape[1] // _VALUES))
        for block in np.array_split(left, max(1, parts)):
            near, others = index.propose(queries[block], reach)
            own = None if apart is None else (apart[0][block], apart[1])
            found[block], squares[block] = _ordered(queries[block], among, near, k, own)
            unsure.append(block[(squares[block, -1] >= others) & (reach < len(among))])
        left, reach = np.concatenate(unsure), min(4 * reach, len(among))
    return np.where(found < 0, -1, numbers[found]), np.sqrt(squares)


def _check(queries: Array, among: Array, k: int, apart: Groups | None) -> None:
    if queries.ndim != 2 or among.ndim != 2 or queries.shape[1] != among.shape[1]:
        raise LayerscopeError(
            f"neighbours of vectors {queries.shape} among {among.shape}: the channels differ; take the same layer"
        )
    if k < 1 or not len(among):
        raise LayerscopeError(f"{k} neighbours among {len(among)} patches: ask for 1 or more, of 1 or more")
    if apart is not None and (len(apart[0]), len(apart[1])) != (len(queries), len(among)):
        raise LayerscopeError(
            f"{len(apart[0])} and {len(apart[1])} groups for {len(queries)} queries and {len(among)} patches: "
            "give each one"
        )


def _ordered(
    queries: Array, among: Array, near: Numbers, k: int, apart: Groups | None
) -> tuple[Numbers, Floats]:
    """The k nearest of the candidates and their squared distances."""
    squares, width = np.empty(near.shape), max(1, _VALUES // queries.size)
    for start in range(0, near.shape[1], width):
        differences = np.asarray(among[near[:, start : start + width]], np.float64) - queries[:, None]
        squares[:, start : start + width] = np.square(differences, out=differences).sum(axis=2)
    if apart is not None:
        squares[apart[1][near] == apart[0][:, None]] = np.inf
    order = np.lexsort((near, squares), axis=1)[:, :k]
    best = np.take_along_axis(squares, order, axis=1)
    chosen = np.where(np.isinf(best), -1, np.take_along_axis(near, order, axis=1))
    gap = ((0, 0), (0, k - chosen.shape[1]))
    return np.pad(chosen, gap, constant_values=-1), np.pad(best, gap, constant_values=np.inf)


class _Index(Protocol):
    def propose(self, queries: Array, reach: int) -> tuple[Numbers, Floats]:
        """So many rows for each query, and the least that the squared distance of any other can be."""
        ...


class _Tree:
    """A k-d tree: quick for points."""

    def __init__(self, among: Array) -> None:
        self._tree = library("scipy.spatial", "nearest points").cKDTree(np.asarray(among, np.float64))

    def propose(self, queries: Array, reach: int) -> tuple[Numbers, Floats]:
        far, near = self._tree.query(queries, k=range(1, reach + 1), workers=-1)
        return near, np.square(far[:, -1]) * (1 - _ROUNDING)


class _Products:
    """All distances, as |a|^2 - 2ab + |b|^2 in float64: for vectors of many channels."""

    def __init__(self, among: Array, other: np.dtype[Any]) -> None:
        kind = np.float32 if among.dtype == other == np.float32 else np.float64
        self._values = np.ascontiguousarray(among, kind)
        search = library("sklearn.neighbors", "nearest patches").NearestNeighbors
        self._index, blocks = search(algorithm="brute").fit(self._values), range(0, len(among), 8192)
        squares = (
            np.square(self._values[at : at + 8192], dtype=np.float64).sum(axis=1).max() for at in blocks
        )
        self._largest = max(squares)

    def propose(self, queries: Array, reach: int) -> tuple[Numbers, Floats]:
        far, near = self._index.kneighbors(np.ascontiguousarray(queries, self._values.dtype), reach)
        lengths = np.square(queries, dtype=np.float64).sum(axis=1) + self._largest
        rounding = 4 * (queries.shape[1] + 4) * np.finfo(np.float64).eps
        return near, np.square(far[:, -1], dtype=np.float64) - rounding * lengths
