"""Correlation of ranks, which asks for an order only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def rank_correlation(values: Sequence[float]) -> float:
    """Spearman's correlation of values with their places; equals share their mean rank, and 0 stands for no order."""
    found = np.asarray(values, np.float64)
    below, not_above = (compare(found, found[:, None]).sum(axis=1) for compare in (np.less, np.less_equal))
    ranks, places = (below + not_above) / 2.0, np.arange(len(found), dtype=np.float64)
    ranks, places = ranks - ranks.mean(), places - places.mean()
    scale = np.sqrt((ranks**2).sum() * (places**2).sum())
    return float(ranks @ places / scale) if scale > 0 else 0.0
