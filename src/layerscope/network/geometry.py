"""Receptive fields: size, stride, start, and the boxes of single units. Integers only, no torch.

Rows and columns never mix, so everything is said once for one axis and used twice. The recurrence is the
paper's: size' = size + (k-1)*stride, stride' = stride*s, start' = start + ((k-1)/2 - pad)*stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from layerscope.errors import GeometryError


@dataclass(frozen=True)
class Window:
    """How one axis of an operation reads its input: output i reads ``kernel`` taps from ``i*stride - pad`` on.

    A stride of 0 means that every output reads the same taps (a linear layer, a global pool).
    """

    kernel: int = 1
    stride: int = 1
    pad: int = 0
    dilation: int = 1

    def taps(self, outputs: Sequence[int], length: int) -> Sequence[int]:
        """Input positions inside ``[0, length)`` that the given output positions (ascending) read, ascending."""
        if not outputs:
            return range(0)
        gapless = self.dilation == 1 and (self.stride <= self.kernel or len(outputs) == 1)
        if gapless and isinstance(outputs, range):
            first = outputs[0] * self.stride - self.pad
            last = outputs[-1] * self.stride - self.pad + self.kernel
            return range(max(0, first), max(0, min(length, last)))
        starts = (i * self.stride - self.pad for i in outputs)
        taps = {s + k * self.dilation for s in starts for k in range(self.kernel)}
        return _tidy(sorted(t for t in taps if 0 <= t < length))


@dataclass(frozen=True)
class Uneven:
    """One axis of an adaptive pool whose windows differ: output i reads ``[starts[i], ends[i])``."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def taps(self, outputs: Sequence[int], length: int) -> Sequence[int]:
        """Input positions that the given output positions read, ascending."""
        read = {t for i in outputs for t in range(self.starts[i], min(self.ends[i], length))}
        return _tidy(sorted(read))


Reader = Window | Uneven


