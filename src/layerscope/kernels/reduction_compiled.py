"""One walk over a layer's activations, compiled: maximum, its place, zeros; sums and a histogram when asked.

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
_LANES = 64  # bytes of the longest vector register: tallies are filled up to a multiple of it
_FULL = 15 * _ROWS  # positions after which a tally of bytes is emptied: it never holds more than 255
_ONE, _SIGN = np.uint32(1), np.uint32(0x80000000)
_MAGNITUDE, _INFINITY = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000)
_LOWEST = np.uint16(127 + SMALLEST)  # the exponent, as float32 and bfloat16 store it, of the lowest octave
_TOP, _BELOW = np.uint16(OCTAVES - 1), np.uint16(OCTAVES)
CODES = 2 * OCTAVES  #: a value's octave, OCTAVES added below zero
_ZERO = np.uint16(CODES + OCTAVES - 1)  # the code of zero: no octave is higher, and it is not below zero
_compiled = njit(nogil=True, cache=True, error_model="numpy")
_MANY, _SINGLE = (
    (0,) * _ROWS,
    (0,),
)  # so many rows: a tuple's length is known when it is compiled, so that loops unroll


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


@_compiled
def _number(bits: Any) -> Any:
    return np.uint32(_widen(bits)).view(np.float32)


def _sign_and_exponent(bits: Any) -> Any:
    """The nine highest bits, as uint16."""
    raise NotImplementedError  # likewise


@overload(_sign_and_exponent, inline="always")
def _sign_and_exponent_for(bits: Any) -> Any:
    lower = bits.bitwidth - 9

    def highest(bits: Any) -> Any:
        return np.uint16(bits >> lower)

    return highest


@_compiled
def _rectify(block: Array) -> None:
    """Set to zero what is below it; NaN stays, and -0.0, as in torch. A loop of its own: nothing overlaps in it."""
    bits = block.reshape(-1)
    for j in range(bits.size):
        below = np.uint32(np.uint32(_widen(bits[j])) ^ _SIGN)  # the magnitude, if the sign is minus
        if np.uint32(below - _ONE) < _INFINITY:
            bits[j] = 0


@_compiled
def _take_rows(
    block: Array, start: int, rows: tuple[int, ...], best: Array, where: Array, live: Array, fresh: Array
) -> Any:
    """Add neighbouring positions to what is known of each channel; the largest magnitude among them, as bits.

    Only maxima and counts are kept on the way; where a maximum is new, its place is looked up afterwards.
    """
    largest, better = np.uint32(0), 0
    for c in range(best.size):
        top, count = best[c], live[c]
        for q in range(len(rows)):
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


@_compiled
def _add_rows(block: Array, rows: tuple[int, ...], one: Array, two: Array, low: Array) -> None:
    """Add neighbouring positions to each channel's sum and sum of squares, in their order; and the least values."""
    for c in range(one.size):
        s, t, least = one[c], two[c], low[c]
        for q in range(len(rows)):
            v = _number(block[q, c])
            least = v if v < least else least
            s += np.float64(v)
            t += np.float64(v) * np.float64(v)
        one[c], two[c], low[c] = s, t, least


@_compiled
def _encode_rows(block: Array, rows: tuple[int, ...], codes: Array) -> Any:
    """Write each value's code; the least and the greatest octave of what is not zero, and _BELOW if any is below."""
    least, greatest, below = _TOP, np.uint16(0), np.uint16(0)
    for q in range(len(rows)):
        for c in range(block.shape[1]):
            high = _sign_and_exponent(block[q, c])
            octave = np.uint16(min(_TOP, np.uint16(max(np.uint16(high & 255), _LOWEST) - _LOWEST)))
            code = np.uint16(octave + np.uint16(np.uint16(high >> 8) * _BELOW))
            code = _ZERO if _number(block[q, c]) == 0 else code
            least = min(least, np.uint16(code & _TOP))
            greatest = max(greatest, octave)
            below = np.uint16(below | np.uint16(code & _BELOW))
            codes[q, c] = np.uint8(code)
    return least, greatest, below


@_compiled
def _count_codes(codes: Array, rows: tuple[int, ...], first: int, last: int, tally: Array) -> None:
    """Count, in bytes, the codes from ``first`` to ``last`` of neighbouring positions.

    Each is looked for in all the values, a register of 64 at a time: neighbours have few octaves between them, so
    this takes a tenth of the time of going from each value to its counter.
    """
    for code in range(first, last + 1):
        row, wanted = tally[code], np.uint8(code)
        for c in range(row.size):
            count = row[c]
            for q in range(len(rows)):
                count = np.uint8(count + np.uint8(codes[q, c] == wanted))
            row[c] = count


@_compiled
def _tally_rows(block: Array, rows: tuple[int, ...], codes: Array, tally: Array, counts: Array) -> None:
    """Add neighbouring positions to a tally; one alone goes to the counts at once."""
    least, greatest, below = _encode_rows(block, rows, codes)
    if len(rows) > 1:
        _count_codes(codes, rows, least, greatest, tally)
        if below:
            _count_codes(codes, rows, OCTAVES + least, OCTAVES + greatest, tally)
    else:
        for c in range(block.shape[1]):
            if codes[0, c] != _ZERO:
                counts[codes[0, c], c] += 1


