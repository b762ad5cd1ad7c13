"""What a study holds unless told otherwise."""

from __future__ import annotations

from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.reducers import Reducer
from layerscope.sweep.top_patches import TopPatches


def standard_reducers(*, top: int = 9) -> tuple[Reducer, ...]:
    """Top patches, sparsity, statistics of channels and predictions; ``top``: how many patches of every filter."""
    return TopPatches(top), Sparsity(), ChannelStatistics(), Predictions()
