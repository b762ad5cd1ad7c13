"""Activations to a few numbers per picture and channel, in one walk over them while they are fresh in the caches.

On the CPU compiled kernels run on as many threads as torch has; elsewhere torch does the same sums in the same
order. Only float32 and bfloat16 are read as they are: other precisions become float32 first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.kernels.bins import BINS, BLOCK, OCTAVES, SMALLEST
from layerscope.kernels.threads import loading_kernels, share_out

Array = npt.NDArray[Any]


_AS_BITS = {torch.float32: torch.uint32, torch.bfloat16: torch.uint16}


@dataclass(frozen=True, eq=False)
class Peaks:
    """Each channel's strongest value per picture, float32, and where: row-major, the first of equals, int32.

    Both are (pictures, channels). A strongest value of -0.0 is given as 0.0.
    """

    values: npt.NDArray[np.float32]
    positions: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums and sums of squares per picture and channel, float64, and the least values, float32.

    The order of summing is fixed: positions in blocks of BLOCK, then the blocks; so a picture's sums depend on
    nothing but its own activations.
    """

    sums: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    least: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reduced:
    """What one walk found. ``undefined``: pictures that hold NaN, whose numbers mean nothing."""

    peaks: Peaks
    zeros: npt.NDArray[np.int64]  #: exact zeros, -0.0 among them, (pictures, channels)
    undefined: npt.NDArray[np.bool_]
    moments: Moments | None
    histogram: npt.NDArray[np.int64] | None  #: of all the pictures together, (channels, BINS)


def reduce_activations(values: Tensor, *, moments: bool = False, histogram: bool = False) -> Reduced:
    """Reduce activations (pictures, channels, ...); all axes after the channels are positions, row-major.

    Channels-last memory is walked as it lies; any other is copied into that order first.
    """
    if values.dtype not in _AS_BITS:
        values = values.float()
    rows = _rows(values).contiguous()
    if values.device.type == "cpu":
        return _reduce_compiled(rows, moments, histogram, rectify=False)
    return reduce_with_torch(rows, moments=moments, histogram=histogram)


def can_rectify(values: Tensor) -> bool:
    """Whether `rectify_and_reduce` takes them: on the CPU, float32 or bfloat16, channels last in memory."""
    return values.device.type == "cpu" and values.dtype in _AS_BITS and _rows(values).is_contiguous()


def rectify_and_reduce(values: Tensor, *, moments: bool = False, histogram: bool = False) -> Reduced:
    """Set what is below zero to zero, in place, and reduce what is left, in one walk: NaN stays NaN.

    A walk over memory costs as much as all the arithmetic on it, so this costs what the rectification alone does.
    """
    return _reduce_compiled(_rows(values), moments, histogram, rectify=True)


def _rows(values: Tensor) -> Tensor:
    """Activations as (pictures, positions, channels), a view where their memory is channels last."""
    pictures, channels = values.shape[0], values.shape[1] if values.ndim > 1 else 1
    mapped = values if values.ndim > 2 else values.reshape(pictures, channels, 1)
    return mapped.movedim(1, -1).reshape(pictures, -1, channels)


# ------------------------------------------------------------------ compiled


def _reduce_compiled(values: Tensor, moments: bool, histogram: bool, *, rectify: bool) -> Reduced:
    pictures, positions, channels = values.shape
    shape = (pictures, channels)
    asked = shape if moments else (0, channels)
    bits = values.view(_AS_BITS[values.dtype]).numpy()
    best, where, zeros = np.empty(shape, np.float32), np.empty(shape, np.int32), np.empty(shape, np.int32)
    undefined = np.empty(pictures, np.bool_)
    sums, squares, least = np.empty(asked), np.empty(asked), np.empty(asked, np.float32)
    kernels = load_kernels()
    idle: deque[npt.NDArray[np.int64]] = deque()  # counts that no thread adds to at the moment

    def work(picture: int) -> None:
        try:
            counts = idle.pop()
        except IndexError:
            counts = np.zeros((kernels.CODES if histogram else 0, channels), np.int64)
        peaks = (best, where, zeros, undefined)
        kernels.reduce_picture(bits, picture, rectify, peaks, (sums, squares, least), counts)
        idle.append(counts)

    share_out(work, pictures)
    return Reduced(
        Peaks(best + np.float32(0), where),
        zeros.astype(np.int64),
        undefined,
        Moments(sums, squares, least + np.float32(0)) if moments else None,
        _bins(sum(idle), pictures * positions) if histogram else None,
    )


