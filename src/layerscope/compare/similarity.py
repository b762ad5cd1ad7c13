"""How alike the layers of two networks are over the same pictures: debiased linear CKA, Procrustes, and their doubts.

Each value stands beside what the same sums give when every picture is paired with another one, an interval, and the
largest share that any single picture has in it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from layerscope.compare.cross_sums import CrossSums, centred, cross_sums
from layerscope.compare.pairs import Own, Pair, own, spread
from layerscope.compare.representations import Representations, hashed_order
from layerscope.errors import ComparisonError
from layerscope.progress import Count, Told

LARGE_SHARE = 0.05  #: of one picture in a sum: above it the value is that picture's more than the set's
_SIDE = (
    2_500  #: channels of each network that are summed with each other at once, or one layer's if it has more
)

_SCHEMA = pa.schema(
    [
        ("layer", pa.string()),
        ("other_layer", pa.string()),
        *((name, pa.int64()) for name in ("pictures", "channels", "other_channels")),
        *((name, pa.float64()) for name in ("cka", "low", "high", "shuffled", "share")),
        ("share_picture", pa.int64()),
        *((name, pa.float64()) for name in ("procrustes", "procrustes_shuffled", "biased", "biased_chance")),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class Similarities:
    """Every layer of one network with every layer of another.

    ``table``: a row per pair, layers in the order of the networks: ``cka``, debiased linear CKA (1: alike but for
    rotation and scale; 0: unrelated); ``low`` and ``high``, its 95 % interval by the infinitesimal jackknife over runs
    of pictures; ``shuffled``, of pictures paired wrongly; ``share``, the largest of a single picture in any of the
    three sums, and ``share_picture``, its place; ``procrustes`` in [0, 1] and its value for wrong pairs; null with
    ``reason`` where there is no value. ``correlations``: Pearson's, of all channels of the one with all of the other,
    float32, NaN for a channel that never changes; None if not asked for.
    """

    one: Representations
    other: Representations
    table: pa.Table
    correlations: npt.NDArray[np.float32] | None

    def matrix(self, column: str = "cka") -> npt.NDArray[np.float64]:
        """A column of the table as (layers, other layers), NaN where it is null."""
        values: npt.NDArray[np.float64] = self.table[column].to_numpy().astype(np.float64)
        return values.reshape(len(self.one.layers), len(self.other.layers))

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """All of it but the representations, as plain arrays that `of_arrays` takes."""
        memory = io.BytesIO()
        with pa.ipc.new_stream(memory, self.table.schema) as stream:
            stream.write_table(self.table)
        found = {} if self.correlations is None else {"correlations": self.correlations}
        return {"table": np.frombuffer(memory.getvalue(), np.uint8), **found}

    @classmethod
    def of_arrays(
        cls, one: Representations, other: Representations, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> Similarities:
        """What `arrays` gave, of the same representations."""
        table = pa.ipc.open_stream(arrays["table"].tobytes()).read_all()
        return cls(one, other, table, arrays.get("correlations"))

    def of_layers(self, names: Sequence[str], other_names: Sequence[str]) -> Similarities:
        """Of some layers of each network alone, in their order."""
        wanted = pc.and_(
            pc.is_in(self.table["layer"], pa.array(names, pa.string())),
            pc.is_in(self.table["other_layer"], pa.array(other_names, pa.string())),
        )
        one, other = self.one.of_layers(names), self.other.of_layers(other_names)
        found = self.correlations
        if found is not None:
            rows, columns = (s.places(n) for s, n in ((self.one, names), (self.other, other_names)))
            found = found[np.ix_(rows, columns)]
        return Similarities(one, other, self.table.filter(wanted), found)

    @cached_property
    def best(self) -> Mapping[str, str | None]:
        """For each layer the other network's layer of the highest CKA; None if it has no value."""
        names = list(self.other.layers)
        rows = zip(self.one.layers, self.matrix(), strict=True)
        return {name: None if np.isnan(row).all() else names[int(np.nanargmax(row))] for name, row in rows}

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for each pair in which a single picture has a large share, the largest first."""
        rows = [r for r in self.table.to_pylist() if r["share"] is not None and r["share"] > LARGE_SHARE]
        return tuple(
            f"{r['layer']} and {r['other_layer']}: {self.one.pictures[r['share_picture']]} alone has "
            f"{r['share']:.0%} of the sum; look at the value without it"
            for r in sorted(rows, key=lambda r: -float(r["share"]))
        )


def compare_layers(
    one: Representations,
    other: Representations,
    *,
    procrustes: bool = True,
    biased: bool = False,
    correlations: bool = True,
    progress: Told | None = None,
) -> Similarities:
    """Compare every layer of one network with every layer of another, or of itself, over the same pictures.

    ``biased``: also the biased CKA, beside the value that chance alone gives to unrelated layers of so many channels,
    1/sqrt((1+n/p)(1+n/q)). Memory does not depend
    on the number of pictures. Raises ComparisonError for fewer than 4 pictures, for other pictures, and for NaN.
    """
    _check(one, other, biased)
    left = _owned(one)
    right = left if other is one else _owned(other)
    found = np.empty((one.channels, other.channels), np.float32) if correlations else None
    tiles = [(rows, columns) for rows in _cut(left) for columns in _cut(right)]
    pairs: dict[tuple[int, int], dict[str, Any]] = {}
    done = Count(progress, "similarities", len(left) * len(right), "pairs of layers")
    for rows, columns in tiles:
        tile = _Tile.of(left[rows], right[columns], partners(one.pictures))
        for i, j, pair in tile.pairs():
            pairs[rows.start + i, columns.start + j] = pair.row(procrustes=procrustes, biased=biased)
        if found is not None:
            found[_channels(left, rows), _channels(right, columns)] = tile.correlations()
        done(len(tile.left) * len(tile.right))
    table = pa.Table.from_pylist([pairs[key] for key in sorted(pairs)], _SCHEMA)
    return Similarities(one, other, table, found)


def _check(one: Representations, other: Representations, biased: bool) -> None:
    if one.pictures != other.pictures:
        raise ComparisonError(
            f"{one.network} and {other.network} were shown other pictures; compare them over the same ones"
        )
    if one.positions != other.positions:
        raise ComparisonError(
            f"{one.network} has {one.positions} positions per picture, {other.network} {other.positions}; "
            "gather both on the same grid"
        )
    if len(one.pictures) < 4:
        raise ComparisonError(
            f"{len(one.pictures)} good pictures: the unbiased HSIC needs at least 4, and a useful one hundreds"
        )
    if biased and one.positions > 1:
        raise ComparisonError(
            "what chance gives the biased CKA on a grid has no closed form; ask for it on a grid of 1x1"
        )


def partners(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Another picture for each picture: the next in the order of hashes of their names, the first for the last."""
    order = hashed_order(names)
    found = np.empty(len(names), np.int64)
    found[order] = np.roll(order, -1)
    return found


