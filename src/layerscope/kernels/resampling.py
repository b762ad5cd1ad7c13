"""A part of a resized picture, made from the pixels that it shows alone: to the bit what Pillow resizes and crops.

Pillow can do so too (``resize(box=...)``), but takes the box in float32, which moves one value in a hundred by a
grey level; and its resize takes twice the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from layerscope.kernels.threads import loading_kernels

Interpolation = Literal["bilinear", "bicubic"]
Pixels = npt.NDArray[np.uint8]

BITS = 22  #: of a weight's fraction, as in Pillow: 8 of a grey, 2 to spare


@dataclass(frozen=True, eq=False)
class Axis:
    """Along one axis: the pixels that each of the wanted ones is a weighted mean of, and which lie under any.

    Wanted pixel i sums ``count[i]`` pixels from ``start + first[i]`` on, with weights[i] / 2^BITS.
    """

    start: int
    stop: int
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int32]


@lru_cache(256)
def axis(size: int, resized: int, offset: int, wanted: int, interpolation: Interpolation) -> Axis:
    """How ``size`` pixels become ``resized``, of which those from ``offset`` on are wanted.

    As Pillow does it (src/libImaging/Resample.c, precompute_coeffs), in the same order of operations: a filter as
    wide as the pixels are made smaller, weights that sum to 1, each rounded to BITS.
    """
    reach, curve = _FILTERS[interpolation]
    scale = size / resized
    widened = max(scale, 1.0)
    centres = (offset + np.arange(wanted) + 0.5) * scale
    first = np.maximum((centres - reach * widened + 0.5).astype(np.int64), 0)
    count = np.minimum((centres + reach * widened + 0.5).astype(np.int64), size) - first
    taps = np.arange(count.max())
    inside = taps < count[:, None]
    values = curve(np.abs((taps + first[:, None] - centres[:, None] + 0.5) * (1.0 / widened))) * inside
    shares = values / values.cumsum(axis=1)[:, -1:]
    weights = (shares * (1 << BITS) + np.copysign(0.5, shares)).astype(np.int32)
    start = int(first.min())
    return Axis(start, int((first + count).max()), first - start, count, weights)


def _bilinear(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(distance < 1, 1 - distance, 0)


def _bicubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    d, a = distance, -0.5
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, (((d - 5) * d + 8) * d - 4) * a
    return np.where(d < 1, near, np.where(d < 2, far, 0))


_Curve = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
_FILTERS: dict[Interpolation, tuple[float, _Curve]] = {
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
}


def resample(pixels: Pixels, rows: Axis, columns: Axis) -> Pixels:
    """The wanted pixels (rows, columns, 3) of those from the axes' starts to their stops: columns, then rows."""
    across = np.empty((len(pixels), len(columns.first), 3), np.uint8)
    _kernels().resize_columns(pixels, columns.first, columns.count, columns.weights, across)
    made = np.empty((len(rows.first), len(columns.first), 3), np.uint8)
    flat = across.reshape(len(across), -1), made.reshape(len(made), -1)
    _kernels().resize_rows(flat[0], rows.first, rows.count, rows.weights, flat[1])
    return made


def look_up(pixels: Pixels, table: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The value of each grey in table (channels, 256), as (channels, rows, columns), of pixels (rows, columns, 3)."""
    values = np.empty((len(table), *pixels.shape[:2]), np.float32)
    _kernels().look_up(pixels, table, values)
    return values


@cache
def _kernels() -> Any:
    """The compiled kernels; numba takes a while to import, so it waits until a picture is prepared."""
    with loading_kernels():
        from layerscope.kernels import resampling_compiled
    return resampling_compiled
