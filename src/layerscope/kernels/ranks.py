"""Correlation of ranks, which asks for an order only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = Sequence[float] | npt.NDArray[np.floating | np.integer]


def rank_correlation(values: Values) -> float:
    """Spearman's correlation of values with their places; equals share their mean rank, and 0 stands for no order."""
    return correlate_ranks(values, np.arange(len(values), dtype=np.float64))


def correlate_ranks(one: Values, other: Values) -> float:
    """Spearman's correlation of as many values as others, each set flattened; as `rank_correlation`."""
    ranks, others = centred_ranks(one), centred_ranks(other)
    scale = np.sqrt((ranks @ ranks) * (others @ others))
    return float(ranks @ others / scale) if scale > 0 else 0.0


def centred_ranks(values: Values) -> npt.NDArray[np.float64]:
    """The rank of each value, flattened, less the mean rank; equals share their mean."""
    flat = np.asarray(values, np.float64).ravel()
    _, places, counts = np.unique(flat, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts + 1) / 2
    found: npt.NDArray[np.float64] = ranks[places] - (len(flat) - 1) / 2
    return found
