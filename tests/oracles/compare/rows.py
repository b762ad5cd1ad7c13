"""What stands behind the rows and the errors, by the definitions: every choice tried, every class written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, combinations_with_replacement, pairwise
from math import comb, log, sqrt


def nearest_rising(places: Sequence[float], targets: Sequence[float]) -> float:
    """The least sum of distances of all ways to give each target a place."""
    count = len(targets)
    ways: list[tuple[int, ...]]
    if len(places) >= count:
        ways = list(combinations(range(len(places)), count))
    else:
        ways = [
            way
            for way in combinations_with_replacement(range(len(places)), count)
            if set(way) == set(range(len(places)))
        ]
    return min(sum(abs(places[i] - t) for i, t in zip(way, targets, strict=True)) for way in ways)


def longest_way(layer: str, inputs: Mapping[str, Sequence[str]]) -> int:
    """How many layers the longest way from the picture has, by walking all of them."""
    return 1 + max((longest_way(source, inputs) for source in inputs[layer]), default=0)


def divergence(kept: Sequence[Mapping[int, float]], outputs: int) -> float:
    """Jensen-Shannon divergence of whole distributions: what is not kept is spread evenly over the other classes."""
    whole = []
    for own in kept:
        rest = outputs - len(own)
        left = max(0.0, 1 - sum(own.values()))
        whole.append([own.get(c, left / rest if rest else 0.0) for c in range(outputs)])
    mean = [sum(column) / len(whole) for column in zip(*whole, strict=True)]
    apart = sum(p * log(p / m) for own in whole for p, m in zip(own, mean, strict=True) if p > 0) / len(whole)
    return apart / log(len(whole))


def mcnemar(alone: int, other_alone: int) -> float:
    """Two-sided exact p: of all ways to toss a coin for each discordant picture, those at least as uneven."""
    n, most = alone + other_alone, max(alone, other_alone)
    uneven = sum(comb(n, k) for k in range(n + 1) if max(k, n - k) >= most)
    return float(uneven / 2**n)


def wilson(count: int, of: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The shares p from which the count is z standard errors away, by the quadratic that says so."""
    share = count / of
    a, b, c = 1 + z * z / of, -(2 * share + z * z / of), share * share
    root = sqrt(max(0.0, b * b - 4 * a * c))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def holm(values: Sequence[float]) -> list[float]:
    """The least level at which the step-down procedure, run anew, rejects each."""
    levels = sorted({min(1.0, (len(values) - i) * p) for i in range(len(values)) for p in values} | {1.0})

    def rejected(level: float) -> set[int]:
        found: set[int] = set()
        for done, place in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
            if (len(values) - done) * values[place] > level:
                break
            found.add(place)
        return found

    return [next((x for x in levels if i in rejected(x)), 1.0) for i in range(len(values))]


def rises(places: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(places))
