"""Sums of floating-point numbers without rounding, so that neither their order nor their grouping shows.

A sum is a fixed-point number of LIMBS digits of 32 bits, each in an int64 of its own: a float64 is an integer of 53
bits times a power of two, so it falls on at most three neighbouring digits. Adding two sums adds their digits.
Nothing carries until a value is asked for; the room above each digit lasts for 2**30 additions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

_DIGIT = 32
_LOWEST = -352  #: the exponent of the lowest digit: below the square of the least float32
LIMBS = 22  #: digits: up to 2**352, above 2**60 squares of the greatest float32

Digits = npt.NDArray[np.int64]


def exact_zeros(channels: int) -> Digits:
    """The sum of nothing, for each channel."""
    return np.zeros((channels, LIMBS), np.int64)


def add_exactly(sums: npt.NDArray[Any], numbers: npt.NDArray[np.float64]) -> Digits:
    """The sums (channels, LIMBS) with every row of numbers (rows, channels) added.

    Raises OverflowError for a number that is not finite, or not made of float32 values or their squares.
    """
    if not np.isfinite(numbers).all():
        raise OverflowError("cannot add infinity or NaN exactly")
    mantissa, exponent = np.frexp(numbers)
    whole = np.ldexp(mantissa, 53).astype(np.int64)  # numbers == whole * 2**(exponent - 53)
    place, shift = np.divmod(exponent.astype(np.int64) - 53 - _LOWEST, _DIGIT)
    used = whole != 0
    low_enough = (place >= 0) & (place + 2 < LIMBS)
    if not np.isfinite(numbers).all() or not low_enough[used].all():
        raise OverflowError(
            f"cannot add numbers up to {np.abs(numbers).max():g}: beyond the squares of float32"
        )
    result: Digits = np.array(sums, np.int64)
    channel = np.broadcast_to(np.arange(len(result)), numbers.shape)[used]
    sign, size = np.sign(whole[used]), np.abs(whole[used]).astype(np.uint64)
    for digit, part in enumerate(_split(size, shift[used].astype(np.uint64))):
        np.add.at(result, (channel, place[used] + digit), sign * part.astype(np.int64))
    return result


def _split(size: npt.NDArray[np.uint64], shift: npt.NDArray[np.uint64]) -> list[npt.NDArray[np.uint64]]:
    """Integers below 2**53, shifted up by less than 32, as three digits, the lowest first."""
    mask, digit = np.uint64((1 << _DIGIT) - 1), np.uint64(_DIGIT)
    low, high = (size & mask) << shift, (size >> digit) << shift
    middle = (low >> digit) + (high & mask)
    return [low & mask, middle & mask, (high >> digit) + (middle >> digit)]


def exact_value(digits: npt.NDArray[Any]) -> Fraction:
    """The sum that the digits of one channel stand for."""
    whole = sum(int(digit) << (_DIGIT * i) for i, digit in enumerate(digits))
    return Fraction(whole) * Fraction(2) ** _LOWEST


def mean_and_variance(
    sums: npt.NDArray[Any], squares: npt.NDArray[Any], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each channel, of ``count`` values: both are rounded once, at the end."""
    means = [exact_value(digits) / count for digits in sums]
    seconds = [exact_value(digits) / count for digits in squares]
    variances = [max(0.0, float(s - m * m)) for m, s in zip(means, seconds, strict=True)]
    return np.array([float(mean) for mean in means]), np.array(variances)