def _bins(codes: Any, count: int) -> npt.NDArray[np.int64]:
    """Counts of codes (CODES, channels) as a histogram (channels, BINS): what has no code is zero."""
    above, below = codes[:OCTAVES], codes[: OCTAVES - 1 : -1]
    zero = count - codes.sum(axis=0, keepdims=True)
    return np.ascontiguousarray(np.concatenate([below, zero, above]).T)


@cache
def load_kernels() -> ModuleType:
    """The compiled kernels; numba takes a second to import, so it waits until something is reduced."""
    with loading_kernels():
        from layerscope.kernels import reduction_compiled as kernels
    return kernels


def insert_strongest(held: Sequence[Array], candidates: Sequence[Array], k: int) -> list[Array]:
    """Each channel's ``k`` strongest of those held and the candidates: value down, then picture up.

    Both are values (float32), pictures (int64) and positions (int32): held (channels, at most k) in that order,
    candidates (candidates, channels) in any. The result is in new memory.
    """
    channels, filled = held[0].shape
    lists = [np.empty((channels, k), array.dtype) for array in held]
    for fresh, old in zip(lists, held, strict=True):
        fresh[:, :filled] = old
    rows = [np.ascontiguousarray(array) for array in candidates]
    count = load_kernels().take_strongest(*rows, *lists, filled)
    return [fresh if count == k else fresh[:, :count].copy() for fresh in lists]


# ------------------------------------------------------------------ torch, for other devices


def reduce_with_torch(values: Tensor, *, moments: bool = False, histogram: bool = False) -> Reduced:
    """What the kernels find, by torch alone, of (pictures, positions, channels): the same numbers to the bit."""
    wide = values.float()
    best, where = _peaks(wide)
    return Reduced(
        Peaks(_numpy(best + 0), _numpy(where.int())),
        _numpy((wide == 0).sum(dim=1)),
        _numpy(wide.isnan().flatten(1).any(dim=1)),
        _moments(wide) if moments else None,
        _numpy(_histogram(wide)) if histogram else None,
    )


def _numpy(values: Tensor) -> Array:
    array: Array = values.cpu().numpy()
    return array


def _peaks(wide: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima and the first position of each, which torch does not promise on every device."""
    best = wide.amax(dim=1)
    places = torch.arange(wide.shape[1], device=wide.device)[None, :, None]
    where = torch.where(wide == best[:, None], places, wide.shape[1]).amin(dim=1)
    return best, where


def _moments(wide: Tensor) -> Moments:
    pictures, positions, channels = wide.shape
    blocks = -(-positions // BLOCK)
    sums, squares = (
        torch.zeros((pictures, blocks, channels), dtype=torch.float64, device=wide.device) for _ in "ab"
    )
    for start in range(min(BLOCK, positions)):
        part = wide[:, start::BLOCK].double()
        sums[:, : part.shape[1]] += part
        squares[:, : part.shape[1]] += part * part
    whole = torch.zeros((2, pictures, channels), dtype=torch.float64, device=wide.device)
    for block in range(blocks):
        whole[0] += sums[:, block]
        whole[1] += squares[:, block]
    return Moments(_numpy(whole[0]), _numpy(whole[1]), _numpy(wide.amin(dim=1) + 0))


def _histogram(wide: Tensor) -> Tensor:
    channels = wide.shape[2]
    magnitude = ((wide.contiguous().view(torch.int32) >> 23) & 255) - 127 - SMALLEST
    octave = magnitude.clamp(0, OCTAVES - 1)
    found = torch.where(wide > 0, OCTAVES + 1 + octave, OCTAVES - 1 - octave).masked_fill(wide == 0, OCTAVES)
    places = found + BINS * torch.arange(channels, device=wide.device)
    return torch.bincount(places.flatten(), minlength=channels * BINS).view(channels, BINS)
