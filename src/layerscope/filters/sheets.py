"""What sums up the portraits of a network's filters: the table, the pages, the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa

from layerscope.choices import PATCHES_ALONE
from layerscope.disk.names import folders
from layerscope.disk.tables import read_table
from layerscope.filters.pages import FilterDrawn, LayerDrawn, filter_pages, pages_as_files, weights_page
from layerscope.filters.top_filters import Filter
from layerscope.network.graph import Parameter
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.network.views import View
from layerscope.reconstruction.rules import RULES, places_lost
from layerscope.study.folder import Study
from layerscope.study.steps import OpenStep

STEP = "filters"


@dataclass(frozen=True)
class Portrait:
    """The portrait of a filter, or of a dead one: no ``file``, no panels.

    ``size``: rows and columns of a panel; ``views``: what each shows; ``white`` and ``black``: the values of each
    reconstruction that are shown so.
    """

    filter: Filter
    size: tuple[int, int]
    file: str | None = None
    views: tuple[View, ...] = ()
    white: tuple[float, ...] = ()
    black: tuple[float, ...] = ()


def dead_before(step: OpenStep) -> set[tuple[str, int]]:
    """The dead filters that an earlier run has shown, by layer and channel."""
    if not step.holds(f"{STEP}.parquet"):
        return set()
    rows = read_table(step.place(f"{STEP}.parquet")).select(["layer", "channel", "dead"]).to_pylist()
    return {(row["layer"], row["channel"]) for row in rows if row["dead"]}


def finish_portraits(
    step: OpenStep, study: Study, network: Network, portraits: Sequence[Portrait], changed: set[str]
) -> None:
    """Draw the pages of the layers that changed, write the table, list all in the manifest."""
    before = _shown_before(step)
    files = [portrait.file for portrait in portraits if portrait.file is not None]
    for name, group in groupby(portraits, key=lambda portrait: portrait.filter.layer.name):
        own, layer = list(group), network.layer(name)
        known = (
            [] if name in changed or before.get(name) != _channels(own) else _pages_of(step, network, layer)
        )
        if not known:
            for page, content in _pages(step, study, network, own):
                step.put(page, content)
                known.append(page)
        files += known
    step.put(STEP, portraits_table(portraits))
    step.finish(files)


def _channels(portraits: Iterable[Portrait]) -> list[int]:
    return [portrait.filter.channel for portrait in portraits]


def _shown_before(step: OpenStep) -> dict[str, list[int]]:
    """The channels of each layer that an earlier run, which ended, has shown."""
    shown: dict[str, list[int]] = {}
    if f"{STEP}.parquet" in step.names():
        for row in read_table(step.place(f"{STEP}.parquet")).select(["layer", "channel"]).to_pylist():
            shown.setdefault(row["layer"], []).append(row["channel"])
    return shown


def _pages_named(folder: str) -> str:
    return rf"{re.escape(folder)}(-\d+|-weights)?\.(png|pdf)"


def _pages_of(step: OpenStep, network: Network, layer: Layer) -> list[str]:
    """The pages of a layer that an earlier run has listed; none if one of them is gone or was cut short."""
    pattern = re.compile(
        rf"{STEP}/{_pages_named(folders(layer.name for layer in network.layers)[layer.name])}"
    )
    listed = [name for name in step.names() if pattern.fullmatch(name)]
    return listed if all(step.whole(name) for name in listed) else []


# ------------------------------------------------------------------ pages


def _pages(
    step: OpenStep, study: Study, network: Network, portraits: Sequence[Portrait]
) -> Iterator[tuple[str, bytes]]:
    """The files of one layer's pages, with their names."""
    layer, shape = portraits[0].filter.layer, network.input_shape[1:]
    stem = f"{STEP}/{folders(layer.name for layer in network.layers)[layer.name]}"
    good = study.pictures.num_rows - study.bad.num_rows
    about = LayerDrawn(
        network=network.name,
        layer=layer.name,
        channels=layer.channels,
        field=shape if layer.field is None else layer.field.size,
        size=portraits[0].size,
        patches=_asked(study, network),
        pictures=good,
        rule=None if (rule := str(step.options["rule"])) == PATCHES_ALONE else rule,
        display=str(step.options["display"]),
        shown=network.preprocessing.words(each=False),
        lost=places_lost(network.graph, RULES[rule]) if rule in RULES else "",
    )
    drawn = [
        FilterDrawn(
            channel=one.filter.channel,
            value=one.filter.patches[0].value if one.filter.patches else 0.0,
            file=None if one.file is None else step.place(one.file),
            outside=tuple(view.unseen for view in one.views),
        )
        for one in portraits
    ]
    yield from pages_as_files(filter_pages(about, drawn), stem)
    weights = first_weights(network, layer)
    if weights is not None:
        yield from pages_as_files([weights_page(network.name, layer.name, weights)], f"{stem}-weights")


def _asked(study: Study, network: Network) -> int:
    """How many patches the study keeps of a filter, at most."""
    ranks = study.network(network.name).table("top_patches").column("rank").to_numpy()
    return int(ranks.max()) + 1


def first_weights(network: Network, layer: Layer) -> np.ndarray | None:
    """The weights of a convolution that reads the picture: (filters, rows, columns, 1 or 3), of the channels that are
    shown; None of any other, and where all channels of an input are shown as one grey."""
    operation = network.graph.operations[layer.operations[0]]
    weight = operation.arguments.get("weight")
    if operation.kind != "conv2d" or operation.inputs != (0,) or not isinstance(weight, Parameter):
        return None
    tensor = network.graph.tensors[weight.name]
    if tensor.shape[1] not in (1, 3) and not isinstance(network.preprocessing.shown, tuple):
        return None
    values: np.ndarray = tensor.detach().float().cpu().permute(0, 2, 3, 1).numpy()
    shown = network.preprocessing.one(values.reshape(-1, *values.shape[2:]))
    return shown.reshape(*values.shape[:3], -1)


# ------------------------------------------------------------------ the table


def portraits_table(portraits: Sequence[Portrait]) -> pa.Table:
    """A row per filter; lists hold an entry per panel, the strongest patch first."""
    filters, numbers = [one.filter for one in portraits], pa.list_(pa.int32())

    def panels(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([[getattr(patch, name) for patch in one.patches] for one in filters], pa.list_(kind))

    return pa.table(
        {
            "layer": pa.array([one.layer.name for one in filters], pa.string()),
            "channel": pa.array([one.channel for one in filters], pa.int32()),
            "dead": pa.array([not one.patches for one in filters], pa.bool_()),
            "file": pa.array([one.file for one in portraits], pa.string()),
            "k": pa.array([len(one.patches) for one in filters], pa.int32()),
            "height": pa.array([one.size[0] for one in portraits], pa.int32()),
            "width": pa.array([one.size[1] for one in portraits], pa.int32()),
            "values": panels("value", pa.float32()),
            "pictures": panels("picture", pa.int64()),
            "rows": panels("row", pa.int32()),
            "columns": panels("column", pa.int32()),
            "tops": pa.array([[view.frame.top for view in one.views] for one in portraits], numbers),
            "lefts": pa.array([[view.frame.left for view in one.views] for one in portraits], numbers),
            "white": pa.array([one.white for one in portraits], pa.list_(pa.float64())),
            "black": pa.array([one.black for one in portraits], pa.list_(pa.float64())),
        }
    )
