"""What is excited, and with which pixels: those that one unit of a channel sees and a margin, or the whole input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import NetworkError
from layerscope.network.axes import POINTWISE
from layerscope.network.geometry import ReceptiveField
from layerscope.network.graph import Operation, Parameter
from layerscope.network.layers import Layer
from layerscope.network.network import Network, Unit
from layerscope.network.positions import arranged, size_of
from layerscope.network.tracing import float32, in_own_precision
from layerscope.reconstruction.descent import Class

_SIZELESS = POINTWISE | {"conv2d", "max_pool2d", "avg_pool2d"}  #: run on maps of any size
_PER_CHANNEL = frozenset({"batch_norm", "prelu", "conv2d"})  #: whose tensors are no maps


@dataclass(frozen=True, eq=False)
class Canvas:
    """Pixels, ``height`` by ``width``, and where the channels of a layer, or the classes, are read.

    ``row`` and ``column``: of the unit nearest the middle, in what the layer makes of the pixels; None where there
    are no positions. ``operation``: whose values are raised; ``rectified``: the layer hands on what is above 0 of
    them. ``layer``: None for classes. ``beyond``: rows beneath and columns to the right that are added where branches
    meet: with them these round sizes as on the whole input. ``seen``: rows and columns, of all these, that are run for
    the unit: what it sees, from a whole step of the layer on; ``before``: positions of the layer above and left.
    """

    network: Network
    layer: Layer | None
    height: int
    width: int
    row: int | None
    column: int | None
    operation: Operation
    rectified: bool
    beyond: tuple[int, int] = (0, 0)
    seen: tuple[slice, slice] = (slice(None), slice(None))
    before: tuple[int, int] = (0, 0)

    def values(self, inputs: Tensor) -> Tensor:
        """Of each channel's unit for preprocessed pixels (rows, channels, height, width): (rows, layer channels)."""
        run = self.whole(inputs)[..., self.seen[0], self.seen[1]]
        found = result_of(self.network, self.operation.index, run)
        return self.of_unit(arranged(self.operation, found), self.before)

    def whole(self, inputs: Tensor) -> Tensor:
        """Preprocessed pixels with what is added beyond them, which the unit does not see."""
        rows, columns = self.beyond
        return F.pad(inputs, (0, columns, 0, rows)) if rows or columns else inputs

    def of_unit(self, maps: Tensor, before: tuple[int, int] = (0, 0)) -> Tensor:
        """Of maps (rows, layer channels, ...) of all of it, or without so many rows and columns before, what is at the
        unit: (rows, layer channels)."""
        if self.row is None or self.column is None:
            return maps
        return maps[:, :, self.row - before[0], self.column - before[1]]

    @property
    def sees(self) -> tuple[int, int]:
        """Of how many rows and columns of pixels a unit is made: all, where that is not known."""
        sides = (self.height, self.width)
        field = None if self.layer is None else self.layer.field
        return sides if field is None else (min(field.size[0], sides[0]), min(field.size[1], sides[1]))

    def seed(self, channel: int) -> Unit | Class:
        """What is excited: a channel's unit, by its position in what the layer makes of the pixels, or a class."""
        if self.layer is None:
            return Class(channel)
        return Unit(self.layer.name, channel, self.row, self.column)


def canvas_of(network: Network, layer: Layer, margin: int) -> Canvas:
    """The canvas of a layer: what a unit sees and ``margin`` pixels around it, no larger than the network's input.

    All of the input where the layer's units see no box of one size, and where an operation on the way takes pictures
    of one size only. What the layer's own rectifier leaves of a value below 0 has no derivative: the value before it
    is raised. Raises NetworkError for a layer whose channels are not known or that no picture can change.
    """
    layer = network.mapped_layer(layer.name)
    operation = _before_rectifier(network, network.graph.operations[layer.result])
    if not operation.carries:
        raise NetworkError(
            f"{layer.name} ({layer.operation}) is not made of the picture; choose another layer"
        )
    height, width = full = network.input_shape[1:]
    rectified = operation.index != layer.result
    if not layer.has_positions:
        return Canvas(network, layer, height, width, None, None, operation, rectified)
    field = layer.field if _is_sizeless(network, operation) else None
    if field is not None:
        height, width = (min(side + 2 * margin, most) for side, most in zip(field.size, full, strict=True))
    row, column = _middle(network, layer, (height, width))
    canvas = Canvas(network, layer, height, width, row, column, operation, rectified)
    if field is None:
        return canvas
    if _branches_meet(network, operation):
        rows, columns = (
            (most - side) % stride if stride else 0
            for side, most, stride in zip((height, width), full, field.stride, strict=True)
        )
        canvas = replace(canvas, beyond=(rows, columns))
    return _cut(canvas, field, row, column)