# ------------------------------------------------------------------ some layers with some others


@dataclass(frozen=True, eq=False)
class _Tile:
    """Neighbouring layers of the one network with neighbouring ones of the other, summed at once."""

    left: Sequence[Own]
    right: Sequence[Own]
    sums: CrossSums
    shuffled: CrossSums

    @classmethod
    def of(cls, left: Sequence[Own], right: Sequence[Own], wrong: npt.NDArray[np.int64]) -> _Tile:
        one, other = [layer.short for layer in left], [layer.short for layer in right]
        single = one[0].values.shape[1] == 1
        return cls(left, right, cross_sums(one, other), cross_sums(one, other, wrong, exact=single))

    def pairs(self) -> Iterator[tuple[int, int, Pair]]:
        """Each pair of layers, by their places in the tile."""
        spreads, hsic, chance = spread(self.sums), self.sums.hsic(), self.shuffled.hsic()
        totals, biased = self.sums.totals(), self.sums.biased()
        for i, one in enumerate(self.left):
            for j, other in enumerate(self.right):
                rows, columns = self.sums.pair(i, j)
                yield (
                    i,
                    j,
                    Pair(
                        one,
                        other,
                        self.sums.pictures,
                        float(hsic[i, j]),
                        float(chance[i, j]),
                        float(totals[i, j]),
                        float(biased[i, j]),
                        spreads.of(i, j),
                        self.sums.products[rows, columns],
                        self.shuffled.products[rows, columns],
                    ),
                )

    def correlations(self) -> npt.NDArray[np.float32]:
        """Pearson's, of all channels with all; NaN for those that never change."""
        one, other = (
            np.concatenate([layer.deviations for layer in side]) for side in (self.left, self.right)
        )
        products = self._by_channel.numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            found = products / self.sums.pictures / one[:, None] / other
        found[one == 0], found[:, other == 0] = np.nan, np.nan
        rounded: npt.NDArray[np.float32] = found.clip(-1, 1).astype(np.float32)
        return rounded

    @property
    def _by_channel(self) -> Tensor:
        """The products of all channels: those summed already where no layer was narrowed."""
        if all(layer.short is layer.centred for layer in (*self.left, *self.right)):
            return self.sums.products
        one, other = ([layer.centred for layer in side] for side in (self.left, self.right))
        return cross_sums(one, other).products


def _owned(side: Representations) -> list[Own]:
    return [own(centred(f"{name} of {side.network}", values)) for name, values in side.layers.items()]


def _cut(layers: Sequence[Own]) -> list[slice]:
    """Neighbouring layers together, as long as they have few channels."""
    starts, held = [0], 0
    for place, layer in enumerate(layers):
        if held and held + layer.centred.channels > _SIDE:
            starts.append(place)
            held = 0
        held += layer.centred.channels
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(layers)], strict=True)]


def _channels(layers: Sequence[Own], chosen: slice) -> slice:
    """Where the channels of some layers stand among all."""
    before = sum(layer.centred.channels for layer in layers[: chosen.start])
    return slice(before, before + sum(layer.centred.channels for layer in layers[chosen]))
