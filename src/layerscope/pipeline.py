"""The whole pipeline: from networks and an image set to a study with all that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layerscope.compare.sparsity import show_sparsity, sparsity_table
from layerscope.drawing.canvas import figure_files
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.progress import Told
from layerscope.study.folder import Study
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.engine import Engine
from layerscope.sweep.making import make_study
from layerscope.sweep.one_pass import SweepOptions
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.reducers import Reducer
from layerscope.sweep.top_patches import TopPatches


def standard_reducers(*, top: int = 9) -> tuple[Reducer, ...]:
    """What a study holds unless told otherwise; ``top``: how many patches of every filter."""
    return TopPatches(top), Sparsity(), ChannelStatistics(), Predictions()


def build_study(
    networks: Sequence[Network],
    images: ImageSet,
    reducers: Sequence[Reducer],
    out: str | Path,
    *,
    settings: SweepOptions | None = None,
    engine: Engine | None = None,
    progress: Told | None = None,
) -> Study:
    """Make a study, as `make_study` does, and add to it what is drawn of its numbers; what is there is kept."""
    return add_charts(
        make_study(networks, images, reducers, out, settings=settings, engine=engine, progress=progress)
    )


def add_charts(study: Study) -> Study:
    """The study with the charts of its numbers: of sparsity, if that of any convolution or pool was counted."""
    counted = any("sparsity" in study.network(name).results for name in study.networks)
    if "sparsity_chart" in study.steps or not counted or not sparsity_table(study).num_rows:
        return study
    return study.add("sparsity_chart", dict(figure_files(show_sparsity(study), "sparsity")))
