"""Convolutions prepared once for many calls: forward, and the way back.

On a CPU torch hands convolutions to oneDNN, which wants the filters in a layout of its own and makes it anew at
every call; for small maps that takes longer than the convolution. Prepared ones keep it, and rectify what they
give before it leaves the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.kernels import onednn
from layerscope.kernels.onednn import Placing, Shape
from layerscope.network.graph import Graph, Operation, Parameter
from layerscope.network.readers import Window
from layerscope.network.receptive_fields import windows

_KEPT = 32  # layouts of one convolution


@dataclass(frozen=True, eq=False)
class Packed:
    """Filters in oneDNN's layout, which depends on the shape of the input.

    In the layout of another number of rows oneDNN can be thirty times as slow (bfloat16, 384 outputs). So in bfloat16
    it is made for each shape that comes, once; in float32 one for all of them was not seen to matter.
    """

    weight: Tensor
    axes: tuple[Window, Window]
    groups: int
    size: tuple[int, int]  #: height and width of the input that it is made for
    made: dict[Shape, Tensor] = field(default_factory=dict)

    def fitting(self, shape: Sequence[int]) -> Tensor:
        """For inputs of ``shape`` (rows, channels, height, width)."""
        varies = self.weight.dtype is torch.bfloat16
        key = Shape(max(1, shape[0]), shape[2], shape[3]) if varies else Shape(1, *self.size)
        packed = self.made.get(key)
        if packed is None:
            if len(self.made) == _KEPT:
                self.made.clear()
            packed = self.made[key] = onednn.pack(self.weight, _placing(self.axes, self.groups), key)
        return packed


def _placing(axes: tuple[Window, Window], groups: int) -> Placing:
    rows, columns = axes
    return Placing(
        (rows.stride, columns.stride), (rows.pad, columns.pad), (rows.dilation, columns.dilation), groups
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A convolution in oneDNN's layout."""

    weight: Packed
    bias: Tensor | None
    axes: tuple[Window, Window]  #: their ``pad`` is on both sides
    groups: int

    def __call__(self, values: Tensor, *, rectify: bool = False) -> Tensor:
        """The convolution of (rows, channels, height, width); ``rectify`` sets negative values to zero."""
        values = values.to(self.weight.weight.dtype)
        packed = self.weight.fitting(values.shape)
        return onednn.convolve(values, packed, self.bias, _placing(self.axes, self.groups), rectify=rectify)


@dataclass(frozen=True, eq=False)
class Transposed:
    """The way back through a convolution, to inputs of ``size`` (height, width)."""

    weight: Tensor
    axes: tuple[Window, Window]
    groups: int
    size: tuple[int, int]
    flipped: Prepared | None  #: of stride 1: the convolution with the flipped filters, which is the same

    def __call__(self, signal: Tensor, *, rectify: bool = False) -> Tensor:
        """The signal (rows, channels, height, width) at the input; ``rectify`` sets negative values to zero."""
        if self.flipped is not None:
            back = self.flipped(signal, rectify=rectify)
        else:
            back = self._plain(signal)
            back = rectify_(back) if rectify else back
        return back[..., : self.size[0], : self.size[1]]  # "same" padding of an even kernel has one more

    def _plain(self, signal: Tensor) -> Tensor:
        missing = [
            n + 2 * w.pad - (s - 1) * w.stride - w.dilation * (w.kernel - 1) - 1
            for n, w, s in zip(self.size, self.axes, signal.shape[-2:], strict=True)
        ]
        return F.conv_transpose2d(
            signal,
            self.weight,
            stride=[w.stride for w in self.axes],
            padding=[w.pad for w in self.axes],
            output_padding=[max(0, m) for m in missing],
            groups=self.groups,
            dilation=[w.dilation for w in self.axes],
        )


