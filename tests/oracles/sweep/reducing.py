"""What each reducer should find, one value at a time: no arrays at once, no clever order, no bounds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Maps = Sequence[npt.NDArray[np.float32]]  #: one (channels, rows, columns) per picture


def peak(values: Sequence[float]) -> tuple[float, int]:
    """The greatest value and the first place that has it."""
    best = 0
    for place, value in enumerate(values):
        if value > values[best]:
            best = place
    return float(values[best]), best


def strongest(maps: Maps, channel: int, k: int) -> list[tuple[int, int, float]]:
    """(picture, position, value) of the k strongest, at most one per picture; equals in the order of pictures."""
    found = [(picture, *peak(values[channel].ravel().tolist())[::-1]) for picture, values in enumerate(maps)]
    return sorted(found, key=lambda row: (-row[2], row[0]))[:k]


def zeros(maps: Maps, channel: int) -> int:
    return sum(1 for values in maps for value in values[channel].ravel().tolist() if value == 0)


def mean_and_variance(maps: Maps, channel: int) -> tuple[float, float]:
    """Of the population, without rounding before the end."""
    values = [Fraction(value) for picture in maps for value in picture[channel].ravel().tolist()]
    mean = sum(values, Fraction(0)) / len(values)
    return float(mean), float(sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values))


def bin_of(value: float, smallest: int, octaves: int) -> int:
    """Place of a value in a histogram: negative octaves, zero, positive octaves; the ends take what is beyond."""
    if value == 0:
        return octaves
    octave = math.floor(math.log2(abs(value))) - smallest if abs(value) >= 2.0**smallest else 0
    octave = min(octave, octaves - 1)
    return octaves + 1 + octave if value > 0 else octaves - 1 - octave


def key(seed: int, layer: str, picture: str, position: int) -> int:
    """A position's key: splitmix64's output number ``position`` from a seed that is a hash."""
    mask = (1 << 64) - 1
    digest = hashlib.blake2b(repr((seed, layer, picture)).encode(), digest_size=8).digest()
    z = (int.from_bytes(digest, "little") + (position + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def sample(
    seed: int, layer: str, names: Sequence[str], places: Sequence[int], count: int, per_picture: int | None
) -> list[tuple[int, int, int]]:
    """(key, picture, position) of the smallest keys among the places of all pictures."""
    found = []
    for picture, name in enumerate(names):
        own = sorted((key(seed, layer, name, place), picture, place) for place in places)
        found += own[:per_picture]
    return sorted(found)[:count]


def ranked(scores: Sequence[float]) -> list[tuple[int, float]]:
    """(class, probability), the most probable first."""
    odds = [math.exp(score - max(scores)) for score in scores]
    probabilities = [one / math.fsum(odds) for one in odds]
    return sorted(enumerate(probabilities), key=lambda row: (-scores[row[0]], row[0]))


def same_bits(one: Any, other: Any) -> bool:
    """Whether two states hold the same arrays: names, types, shapes and every bit."""
    return list(one) == list(other) and all(
        one[n].dtype == other[n].dtype
        and one[n].shape == other[n].shape
        and one[n].tobytes() == other[n].tobytes()
        for n in one
    )
