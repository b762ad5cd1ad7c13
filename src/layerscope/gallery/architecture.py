"""The layers of a network as slabs on a page, with their sizes, receptive fields and connections."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path as Curve

from layerscope.drawing.canvas import (
    FAINT,
    INK,
    LEADING,
    NAME_BREAKS,
    Canvas,
    Page,
    broken,
    drawable,
    fitted,
    size_for_names,
    text_width,
)
from layerscope.errors import DisplayError

_Points: TypeAlias = list[tuple[float, float]]

_MARGIN, _TALLEST = 10.0, 64.0  # points: page border, the largest slab's height
_CELL, _ROOM = 46.0, 41.0  # a layer's width on the page, and that of the words under it
_LETTERS, _NAME_LINES, _OPERATION_LINES = 6.0, 4, 3
_DPI, _WIRE = 200.0, "#7d7d7d"
_COLOURS = {
    "input": "#dcdcdc",
    "conv": "#8db5e0",
    "depthwise conv": "#b5d9ee",
    "max pool": "#f2b277",
    "average pool": "#f6d98f",
    "adaptive average pool": "#f9e8bd",
    "linear": "#9dcf9a",
    "add": "#e59a9a",
    "cat": "#c3a5dc",
    "batch norm": "#cfcfc0",
    "relu": "#e9e4bd",
}
_SPARE = ("#7fc4b8", "#d8a0c8", "#b9b06a", "#a0a8d8", "#d0b49a", "#9ab8a8", "#b0b0b0")


@dataclass(frozen=True)
class ArchitectureLayer:
    """One layer of an architecture figure.

    operation: such as "conv 3x3" or "max pool 2x2/2"; the words before its first number choose the colour.
    field: the receptive field as it is to be read, such as "196/16", "whole" or "?".
    shape: how its size is to be read instead, where nobody knows which axes are channels, height and width.
    inputs: the layers that feed it; none, or "input", is the picture.
    """

    name: str
    operation: str
    channels: int
    height: int
    width: int
    field: str
    inputs: tuple[str, ...]
    shape: str = ""

    @property
    def size(self) -> str:
        """Channels, height and width as they are written under it."""
        return self.shape or f"{self.channels}×{self.height}×{self.width}"

    @property
    def kind(self) -> str:
        """The operation without its numbers."""
        return re.split(r"(\s+to)?\s*\d", self.operation, maxsplit=1)[0].strip() or "other"


@dataclass(frozen=True)
class _Slab:
    """A layer in its line: left edge of its cell; thickness, height and depth (x, y) of its slab; points."""

    layer: ArchitectureLayer
    left: float
    thick: float
    high: float
    deep: tuple[float, float]

    @property
    def extent(self) -> float:
        return self.high + self.deep[1]

    @property
    def middle(self) -> float:
        return self.left + _CELL / 2


@dataclass(frozen=True)
class _Line:
    """One line of the figure: its slabs, the number of the first in the network, the room for its parts."""

    slabs: tuple[_Slab, ...]
    first: int
    arcs: float
    name_lines: int
    operation_lines: int

    @property
    def tallest(self) -> float:
        return max(slab.extent for slab in self.slabs)

    @property
    def height(self) -> float:
        words = self.name_lines + self.operation_lines + 2
        return self.arcs + self.tallest + words * _LETTERS * LEADING + 14


def architecture_figure(
    title: str, input_size: tuple[int, int], layers: Sequence[ArchitectureLayer], *, input_channels: int = 3
) -> Page:
    """The layers of a network from left to right, in as many lines as it takes; input_size: (height, width).

    A slab's height and depth go with the square root of its layer's height and width, its thickness with the
    logarithm of the channels; its colour is the operation. A straight line feeds a layer from the one before,
    an arc from further back; an arc that leaves a line at the right comes back at the left of a later one.
    Raises DisplayError for no layers, an empty one, two of one name, or an input that does not come earlier.
    """
    nodes = (ArchitectureLayer("input", "input", input_channels, *input_size, "", ()), *layers)
    edges = _edges(nodes)
    names = size_for_names((node.name for node in nodes), _ROOM, _LETTERS)
    lines = _lines(nodes, edges, names)
    width = max(300.0, max(len(line.slabs) for line in lines) * _CELL + 2 * _MARGIN)
    colours = _colours(nodes)
    canvas = Canvas.blank(_DPI)
    y = _draw_heading(canvas, width, title, colours)
    for line in lines:
        _draw_line(canvas, line, y, names, colours)
        _draw_edges(canvas, line, y, edges)
        y += line.height
    return canvas.cut(width, _draw_legend(canvas, width, y) + _MARGIN)


def _edges(nodes: Sequence[ArchitectureLayer]) -> list[tuple[int, int]]:
    """Pairs (from, to) of places in the network."""
    if len(nodes) == 1:
        raise DisplayError("there is no layer to draw; give at least one")
    places: dict[str, int] = {}
    edges = []
    for place, node in enumerate(nodes):
        if min(node.channels, node.height, node.width) < 1:
            raise DisplayError(f"layer {node.name} has size {node.size}; each side must be at least 1")
        if node.name in places:
            raise DisplayError(f"two layers are called {node.name}; give each its own")
        for name in node.inputs or (("input",) if place else ()):
            if name not in places:
                raise DisplayError(
                    f"layer {node.name} is fed by {name}, which does not come before it; reorder them"
                )
            edges.append((places[name], place))
        places[node.name] = place
    return edges


def _lines(nodes: Sequence[ArchitectureLayer], edges: Sequence[tuple[int, int]], names: float) -> list[_Line]:
    scale = _TALLEST / math.sqrt(max(max(node.height, node.width) for node in nodes))
    cuts = _cuts(len(nodes), edges)
    return [_line(nodes[start:stop], start, edges, names, scale) for start, stop in pairwise(cuts)]


def _cuts(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Where lines begin and end: at about equal distances, where few arcs are cut."""
    cuts = [0]
    for left in range(math.ceil(count / max(12, math.sqrt(3.2 * count))), 1, -1):
        even = (count - cuts[-1]) / left
        choices = range(cuts[-1] + math.ceil(0.85 * even), cuts[-1] + math.floor(1.15 * even) + 1)
        cuts.append(min(choices, key=lambda cut: (_crossings(cut, edges), abs(cut - cuts[-1] - even))))
    return [*cuts, count]


