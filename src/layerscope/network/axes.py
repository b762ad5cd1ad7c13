"""What each axis of a result goes along: its channels, rows or columns, followed from operation to operation.

Convolutions and pools give (channels, rows, columns). Others keep, move, merge or drop the axes of what they read,
or mix them; then nothing is known of the result, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor

from layerscope.network.graph import Axes, Operation

CHANNELS, ROWS, COLUMNS = "channels", "rows", "columns"
POSITIONS = "positions"  #: rows and columns as one axis, perhaps with others: tokens
ONE = ""  #: an axis of length 1 that goes along nothing
MAP: Axes = (CHANNELS, ROWS, COLUMNS)

POINTWISE = frozenset(
    (
        "batch_norm relu relu6 hardtanh silu sigmoid gelu hardswish hardsigmoid leaky_relu elu tanh mish "
        "softplus prelu selu celu clamp clamp_min dropout add sub mul div neg abs exp log sqrt pow to "
        "cat softmax log_softmax"
    ).split()
)  #: output position i reads input position i (or the only one there is)
_MAPPED = frozenset(
    "conv2d max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d pixel_shuffle pixel_unshuffle".split()
)  #: take and give maps in torch's order
_KEPT = frozenset(
    (
        "layer_norm rms_norm group_norm instance_norm pad constant_pad_nd narrow slice roll flip "
        "scaled_dot_product_attention"
    ).split()
)  #: the axes of the first operand stay


def find_axes(operation: Operation, inputs: Sequence[Operation]) -> Axes | None:
    """The axes of an operation's result, the batch left out; None: not known. ``inputs``: what it reads.

    A result of one axis is a vector of channels unless it is known to be something else.
    """
    if not operation.batch_first:
        return None
    found = _found(operation, inputs)
    if found is None or not _is_sound(found, operation.shape):
        return (CHANNELS,) if len(operation.shape) == 1 else None
    return found


def _found(operation: Operation, inputs: Sequence[Operation]) -> Axes | None:
    if operation.kind in POINTWISE:
        return _aligned(operation, inputs)
    source = inputs[0] if inputs and inputs[0].batch_first else None
    if operation.kind in _MAPPED:
        return MAP if source is None or source.axes is None or _is_map(source.axes) else None
    if source is None or source.axes is None:
        return None
    if operation.kind in _KEPT:
        return source.axes
    rule = _RULES.get(operation.kind)
    if rule is not None:
        return rule(operation, source, source.axes)
    return MAP if _is_map(source.axes) else None  # as all of torch's own for maps


def _is_map(axes: Axes) -> bool:
    return len(axes) == len(MAP) and all(axis in (name, ONE) for axis, name in zip(axes, MAP, strict=True))


def _is_sound(axes: Axes, shape: Sequence[int]) -> bool:
    """Whether each axis is named, and one that is not of channels once."""
    if len(axes) != len(shape):
        return False
    along = [axis for axis in axes if axis not in (CHANNELS, ONE)]
    named = all(axis != ONE or length == 1 for axis, length in zip(axes, shape, strict=True))
    return named and len(set(along)) == len(along) and not (POSITIONS in along and len(along) > 1)


def _aligned(operation: Operation, inputs: Sequence[Operation]) -> Axes | None:
    """Of operands side by side, the axes that those of the same length have; None if they contradict each other."""
    shape = operation.shape
    joined = int(operation.arguments["dim"]) % (len(shape) + 1) - 1 if operation.kind == "cat" else -1
    known = [i for i in inputs if i.batch_first and i.axes is not None and len(i.shape) == len(shape)]
    found = []
    for place, length in enumerate(shape):
        names = {
            i.axes[place]
            for i in known
            if i.axes is not None and (i.shape[place] == length or place == joined)
        } - {ONE}
        if len(names) > 1 or not (names or length == 1):
            return None
        found.append(names.pop() if names else ONE)
    return tuple(found)


def _place(argument: Any, source: Operation) -> int:
    """The axis of a result that torch's number means, the batch left out: -1 is the batch."""
    return int(argument) % (len(source.shape) + 1) - 1


def _permute(operation: Operation, source: Operation, axes: Axes) -> Axes | None:
    order = [_place(axis, source) for axis in operation.arguments["dims"]]
    return tuple(axes[place] for place in order[1:]) if order[0] == -1 else None


def _transpose(operation: Operation, source: Operation, axes: Axes) -> Axes | None:
    one, other = (_place(operation.arguments[name], source) for name in ("dim0", "dim1"))
    if -1 in (one, other):
        return axes if one == other else None
    moved = list(axes)
    moved[one], moved[other] = moved[other], moved[one]
    return tuple(moved)


def _reduce(operation: Operation, source: Operation, axes: Axes) -> Axes | None:
    asked = operation.arguments.get("dim")
    gone = {_place(axis, source) for axis in ([asked] if isinstance(asked, int) else asked or [])}
    if not gone or -1 in gone:
        return None
    if operation.arguments.get("keepdim"):
        return axes
    return tuple(axis for place, axis in enumerate(axes) if place not in gone)


