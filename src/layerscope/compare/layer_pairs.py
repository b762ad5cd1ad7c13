"""Two networks layer by layer: how alike all pairs of their layers are, as tables and maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.compare.neighbours import Overlaps, compare_neighbours
from layerscope.compare.part import Shown
from layerscope.compare.similarity import Similarities
from layerscope.compare.subject import Subject, pair_name
from layerscope.drawing.heat import HeatMap, heat_page

_NEIGHBOURS = 10  # of each picture, or fewer where there are few pictures
_RIDGE = "Circle: the best match of the layer of that row; square: that of the layer of that column."


@dataclass(frozen=True, eq=False)
class LayersOfTwo:
    """Two networks, and how alike their layers are."""

    one: str
    other: str
    found: Similarities
    overlaps: Overlaps

    @classmethod
    def of(cls, subject: Subject, one: str, other: str) -> LayersOfTwo:
        """Of two networks of a comparison."""
        found = subject.similarities(one, other)
        k = min(_NEIGHBOURS, max(1, (len(found.one.pictures) - 1) // 4))
        return cls(one, other, found, compare_neighbours(found.one, found.other, k=k))

    @property
    def name(self) -> str:
        """In the names of files."""
        return pair_name(self.one, self.other)

    @property
    def layers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the layers of both."""
        return tuple(self.found.one.layers), tuple(self.found.other.layers)

    @cached_property
    def cka(self) -> npt.NDArray[np.float64]:
        """(layers, other layers), NaN where there is no value."""
        return self.found.matrix()

    @cached_property
    def shuffled(self) -> npt.NDArray[np.float64]:
        """All values that there are for pictures paired wrongly."""
        values = self.found.matrix("shuffled")
        return values[~np.isnan(values)]

    # ------------------------------------------------------------------ tables and figures

    @property
    def table(self) -> pa.Table:
        """That of the similarities, with the networks and the heaviest picture by name."""
        rows = self.found.table.drop_columns(["biased", "biased_chance"])
        names = np.array([*self.found.one.pictures, None], object)
        heavy = [len(names) - 1 if place is None else place for place in rows["share_picture"].to_pylist()]
        rows = rows.set_column(
            rows.schema.get_field_index("share_picture"),
            "share_picture",
            pa.array(names[heavy].tolist(), pa.string()),
        )
        return self._with_networks(rows)

    @property
    def overlap_table(self) -> pa.Table:
        """A row per pair of layers: how far pictures have the same neighbours in both, and chance."""
        overlaps, (rows, columns) = self.overlaps, self.layers
        count = len(rows) * len(columns)
        means = overlaps.mean.ravel()
        table = pa.table(
            {
                "layer": pa.array(np.repeat(np.array(rows, object), len(columns)), pa.string()),
                "other_layer": pa.array(list(columns) * len(rows), pa.string()),
                "pictures": pa.array([len(overlaps.pictures)] * count, pa.int64()),
                "k": pa.array([overlaps.k] * count, pa.int64()),
                "overlap": pa.array(means, pa.float64(), mask=np.isnan(means)),
                "chance": pa.array([overlaps.chance] * count, pa.float64()),
            }
        )
        return self._with_networks(table)

    def _with_networks(self, table: pa.Table) -> pa.Table:
        for place, name in ((0, "network"), (2, "other_network")):
            whose = self.one if place == 0 else self.other
            table = table.add_column(place, name, pa.array([whose] * len(table), pa.string()))
        return table

    def cka_map(self) -> Shown:
        """The map of CKA."""
        sizes = [
            _range(v.shape[2] for v in side.layers.values()) for side in (self.found.one, self.found.other)
        ]
        where = self.found.one.positions
        pooled = "one vector for each picture" if where == 1 else f"{where} vectors for each picture"
        caption = (
            f"Debiased linear CKA of every layer of {self.one} with every layer of {self.other}: 1, alike but for "
            f"rotation and scale; 0, unrelated; orange, below 0; striped, no value. {len(self.found.one.pictures):,} "
            f"pictures (n), {pooled}; {sizes[0]} (p) and {sizes[1]} channels (q). {_RIDGE} {self._baseline()}"
        )
        levels = [("pairs shuffled", float(np.median(self.shuffled)))] if len(self.shuffled) else []
        return self._map("Debiased linear CKA", caption, self.cka, 1.0, levels)

    def _baseline(self) -> str:
        if not len(self.shuffled):
            return ""
        return (
            f"Pictures paired wrongly give {self.shuffled.min():.3f} to {self.shuffled.max():.3f}, in the middle "
            f"{np.median(self.shuffled):.3f}."
        )

    def neighbours_map(self) -> Shown:
        """The map of the overlap of neighbours."""
        overlaps = self.overlaps
        caption = (
            f"Of the {overlaps.k} nearest pictures of each picture in a layer of {self.one} or in one of {self.other}, "
            f"the share that is in both: means over {len(overlaps.pictures):,} pictures (Jaccard; Euclidean distance "
            f"of means over positions); unrelated layers give {overlaps.chance:.3f}. {_RIDGE}"
        )
        values = overlaps.mean
        most = _round_up(float(np.nanmax(values))) if not np.isnan(values).all() else 1.0
        return self._map(
            "Overlap of nearest neighbours", caption, values, most, [("chance", overlaps.chance)]
        )

    def _map(
        self,
        title: str,
        caption: str,
        values: npt.NDArray[np.float64],
        most: float,
        levels: Sequence[tuple[str, float]],
    ) -> Shown:
        names = (self.one, self.other)
        return Shown(
            heat_page(
                HeatMap(
                    f"{title}: {self.one} and {self.other}",
                    caption,
                    *self.layers,
                    names,
                    values,
                    most,
                    levels,
                )
            ),
            caption,
        )


def _range(sizes: Iterator[int]) -> str:
    known = sorted(sizes)
    return f"{known[0]:,}" if known[0] == known[-1] else f"{known[0]:,} to {known[-1]:,}"


def _round_up(most: float) -> float:
    """The end of a scale: the next tenth, .1 at least."""
    return max(0.1, float(np.ceil(most * 10 - 1e-9) / 10))
