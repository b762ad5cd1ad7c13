"""The footprint of every operation that one position of a layer sees, down to the picture. Integers only, no torch.

Rows and columns never mix, so everything is said once for one axis and used twice. Unlike a receptive field, a
footprint is cut off where the map ends: what lies outside is padding, and nobody needs to compute it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from layerscope.errors import GeometryError
from layerscope.network.geometry import Geometry
from layerscope.network.readers import Reader, Window


@dataclass(frozen=True)
class Reach:
    """One axis of how a footprint reads its input's footprint: what it needs ``before`` and ``after`` it.

    Positive: that many positions of padding. Negative: so many positions at that end are read by others only.
    """

    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class Track:
    """One axis of a way down, wherever it starts: positions with equal tracks are computed alike, as one batch.

    ``lengths``: (operation, length of its footprint). ``reaches``: (operation, input, reach).
    """

    lengths: tuple[tuple[int, int], ...]
    reaches: tuple[tuple[int, int, Reach], ...]

    @cached_property
    def length(self) -> Mapping[int, int]:
        """Length of each operation's footprint."""
        return dict(self.lengths)

    @cached_property
    def reach(self) -> Mapping[tuple[int, int], Reach]:
        """How each operation (first) reads the footprint of each of its inputs (second)."""
        return {(index, source): reach for index, source, reach in self.reaches}


@dataclass(frozen=True)
class Path:
    """One axis of the way down from one position: a track, and where each operation's footprint starts."""

    track: Track
    starts: Mapping[int, int]

    def span(self, index: int) -> slice:
        """The positions of an operation's map that its footprint holds."""
        return slice(self.starts[index], self.starts[index] + self.track.length[index])


def trace(
    geometry: Geometry, whole: Mapping[int, tuple[int, ...]], node: int, axis: int, position: int
) -> Path:
    """What one position of an operation sees, along rows (``axis`` 0) or columns (1).

    Where several read the same operation its footprint is the smallest that holds what all of them read. Operations
    in ``whole`` (their inputs beside them), and these inputs, are taken with all of their positions. Raises
    GeometryError for an operation outside ``whole`` that has no footprint.
    """
    spans = {node: (position, position + 1)}
    order = []
    for index in range(node, -1, -1):
        if index not in spans:
            continue
        order.append(index)
        if index in whole:
            spans[index] = (0, geometry.nodes[index].size[axis])
        for source, (first, last) in _reads(geometry, whole, index, axis, spans[index]).items():
            held = _within(first, last, geometry.nodes[source].size[axis])
            spans[source] = _hull(held, spans.get(source, held))
    track = Track(
        tuple((index, spans[index][1] - spans[index][0]) for index in order),
        tuple(
            (index, source, Reach(spans[source][0] - first, last - spans[source][1]))
            for index in order
            for source, (first, last) in _reads(geometry, whole, index, axis, spans[index]).items()
        ),
    )
    return Path(track, {index: spans[index][0] for index in order})


def _reads(
    geometry: Geometry, whole: Mapping[int, tuple[int, ...]], index: int, axis: int, span: tuple[int, int]
) -> dict[int, tuple[int, int]]:
    """For each input the first position that the span reads and the one after the last, padding included."""
    if index in whole:
        return {source: (0, geometry.nodes[source].size[axis]) for source in whole[index]}
    return {edge.source: _read((edge.rows, edge.columns)[axis], span) for edge in geometry.nodes[index].edges}


def _read(reader: Reader, span: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(reader, Window) or reader.stride == 0:
        raise GeometryError("an operation whose positions all see the same has no footprint; take it whole")
    first = span[0] * reader.stride - reader.pad
    last = (span[1] - 1) * reader.stride - reader.pad + (reader.kernel - 1) * reader.dilation + 1
    return first, last


def _within(first: int, last: int, length: int) -> tuple[int, int]:
    """The part inside the map; the position at the edge where nothing is."""
    start = min(max(0, first), length - 1)
    return start, max(start + 1, min(last, length))


def _hull(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])
