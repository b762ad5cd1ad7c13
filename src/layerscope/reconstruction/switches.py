"""Switches: where a max-pool found its maxima, and the way back through it.

Along a straight edge, in a logo or at a border, values are equal in exact arithmetic, and rounding alone would say
which is the largest. So all that are equal to the maximum up to rounding count as it, and the first of them wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.network.positions import map_size
from layerscope.network.readers import Window

TIED = 2.0**-20  #: so near to the maximum, relative to it, a value is equal to it up to rounding


@dataclass(frozen=True, eq=False)
class Switches:
    """Where a max-pool found its maxima: for each tap of its window, 1 where the maximum was there, else 0.

    Numbers of the signal's own kind, since to multiply by them is faster than to choose.
    """

    masks: tuple[Tensor, ...]  #: row-major over the window; (batch, channels, height, width) of the result
    rows: Window
    columns: Window
    size: tuple[int, int]  #: height and width of the pool's input

    @cached_property
    def found(self) -> Tensor:
        """The number of each maximum's tap, row-major over the window: (batch, channels, height, width)."""
        kind = torch.uint8 if len(self.masks) < 256 else torch.int32
        return torch.stack([mask.to(kind).mul_(tap) for tap, mask in enumerate(self.masks)]).sum(
            0, dtype=kind
        )


def taps(rows: Window, columns: Window) -> tuple[tuple[int, int], ...]:
    """Row and column of each tap of a window, from its first."""
    return tuple(
        (i * rows.dilation, j * columns.dilation) for i in range(rows.kernel) for j in range(columns.kernel)
    )


def apart(rows: Window, columns: Window) -> bool:
    """Whether no two windows share a tap."""
    return all(w.kernel <= w.stride and w.dilation == 1 for w in (rows, columns))


def find_switches(source: Tensor, result: Tensor, rows: Window, columns: Window) -> Switches:
    """The switches of a max-pool from its input and result; a maximum that is NaN is nowhere.

    The first in row-major order counts of the values that are equal to the maximum up to rounding (`TIED`), in half
    precisions, which are coarser than that, of those that are equal to it.
    """
    size = map_size(source.shape)
    extent = [_extent(n, w) for n, w in zip(map_size(result.shape), (rows, columns), strict=True)]
    after = [max(0, e - w.pad - n) for e, w, n in zip(extent, (rows, columns), size, strict=True)]
    if rows.pad or columns.pad or any(after):
        # no maximum, not even of -inf
        source = F.pad(source, (columns.pad, after[1], rows.pad, after[0]), value=math.nan)
    bound = least(result)
    masks: list[Tensor] = []
    free = torch.ones_like(result)
    for place in taps(rows, columns):
        mask = torch.empty_like(result)
        torch.ge(_at_tap(source, place, rows, columns, map_size(result.shape)), bound, out=mask)
        if masks:
            mask *= free
        free -= mask
        masks.append(mask)
    return Switches(tuple(masks), rows, columns, size)


def least(maxima: Tensor) -> Tensor:
    """The least that is equal to a maximum up to rounding; infinite where that is."""
    if torch.finfo(maxima.dtype).eps > TIED:
        return maxima
    return torch.minimum(maxima * (1 - TIED), maxima * (1 + TIED))


def unpool(signal: Tensor, switches: Switches, overlap: Literal["sum", "overwrite"] = "sum") -> Tensor:
    """Put each value of the signal (rows, channels, height, width) where its maximum was; zero elsewhere."""
    size, axes = map_size(signal.shape), (switches.rows, switches.columns)
    full = [max(_extent(n, w), w.pad + s) for n, w, s in zip(size, axes, switches.size, strict=True)]
    separate = apart(*axes)
    exact = separate and all(
        w.kernel == w.stride and n * w.stride == f for w, n, f in zip(axes, size, full, strict=True)
    )
    shape = (signal.shape[0], signal.shape[1], *full)
    layout = torch.channels_last
    out = torch.empty(shape, dtype=signal.dtype, device=signal.device, memory_format=layout)
    if not exact:
        out.zero_()
    # Backwards, so that with "overwrite" the window that starts last has the last word.
    for tap, mask in reversed(list(zip(taps(*axes), switches.masks, strict=True))):
        place = _at_tap(out, tap, *axes, size)
        if separate:
            torch.mul(signal, mask, out=place)
        elif overlap == "sum":
            place.addcmul_(signal, mask)
        else:
            place.copy_(torch.where(mask.bool(), signal, place))
    top, left = switches.rows.pad, switches.columns.pad
    return out[:, :, top : top + switches.size[0], left : left + switches.size[1]]


def _extent(outputs: int, window: Window) -> int:
    """From the first to the last tap of all windows of one axis."""
    return (outputs - 1) * window.stride + (window.kernel - 1) * window.dilation + 1


def _at_tap(
    tensor: Tensor, tap: tuple[int, int], rows: Window, columns: Window, size: tuple[int, int]
) -> Tensor:
    """What every window of a pool sees at one of its taps."""
    row, column = tap
    last_row, last_column = (size[0] - 1) * rows.stride + 1, (size[1] - 1) * columns.stride + 1
    return tensor[..., row : row + last_row : rows.stride, column : column + last_column : columns.stride]
