"""Whether filters that answer alike are excited most by the same pictures, and which of them are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, nan
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.compare.intervals import half_width
from layerscope.study.folder import NetworkResults

Tops = Mapping[
    str, list[frozenset[int]]
]  #: for each layer the pictures that excite each of its channels most
_PER_PAIR = 2  # shown of two layers, at most


def top_pictures(results: NetworkResults) -> Tops:
    """From a study; a picture to which a channel answers with exactly zero is none of its own."""
    table = results.table("top_patches").select(["layer", "channel", "picture", "value"])
    found: dict[str, list[set[int]]] = {}
    for layer, channel, picture, value in zip(*(column.to_pylist() for column in table.columns), strict=True):
        own = found.setdefault(layer, [])
        own.extend(set() for _ in range(channel + 1 - len(own)))
        if value != 0:
            own[channel].add(picture)
    return {layer: [frozenset(pictures) for pictures in own] for layer, own in found.items()}


@dataclass(frozen=True, eq=False)
class Common:
    """How many of their strongest pictures pairs of filters share, and how many random filters of the same two layers.

    ``shared`` and ``chance``: a number for each pair; the second is exact, the mean over all pairs of the two layers
    whose filters have a picture at all.
    """

    shared: npt.NDArray[np.float64]
    chance: npt.NDArray[np.float64]

    @property
    def ratio(self) -> float:
        """How many times as many pictures the pairs share; NaN if random filters share none."""
        total = self.chance.sum()
        return float(self.shared.sum() / total) if total > 0 else nan

    @property
    def half(self) -> float:
        """Half of its 95 % interval over pairs."""
        return half_width((self.shared - self.ratio * self.chance) / self.chance.sum())


def common_pictures(pairs: pa.Table, tops: Tops, other_tops: Tops) -> Common:
    """Of the pairs of filters of a table as `Matches` has them, those of layers whose pictures are known."""
    rows = [r for r in pairs.to_pylist() if r["layer"] in tops and r["other_layer"] in other_tops]
    chances: dict[tuple[str, str], float] = {}
    shared, chance = [], []
    for row in rows:
        key = (row["layer"], row["other_layer"])
        if key not in chances:
            chances[key] = _by_chance(tops[key[0]], other_tops[key[1]])
        shared.append(len(tops[key[0]][row["channel"]] & other_tops[key[1]][row["other_channel"]]))
        chance.append(chances[key])
    return Common(np.array(shared, np.float64), np.array(chance, np.float64))


def _by_chance(one: Sequence[frozenset[int]], other: Sequence[frozenset[int]]) -> float:
    """The mean number of pictures that a filter of the one shares with one of the other, of those that have any."""
    counts = [Counter(picture for pictures in side for picture in pictures) for side in (one, other)]
    live = [sum(bool(pictures) for pictures in side) for side in (one, other)]
    common = sum(number * counts[1][picture] for picture, number in counts[0].items())
    return common / (live[0] * live[1]) if min(live) else 0.0


# ------------------------------------------------------------------ which are shown


def chosen_pairs(mutual: pa.Table, tops: Tops, other_tops: Tops, most: int) -> list[dict[str, Any]]:
    """At most so many of the pairs, which come the strongest first, from as many layers as can be.

    Of any two layers _PER_PAIR at most, and of any layer no more than its part if all have as many.
    """
    rows = [r for r in mutual.to_pylist() if _live(tops, r, "") and _live(other_tops, r, "other_")]
    sides = ("layer", "other_layer")
    part = max(ceil(most / max(1, len({row[side] for row in rows}))) for side in sides)
    taken: Counter[tuple[str, ...]] = Counter()
    chosen: list[dict[str, Any]] = []
    for row in rows:
        keys = [(side, row[side]) for side in sides]
        both = (row["layer"], row["other_layer"])
        if len(chosen) < most and taken[both] < _PER_PAIR and all(taken[key] < part for key in keys):
            taken.update([*keys, both])
            chosen.append(row)
    return chosen


def chosen_alone(unmatched: pa.Table, tops: Tops, most: int) -> list[dict[str, Any]]:
    """At most so many of the filters, which come the weakest first, from all layers as evenly as can be."""
    rows = [row for row in unmatched.to_pylist() if _live(tops, row, "") and row["correlation"] is not None]
    turn: Counter[str] = Counter()
    order = []
    for place, row in enumerate(rows):
        order.append((turn[row["layer"]], place))
        turn[row["layer"]] += 1
    kept = sorted(place for _, place in sorted(order)[:most])
    return [rows[place] for place in kept]


def _live(tops: Tops, row: Mapping[str, Any], side: str) -> bool:
    layer = row[f"{side}layer"]
    return layer in tops and bool(tops[layer][row[f"{side}channel"]])
