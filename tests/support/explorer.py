"""A small study of two networks with all that the pages show, over pictures whose names are meant to do harm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layerscope.compare.comparison import compare_studies
from layerscope.compare.subject import CompareOptions
from layerscope.drawing import canvas
from layerscope.images.sets import open_images
from layerscope.network.source import Loading
from layerscope.space import making as spaces
from layerscope.space.making import make_spaces
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.top_patches import TopPatches
from tests.support.spaces import OPTIONS, PLAN, TEXTURES
from tests.support.studies import SETTINGS, small

CLASSES = ("<script>alert(1)<", "plain", "π 'quoted' \"twice\" & \u200b \N{RIGHT-TO-LEFT OVERRIDE}abc")
LONG = "x" * 240
STRANGE = ("<img src=x onerror=alert(1)>", "`${alert(1)}`", "a b%20c#d?e", LONG)
PARTS = ("sparsity", "similarity", "filters")


@dataclass(frozen=True)
class Shown:
    """A study, and the comparison of its networks."""

    study: Study
    comparison: Study


def write_strange(folder: Path) -> Path:
    """Pictures of three classes, four each, two of noise, stripes, ...; one of them no picture."""
    for number, (name, drawn) in enumerate(zip(CLASSES, TEXTURES.values(), strict=True)):
        (folder / name).mkdir(parents=True)
        for index, stem in enumerate(STRANGE):
            pixels = drawn(np.random.default_rng([number, index]))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{stem}.png")
    (folder / CLASSES[1] / "no <b>picture.png").write_text("none")
    return folder


def make_shown(top: Path) -> Shown:
    """Made anew in a folder: 13 pictures, two networks, the space of p1 of one, their comparison."""
    images = open_images(write_strange(top / "photos"), labels="folders")
    networks = [
        replace(small(name), loading=Loading(name, options=replace(OPTIONS, input_size=size)))
        for name, size in (("alexcnn", 64), ("vggcnn", 32))
    ]
    reducers = [TopPatches(3), Sparsity(), ChannelStatistics(), Predictions(5)]
    study = sweep_study(networks, images, reducers, top / "study", settings=SETTINGS)
    study = remember_sources(study, networks, images)
    options = CompareOptions(parts=PARTS)
    with pytest.MonkeyPatch.context() as patch:  # what takes longest and is not on the pages
        patch.setattr(canvas, "_document", lambda *_, **__: b"%PDF-")
        patch.setattr(spaces, "choose_zooms", lambda _: ())
        study = make_spaces(study, networks[0], images, ["p1"], options=PLAN)
        comparison = compare_studies(
            study, top / "comparison", options=options, networks=networks, images=images
        )
    return Shown(Study.open(study.path), comparison)
