"""The slow way to a unit's footprint: crop the whole pixel by pixel, count what is read position by position."""

from __future__ import annotations

import torch
from torch import Tensor

from layerscope.network.geometry import Box


def cropped(whole: Tensor, box: Box) -> Tensor:
    """A signal (channels, height, width) over a box; zero outside the picture."""
    crop = torch.zeros(whole.shape[0], box.height, box.width, dtype=whole.dtype)
    for row in range(box.height):
        for column in range(box.width):
            y, x = box.top + row, box.left + column
            if 0 <= y < whole.shape[1] and 0 <= x < whole.shape[2]:
                crop[:, row, column] = whole[:, y, x]
    return crop


def reads(first: int, last: int, kernel: int, stride: int, pad: int, length: int) -> set[int]:
    """Positions of a map that the outputs ``first`` to ``last`` (included) of an operation read."""
    return {
        i * stride - pad + tap
        for i in range(first, last + 1)
        for tap in range(kernel)
        if 0 <= i * stride - pad + tap < length
    }
