"""Receptive fields measured: the pixels at which the gradient of a unit is not zero.

Weights and pixels are positive, max-pools average, and rectifications that saturate hand everything on, so no two
paths cancel and none is cut: a pixel's gradient is zero exactly where no path leads to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Edges = tuple[int, int, int, int]  #: top, left, bottom, right; bottom and right excluded
Arrange = Callable[[Tensor], Tensor]  #: a result as (pictures, channels, rows, columns)
_SATURATING = (F.relu6, F.hardtanh, F.hardswish)
_GATES = (torch.sigmoid, Tensor.sigmoid, F.hardsigmoid)


class _Open(TorchFunctionMode):
    """No path is cut while this is on, but for those of gates, if they are ``held``."""

    def __init__(self, held: bool) -> None:
        super().__init__()
        self.held = held

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in (F.max_pool2d, torch.max_pool2d):
            return _average(*args, **(kwargs or {}))
        if func in _SATURATING:
            return args[0]
        if self.held and func in _GATES:
            return args[0].sigmoid().detach()
        if func is F.hardsigmoid:
            return args[0].sigmoid()
        return func(*args, **(kwargs or {}))


def _average(
    maps: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    assert not return_indices
    if dilation not in (1, (1, 1), [1, 1]):
        raise NotImplementedError("a dilated max-pool has no average pool to stand for it")
    return F.avg_pool2d(maps, kernel_size, stride, padding, ceil_mode)


def with_positive_weights(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module (its tensors may be on the meta device) in float64 with positive weights that average."""
    empty = any(tensor.is_meta for tensor in module.state_dict().values())
    module = (module.to_empty(device="cpu") if empty else module).double().eval()
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
        for parameter in () if isinstance(part, nn.BatchNorm2d) else part.parameters(recurse=False):
            weight = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) + 0.5
            parameter.data = weight / (weight[0].sum() if weight.ndim > 1 else 1)
        if isinstance(bias := getattr(part, "bias", None), Tensor):
            nn.init.zeros_(bias)
    return module.requires_grad_(False)


def measured(
    module: nn.Module,
    shape: tuple[int, int, int],
    units: Mapping[str, Sequence[tuple[int, int]]],
    *,
    held: bool = False,
    arrange: Arrange = lambda result: result,
) -> dict[str, list[Edges]]:
    """What each unit sees, all channels together. ``units``: paths of modules (the last time they run) and, for
    each, positions (row, column); every path needs the same number of positions. ``held``: gates are constants."""
    counts = {len(positions) for positions in units.values()}
    (count,) = counts  # picture n of the batch belongs to the n-th position of every module
    pictures = (torch.rand(1, *shape, dtype=torch.float64) + 0.5).repeat(count, 1, 1, 1).requires_grad_()
    sums: dict[str, Tensor] = {}
    handles = [
        module.get_submodule(path).register_forward_hook(_summing(sums, path, positions, arrange))
        for path, positions in units.items()
    ]
    try:
        with _Open(held):
            module(pictures)
            return {path: _edges(total, pictures) for path, total in sums.items()}
    finally:
        for handle in handles:
            handle.remove()


def _summing(
    sums: dict[str, Tensor], path: str, positions: Sequence[tuple[int, int]], arrange: Arrange
) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any, result: Tensor) -> None:
        result = arrange(result)
        maps = result if result.ndim == 4 else result.reshape(len(result), -1, 1, 1)
        sums[path] = torch.stack(
            [maps[n, :, row, column].sum() for n, (row, column) in enumerate(positions)]
        ).sum()

    return hook


def _edges(total: Tensor, pictures: Tensor) -> list[Edges]:
    (gradient,) = torch.autograd.grad(total, pictures, retain_graph=True)
    return [_hull(seen) for seen in (gradient != 0).any(1)]


def _hull(seen: Tensor) -> Edges:
    (rows,), (columns,) = (seen.any(axis).nonzero(as_tuple=True) for axis in (1, 0))
    if not len(rows):
        return (0, 0, 0, 0)
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
