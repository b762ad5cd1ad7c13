"""The filters of a study, each with the patches that excite it most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.errors import NetworkError, StudyError
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.study.folder import Study


@dataclass(frozen=True)
class Patch:
    """A position of a layer in a picture of the study, and the activation there."""

    picture: int
    row: int
    column: int
    value: float


@dataclass(frozen=True)
class Filter:
    """A channel of a layer and the patches that excite it, the strongest first; none: it is dead."""

    layer: Layer
    channel: int
    patches: tuple[Patch, ...]


def top_filters(
    study: Study, network: Network, layers: str | Iterable[str], channels: Sequence[int] | None = None
) -> tuple[Filter, ...]:
    """Filters in the order of the network; ``layers``: "conv", "all", "even" or names, ``channels``: all or some.
    "swept": every layer that the study has top patches of.

    A patch to which the filter answers with exactly zero is none of its own and left out. Raises NetworkError for
    an unknown layer, or a channel that none of the layers has; StudyError if the study has no top patches of one.
    """
    table = study.network(network.name).table("top_patches")
    codes = table.column("layer").combine_chunks().dictionary_encode()
    chosen = _layers(network, codes.dictionary.to_pylist() if layers == "swept" else layers)
    if channels is not None and (
        absent := [c for c in channels if not any(0 <= c < a.channels for a in chosen)]
    ):
        names = ", ".join(layer.name for layer in chosen[:5])
        raise NetworkError(
            f"no filter has channel {absent[0]}: {names} of {network.name}; channels count from 0"
        )
    columns = {name: table.column(name).to_numpy() for name in table.column_names if name != "layer"}
    of_layer: Mapping[str, list[int]] = {layer.name: [] for layer in chosen}
    for code, name in enumerate(codes.dictionary.to_pylist()):
        if name in of_layer:
            of_layer[name].extend(np.flatnonzero(codes.indices.to_numpy() == code).tolist())
    if empty := [name for name, rows in of_layer.items() if not rows]:
        raise StudyError(
            f"{study.path} has no top patches of {empty[0]} of {network.name}; name other layers"
        )
    wanted = None if channels is None else frozenset(channels)
    return tuple(
        one
        for layer in chosen
        for one in _filters(layer, {name: column[of_layer[layer.name]] for name, column in columns.items()})
        if wanted is None or one.channel in wanted
    )


def _layers(network: Network, which: str | Iterable[str]) -> tuple[Layer, ...]:
    found = network.select_layers(which)
    if not found:
        raise NetworkError(
            f"{network.name} has no layer for {which!r}; `layerscope layers` lists those it has"
        )
    return found


def _filters(layer: Layer, rows: Mapping[str, np.ndarray]) -> list[Filter]:
    patches: list[list[Patch]] = [[] for _ in range(layer.channels)]
    numbers = (rows[name].tolist() for name in ("channel", "picture", "row", "column", "value"))
    for channel, picture, row, column, value in zip(*numbers, strict=True):
        if value != 0:
            patches[channel].append(Patch(picture, row, column, value))
    return [Filter(layer, channel, tuple(own)) for channel, own in enumerate(patches)]


def count_filters(study: Study, network_name: str) -> int:
    """How many filters of a network's convolutions have no portrait in the study, and could have one."""
    results = study.network(network_name)
    if "top_patches" not in results.results:
        return 0
    swept = set(results.table("top_patches").column("layer").unique().to_pylist())
    layers = results.layers.select(["layer", "kind", "channels"]).to_pylist()
    found: dict[str, int] = {
        row["layer"]: row["channels"] for row in layers if row["kind"] == "conv2d" and row["layer"] in swept
    }
    drawn = results.table("filters")["layer"].to_pylist() if "filters" in results.results else []
    return sum(found.values()) - sum(layer in found for layer in drawn)