def _crossings(cut: int, edges: Sequence[tuple[int, int]]) -> int:
    return sum(a < cut <= b and b - a > 1 for a, b in edges)


def _line(
    nodes: Sequence[ArchitectureLayer],
    first: int,
    edges: Sequence[tuple[int, int]],
    names: float,
    scale: float,
) -> _Line:
    slabs = tuple(_slab(node, _MARGIN + n * _CELL, scale) for n, node in enumerate(nodes))
    inside = range(first, first + len(nodes))
    lifts = [_lift(b - a) for a, b in edges if b - a > 1 and (a in inside or b in inside)]
    return _Line(
        slabs,
        first,
        max(lifts, default=0.0) + 4,
        max(len(broken(node.name, _ROOM, names, _NAME_LINES, NAME_BREAKS)) for node in nodes),
        max(len(broken(node.operation, _ROOM, _LETTERS, _OPERATION_LINES)) for node in nodes),
    )


def _slab(node: ArchitectureLayer, left: float, scale: float) -> _Slab:
    depth = scale * math.sqrt(node.width)
    return _Slab(
        node,
        left,
        3 + 1.7 * math.log2(node.channels),
        scale * math.sqrt(node.height),
        (0.26 * depth, 0.2 * depth),
    )


def _lift(span: int) -> float:
    """How far an arc rises above what it spans."""
    return min(34.0, 5 + 5 * math.sqrt(span))


def _colours(nodes: Sequence[ArchitectureLayer]) -> dict[str, str]:
    """A colour for each kind of operation that occurs, in the order of occurrence."""
    kinds = list(dict.fromkeys(node.kind for node in nodes))
    unknown = [kind for kind in kinds if kind not in _COLOURS]
    return {kind: _COLOURS.get(kind) or _SPARE[unknown.index(kind) % len(_SPARE)] for kind in kinds}


def _draw_heading(canvas: Canvas, width: float, title: str, colours: dict[str, str]) -> float:
    canvas.title(_MARGIN, _MARGIN + 8, title, 10, width - 2 * _MARGIN)
    x, y = _MARGIN, _MARGIN + 22
    for kind, colour in colours.items():
        room = 8 + text_width(drawable(kind), 7) + 12
        if x + room > width and x > _MARGIN:
            x, y = _MARGIN, y + 10
        canvas.box(x, y - 5.5, 6, 6, colour)
        canvas.text(x + 8, y, kind, 7, ha="left")
        x += room
    return y + 6


def _draw_legend(canvas: Canvas, width: float, y: float) -> float:
    words = "under each layer: name, operation, channels × height × width, receptive field (size/stride)"
    for line in broken(words, width - 2 * _MARGIN, 6.5, 3):
        canvas.text(_MARGIN, y + 2, line, 6.5, ha="left", color=FAINT)
        y += 6.5 * LEADING
    return y - 6.5


def _draw_line(canvas: Canvas, line: _Line, y: float, names: float, colours: dict[str, str]) -> None:
    for slab in line.slabs:
        _draw_slab(canvas, slab, y + line.arcs + line.tallest / 2, colours[slab.layer.kind])
        _draw_words(canvas, line, slab, y + line.arcs + line.tallest + 9, names)


