"""The plane of a representation space: a grid over the points of an embedding, and the patch that each cell shows.

Points are (x, y); y grows downwards as in pictures, so row 0 of a plane shows the least y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.errors import PlaneError
from layerscope.plane.libraries import shufflesnap
from layerscope.plane.nearest import nearest

EMPTY = -1  #: what a cell without a patch holds
_LONGEST = 8  #: a grid is at most so many times as long as it is wide

Points = npt.NDArray[np.floating[Any]]
Plane = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Grid:
    """Square cells in the plane of an embedding: ``rows`` x ``columns`` of them, from the corner (left, top)."""

    left: float
    top: float
    side: float
    rows: int
    columns: int

    @classmethod
    def around(cls, points: Points, cells: int | None = None) -> Grid:
        """The grid over the bounding box of the points, centred on it, with at least as many cells as asked for.

        Without a number: as many as there are points. It is made of whole rows, so it has up to a row more. Its
        shape is the box's, except that a box more than 8 times as long as wide is taken to be wider.
        Raises PlaneError for no points, points that are not finite or a number of cells below 1.
        """
        places = _checked(points)
        cells = len(points) if cells is None else cells
        if cells < 1:
            raise PlaneError(f"a plane of {cells} cells: ask for 1 or more")
        low, high = places.min(axis=0), places.max(axis=0)
        width, height = _extent(high - low)
        columns = min(max(round(math.sqrt(cells * width / height)), 1), cells)
        rows = -(-cells // columns)
        side = max(width / columns, height / rows)
        left, top = (low + high) / 2 - np.array([columns, rows]) * side / 2
        return cls(float(left), float(top), side, rows, columns)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.rows * self.columns

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return (
            self.left,
            self.top,
            self.left + self.columns * self.side,
            self.top + self.rows * self.side,
        )

    def centres(self) -> npt.NDArray[np.float64]:
        """The centre of every cell, (rows * columns, 2), row by row."""
        x = self.left + (np.arange(self.columns) + 0.5) * self.side
        y = self.top + (np.arange(self.rows) + 0.5) * self.side
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def fill(points: Points, grid: Grid) -> Plane:
    """The patch nearest to the centre of each cell, (rows, columns): no cell is empty, and patches may repeat or miss.

    This is the paper's plane. Of patches equally near, in squares of float64, the one with the lowest number is
    shown. Any grid will do, one over a part of the points too.
    Raises PlaneError for no points, or points that are not finite.
    """
    shown = nearest(grid.centres(), _checked(points), 1)[0]
    plane: Plane = shown.astype(np.int32).reshape(grid.rows, grid.columns)
    return plane


def arrange(points: Points, grid: Grid) -> Plane:
    """Each patch in exactly one cell, (rows, columns), close to its point; cells left over are EMPTY.

    The sum of squared distances from points to the centres of their cells is close to the least (shufflesnap). The
    same points give the same plane, with any number of threads.
    Raises PlaneError for no points, points that are not finite, and for more points than cells.
    """
    points = _checked(points)
    if len(points) > grid.cells:
        raise PlaneError(
            f"{len(points)} patches do not fit into {grid.cells} cells one to one; "
            f"ask for {len(points)} cells or more, or for the filled plane"
        )
    snap = shufflesnap()
    places = (points - (grid.left, grid.top)) / grid.side - 0.5
    lattice = snap.Grid.rectangle(grid.columns, grid.rows)
    cells = snap.assign(places, lattice, normalize="none", seed=0).cell
    plane = np.full(grid.cells, EMPTY, np.int32)
    plane[cells] = np.arange(len(points), dtype=np.int32)
    return plane.reshape(grid.rows, grid.columns)


def share_shown(plane: Plane, patches: int) -> float:
    """Share of all the patches that the plane shows at least once, 0 to 1."""
    return len(np.unique(plane[plane != EMPTY])) / patches


def share_repeated(plane: Plane) -> float:
    """Share of the pairs of adjacent cells, beside or below each other, that show the same patch; 0 without pairs.

    Pairs with an empty cell do not count.
    """
    pairs = ((plane[:, :-1], plane[:, 1:]), (plane[:-1], plane[1:]))
    taken = sum(int(((a != EMPTY) & (b != EMPTY)).sum()) for a, b in pairs)
    same = sum(int(((a == b) & (a != EMPTY)).sum()) for a, b in pairs)
    return same / taken if taken else 0.0


def _checked(points: Points) -> npt.NDArray[np.float64]:
    places: npt.NDArray[np.float64] = np.asarray(points, np.float64)
    if places.ndim != 2 or places.shape[1] != 2:
        raise PlaneError(f"points of shape {places.shape}: a plane needs (patches, 2)")
    if not len(places):
        raise PlaneError("a plane of no patches: sample some first")
    bad = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if len(bad):
        x, y = places[bad[0]]
        raise PlaneError(
            f"patch {bad[0]} lies at ({x}, {y}), and {len(bad) - 1} more are not finite: embed them again"
        )
    return places


def _extent(size: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Width and height of what a grid covers: neither zero, nor one of them many times the other."""
    longest = float(size.max()) or 1.0
    width, height = np.maximum(size, longest / _LONGEST if size.max() else longest)
    return float(width), float(height)
