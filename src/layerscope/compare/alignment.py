"""Layers of several networks set into columns: by how deep they are, or by how much of the picture they see."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf, log

MOST, LEAST = 9, 6  #: columns that are looked at side by side
NEAR = 1.5  #: fields that differ by a greater factor are not of the same window
_REACH = log(NEAR) * (1 + 1e-9)

Columns = tuple[tuple[int, ...], ...]  #: for each network the place of its layer in each column


def chain_lengths(
    inputs: Mapping[str, Sequence[str]], counted: Mapping[str, bool] | None = None
) -> dict[str, int]:
    """For each layer, in the order they run, how many stand on the longest way to it from the picture, itself
    included. ``inputs``: the layers that each reads; ``counted``: which of them count, all unless given."""
    found: dict[str, int] = {}
    for layer, sources in inputs.items():
        own = counted is None or counted[layer]
        found[layer] = max((found[source] for source in sources), default=0) + own
    return found


def relative_depths(inputs: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """How far along its network's way each layer is: 0 the first, 1 the last, by the longest way to it."""
    lengths = chain_lengths(inputs)
    last = max(lengths.values())
    return {layer: (length - 1) / max(1, last - 1) for layer, length in lengths.items()}


def align_depths(networks: Sequence[Sequence[float]]) -> Columns:
    """Columns at the depths of the network with the fewest layers, at most MOST of them, evenly spread.

    ``networks``: the depths of each one's layers, rising; none is empty. Every network's layers are those nearest in
    depth, all different; but where one has fewer than LEAST, it repeats them, and columns are even.
    """
    fewest = min(networks, key=len)
    count = min(MOST, max(LEAST, len(fewest)), max(map(len, networks)))
    if len(fewest) == count:
        targets = list(fewest)
    else:
        low, high = max(n[0] for n in networks), min(n[-1] for n in networks)
        targets = _even(low, high, count)
        if len(fewest) > count:
            targets = [fewest[i] for i in assign(fewest, targets)]
    return tuple(assign(network, targets) for network in networks)


def align_fields(networks: Sequence[Sequence[float]]) -> Columns:
    """Columns at the field sizes of the network with the fewest that all have, at most MOST, evenly spread in their
    logarithm. ``networks``: the sizes of each one's layers, rising.

    A size is one that all have if each has a layer within a factor of NEAR; without any, every network has ().
    Their layers are those nearest in the logarithm of the size, all different.
    """
    logs = [[log(size) for size in network] for network in networks]
    targets = min((_shared(own, logs) for own in logs), key=len)
    if len(targets) > MOST:
        targets = [targets[i] for i in assign(targets, _even(targets[0], targets[-1], MOST))]
    while targets:
        columns = tuple(assign(own, targets) for own in logs)
        away = [_furthest(logs, columns, at, target) for at, target in enumerate(targets)]
        if max(away) <= _REACH:
            return columns
        del targets[away.index(max(away))]  # nothing is left for it beside the others
    return ((),) * len(networks)


def _furthest(logs: Sequence[Sequence[float]], columns: Columns, at: int, target: float) -> float:
    return max(abs(own[places[at]] - target) for own, places in zip(logs, columns, strict=True))


def _shared(own: Sequence[float], logs: Sequence[Sequence[float]]) -> list[float]:
    return [x for x in own if all(min(abs(x - y) for y in other) <= _REACH for other in logs)]


def _even(low: float, high: float, count: int) -> list[float]:
    return [low + (high - low) * i / max(1, count - 1) for i in range(count)]


def assign(places: Sequence[float], targets: Sequence[float]) -> tuple[int, ...]:
    """For each target one of the places, both rising, so that the distances have the least sum; the earlier ones of
    equals. All are different; where there are fewer places than targets, each is taken, by neighbours if twice."""
    repeats = len(places) < len(targets)
    best = [abs(place - targets[0]) if i == 0 or not repeats else inf for i, place in enumerate(places)]
    came: list[list[int]] = []
    for target in targets[1:]:
        before = [_best_before(best, i, repeats) for i in range(len(places))]
        came.append(before)
        costs = [best[j] if j >= 0 else inf for j in before]
        best = [cost + abs(place - target) for cost, place in zip(costs, places, strict=True)]
    last = len(places) - 1 if repeats else min(range(len(places)), key=best.__getitem__)
    chosen = [last]
    for before in reversed(came):
        chosen.append(before[chosen[-1]])
    return tuple(reversed(chosen))


def _best_before(best: Sequence[float], i: int, repeats: bool) -> int:
    """Where the target before may be if this is at i: below, or with repeats there or next below; -1: nowhere."""
    allowed = range(max(0, i - 1), i + 1) if repeats else range(i)
    return min(allowed, key=best.__getitem__, default=-1)


def widest_gap(networks: Sequence[Sequence[float]], columns: Columns) -> float:
    """The greatest difference between two networks' values in one column."""
    chosen = [[own[i] for i in places] for own, places in zip(networks, columns, strict=True)]
    return max((max(column) - min(column) for column in zip(*chosen, strict=True)), default=0.0)


def rising(values: Mapping[str, float], preferred: Collection[str] = ()) -> dict[str, float]:
    """Layers with their values, rising; of equal ones the last, or the last that is preferred."""
    kept: dict[float, str] = {}
    for layer, value in values.items():
        if layer in preferred or kept.get(value) not in preferred:
            kept[value] = layer
    return {kept[value]: value for value in sorted(kept)}
