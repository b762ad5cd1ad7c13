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

from layerscope.kernels.reduction import load_kernels

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
    result: Digits = np.array(sums, np.int64)
    if not load_kernels().add_digits(numbers, _LOWEST, result):
        if not np.isfinite(numbers).all():
            raise OverflowError("cannot add infinity or NaN exactly")
        raise OverflowError(
            f"cannot add numbers up to {np.abs(numbers).max():g}: beyond the squares of float32"
        )
    return result


def exact_value(digits: npt.NDArray[Any]) -> Fraction:
    """The sum that the digits of one channel stand for."""
    return Fraction(*_whole(np.array([digits]))) * Fraction(2) ** _LOWEST


def mean_and_variance(
    sums: npt.NDArray[Any], squares: npt.NDArray[Any], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each channel, of ``count`` values: both are rounded once, at the end.

    In whole numbers, whose quotient Python rounds correctly: a fraction would be reduced at each step.
    """
    ones, twos = _whole(sums), _whole(squares)
    means = [one / (count << -_LOWEST) for one in ones]
    spread = ((two * count << -_LOWEST) - one * one for one, two in zip(ones, twos, strict=True))
    variances = [max(0, s) / (count * count << -2 * _LOWEST) for s in spread]
    return np.array(means), np.array(variances)


def _whole(sums: npt.NDArray[Any]) -> list[int]:
    """The number that the digits of each channel stand for, in units of the lowest."""
    carried = np.array(sums, np.int64)
    for digit in range(LIMBS - 1):
        carried[:, digit + 1] += carried[:, digit] >> _DIGIT
        carried[:, digit] &= (1 << _DIGIT) - 1
    lower, top = carried[:, :-1].astype("<u4"), carried[:, -1].tolist()
    known = (int.from_bytes(row.tobytes(), "little") for row in lower)
    return [low + (high << _DIGIT * (LIMBS - 1)) for low, high in zip(known, top, strict=True)]
