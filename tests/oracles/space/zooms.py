"""Which part of a plane to show larger, and which patches to pick there: everything tried."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from layerscope.plane.regions import Region
from layerscope.space.zooms import CellBox

Numbers = npt.NDArray[np.integer]


def slow_box(plane: Numbers, members: list[int], most: int) -> CellBox:
    """Every window tried, in fractions."""
    rows, columns = plane.shape
    shown = [(r, c) for r in range(rows) for c in range(columns) if plane[r, c] in members]
    weight = {at: Fraction(1, sum(plane[other] == plane[at] for other in shown)) for at in shown}
    side = 1
    while side * side < len(shown):
        side += 1
    side = min(max(side, min(5, most)), most)
    high, wide = min(side, rows), min(side, columns)
    total = sum(weight.values(), Fraction(0))
    middle = [sum((weight[at] * at[axis] for at in shown), Fraction(0)) / total for axis in (0, 1)]

    def worth(top: int, left: int) -> tuple[Fraction, Fraction]:
        held = [at for at in shown if top <= at[0] < top + high and left <= at[1] < left + wide]
        down, across = top + Fraction(high - 1, 2) - middle[0], left + Fraction(wide - 1, 2) - middle[1]
        return -sum((weight[at] for at in held), Fraction(0)), down * down + across * across

    places = itertools.product(range(rows - high + 1), range(columns - wide + 1))
    *_, top, left = min((*worth(*at), *at) for at in places)
    return left, top, left + wide, top + high


def slow_picks(plane: Numbers, box: CellBox, region: Region, pictures: Numbers, count: int) -> list[int]:
    """One after the other, each the best of those left."""
    left, top, right, bottom = box
    cells: dict[int, list[tuple[int, int]]] = {}
    for row, column in itertools.product(range(top, bottom), range(left, right)):
        if plane[row, column] in region.members:
            cells.setdefault(int(plane[row, column]), []).append((row, column))

    def apart(one: tuple[int, int], other: tuple[int, int]) -> int:
        return abs(one[0] - other[0]) + abs(one[1] - other[1])

    def off(at: tuple[int, int], of: list[tuple[int, int]]) -> Fraction:
        means = [Fraction(sum(own[axis] for own in of), len(of)) for axis in (0, 1)]
        return sum(((at[axis] - means[axis]) ** 2 for axis in (0, 1)), Fraction(0))

    place = {patch: min((off(at, of), at) for at in of)[1] for patch, of in cells.items()}
    every = place.values()
    picked = [region.centre][:count] if region.centre in place else []
    while len(picked) < min(count, len(place)):
        known = {int(pictures[p]) for p in picked}
        worth = {
            p: (
                int(pictures[p]) in known,
                sum(min(apart(at, place[q]) for q in [*picked, p]) for at in every),
                p,
            )
            for p in place
            if p not in picked
        }
        picked.append(min(worth, key=lambda p: worth[p]))
    return picked
