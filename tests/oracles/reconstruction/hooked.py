"""Whole-layer reconstruction by autograd, with every ReLU's backward replaced where it is called, not where it is
declared: an oracle for networks with branches, functional ReLU and ReLU6."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _Rectifier(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, low: float, high: float, clamp: bool, mask: bool) -> Tensor:
        context.options = clamp, mask
        context.save_for_backward((values > low) & (values < high))
        return values.clamp(low, high)

    @staticmethod
    def backward(context: Any, *signals: Tensor) -> Any:
        (signal,) = signals
        clamp, mask = context.options
        if mask:
            signal = signal * context.saved_tensors[0]
        return signal.clamp(min=0) if clamp else signal, None, None, None, None


def _max_pool(
    maxima: Tensor,
    source: Tensor,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The maxima, whose derivative goes to the first of the values that are equal to it up to rounding."""
    assert dilation in (1, (1, 1))
    assert not return_indices
    (high, wide), (down, across), (top, left) = (
        (v, v) if isinstance(v, int) else tuple(v) for v in (kernel, stride or kernel, padding)
    )
    rows, columns = maxima.shape[-2:]
    bottom = (rows - 1) * down + high - top - source.shape[-2]
    right = (columns - 1) * across + wide - left - source.shape[-1]
    padded = F.pad(source, (left, max(0, right), top, max(0, bottom)), value=float("-inf"))
    seen = padded.unfold(2, high, down).unfold(3, wide, across)[:, :, :rows, :columns].flatten(-2)
    tied = seen >= (maxima - maxima.abs() * 2**-20).unsqueeze(-1)
    first = seen.gather(-1, tied.int().argmax(-1, keepdim=True)).squeeze(-1)
    return first + (maxima - first).detach()


class _Replace(TorchFunctionMode):
    def __init__(self, clamp: bool, mask: bool) -> None:
        super().__init__()
        self.clamp, self.mask = clamp, mask

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in (F.relu, torch.relu, torch.relu_, F.relu_):
            return _Rectifier.apply(args[0], 0.0, float("inf"), self.clamp, self.mask)
        if func is F.max_pool2d:
            return _max_pool(func(*args, **(kwargs or {})), *args, **(kwargs or {}))
        if func in (F.relu6, F.hardtanh):
            return _Rectifier.apply(args[0], 0.0, 6.0, self.clamp, self.mask)
        return func(*args, **(kwargs or {}))


def whole_layer(
    model: nn.Module, picture: Tensor, layer: Callable[[], nn.Module], *, clamp: bool, mask: bool
) -> Tensor:
    """Reconstruct from the whole result of the module that ``layer`` gives, for pictures (batch, C, H, W).

    The network may change what the module returns in place afterwards, so a copy is what is projected back.
    """
    kept: list[Tensor] = []
    handle = layer().register_forward_hook(lambda module, inputs, result: kept.append(result.clone()))
    picture = picture.clone().requires_grad_()
    try:
        with _Replace(clamp, mask):
            model(picture)
        (result, *_) = kept
        (back,) = torch.autograd.grad((result * result.detach()).sum(), picture)
    finally:
        handle.remove()
    return back
