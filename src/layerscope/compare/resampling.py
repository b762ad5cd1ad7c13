"""Means over pictures and their intervals: the bootstrap, which asks nothing of how values are distributed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_DRAWS, _AT_ONCE = 2000, 50


@dataclass(frozen=True, eq=False)
class Means:
    """For each column: its mean over the pictures that have a value, and the ends of its 95 % interval.

    NaN where no picture has a value; the ends, too, where fewer than two have.
    """

    values: Array
    low: Array
    high: Array


def bootstrap_means(values: Array) -> Means:
    """Means of the columns of values (pictures, columns), NaN where a picture has none.

    The interval is that of percentiles over 2,000 draws of as many pictures, with the same draws for every column,
    and the same at every call. Source: Efron 1979.
    """
    known = np.isfinite(values)
    whole, counts = np.where(known, values, 0.0), known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, whole.sum(axis=0) / counts, np.nan)
    if len(values) < 2:
        return Means(means, np.full_like(means, np.nan), np.full_like(means, np.nan))
    draws = np.concatenate(list(_draws(whole, known.astype(np.float64))))
    low, high = _percentiles(draws)
    few = counts < 2
    return Means(means, np.where(few, np.nan, low), np.where(few, np.nan, high))


@dataclass(frozen=True)
class Change:
    """The mean of paired differences over pictures and the ends of its 95 % interval; NaN: there is none."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, differences: Array) -> Change:
        """Of one difference for each picture."""
        means = bootstrap_means(differences[:, None])
        return cls(float(means.values[0]), float(means.low[0]), float(means.high[0]))

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return isfinite(self.low)

    @property
    def falls(self) -> bool | None:
        """Whether all of the interval is below 0; None: nobody can say."""
        return self.high < 0 if self.known else None

    @property
    def numbers(self) -> dict[str, Any]:
        """As a finding takes them."""
        ends = {"low": self.low, "high": self.high} if self.known else {}
        return {"change": self.value, **ends}

    @property
    def words(self) -> str:
        """For the sentence of a finding."""
        return "{change:+.2f} ({low:+.2f} to {high:+.2f})" if self.known else "{change:+.2f}"


def _draws(values: Array, known: Array) -> Iterator[Array]:
    """Means over pictures drawn with replacement, (draws, columns), some draws at once."""
    random, count = np.random.default_rng(0), len(values)
    for _ in range(0, _DRAWS, _AT_ONCE):
        drawn = random.integers(count, size=(_AT_ONCE, count))
        uses = np.stack([np.bincount(row, minlength=count) for row in drawn])
        with np.errstate(invalid="ignore"):
            yield (uses @ values) / (uses @ known)


def _percentiles(draws: Array) -> Array:
    """The 2.5 and 97.5 % points of each column, draws without a value left out."""
    whole = np.sort(draws, axis=0)  # NaN last
    counts = np.isfinite(draws).sum(axis=0)
    found = np.full((2, draws.shape[1]), np.nan)
    for column in np.flatnonzero(counts):
        found[:, column] = np.percentile(whole[: counts[column], column], (2.5, 97.5))
    return found
