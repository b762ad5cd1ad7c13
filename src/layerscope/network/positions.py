"""Where a result's channels and positions are, and how large it is: what follows from its axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from torch import Tensor

from layerscope.network.axes import MAP
from layerscope.network.graph import Operation
from layerscope.network.layout import CHANNELS, COLUMNS, ROWS, TOKENS, Axis, Layout, Part


def size_of(operation: Operation) -> tuple[int, int]:
    """Rows and columns of a result; (1, 1) for a vector and where its axes are not known."""
    return (1, 1) if operation.layout is None else operation.layout.size


def map_size(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of maps in torch's order, of this shape: its last axes."""
    rows, columns = shape[-2:]
    return rows, columns


def channels_of(operation: Operation) -> int:
    """Channels of a result; 0 where its axes are not known."""
    return 0 if operation.axes is None or operation.layout is None else operation.layout.channels


def apart_of(operation: Operation) -> int:
    """How many tokens of a result stand for no place: class tokens and the like."""
    tokens = None if operation.layout is None else operation.layout.tokens
    return 0 if tokens is None else tokens.length - tokens.places


def arranged(operation: Operation, values: Tensor) -> Tensor:
    """A batch of results as (batch, channels, rows, columns), or (batch, channels) for vectors: a view where it can.

    Tokens that stand for no place are left out. As they are where the axes are not known.
    """
    axes, layout = operation.axes, operation.layout
    if axes is None or layout is None or axes in (MAP, (CHANNELS,)):
        return values
    for place, axis in enumerate(layout.axes):
        if axis and axis[0].along == TOKENS:
            values = values.narrow(place, axis[0].before, axis[0].places)
    parts = tuple(_cut(layout))
    order = sorted(
        range(len(parts)), key=lambda place: (_ORDER.index(parts[place].along), -parts[place].step)
    )
    moved = values.reshape(len(values), *(p.length for p in parts)).permute(
        0, *(place + 1 for place in order)
    )
    size = layout.size if layout.has_positions else ()
    return moved.reshape(len(values), layout.channels, *size)


def _cut(layout: Layout) -> Iterator[Part]:
    """The parts of each picture, its tokens as rows and columns."""
    for part in layout.parts[1:]:
        if part.along == TOKENS:
            yield from (Part(name, length) for name, length in zip((ROWS, COLUMNS), part.grid, strict=True))
        else:
            yield part


def index_of(
    operation: Operation, channel: int, row: int | None, column: int | None
) -> tuple[int | slice, ...]:
    """Where a channel is in one result, at a position or (None) at all of them."""
    found: list[int | slice] = []
    for axis in reversed(operation.layout.axes[1:] if operation.layout is not None else ()):
        length = prod(part.length for part in axis)
        if all(part.along == CHANNELS for part in axis):
            channel, place = divmod(channel, length)
            found.append(place)
        else:
            found.append(_places(axis, row, column))
    return tuple(reversed(found))


def _places(axis: Axis, row: int | None, column: int | None) -> int | slice:
    """Where a position is along an axis, or all of them."""
    tokens = axis[0] if axis[0].along == TOKENS else None
    if row is None or column is None:
        return slice(None) if tokens is None else slice(tokens.before, tokens.before + tokens.places)
    if tokens is not None:
        return tokens.before + row * tokens.grid[1] + column
    place = 0
    for part in axis:
        place = place * part.length + part.digit(row if part.along == ROWS else column)
    return place


_ORDER = (CHANNELS, ROWS, COLUMNS)  # of arranged parts; those of channels in their own order