def _draw_slab(canvas: Canvas, slab: _Slab, centre: float, colour: str) -> None:
    """A box seen from its left: front, top and side face."""
    (dx, dy), thick = slab.deep, slab.thick
    x, y = slab.middle - (thick + dx) / 2, centre - slab.extent / 2 + dy
    front = [(x, y), (x + thick, y), (x + thick, y + slab.high), (x, y + slab.high)]
    top = [front[0], front[1], (x + thick + dx, y - dy), (x + dx, y - dy)]
    side = [front[1], front[2], (x + thick + dx, y + slab.high - dy), (x + thick + dx, y - dy)]
    for corners, light in ((front, 1.0), (top, 1.08), (side, 0.82)):
        face = [min(1.0, light * part) for part in to_rgb(colour)]
        canvas.patch(
            Polygon(corners, facecolor=face, edgecolor=INK, linewidth=0.4, joinstyle="round", zorder=3)
        )


def _draw_words(canvas: Canvas, line: _Line, slab: _Slab, y: float, names: float) -> None:
    layer, step = slab.layer, _LETTERS * LEADING
    operation = "" if layer.operation == layer.name else layer.operation
    for n, words in enumerate(broken(layer.name, _ROOM, names, _NAME_LINES, NAME_BREAKS)):
        canvas.text(slab.middle, y + n * step, words, names)
    y += line.name_lines * step
    for n, words in enumerate(broken(operation, _ROOM, _LETTERS, _OPERATION_LINES)):
        canvas.text(slab.middle, y + n * step, words, _LETTERS, color=FAINT)
    y += line.operation_lines * step
    for n, words in enumerate((layer.size, layer.field)):
        canvas.text(slab.middle, y + n * step, *fitted(words, _ROOM, _LETTERS))


def _draw_edges(canvas: Canvas, line: _Line, y: float, edges: Sequence[tuple[int, int]]) -> None:
    count = len(line.slabs)
    for a, b in ((start - line.first, stop - line.first) for start, stop in edges):
        if b - a == 1 and a < count and b >= 0:
            _stroke(canvas, _straight(a, count, y + line.arcs + line.tallest / 2), Curve.LINETO)
        elif b - a > 1 and a >= 0 and b < count:
            _stroke(canvas, _arc(line, y, a, b), Curve.CURVE4)
        elif b - a > 1:
            _stroke(canvas, _leaving(line, y, a), Curve.CURVE4)
            _stroke(canvas, _arriving(line, y, b), Curve.CURVE4)


def _stroke(canvas: Canvas, points: _Points, code: np.uint8) -> None:
    if points:
        path = Curve(points, [Curve.MOVETO, *[code] * (len(points) - 1)])
        canvas.patch(PathPatch(path, fill=False, edgecolor=_WIRE, linewidth=0.7, zorder=2))


def _straight(a: int, count: int, y: float) -> _Points:
    """From the middle of a slab to that of the next; past the line's end if that is elsewhere."""
    edges = (_MARGIN - 4, _MARGIN + count * _CELL + 4)
    return [(min(max(_MARGIN + (n + 0.5) * _CELL, edges[0]), edges[1]), y) for n in (a, a + 1)]


def _top(line: _Line, y: float, place: int) -> tuple[float, float]:
    slab = line.slabs[place]
    return slab.middle, y + line.arcs + (line.tallest - slab.extent) / 2


def _arc(line: _Line, y: float, a: int, b: int) -> _Points:
    """A cubic from top to top that clears all slabs between."""
    start, stop = _top(line, y, a), _top(line, y, b)
    summit = min(_top(line, y, place)[1] for place in range(a, b + 1)) - _lift(b - a)
    pull = (summit - (start[1] + stop[1]) / 8) / 0.75
    return [start, (start[0], pull), (stop[0], pull), stop]


def _leaving(line: _Line, y: float, a: int) -> _Points:
    """Up from a slab of this line and out at the right; nothing if the slab is on another line."""
    if not 0 <= a < len(line.slabs):
        return []
    (x, top), level, edge = _top(line, y, a), y + 3, _MARGIN + len(line.slabs) * _CELL + 4
    return [
        (x, top),
        (x, level),
        (x, level),
        (x + _CELL / 2, level),
        (edge, level),
        (edge, level),
        (edge, level),
    ]


def _arriving(line: _Line, y: float, b: int) -> _Points:
    """In from the left and down to a slab of this line; nothing if the slab is on another line."""
    if not 0 <= b < len(line.slabs):
        return []
    (x, top), level, edge = _top(line, y, b), y + 3, _MARGIN - 4
    return [
        (x, top),
        (x, level),
        (x, level),
        (x - _CELL / 2, level),
        (edge, level),
        (edge, level),
        (edge, level),
    ]
