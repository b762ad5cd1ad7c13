"""Every kind of maximum, and of minimum: the signal goes to the place that was it, its switch.

As with max-pools, values that are equal to the maximum up to rounding count as it, and the first of them wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from layerscope.network.graph import Graph, Operation, Ref
from layerscope.network.positions import map_size
from layerscope.network.readers import Window
from layerscope.reconstruction.reversible import Reversal, Reversible, Rule
from layerscope.reconstruction.switches import Switches, find_switches, least, unpool

_LEAST = frozenset({"amin", "minimum"})


def _switches(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Switches:
    assert reversible.windows is not None
    operation = reversible.operation
    return find_switches(values[operation.inputs[0]], values[operation.index], *reversible.windows)


def _pool_back(reversible: Reversible, signal: Tensor, memory: Switches, rule: Rule) -> tuple[Tensor, ...]:
    return (unpool(signal.to(memory.masks[0].dtype), memory, rule.overlap),)


def _row_places(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor:
    """The position of each maximum of a pool along the last axis alone: a map of one row."""
    arguments, operation = reversible.arguments, reversible.operation
    asked = (arguments[name] for name in ("kernel_size", "stride", "padding", "dilation"))
    kernel, stride, pad, dilation = (
        value[0] if isinstance(value, list) and value else value for value in asked
    )
    window = Window(kernel, stride or kernel, pad, dilation)
    source, result = (values[i].unsqueeze(-2) for i in (operation.inputs[0], operation.index))
    found = find_switches(source, result, Window(), window).found.squeeze(-2).long()
    starts = torch.arange(found.shape[-1], device=found.device) * window.stride - window.pad
    return found * window.dilation + starts


def _cell_places(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor:
    """The position of each maximum in a map, row by row."""
    source, result = (values[i] for i in (reversible.operation.inputs[0], reversible.operation.index))
    (height, width), (rows, columns) = map_size(source.shape), map_size(result.shape)
    places = torch.arange(height * width, device=source.device).view(height, width)
    found = torch.empty(result.shape, dtype=torch.long, device=source.device)
    for i in range(rows):
        for j in range(columns):
            down = slice(i * height // rows, -((i + 1) * height // -rows))
            across = slice(j * width // columns, -((j + 1) * width // -columns))
            first = _first(source[..., down, across], result[..., i : i + 1, j : j + 1], (-2, -1))
            found[..., i, j] = (first.long() * places[down, across]).sum((-2, -1))
    return found


def _places_back(reversible: Reversible, signal: Tensor, memory: Tensor, rule: Rule) -> tuple[Tensor, ...]:
    """Each value to its position, counted along the axes that were pooled."""
    shape = reversible.sources[0]
    axes = len(shape) - 1
    back = signal.new_zeros((signal.shape[0], *shape)).flatten(-axes)
    places = memory.flatten(-axes).expand(signal.shape[0], *memory.shape[1:2], -1)
    return (back.scatter_add_(-1, places, signal.flatten(-axes)).view(-1, *shape),)


def _first(source: Tensor, maxima: Tensor, axes: tuple[int, ...]) -> Tensor:
    """1 at the first place, in reading order along the axes, that holds the maximum; 0 elsewhere."""
    axes = tuple(sorted(axis % source.ndim for axis in axes))
    order = [axis for axis in range(source.ndim) if axis not in axes] + list(axes)
    equal = (source >= least(maxima)).permute(order)
    flat = equal.flatten(source.ndim - len(axes))
    first = (flat & (flat.cumsum(-1) == 1)).reshape(equal.shape)
    return first.permute([order.index(axis) for axis in range(source.ndim)]).to(source.dtype)


def _along(reversible: Reversible, ndim: int) -> tuple[int, ...]:
    asked = reversible.arguments["dim"]
    axes = [asked] if isinstance(asked, int) else list(asked) or range(1, ndim)
    return tuple(sorted(axis % ndim for axis in axes))


def _place(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor:
    operation = reversible.operation
    sign = -1 if operation.kind in _LEAST else 1
    source = values[operation.inputs[0]] * sign
    axes = _along(reversible, source.ndim)
    return _first(source, source.amax(axes, keepdim=True), axes)


def _place_back(reversible: Reversible, signal: Tensor, memory: Tensor, rule: Rule) -> tuple[Tensor, ...]:
    if not reversible.arguments["keepdim"]:
        for axis in _along(reversible, memory.ndim):
            signal = signal.unsqueeze(axis)
    return (signal * memory,)


def _side(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor:
    """Where the first operand is the larger one, or equal to it up to rounding."""
    one, other = (
        values[a.index] if isinstance(a, Ref) else a for a in list(reversible.arguments.values())[:2]
    )
    sign = -1 if reversible.operation.kind in _LEAST else 1
    one, other = one * sign, other * sign
    first: Tensor = (one >= least(torch.maximum(one, other))).to(one.dtype)
    return first


def _side_back(reversible: Reversible, signal: Tensor, memory: Tensor, rule: Rule) -> tuple[Tensor, ...]:
    shares = [
        signal * share
        for a, share in zip(list(reversible.arguments.values())[:2], (memory, 1 - memory), strict=True)
        if isinstance(a, Ref)
    ]
    pairs = zip(shares, reversible.sources, reversible.carries, strict=True)
    return tuple(_folded(share, shape) for share, shape, carries in pairs if carries)


def _folded(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Summed over the axes along which an operand of this shape was repeated."""
    return values.sum_to_size(values.shape[0], *[1] * (values.ndim - 1 - len(shape)), *shape).reshape(
        -1, *shape
    )


def _of_maps(graph: Graph, operation: Operation, rule: Rule) -> bool:
    return len(operation.shape) == 3


def _summed(graph: Graph, operation: Operation, rule: Rule) -> bool:
    axes = 1 if operation.kind == "max_pool1d" else 2
    return rule.overlap == "sum" and len(operation.shape) == axes + 1


def _of_one_picture(graph: Graph, operation: Operation, rule: Rule) -> bool:
    asked, ndim = operation.arguments["dim"], len(graph.operations[operation.inputs[0]].shape) + 1
    axes = [asked] if isinstance(asked, int) else asked
    return bool(axes) and all(axis % ndim for axis in axes)


REVERSALS: Mapping[str, Reversal] = {
    "max_pool2d": Reversal(_pool_back, _switches, _of_maps),
    "max_pool1d": Reversal(_places_back, _row_places, _summed),
    "adaptive_max_pool2d": Reversal(_places_back, _cell_places, _summed),
    **dict.fromkeys(("amax", "amin"), Reversal(_place_back, _place, _of_one_picture)),
    **dict.fromkeys(("maximum", "minimum"), Reversal(_side_back, _side)),
}