def _unsqueeze(operation: Operation, source: Operation, axes: Axes) -> Axes | None:
    place = int(operation.arguments["dim"]) % (len(axes) + 2) - 1
    return (*axes[:place], ONE, *axes[place:]) if place >= 0 else None


def _linear(operation: Operation, source: Operation, axes: Axes) -> Axes | None:
    """A weighted sum along the last axis: of channels it makes channels, of anything else nobody knows."""
    return (*axes[:-1], CHANNELS) if axes[-1] in (CHANNELS, ONE) else None


def _reshape(operation: Operation, source: Operation, axes: Axes) -> Axes | None:
    """Channels may be cut and merged; rows and columns stay, become positions, or all become a vector."""
    if operation.shape == source.shape:
        return axes
    old = [(axis, length) for axis, length in zip(axes, source.shape, strict=True) if length > 1]
    long = [length for length in operation.shape if length > 1]
    found: list[str] = []
    for first, names, count in _groups(old, long):
        new = _regrouped(names, count, alone=first and count == len(long))
        if new is None:
            return None
        found += [new] * count
    rest = iter(found)
    return tuple(next(rest) if length > 1 else ONE for length in operation.shape)


def _regrouped(names: Sequence[str], count: int, *, alone: bool) -> str | None:
    """What the axes go along that so many old ones become; ``alone``: they are all that there are."""
    if set(names) <= {CHANNELS} or (len(names) == 1 and count == 1):
        return names[0] if names else CHANNELS
    if names == [ROWS, COLUMNS] and count == 1 and not alone:
        return POSITIONS
    return CHANNELS if alone and count == 1 else None


def _groups(old: Sequence[tuple[str, int]], new: Sequence[int]) -> Iterator[tuple[bool, list[str], int]]:
    """Axes that become others, the fewest at a time: whether they are the first, their names, and how many others."""
    i = j = 0
    while i < len(old) and j < len(new):
        start, before, after = (i, j), [old[i]], [new[j]]
        i, j = i + 1, j + 1
        while (held := prod(n for _, n in before)) != (wanted := prod(after)):
            if held < wanted:
                before.append(old[i])
                i += 1
            else:
                after.append(new[j])
                j += 1
        yield start == (0, 0), [name for name, _ in before], len(after)


_RULES: Mapping[str, Callable[[Operation, Operation, Axes], Axes | None]] = {
    "permute": _permute,
    "transpose": _transpose,
    **dict.fromkeys(("flatten", "reshape", "unflatten", "squeeze"), _reshape),
    "unsqueeze": _unsqueeze,
    **dict.fromkeys(("mean", "sum", "amax", "amin", "select"), _reduce),
    "linear": _linear,
}


# ------------------------------------------------------------------ what follows from them


def size_of(operation: Operation) -> tuple[int, int]:
    """Rows and columns of a result; (1, 1) for a vector and where its axes are not known."""
    lengths = dict(zip(operation.axes or (), operation.shape, strict=False))
    return lengths.get(POSITIONS, lengths.get(ROWS, 1)), lengths.get(COLUMNS, 1)


def map_size(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of maps in torch's order, of this shape: its last axes."""
    rows, columns = shape[-2:]
    return rows, columns


def channels_of(operation: Operation) -> int:
    """Channels of a result; 0 where its axes are not known."""
    if operation.axes is None:
        return 0
    pairs = zip(operation.axes, operation.shape, strict=True)
    return prod(length for axis, length in pairs if axis in (CHANNELS, ONE))


def arranged(operation: Operation, values: Tensor) -> Tensor:
    """A batch of results as (batch, channels, rows, columns), or (batch, channels) for vectors: a view where it can.

    As they are where the axes are not known.
    """
    axes = operation.axes
    if axes is None or axes in (MAP, (CHANNELS,)):
        return values
    order = sorted(range(len(axes)), key=lambda place: _ORDER.index(axes[place]))
    size = () if set(axes) <= {CHANNELS, ONE} else size_of(operation)
    moved = values.permute(0, *(place + 1 for place in order))
    return moved.reshape(values.shape[0], channels_of(operation), *size)


def index_of(
    operation: Operation, channel: int, row: int | None, column: int | None
) -> tuple[int | slice, ...]:
    """Where a channel is in one result, at a position or (None) at all of them."""
    found: list[int | slice] = []
    for axis, length in reversed(tuple(zip(operation.axes or (), operation.shape, strict=True))):
        if axis in (CHANNELS, ONE):
            channel, place = divmod(channel, length)
            found.append(place)
        else:
            at = column if axis == COLUMNS else row
            found.append(slice(None) if at is None else at)
    return tuple(reversed(found))


_ORDER = (CHANNELS, ONE, POSITIONS, ROWS, COLUMNS)  # of arranged axes; those of channels in their own order
