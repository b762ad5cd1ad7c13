"""Which layers of several networks stand in one column of a figure, and what is said above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import pyarrow as pa

from layerscope.compare.alignment import align_depths, align_fields, relative_depths, rising, widest_gap
from layerscope.gallery.figure import Head
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.reconstruction.descent import reversible
from layerscope.reconstruction.rules import Rule

_MERGES = ("add", "cat")
_SCHEMA = pa.schema(
    [
        ("alignment", pa.string()),
        ("column", pa.int32()),
        ("network", pa.string()),
        ("layer", pa.string()),
        ("depth", pa.float64()),
        ("field_size_rows", pa.int32()),
        ("field_size_columns", pa.int32()),
    ]
)


@dataclass(frozen=True, eq=False)
class Way:
    """A network's layers that a rule goes back from, and those it does not."""

    network: Network
    layers: tuple[Layer, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, network: Network, rule: Rule) -> Way:
        """By a rule."""
        kept = reversible(network.graph, rule)
        layers = tuple(layer for layer in network.layers if layer.result in kept)
        return cls(network, layers, tuple(layer.name for layer in network.layers if layer.result not in kept))

    @property
    def depths(self) -> dict[str, float]:
        """How far along the network's whole way each layer is, in [0, 1]."""
        found = relative_depths({layer.name: layer.inputs for layer in self.network.layers})
        return {layer.name: found[layer.name] for layer in self.layers}

    @property
    def merges(self) -> frozenset[str]:
        """Layers in which branches meet: all that the network knows there."""
        return frozenset(layer.name for layer in self.layers if layer.kind in _MERGES)

    @property
    def fields(self) -> dict[str, float]:
        """The side of each layer's receptive field by that of the input, if its positions see windows of one size
        and not all of it."""
        _, height, width = self.network.input_shape
        windows = {
            layer.name: (layer.field.size[0] / height, layer.field.size[1] / width)
            for layer in self.layers
            if layer.field is not None and layer.field.stride != (0, 0)
        }
        return {name: sqrt(high * wide) for name, (high, wide) in windows.items() if min(high, wide) < 1}


@dataclass(frozen=True, eq=False)
class Alignment:
    """Columns of layers. ``layers``: of each way one layer for each column; ``gap``: the greatest difference between
    depths in one column, or of the logarithms of fields."""

    name: str
    ways: tuple[Way, ...]
    layers: tuple[tuple[str, ...], ...]
    gap: float

    @property
    def columns(self) -> int:
        """How many there are."""
        return len(self.layers[0]) if self.layers else 0

    def heads(self, number: int) -> tuple[Head, ...]:
        """What stands above the panels of a network: how deep, if that aligns them; what they see."""
        way, depths = self.ways[number], self.ways[number].depths
        return tuple(
            _head(way.network, name, depths[name] if self.name == "depth" else None)
            for name in self.layers[number]
        )

    def table(self) -> pa.Table:
        """A row per column and network."""
        rows = []
        for way, names in zip(self.ways, self.layers, strict=True):
            depths = way.depths
            for column, name in enumerate(names):
                field = way.network.layer(name).field
                rows.append(
                    {
                        **{"alignment": self.name, "column": column, "network": way.network.name},
                        **{"layer": name, "depth": depths[name]},
                        "field_size_rows": None if field is None else field.size[0],
                        "field_size_columns": None if field is None else field.size[1],
                    }
                )
        return pa.Table.from_pylist(rows, _SCHEMA)


def align_by_depth(ways: Sequence[Way]) -> Alignment:
    """By how far along its own way each network is."""
    places = [rising(way.depths, way.merges) for way in ways]
    return _aligned("depth", ways, places, align_depths([list(own.values()) for own in places]))


def align_by_field(ways: Sequence[Way]) -> Alignment:
    """By how large a window of the input one position sees; of networks that have such windows."""
    seeing = [way for way in ways if way.fields]
    places = [rising(way.fields, way.merges) for way in seeing]
    columns = align_fields([list(own.values()) for own in places]) if len(seeing) > 1 else ((),) * len(seeing)
    logs = [{name: log(size) for name, size in own.items()} for own in places]
    return _aligned("field", seeing, logs, columns)


def _aligned(
    name: str,
    ways: Sequence[Way],
    places: Sequence[dict[str, float]],
    columns: tuple[tuple[int, ...], ...],
) -> Alignment:
    names = [list(own) for own in places]
    layers = tuple(tuple(own[i] for i in chosen) for own, chosen in zip(names, columns, strict=True))
    return Alignment(name, tuple(ways), layers, widest_gap([list(own.values()) for own in places], columns))


def _head(network: Network, name: str, depth: float | None) -> Head:
    field = network.layer(name).field
    deep = "" if depth is None else f"{depth:.0%} · "
    if field is None:
        return Head(f"{deep}field varies")
    high, wide = field.size
    if field.stride == (0, 0):
        return Head(f"{deep}all of it", 1.0)
    size = f"{high}" if high == wide else f"{high}x{wide}"
    return Head(f"{deep}{size} px", min(1.0, wide / network.input_shape[2]))
