"""One walk over a layer's activations, compiled: maximum, its place, zeros, and more when asked.

Importing this room costs numba; `reduction` waits with it until something is reduced. The activations lie channels
last, so the innermost loops run over channels and fill whole vector registers. Values are given by their bits, so
that bfloat16 needs no copy: shifted up by 16 bits it is the same number in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import overload

from layerscope.kernels.bins import BLOCK, OCTAVES, SMALLEST

Array = npt.NDArray[Any]
_ROWS = 16  # positions taken together: what is known of a channel stays in a register for so long
_ONE, _SIGN = np.uint32(1), np.uint32(0x80000000)
_MAGNITUDE, _INFINITY = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000)
_compiled = njit(nogil=True, cache=True, error_model="numpy")
_inlined = njit(nogil=True, error_model="numpy", inline="always")


def _widen(bits: Any) -> Any:
    """The bits of a float32: a whole one's own, or those that it is the upper half of."""
    raise NotImplementedError  # numba puts one of the two below in its place


@overload(_widen, inline="always")
def _widen_for(bits: Any) -> Any:
    def whole(bits: Any) -> Any:
        return bits

    def half(bits: Any) -> Any:
        return np.uint32(np.uint32(bits) << np.uint32(16))

    return whole if bits.bitwidth == 32 else half


@_inlined
def _number(bits: Any) -> Any:
    return np.uint32(_widen(bits)).view(np.float32)


@_inlined
def _rectify(block: Array) -> None:
    """Set to zero what is below it; NaN stays, and -0.0, as in torch. A loop of its own: nothing overlaps in it."""
    bits = block.reshape(-1)
    for j in range(bits.size):
        below = np.uint32(np.uint32(_widen(bits[j])) ^ _SIGN)  # the magnitude, if the sign is minus
        if np.uint32(below - _ONE) < _INFINITY:
            bits[j] = 0


@_inlined
def _take_rows(
    block: Array, start: int, rows: int, best: Array, where: Array, live: Array, fresh: Array
) -> Any:
    """Add neighbouring positions to what is known of each channel; the largest magnitude among them, as bits.

    Only maxima and counts are kept on the way; where a maximum is new, its place is looked up afterwards.
    """
    largest, better = np.uint32(0), 0
    for c in range(best.size):
        top, count = best[c], live[c]
        for q in range(rows):
            b = np.uint32(_widen(block[q, c]))
            v = np.uint32(b).view(np.float32)
            magnitude = np.uint32(b & _MAGNITUDE)
            largest = max(largest, magnitude)
            count = np.uint32(count + min(magnitude, _ONE))
            top = v if v > top else top
        better += top > best[c]
        fresh[c], live[c] = top, count
    if better:
        for c in range(best.size):
            if fresh[c] > best[c]:
                best[c], q = fresh[c], 0
                while _number(block[q, c]) != fresh[c]:
                    q += 1
                where[c] = start + q
    return largest


@_inlined
def _take_picture(picture: Array, rectify: bool, best: Array, where: Array, live: Array, fresh: Array) -> Any:
    """The same for all positions of a picture."""
    whole, largest = len(picture) - len(picture) % _ROWS, np.uint32(0)
    for p in range(0, whole, _ROWS):
        block = picture[p : p + _ROWS]
        if rectify:
            _rectify(block)
        largest = max(largest, _take_rows(block, p, _ROWS, best, where, live, fresh))
    for p in range(whole, len(picture)):
        block = picture[p : p + 1]
        if rectify:
            _rectify(block)
        largest = max(largest, _take_rows(block, p, 1, best, where, live, fresh))
    return largest


@_compiled
def reduce_peaks(
    bits: Array, i: int, rectify: bool, best: Array, where: Array, zeros: Array, undefined: Array
) -> None:
    """For picture ``i``: maximum, first place that has it, number of exact zeros, and whether there is NaN.

    ``bits`` (pictures, positions, channels): uint32 for float32, uint16 for bfloat16; with ``rectify``, what is
    below zero becomes zero in it first. Results (pictures, channels): ``best`` float32, ``where`` and ``zeros``
    int32; and ``undefined`` (pictures,).
    """
    positions, channels = bits.shape[1:]
    live, fresh = np.zeros(channels, np.uint32), np.empty(channels, np.float32)
    best[i], where[i] = -np.inf, 0
    if rectify:
        largest = _take_picture(bits[i], True, best[i], where[i], live, fresh)
    else:
        largest = _take_picture(bits[i], False, best[i], where[i], live, fresh)
    zeros[i] = positions - live.astype(np.int32)
    undefined[i] = largest > _INFINITY


@_compiled
def reduce_moments(bits: Array, i: int, sums: Array, squares: Array, least: Array) -> None:
    """Sums and sums of squares (float64), block by block, and least values (float32), all (pictures, channels)."""
    positions, channels = bits.shape[1:]
    one, two, low = np.empty(channels), np.empty(channels), least[i]
    sums[i], squares[i], low[:] = 0, 0, np.inf
    for start in range(0, positions, BLOCK):
        one[:], two[:] = 0, 0
        for p in range(start, min(start + BLOCK, positions)):
            for c in range(channels):
                v = _number(bits[i, p, c])
                low[c] = v if v < low[c] else low[c]
                one[c] += np.float64(v)
                two[c] += np.float64(v) * np.float64(v)
        sums[i] += one
        squares[i] += two


@_compiled
def count_bins(bits: Array, i: int, counts: Array) -> None:
    """How many values of picture ``i`` and each channel fall into each bin: adds to ``counts``, int32."""
    for p in range(bits.shape[1]):
        for c in range(bits.shape[2]):
            b = np.uint32(_widen(bits[i, p, c]))
            magnitude: Any = np.int32((b >> np.uint32(23)) & np.uint32(255)) - 127 - SMALLEST
            octave = max(0, min(OCTAVES - 1, magnitude))
            v = b.view(np.float32)
            place = OCTAVES if v == 0 else (OCTAVES + 1 + octave if v > 0 else OCTAVES - 1 - octave)
            counts[i, c, place] += 1


@_compiled
def take_strongest(
    values: Array, pictures: Array, positions: Array, best: Array, who: Array, where: Array, held: int
) -> int:
    """Work candidates into each channel's list of the strongest; how many each list then holds.

    Candidates are rows: ``values`` (candidates, channels), likewise ``pictures`` and ``positions``. Lists are
    (channels, k), of which the first ``held`` are filled: value down, then picture up. Changes the lists.
    """
    channels, k = best.shape
    count = held
    for n in range(values.shape[0]):
        for c in range(channels):
            v, picture = values[n, c], pictures[n, c]
            at = count if count < k else k
            while at > 0 and (v > best[c, at - 1] or (v == best[c, at - 1] and picture < who[c, at - 1])):
                if at < k:
                    best[c, at], who[c, at], where[c, at] = best[c, at - 1], who[c, at - 1], where[c, at - 1]
                at -= 1
            if at < k:
                best[c, at], who[c, at], where[c, at] = v, picture, positions[n, c]
        count = min(k, count + 1)
    return count
