"""A network at a glance: the table of its layers, and its architecture as a figure (the paper's Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerscope.drawing.canvas import Page
from layerscope.gallery.architecture import ArchitectureLayer, architecture_figure
from layerscope.network.geometry import ReceptiveField
from layerscope.network.layers import Layer
from layerscope.network.network import Network

_HEADINGS = ("layer", "operation", "channels", "output", "field", "stride", "start")


def layer_table(network: Network) -> str:
    """Name, operation, channels, output size and receptive field of each layer, as aligned text.

    A column more says what layers see ``in all``, where gates or norms see what their features do not.
    """
    wider = any(layer.field != layer.field_in_all for layer in network.layers)
    rows = [(*_HEADINGS, "in all"), *((*_row(layer), _in_all(layer)) for layer in network.layers)]
    rows = rows if wider else [row[:-1] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right_aligned = range(2, len(rows[0]))
    lines = [
        "  ".join(
            c.rjust(w) if i in right_aligned else c.ljust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def layer_records(network: Network) -> list[dict[str, Any]]:
    """The same for machines: one dictionary per layer, sizes as [rows, columns], unknown fields null.

    Where it is not known which axes are channels and positions, ``channels`` is null and ``output`` all of them; null
    where the pictures are not the first. ``apart``: class tokens, which stand for no position.
    """
    return [
        {
            "name": layer.name,
            "operation": layer.operation,
            "channels": layer.channels or None,
            "output": list(layer.output) or None,
            "apart": layer.apart,
            "receptive_field": _field_record(layer.field),
            "receptive_field_in_all": _field_record(layer.field_in_all),
            "inputs": list(layer.inputs),
        }
        for layer in network.layers
    ]


def show_architecture(network: Network) -> Page:
    """The architecture as a figure; it shows itself in a notebook."""
    channels, height, width = network.input_shape
    layers = [_drawn(layer) for layer in network.layers]
    return architecture_figure(network.name, (height, width), layers, input_channels=channels)


def _drawn(layer: Layer) -> ArchitectureLayer:
    height, width = layer.size
    return ArchitectureLayer(
        name=layer.name,
        operation=layer.operation.partition(" + ")[0],
        channels=max(1, layer.channels),
        height=height,
        width=width,
        field=_field_words(layer.field),
        inputs=layer.inputs,
        shape="×".join(map(str, layer.output)) or "?" if layer.axes is None else "",
    )


def _field_words(field: ReceptiveField | None) -> str:
    if field is None:
        return "?"
    return "whole" if field.stride == (0, 0) else str(field)


def _row(layer: Layer) -> Sequence[str]:
    field = layer.field
    about = ("?", "?", "?") if field is None else (_pair(field.size), _pair(field.stride), _pair(field.start))
    if field is not None and field.stride == (0, 0):
        about = (_pair(field.size), "whole", "")
    return (
        layer.name,
        layer.operation,
        str(layer.channels or "?"),
        "x".join(map(str, layer.output)) + (f"+{layer.apart}" if layer.apart else "") or "?",
        *about,
    )


def _in_all(layer: Layer) -> str:
    """What a layer sees in all, where that is not what it sees through its features."""
    return "" if layer.field == layer.field_in_all else _field_words(layer.field_in_all)


def _pair(numbers: tuple[float, float]) -> str:
    rows, columns = (f"{n:g}" for n in numbers)
    return rows if rows == columns else f"{rows}x{columns}"


def _field_record(field: ReceptiveField | None) -> dict[str, Any] | None:
    if field is None:
        return None
    return {
        "size": list(field.size),
        "stride": list(field.stride),
        "start": list(field.start),
        "whole_input": field.stride == (0, 0),
    }