def _cut(canvas: Canvas, field: ReceptiveField, row: int, column: int) -> Canvas:
    """The same; of its pixels no more are run than the unit sees, in whole steps of the layer from both ends: branches
    round sizes as they do on all of it."""
    box, seen, before = field.box(row, column), list[slice](), list[int]()
    rows, columns = canvas.height + canvas.beyond[0], canvas.width + canvas.beyond[1]
    ends = (box.top, box.bottom, rows), (box.left, box.right, columns)
    for (start, end, side), stride in zip(ends, field.stride, strict=True):
        steps = max(0, start) // stride if stride else 0
        least = min(side, max(1, end))
        rest = (side - least) % stride if stride else side - least
        seen.append(slice(steps * stride, least + rest))
        before.append(steps)
    return replace(canvas, seen=(seen[0], seen[1]), before=(before[0], before[1]))


def _branches_meet(network: Network, top: Operation) -> bool:
    """Whether an operation on the way joins several that are made of the picture."""
    operations = network.graph.operations
    return any(
        sum(operations[index].carries for index in one.inputs) > 1 for one in _leading_to(network, top)
    )


def canvas_of_classes(network: Network) -> Canvas:
    """The whole input, for the scores of the classes. Raises NetworkError of a network that has none."""
    operation = network.graph.operations[network.scores]
    return Canvas(network, None, *network.input_shape[1:], None, None, operation, rectified=False)


def _before_rectifier(network: Network, operation: Operation) -> Operation:
    while operation.rectifies and operation.axes is not None:
        operation = network.graph.operations[operation.inputs[0]]
    return operation


def _is_sizeless(network: Network, top: Operation) -> bool:
    """Whether all that leads to an operation takes pictures of any size."""
    return all(
        operation.kind in _SIZELESS and not _holds_maps(network, operation)
        for operation in _leading_to(network, top)
    )


def _leading_to(network: Network, top: Operation) -> Iterator[Operation]:
    """An operation and all before it that it is made of, but the picture, from the last to the first."""
    reached = {top.index}
    for operation in reversed(network.graph.operations[1 : top.index + 1]):
        if operation.index in reached:
            reached.update(operation.inputs)
            yield operation


def _holds_maps(network: Network, operation: Operation) -> bool:
    """Whether it joins a tensor of the network to its input that is as large as a map."""
    if operation.kind in _PER_CHANNEL:
        return False
    own = [value.name for value in operation.arguments.values() if isinstance(value, Parameter)]
    return any(max(network.graph.tensors[name].shape[-2:], default=1) > 1 for name in own)


def _middle(network: Network, layer: Layer, sides: tuple[int, int]) -> tuple[int, int]:
    """The position whose field lies nearest the middle of so many pixels."""
    if layer.field is None:
        rows, columns = size_of(network.graph.operations[layer.result])
        return rows // 2, columns // 2
    starts, strides = layer.field.start, layer.field.stride
    row, column = (
        max(0, round(((side - 1) / 2 - start) / stride)) if stride else 0
        for side, start, stride in zip(sides, starts, strides, strict=True)
    )
    return min(row, layer.size[0] - 1), min(column, layer.size[1] - 1)


def result_of(network: Network, operation: int, inputs: Tensor) -> Tensor:
    """What an operation gives for preprocessed pictures of any size that it takes; derivatives lead back to them."""
    return results_of(network, inputs, (operation,))[operation]


def results_of(network: Network, inputs: Tensor, operations: Sequence[int]) -> dict[int, Tensor]:
    """As `result_of`, of several operations; 0: the pictures."""
    with in_own_precision(), float32():
        return network.graph.run(inputs, max(operations), frozenset(operations))


def inputs_of(network: Network, pictures: Tensor) -> Tensor:
    """Pictures (rows, channels, height, width), 0 and 1 what is shown black and white, as the network takes them."""
    low, high = network.preprocessing.shown_range
    pixels = pictures.to(network.device, network.dtype)
    return network.preprocessing.normalised(
        pixels if (low, high) == (0.0, 1.0) else low + (high - low) * pixels
    )


def colours_of(network: Network) -> tuple[int, ...] | None:
    """Which channels of the network's input are red, green and blue; None where it is not shown in colours."""
    channels = np.arange(network.input_shape[0])
    shown = network.preprocessing.one(channels[None, None])[0, 0]
    return tuple(shown.tolist()) if len(set(shown.tolist())) == len("rgb") else None
