"""Receptive fields: size, stride, start, and the boxes of single units. Integers only, no torch.

Rows and columns never mix, so everything is said once for one axis and used twice. The recurrence is the
paper's: size' = size + (k-1)*stride, stride' = stride*s, start' = start + ((k-1)/2 - pad)*stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from layerscope.errors import GeometryError
from layerscope.network.readers import Edge, Hull, Node, Reader, Uneven, Window, tidy

Span = tuple[int, int]  #: the first pixel that a position sees, and the one after the last
_NONE: Span = (1 << 40, -1)  # beyond any picture


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

    def across(self, hull: Hull | None) -> Axis | None:
        """The same of an operation whose windows lie in such a range; None where they are not whole pixels apart."""
        if hull is None:
            return None
        stride, left = self.stride * hull.step, self.left + hull.low * self.stride
        right = self.left + (hull.high - 1) * self.stride + self.size
        whole = all(number.denominator == 1 for number in (stride, left, right))
        return Axis(int(right - left), int(stride), int(left)) if whole else None

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
            fields.append(self._settled(index, None, axis) if merged is None else merged)
        return [self._settled(index, field, axis) for index, field in enumerate(fields)]

    def _settled(self, node: int, field: Axis | None, axis: int) -> Axis | None:
        """The field if it is true; else what all positions see, if that is the same."""
        if field is not None and (node not in self._strays[axis] or self._is_true(node, field, axis)):
            return field
        spans = set() if node in self._uncertain else set(self._spans[axis][node])
        first, last = spans.pop() if len(spans) == 1 else _NONE
        return Axis(size=last - first, stride=0, left=first) if first < last else None

    @cached_property
    def _uncertain(self) -> frozenset[int]:
        """Operations on whose way there are some of which nothing is known."""
        found: set[int] = set()
        for index, node in enumerate(self.nodes):
            if node.unknown or any(edge.source in found for edge in node.edges):
                found.add(index)
        return frozenset(found)

    @cached_property
    def _strays(self) -> tuple[frozenset[int], frozenset[int]]:
        """Operations on whose way, along rows or columns, positions beyond an edge read what is inside instead."""
        found: tuple[set[int], set[int]] = (set(), set())
        for index, node in enumerate(self.nodes):
            for edge in node.edges:
                for own, reader in zip(found, (edge.rows, edge.columns), strict=True):
                    if edge.source in own or (isinstance(reader, Uneven) and reader.nominal is not None):
                        own.add(index)
        return frozenset(found[0]), frozenset(found[1])

    def _is_true(self, node: int, field: Axis | None, axis: int) -> bool:
        """Whether each position sees nothing of the picture outside its field."""
        if field is None:
            return False
        spans = self._spans[axis][node]
        lefts = (field.left + i * field.stride for i in range(len(spans)))
        return all(
            first >= last or left <= first < last <= left + field.size
            for left, (first, last) in zip(lefts, spans, strict=True)
        )

    @cached_property
    def _spans(self) -> tuple[list[list[Span]], list[list[Span]]]:
        """Along rows and columns, for each operation: what each position sees."""
        return self._axis_spans(0), self._axis_spans(1)

    def _axis_spans(self, axis: int) -> list[list[Span]]:
        spans: list[list[Span]] = []
        for node in self.nodes:
            own = [
                (i, i + 1) if not node.edges and not node.unknown else _NONE for i in range(node.size[axis])
            ]
            for edge in node.edges:
                reader, length = self._reader(edge, axis), self.nodes[edge.source].size[axis]
                for i, held in enumerate(own):
                    read = [spans[edge.source][tap] for tap in reader.taps([i], length)]
                    own[i] = min([held[0], *(a for a, _ in read)]), max([held[1], *(b for _, b in read)])
            spans.append(own)
        return spans

    def _edge_field(self, node: int, edge: Edge, fields: Sequence[Axis | None], axis: int) -> Axis | None:
        reader, source = self._reader(edge, axis), fields[edge.source]
        if isinstance(reader, Window) and reader.stride == 0:
            return self._everything(node, axis)
        if source is None or source.stride == 0:
            return source
        return source.through(reader) if isinstance(reader, Window) else source.across(reader.hull)

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


def _union(one: Sequence[int], other: Sequence[int]) -> Sequence[int]:
    if one == other or not other:
        return one
    return tidy(sorted({*one, *other})) if one else other


def _both(rows: int, columns: int) -> str:
    return str(rows) if rows == columns else f"{rows}x{columns}"
