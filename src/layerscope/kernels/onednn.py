"""Convolutions by oneDNN with filters in a layout of its own: the one place that calls private operations of torch.

They are those that torch.compile emits, and any version of torch may rename or change them. So they are tried once
for each precision, on a small convolution; where they are missing or give something else, torch's own do the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_ALIKE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # distance from the plain convolution, of its norm


@dataclass(frozen=True)
class Placing:
    """Where filters (outputs, inputs, height, width) are laid on their input: by rows and by columns."""

    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


class Shape(NamedTuple):
    """Of an input, without its channels."""

    rows: int
    height: int
    width: int


@cache
def available(dtype: torch.dtype) -> bool:
    """Whether oneDNN is here, computes in this precision, and gives what a convolution is defined to give."""
    if dtype not in _ALIKE or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        return _computes(dtype) and _is_right(dtype)
    except (AttributeError, RuntimeError, TypeError):  # gone, refused, or with other arguments
        return False


def pack(weight: Tensor, placing: Placing, shape: Shape) -> Tensor:
    """Filters in oneDNN's layout for inputs of a shape, for `convolve`."""
    packed: Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
        weight.contiguous(memory_format=torch.channels_last).to_mkldnn(),
        list(placing.pad),
        list(placing.stride),
        list(placing.dilation),
        placing.groups,
        [shape.rows, weight.shape[1] * placing.groups, shape.height, shape.width],
    )
    return packed


def convolve(
    values: Tensor, packed: Tensor, bias: Tensor | None, placing: Placing, *, rectify: bool = False
) -> Tensor:
    """The convolution of (rows, channels, height, width); ``rectify`` sets negative values, and NaN, to zero."""
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        values,
        packed,
        bias,
        list(placing.pad),
        list(placing.stride),
        list(placing.dilation),
        placing.groups,
        "relu" if rectify else "none",
        [],
        "",
    )
    return result


def _computes(dtype: torch.dtype) -> bool:
    """In bfloat16 only on CPUs that have instructions for it."""
    return dtype is not torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _is_right(dtype: torch.dtype) -> bool:
    """Plain and rectified, beside the plain convolution in float64 of the same numbers."""
    with torch.inference_mode():
        weight, values = _ramp((6, 4, 3, 3), dtype), _ramp((2, 4, 7, 5), dtype)
        bias, placing = _ramp((6,), dtype), Placing(stride=(2, 1), pad=(1, 2))
        packed = pack(weight, placing, Shape(2, 7, 5))
        right = F.conv2d(values.double(), weight.double(), bias.double(), placing.stride, placing.pad)
        pairs = (
            (convolve(values, packed, bias, placing), right),
            (convolve(values, packed, bias, placing, rectify=True), right.relu()),
        )
        return all(_alike(found, expected, dtype) for found, expected in pairs)


def _alike(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    same_kind = found.dtype is dtype and found.shape == expected.shape
    return same_kind and bool((found.double() - expected).norm() <= _ALIKE[dtype] * expected.norm())


def _ramp(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Numbers of both signs, without drawing any: the caller's generator stays as it is."""
    count = torch.Size(shape).numel()
    numbers = torch.arange(count, dtype=torch.float64, device="cpu").mul_(2.4).sin_()
    return numbers.view(shape).to(dtype).contiguous()
