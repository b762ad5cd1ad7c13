"""Maxima that come with their places, and what gives the maxima alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def adaptive_max_pool2d(source: Tensor, output_size: list[int]) -> Tensor:
    """The maxima without their places."""
    return torch.ops.aten.adaptive_max_pool2d.default(source, output_size)[0]  # type: ignore[no-any-return]


PLACED: Mapping[str, tuple[str, Any]] = {
    "max": ("amax", torch.ops.aten.amax.default),
    "min": ("amin", torch.ops.aten.amin.default),
    "max_pool2d_with_indices": ("max_pool2d", torch.ops.aten.max_pool2d.default),
    "max_pool1d_with_indices": ("max_pool1d", torch.ops.aten.max_pool1d.default),
    "adaptive_max_pool2d": ("adaptive_max_pool2d", adaptive_max_pool2d),
}  #: maxima that come with their places: what gives the maxima alone