def adaptive(length: int, outputs: int) -> Reader:
    """How an adaptive pool from ``length`` to ``outputs`` positions reads one axis."""
    starts = tuple(i * length // outputs for i in range(outputs))
    ends = tuple(-((i + 1) * length // -outputs) for i in range(outputs))
    kernels = {end - start for start, end in zip(starts, ends, strict=True)}
    strides = {b - a for a, b in pairwise(starts)}
    if outputs == 1:
        return Window(kernel=length, stride=0)
    if len(kernels) == len(strides) == 1:
        return Window(kernel=kernels.pop(), stride=strides.pop())
    return Uneven(starts, ends)


@dataclass(frozen=True)
class Axis:
    """A receptive field along one axis, in pixels: position i sees ``[left + i*stride, left + i*stride + size)``."""

    size: int
    stride: int
    left: int

    @property
    def start(self) -> float:
        """Centre of the first position's field; 0 is the centre of the first pixel."""
        return self.left + (self.size - 1) / 2

    def through(self, window: Window) -> Axis:
        """The field of an operation with this window, on top of an input with this field."""
        reach = (window.kernel - 1) * window.dilation
        return Axis(
            size=self.size + reach * self.stride,
            stride=self.stride * window.stride,
            left=self.left - window.pad * self.stride,
        )

    def hull(self, other: Axis) -> Axis:
        """The smallest field that holds both, which must have the same stride."""
        left = min(self.left, other.left)
        right = max(self.left + self.size, other.left + other.size)
        return Axis(size=right - left, stride=self.stride, left=left)


@dataclass(frozen=True)
class Box:
    """Pixels ``top <= row < bottom``, ``left <= column < right``; may reach outside the picture."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows in the box."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns in the box."""
        return self.right - self.left

    def inside(self, height: int, width: int) -> Box:
        """The part of the box within a picture of ``height`` x ``width``; empty at its edge if there is none."""
        rows = (min(max(0, edge), height) for edge in (self.top, self.bottom))
        columns = (min(max(0, edge), width) for edge in (self.left, self.right))
        (top, bottom), (left, right) = rows, columns
        return Box(top, left, bottom, right)

    def outside(self, height: int, width: int) -> tuple[int, int, int, int]:
        """How many rows or columns stick out at the top, left, bottom and right of the picture."""
        return max(0, -self.top), max(0, -self.left), max(0, self.bottom - height), max(0, self.right - width)


@dataclass(frozen=True)
class ReceptiveField:
    """What one position of a layer sees of the picture. ``stride`` 0: every position sees the same."""

    rows: Axis
    columns: Axis

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rows.size, self.columns.size

    @property
    def stride(self) -> tuple[int, int]:
        """Step between the fields of neighbouring positions, in pixels, down and across."""
        return self.rows.stride, self.columns.stride

    @property
    def start(self) -> tuple[float, float]:
        """Centre of the field of position (0, 0): row and column in pixels."""
        return self.rows.start, self.columns.start

    def box(self, row: int, column: int) -> Box:
        """The exact pixels under position (row, column), the part outside the picture included."""
        top = self.rows.left + row * self.rows.stride
        left = self.columns.left + column * self.columns.stride
        return Box(top, left, top + self.rows.size, left + self.columns.size)

    def __str__(self) -> str:
        size, stride = (_both(*pair) for pair in (self.size, self.stride))
        return f"{size}/{stride}"


@dataclass(frozen=True)
class Edge:
    """One input of an operation and how its rows and columns are read."""

    source: int
    rows: Reader
    columns: Reader


@dataclass(frozen=True)
class Node:
    """An operation as geometry sees it: output height and width, inputs; ``unknown`` says why nothing is known."""

    size: tuple[int, int]
    edges: tuple[Edge, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Geometry:
    """The receptive fields of every operation of a network; node 0 is the picture, sources come before users."""

    nodes: tuple[Node, ...]

    @cached_property
    def fields(self) -> tuple[ReceptiveField | None, ...]:
        """Receptive field of each operation; None where its positions see boxes of no common size and stride."""
        rows, columns = self._axis_fields(0), self._axis_fields(1)
        pairs = zip(rows, columns, strict=True)
        return tuple(None if r is None or c is None else ReceptiveField(r, c) for r, c in pairs)

    def seen(self, node: int, rows: Sequence[int], columns: Sequence[int]) -> Box:
        """The smallest box of the picture that reaches the given positions of an operation; never outside it.

        Smaller than the receptive field where the field sticks out, or where a ceil-mode window ends early.
        """
        found = (self._taps(node, axis, positions) for axis, positions in enumerate((rows, columns)))
        (top, bottom), (left, right) = ((t[0], t[-1] + 1) if t else (0, 0) for t in found)
        return Box(top, left, bottom, right)

    def _axis_fields(self, axis: int) -> list[Axis | None]:
        fields: list[Axis | None] = []
        for index, node in enumerate(self.nodes):
            if not node.edges:
                fields.append(None if node.unknown else Axis(size=1, stride=1, left=0))
                continue
            merged = self._edge_field(index, node.edges[0], fields, axis)
            for edge in node.edges[1:]:
                merged = self._merge(index, merged, self._edge_field(index, edge, fields, axis), axis)
            fields.append(merged)
        return fields

    def _edge_field(self, node: int, edge: Edge, fields: Sequence[Axis | None], axis: int) -> Axis | None:
        reader, source = self._reader(edge, axis), fields[edge.source]
        if isinstance(reader, Window) and reader.stride == 0:
            return self._everything(node, axis)
        if source is None or source.stride == 0 or isinstance(reader, Uneven):
            return source if source is not None and source.stride == 0 else None
        return source.through(reader)

    def _merge(self, node: int, one: Axis | None, other: Axis | None, axis: int) -> Axis | None:
        if one is None or other is None:
            return None
        if one.stride == other.stride != 0:
            return one.hull(other)
        return self._everything(node, axis) if 0 in (one.stride, other.stride) else None

    def _everything(self, node: int, axis: int) -> Axis | None:
        """The field of positions that all see the same: what all of them see together."""
        try:
            taps = self._taps(node, axis, range(self.nodes[node].size[axis]))
        except GeometryError:
            return None
        return Axis(size=taps[-1] + 1 - taps[0], stride=0, left=taps[0]) if taps else Axis(0, 0, 0)

    def _reader(self, edge: Edge, axis: int) -> Reader:
        return edge.columns if axis else edge.rows

    def _taps(self, node: int, axis: int, positions: Sequence[int]) -> Sequence[int]:
        needed: dict[int, Sequence[int]] = {node: positions}
        for index in range(node, 0, -1):
            outputs = needed.pop(index, None)
            if outputs is None:
                continue
            if self.nodes[index].unknown:
                raise GeometryError(self.nodes[index].unknown)
            for edge in self.nodes[index].edges:
                length = self.nodes[edge.source].size[axis]
                taps = self._reader(edge, axis).taps(outputs, length)
                needed[edge.source] = _union(needed.get(edge.source, range(0)), taps)
        return needed[0]


def _tidy(positions: list[int]) -> Sequence[int]:
    """The same ascending positions, as a range where they have no gaps."""
    if positions and positions[-1] - positions[0] + 1 == len(positions):
        return range(positions[0], positions[-1] + 1)
    return positions


def _union(one: Sequence[int], other: Sequence[int]) -> Sequence[int]:
    if one == other or not other:
        return one
    return _tidy(sorted({*one, *other})) if one else other


def _both(rows: int, columns: int) -> str:
    return str(rows) if rows == columns else f"{rows}x{columns}"
