"""Ways back through single operations, slow and obvious: no autograd, no transposed anything.

What is linear once some of it is held constant is its own matrix, made column by column from forward passes; then the
signal goes back by the matrix transposed. Maxima and statistics are found by loops.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod, sqrt

import torch
from torch import Tensor


def by_columns(function: Callable[[Tensor], Tensor], picture: Tensor, signal: Tensor) -> Tensor:
    """The signal (rows, ...) by the transposed matrix of an affine function of pictures (1, ...) like this one."""
    shape = picture.shape[1:]
    nothing = function(torch.zeros_like(picture))
    back = torch.zeros(len(signal), prod(shape), dtype=picture.dtype)
    for place in range(prod(shape)):
        one = torch.zeros(prod(shape), dtype=picture.dtype)
        one[place] = 1
        column = function(one.view(1, *shape)) - nothing
        back[:, place] = (signal * column).flatten(1).sum(1)
    return back.view(len(signal), *shape)


def rectified(result: Tensor, signal: Tensor, *, guided: bool, top: float = float("inf")) -> Tensor:
    """The signal value by value: no negative ones; guided, only where 0 < activation < top."""
    back = signal.clone()
    for place in product(*map(range, signal.shape)):
        activation = float(result[(0, *place[1:])])
        if signal[place] < 0 or (guided and not 0 < activation < top):
            back[place] = 0
    return back


def scale(values: Tensor, eps: float, *, squares: bool = False) -> float:
    """1 / the standard deviation of some numbers, or their root mean square."""
    numbers = [float(value) for value in values.flatten()]
    mean = 0 if squares else sum(numbers) / len(numbers)
    return 1 / sqrt(sum((n - mean) ** 2 for n in numbers) / len(numbers) + eps)


def group_scales(picture: Tensor, groups: int, eps: float) -> Tensor:
    """Of one picture (1, channels, ...), a scale for each channel: that of its group."""
    channels = picture.shape[1]
    size = channels // groups
    found = [scale(picture[0, c // size * size : c // size * size + size], eps) for c in range(channels)]
    return torch.tensor(found, dtype=picture.dtype).view(1, -1, *[1] * (picture.ndim - 2))


def channel_scales(picture: Tensor, eps: float, *, squares: bool = False) -> Tensor:
    """Of one picture (1, channels, rows, columns), a scale for each position, over its channels."""
    rows, columns = picture.shape[2:]
    found = [[scale(picture[0, :, i, j], eps, squares=squares) for j in range(columns)] for i in range(rows)]
    return torch.tensor(found, dtype=picture.dtype).view(1, 1, rows, columns)


def largest(values: Tensor) -> int:
    """The place of the largest of some numbers; the first of those equal to it up to 2^-20."""
    numbers = [float(value) for value in values.flatten()]
    most = max(numbers)
    return next(i for i, n in enumerate(numbers) if n >= min(most * (1 - 2**-20), most * (1 + 2**-20)))
