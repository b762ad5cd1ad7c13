"""Panels fitted to a page."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from layerscope.drawing.render import Pixels, Signal
from layerscope.drawing.sprites import hatched

_NOISE = 1.0  # levels: what a JPEG adds to a signal of zeros


ZEROS = {
    "signed": 127.5,
    "positive": 0.0,
    "magnitude": 0.0,
}  # levels; of the other displays none stands for 0


Outside = tuple[int, int, int, int]  # rows or columns that are not seen: top, left, bottom, right


def fitted_panel(panel: Pixels, outside: Outside, cell: tuple[int, int], zero: float | None) -> Pixels:
    """A panel at the size it has on the page, what is not seen hatched anew.

    ``zero``: the level that stands for 0 in a signal; reduced, it keeps its contrast.
    """
    (height, width), (high, wide) = panel.shape[:2], cell
    top, left, bottom, right = outside
    within = panel[top : height - bottom, left : width - right]
    if not within.size:
        return hatched(high, wide)
    y, x = round(top * high / height), round(left * wide / width)
    down, across = (
        max(1, high - y - round(bottom * high / height)),
        max(1, wide - x - round(right * wide / width)),
    )
    shown = hatched(high, wide)
    y, x = min(y, high - 1), min(x, wide - 1)
    resized = _resized(within, (down, across), None if high >= height else zero)
    shown[y : y + down, x : x + across] = resized[: high - y, : wide - x]
    return shown


def _resized(pixels: Pixels, size: tuple[int, int], zero: float | None) -> Pixels:
    """Enlarged without smoothing, or reduced; a signal's values about ``zero`` are then spread out again."""
    down, across = size
    if down >= pixels.shape[0] and across >= pixels.shape[1]:
        return np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels)).resize((across, down), Image.Resampling.NEAREST)
        )
    if zero is None:
        return np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels)).resize((across, down), Image.Resampling.LANCZOS)
        )
    values = reduced(pixels.astype(np.float32) - np.float32(zero), size)
    sizes = np.abs(values[np.abs(values) > _NOISE])
    factor = max(1.0, (255 - zero) / np.percentile(sizes, 99.5)) if sizes.size else 1.0
    spread: Pixels = np.rint(np.clip(zero + factor * values, 0, 255)).astype(np.uint8)
    return spread


def reduced(values: Signal, size: tuple[int, int]) -> Signal:
    """Values (height, width, channels) on fewer pixels (rows, columns): each the mean of the area that it covers."""
    down, across = (_shares(*both) for both in zip(values.shape[:2], size, strict=True))
    rows = down @ values.reshape(len(values), -1)
    means: Signal = across @ rows.reshape(len(down), *values.shape[1:])
    return means


@cache
def _shares(length: int, parts: int) -> Signal:
    """How much of each of ``parts`` equal parts of a line is each of its pixels, (parts, length)."""
    ends, pixels = np.arange(parts + 1) * (length / parts), np.arange(length)
    overlaps = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    shares: Signal = np.maximum(overlaps, 0) * (parts / length)
    return shares