@_compiled
def _empty(tally: Array, counts: Array) -> None:
    """Move what a tally holds to the counts."""
    for code in range(len(tally)):
        most = np.uint8(0)
        for c in range(tally.shape[1]):
            most = max(most, tally[code, c])
        if most:
            for c in range(counts.shape[1]):
                counts[code, c] += tally[code, c]
            tally[code] = 0


@_compiled
def _close(sums: Array) -> None:
    """A block's sums join those of the blocks before it."""
    sums[0] += sums[1]
    sums[1] = 0


@_compiled
def _take_block(
    block: Array,
    start: int,
    rows: tuple[int, ...],
    peaks: tuple[Array, ...],
    moments: tuple[Array, ...],
    histogram: tuple[Array, ...],
) -> Any:
    """All that is asked of neighbouring positions, while they are in the nearest cache; their largest magnitude."""
    best, where, live, fresh = peaks
    sums, low = moments
    codes, tally, counts = histogram
    largest = _take_rows(block, start, rows, best, where, live, fresh)
    if sums.size:
        _add_rows(block, rows, sums[1, 0], sums[1, 1], low)
    if counts.size:
        _tally_rows(block, rows, codes, tally, counts)
    return largest


@_compiled
def _block(bits: Array, i: int, start: int, rows: int, rectify: bool) -> Array:
    """So many positions of a picture, rectified in place if that is asked for."""
    block = bits[i, start : start + rows]
    if rectify:
        _rectify(block)
    return block


@_compiled
def reduce_picture(
    bits: Array, i: int, rectify: bool, peaks: tuple[Array, ...], moments: tuple[Array, ...], counts: Array
) -> None:
    """All that is asked of picture ``i``, in one walk.

    ``bits`` (pictures, positions, channels): uint32 for float32, uint16 for bfloat16; with ``rectify``, what is
    below zero becomes zero in it first. ``peaks``: maximum (float32), first place that has it, number of exact zeros
    (int32), all (pictures, channels), and whether there is NaN, (pictures,). ``moments``: sums and sums of squares
    (float64), block by block, and least values (float32), likewise; ``counts`` (CODES, channels), int64, is added
    to. Where these are empty they are not asked for.
    """
    best, where, zeros, undefined = peaks
    sums, squares, least = moments
    positions, channels = bits.shape[1:]
    whole, largest = positions // _ROWS * _ROWS, np.uint32(0)
    live, low = np.zeros(channels, np.uint32), np.full(channels if len(sums) else 0, np.float32(np.inf))
    added = np.zeros((2, 2, low.size))  # of the blocks before, and of this one
    filled = -(-channels // _LANES) * _LANES if len(counts) else 0
    codes = np.full((_ROWS, filled), np.uint8(_ZERO))
    tally = np.zeros((CODES if whole else 0, filled), np.uint8)
    best[i], where[i] = -np.inf, 0
    known = (best[i], where[i], live, np.empty(channels, np.float32))
    for p in range(0, whole, _ROWS):
        block = _block(bits, i, p, _ROWS, rectify)
        largest = max(largest, _take_block(block, p, _MANY, known, (added, low), (codes, tally, counts)))
        if p % BLOCK == BLOCK - _ROWS:
            _close(added)
        if p % _FULL == _FULL - _ROWS:
            _empty(tally, counts)
    for p in range(whole, positions):
        block = _block(bits, i, p, 1, rectify)
        largest = max(largest, _take_block(block, p, _SINGLE, known, (added, low), (codes, tally, counts)))
    _empty(tally, counts)
    _close(added)
    zeros[i] = positions - live.astype(np.int32)
    undefined[i] = largest > _INFINITY
    if len(sums):
        sums[i], squares[i], least[i] = added[0, 0], added[0, 1], low


@_compiled
def add_digits(numbers: Array, lowest: int, sums: Array) -> bool:
    """Add every row of float64 (rows, channels) to the digits of sums (channels, digits); False: one does not fit.

    Digits are of 32 bits, the first of them 2**``lowest``. Changes the sums, also where it gives False.
    """
    mask, width = np.uint64(0xFFFFFFFF), np.uint64(32)
    for row in range(numbers.shape[0]):
        for c in range(numbers.shape[1]):
            bits = np.float64(numbers[row, c]).view(np.uint64)
            stored = np.int64((bits >> np.uint64(52)) & np.uint64(2047))
            size = (bits & np.uint64(0xFFFFFFFFFFFFF)) | np.uint64(0x10000000000000 if stored else 0)
            if size == 0:
                continue
            place = (stored if stored else 1) - 1075 - lowest  # of the lowest bit
            digit, shift = place >> 5, np.uint64(place & 31)
            if digit < 0 or digit + 2 >= sums.shape[1] or stored == 2047:
                return False
            low, high = (size & mask) << shift, (size >> width) << shift
            middle = (low >> width) + (high & mask)
            sign = -1 if bits >> np.uint64(63) else 1
            sums[c, digit] += sign * np.int64(low & mask)
            sums[c, digit + 1] += sign * np.int64(middle & mask)
            sums[c, digit + 2] += sign * np.int64((high >> width) + (middle >> width))
    return True


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
