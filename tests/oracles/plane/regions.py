"""What a region should be, one patch, one pair, one number at a time, in fractions: nothing rounds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from itertools import product

Corners = Sequence[tuple[float, float]]


def holds(corners: Corners, x: float, y: float) -> bool:
    """Whether a polygon holds a point: it lies on a side, or a line to the right crosses an odd number of sides."""
    here = (Fraction(x), Fraction(y))
    exact = [(Fraction(a), Fraction(b)) for a, b in corners]
    sides = list(zip(exact, exact[1:] + exact[:1], strict=True))
    return any(_on(here, *side) for side in sides) or sum(_crosses(here, *side) for side in sides) % 2 == 1


def _on(p: tuple[Fraction, Fraction], a: tuple[Fraction, Fraction], b: tuple[Fraction, Fraction]) -> bool:
    straight = (b[0] - a[0]) * (p[1] - a[1]) == (b[1] - a[1]) * (p[0] - a[0])
    return (
        straight and min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])
    )


def _crosses(
    p: tuple[Fraction, Fraction], a: tuple[Fraction, Fraction], b: tuple[Fraction, Fraction]
) -> bool:
    if (a[1] > p[1]) == (b[1] > p[1]):
        return False
    return a[0] + (p[1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) > p[0]


def contrast(here: Sequence[float], elsewhere: Sequence[float]) -> Fraction:
    """Share of pairs in which the one from here is greater, a tie counting one half."""
    if not elsewhere:
        return Fraction(1, 2)
    won = sum(Fraction(1) if a > b else Fraction(a == b, 2) for a, b in product(here, elsewhere))
    return Fraction(won) / (len(here) * len(elsewhere))


def mean(values: Sequence[float]) -> Fraction:
    return sum((Fraction(value) for value in values), Fraction(0)) / len(values)


def fires(values: Sequence[float]) -> Fraction:
    return Fraction(sum(value > 0 for value in values), len(values))


def strongest(vector: Sequence[float], count: int) -> list[int]:
    """Channels by falling activation, then by number; those above zero."""
    return sorted((c for c, v in enumerate(vector) if v > 0), key=lambda c: (-vector[c], c))[:count]


def nearest(
    query: Sequence[float], vectors: Sequence[Sequence[float]], k: int, without: int | Collection[int] = -1
) -> list[tuple[int, Fraction]]:
    """Number and squared distance of the nearest, equals by number."""
    barred = {without} if isinstance(without, int) else {*without}
    squares = [
        (sum(((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(query, vector, strict=True)), Fraction(0)), i)
        for i, vector in enumerate(vectors)
        if i not in barred
    ]
    return [(i, square) for square, i in sorted(squares)[:k]]


def hull(points: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Corners of the convex hull: points with all others on one side of some line through them, or ends of lines."""
    places = set(points)
    return {corner for a in places for b in places - {a} if _is_side(a, b, places) for corner in (a, b)}


def _is_side(a: tuple[int, int], b: tuple[int, int], places: set[tuple[int, int]]) -> bool:
    """Whether every point is to the left of the way from a to b, or between the two."""
    for p in places:
        left = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
        along = (b[0] - a[0]) * (p[0] - a[0]) + (b[1] - a[1]) * (p[1] - a[1])
        if left < 0 or (left == 0 and not 0 <= along <= (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2):
            return False
    return True


def agreed(one: Sequence[int], other: Sequence[int], agreement: Fraction) -> list[list[int]]:
    """Members common to two clusters, one of each labelling, that are more than so much of those in either."""
    found = []
    for a in sorted(set(one) - {-1}):
        for b in sorted(set(other) - {-1}):
            first = {i for i, label in enumerate(one) if label == a}
            second = {i for i, label in enumerate(other) if label == b}
            if len(first & second) > agreement * len(first | second):
                found.append(sorted(first & second))
    return found
