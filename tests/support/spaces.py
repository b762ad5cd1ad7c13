"""Small spaces for the tests: pictures of three textures, a narrow AlexCNN, t-SNE with few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layerscope.disk.tables import Content
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.network import Network
from layerscope.network.source import Loading, Options
from layerscope.plane.embedding import Tsne
from layerscope.space import making as spaces
from layerscope.space.making import SpaceOptions
from layerscope.space.space import Space
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.support.studies import SETTINGS, small

OPTIONS = Options(width=0.05, input_size=64, classes=7)  #: those of `studies.small`
QUICK = Tsne(perplexity=8, components=10, threads=1, early=60, iterations=120)
PLAN = SpaceOptions(count=160, side=8, tsne=QUICK)
STEPS = ("patches", "neighbours", "embedding", "plane", "pictures")


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (48, 48, 3))


def _stripes(rng: np.random.Generator) -> np.ndarray:
    along = (np.arange(48) + rng.integers(0, 8)) // 4 % 2 * 200
    return np.broadcast_to(along[:, None, None], (48, 48, 3)) + rng.integers(0, 30, (48, 48, 3))


def _flat(rng: np.random.Generator) -> np.ndarray:
    return np.full((48, 48, 3), rng.integers(20, 60, 3)) + rng.integers(0, 20, (48, 48, 3))


TEXTURES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "flat": _flat,
    "noise": _noise,
    "stripes": _stripes,
}


def write_textures(folder: Path, each: int = 4) -> Path:
    """Pictures of 48 x 48 in a folder for each texture, so many in each."""
    for number, (name, drawn) in enumerate(TEXTURES.items()):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            pixels = drawn(np.random.default_rng([number, index]))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


def begin(network: Network | Sequence[Network], images: ImageSet, out: Path) -> Study:
    """A study without spaces."""
    networks = [network] if isinstance(network, Network) else network
    return sweep_study(networks, images, [TopPatches(2)], out, settings=SETTINGS)


def textured(top: Path) -> tuple[Study, ImageSet]:
    """A study of the narrow AlexCNN over 12 labelled textures, which knows its sources."""
    images = open_images(write_textures(top / "photos"), labels="folders")
    network = replace(small(), loading=Loading("alexcnn", options=OPTIONS))
    return remember_sources(begin(network, images, top / "study"), [network], images), images


@contextmanager
def undrawn() -> Iterator[None]:
    """Sheets and portraits take longest; in here a space has the little pictures of its patches, ``cells``, instead."""

    def sheets(space: Space, cells: np.ndarray, _: object) -> Iterator[tuple[str, Content]]:
        yield "cells", np.array(cells)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spaces, "space_sheets", sheets)
        patch.setattr(spaces, "choose_zooms", lambda _: ())
        yield


def with_tsne(plan: SpaceOptions = PLAN, **changes: object) -> SpaceOptions:
    """The plan with other options of t-SNE."""
    return replace(plan, tsne=replace(plan.tsne, **changes))  # type: ignore[arg-type]
