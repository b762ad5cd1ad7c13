"""Parts of a plane that are worth showing larger, and patches to pick from them. No torch.

A place is a row and a column of the plane. The same plane and region give the same parts and patches.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from layerscope.errors import DisplayError
from layerscope.plane.grid import Plane
from layerscope.plane.regions import Region

__all__ = ["CellBox", "cell_of", "pick_patches", "spread_boxes", "zoom_box"]

_FEWEST = 5  # a zoom has no fewer cells along a side, if the plane has them
_ROUNDING = 1e-9  # of a sum of shares, or of a squared distance in cells

CellBox = tuple[int, int, int, int]  #: of a plane: left, top, right, bottom, in cells; the last two are out
Numbers = npt.NDArray[np.integer]


def zoom_box(plane: Plane, region: Region, most: int = 9) -> CellBox:
    """The square of a plane that shows most of a region: 5 to ``most`` cells a side, about as many as the region has.

    A patch counts with the share of its cells that lie in the square, so one repeated over many cells counts once.
    Of squares equally good the one nearest to the region's middle, then the upper, then the left one. A plane that is
    smaller is taken whole. Raises DisplayError if the plane shows no patch of the region, or ``most`` is below 1.
    """
    own = np.isin(plane, region.members)
    if most < 1:
        raise DisplayError(f"a zoom of {most} cells a side: ask for 1 or more")
    if not own.any():
        raise DisplayError("the plane shows no patch of the region; take another, or the one-to-one plane")
    _, patches, counts = np.unique(plane[own], return_inverse=True, return_counts=True)
    weights = np.zeros(plane.shape)
    weights[own] = 1 / counts[patches]
    side = int(np.clip(math.ceil(math.sqrt(np.count_nonzero(own))), min(_FEWEST, most), most))
    high, wide = (min(side, length) for length in plane.shape)
    sums = _window_sums(weights, high, wide)
    tops, lefts = np.nonzero(sums >= sums.max() - _ROUNDING)
    rows, columns = (float(np.average(axis, weights=weights[own])) for axis in np.nonzero(own))
    far = (tops + (high - 1) / 2 - rows) ** 2 + (lefts + (wide - 1) / 2 - columns) ** 2
    best = np.flatnonzero(far <= far.min() + _ROUNDING)[0]
    left, top = int(lefts[best]), int(tops[best])
    return left, top, left + wide, top + high


def spread_boxes(plane: Plane, most: int = 9) -> tuple[CellBox, ...]:
    """The middles of a plane's four quarters, or its own if a quarter is less than 2 cells high or wide.

    Each is at most ``most`` cells high and wide; one that shows no patch is left out.
    """
    rows, columns = plane.shape
    halves = 2 if min(rows, columns) >= 4 else 1
    high, wide = rows // halves, columns // halves
    found = []
    for row, column in np.ndindex(halves, halves):
        top, left = row * high + max(0, high - most) // 2, column * wide + max(0, wide - most) // 2
        box = (left, top, left + min(wide, most), top + min(high, most))
        if (plane[box[1] : box[3], box[0] : box[2]] >= 0).any():
            found.append(box)
    return tuple(found)


def _window_sums(values: npt.NDArray[np.float64], high: int, wide: int) -> npt.NDArray[np.float64]:
    """The sum over every window of so many rows and columns, by its first row and column."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums: npt.NDArray[np.float64] = (
        total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
    )
    return sums


def pick_patches(
    plane: Plane, box: CellBox, region: Region, pictures: Numbers, count: int = 3
) -> tuple[int, ...]:
    """Patches that stand for what a box of the plane shows of a region, at most ``count``; its centre comes first.

    The first is the region's centre, or, if it is not shown, that for which the rule chooses first. The rule: of a
    picture that none is picked from while there is one; then that with which the distances, rows and columns, of all
    patches of the region from the nearest picked one sum up to the least; then the lowest number. So they are spread
    out, but are no outliers. ``pictures``: the picture of every patch. Raises DisplayError if none is shown.
    """
    left, top, right, bottom = box
    shown = np.unique(plane[top:bottom, left:right])
    shown = shown[np.isin(shown, region.members)]
    if not len(shown):
        raise DisplayError(
            f"the box {box} of the plane shows no patch of the region; take the one of zoom_box"
        )
    places = np.array([cell_of(plane, box, patch) for patch in shown.tolist()])
    far = np.abs(places[:, None] - places).sum(axis=2)
    picked = np.flatnonzero(shown == region.centre).tolist()
    while len(picked) < min(count, len(shown)):
        nearest = np.minimum(far, far[picked].min(axis=0, initial=far.max()))
        known = np.isin(pictures[shown], pictures[shown[picked]])
        order = np.lexsort((shown, nearest.sum(axis=1), known))
        picked.append(int(order[~np.isin(order, picked)][0]))
    return tuple(int(patch) for patch in shown[picked[:count]])


def cell_of(plane: Plane, box: CellBox, patch: int) -> tuple[int, int]:
    """The row and column in a box of the cell that shows a patch; of several, the one nearest to their middle."""
    left, top, right, bottom = box
    cells = np.argwhere(plane[top:bottom, left:right] == patch)
    far = ((cells - cells.mean(axis=0)) ** 2).sum(axis=1)
    row, column = cells[np.flatnonzero(far <= far.min() + _ROUNDING)[0]].tolist()
    return row, column