def transpose(weight: Tensor, axes: tuple[Window, Window], groups: int, size: tuple[int, int]) -> Transposed:
    """Prepare the way back through a convolution with this weight, to inputs of ``size``."""
    within = all(w.stride == 1 and w.dilation * (w.kernel - 1) >= w.pad for w in axes)
    if not (_can_prepare(weight, None) and within and groups == 1):
        return Transposed(weight, axes, groups, size, None)
    rows, columns = (Window(w.kernel, 1, w.dilation * (w.kernel - 1) - w.pad, w.dilation) for w in axes)
    outputs = [n + 2 * w.pad - w.dilation * (w.kernel - 1) for n, w in zip(size, axes, strict=True)]
    return Transposed(weight, axes, groups, size, _prepare(_turn(weight), None, (rows, columns), 1, outputs))


def _turn(weight: Tensor) -> Tensor:
    """Filters (outputs, inputs, ...) as (inputs, outputs, ...), flipped in both axes, channels-last.

    As one plain transposition, which torch does several times as fast as the copy of a permuted view.
    """
    outputs, inputs, height, width = weight.shape
    taps = weight.permute(0, 2, 3, 1).reshape(outputs, -1).t().contiguous()
    turned = taps.view(-1, inputs, outputs).flip(0).transpose(0, 1).contiguous()
    return turned.view(inputs, height, width, outputs).permute(0, 3, 1, 2)


def prepare_convolutions(graph: Graph, upto: int) -> dict[int, Prepared]:
    """What ``graph.run`` may do in place of its convolutions up to an operation; nothing where torch has nothing."""
    convolutions = (op for op in graph.operations[: upto + 1] if op.kind == "conv2d")
    made = {operation.index: _prepare_operation(graph, operation) for operation in convolutions}
    return {index: one for index, one in made.items() if one is not None}


def prepare_forward(graph: Graph, upto: int, keep: frozenset[int]) -> dict[int, Callable[[Tensor], Tensor]]:
    """The same, but a ReLU after one is done with it, which makes zeros of NaN. ``keep``: results that are wanted."""
    done: dict[int, Callable[[Tensor], Tensor]] = {}
    for index, made in prepare_convolutions(graph, upto).items():
        users = graph.users[index]
        rectify = len(users) == 1 and graph.operations[users[0]].kind == "relu" and index not in keep
        done[index] = Rectified(made) if rectify else made
        if rectify:
            done[users[0]] = _same
    return done


@dataclass(frozen=True, eq=False)
class Rectified:
    """A prepared convolution that does the work of the ReLU after it, too."""

    made: Prepared

    def __call__(self, values: Tensor) -> Tensor:
        """The rectified result for (rows, channels, height, width)."""
        return self.made(values, rectify=True)


def _same(values: Tensor) -> Tensor:
    return values


def _prepare_operation(graph: Graph, operation: Operation) -> Prepared | None:
    weight, bias = (operation.arguments[name] for name in ("weight", "bias"))
    plain = isinstance(weight, Parameter) and (bias is None or isinstance(bias, Parameter))
    if not plain or isinstance(operation.arguments["padding"], str) or len(operation.inputs) != 1:
        return None
    values = graph.tensors[weight.name]
    given = None if bias is None else graph.tensors[bias.name]
    if not _can_prepare(values, given):
        return None
    size = graph.operations[operation.inputs[0]].shape[-2:]
    return _prepare(values, given, windows(graph, operation), operation.arguments["groups"], size)


def _can_prepare(weight: Tensor, bias: Tensor | None) -> bool:
    """Whether oneDNN is there and takes it. Not what is not finite: its rectification makes zeros of that."""
    if weight.device.type != "cpu" or not onednn.available(weight.dtype):
        return False
    return all(bool(values.sum().isfinite()) for values in (weight, bias) if values is not None)


def _prepare(
    weight: Tensor, bias: Tensor | None, axes: tuple[Window, Window], groups: int, size: Sequence[int]
) -> Prepared:
    """In the layout that fits inputs of ``size`` (height, width)."""
    height, width = size
    return Prepared(Packed(weight, axes, groups, (height, width)), bias, axes, groups)


def rectify_(signal: Tensor) -> Tensor:
    """Set negative values to zero, in place."""
    if signal.dtype == torch.bfloat16:  # same bits as int16, same sign bit, four times as fast
        signal.view(torch.int16).clamp_min_(0)
        return signal
    return signal.relu_()
