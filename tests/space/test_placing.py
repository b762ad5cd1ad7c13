"""New pictures on a plane: each patch by what it is, whatever else is placed; one of the study comes to its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor

from layerscope import load_network
from layerscope.drawing.canvas import save_figure
from layerscope.errors import StudyError
from layerscope.images.sets import ImageSet
from layerscope.network.source import Options
from layerscope.space.making import make_spaces
from layerscope.space.placing import place_pictures, show_placed
from layerscope.space.space import Space
from layerscope.study.folder import Study
from tests.oracles.plane.regions import nearest
from tests.oracles.space.patches import every_patch
from tests.support.image_sources import picture_of
from tests.support.spaces import PLAN, textured, undrawn, with_tsne
from tests.support.studies import small


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, ImageSet]:
    return textured(tmp_path_factory.mktemp("placing"))


@pytest.fixture(scope="module")
def study(begun: tuple[Study, ImageSet]) -> Study:
    """Spaces of all patches that lie inside their pictures, and of a layer with one patch per picture."""
    with undrawn():
        made = make_spaces(begun[0], small(), begun[1], ["c2"], options=PLAN)
        return make_spaces(made, small(), begun[1], ["fc7"], options=with_tsne(perplexity=3))


@pytest.fixture
def images(begun: tuple[Study, ImageSet]) -> ImageSet:
    return begun[1]


def inputs(images: ImageSet, *pictures: int) -> Tensor:
    return torch.stack([small().preprocessing.apply(images.load(picture).image) for picture in pictures])


def rows(table: pa.Table) -> list[dict[str, float]]:
    found: list[dict[str, float]] = table.to_pylist()
    return found


@pytest.mark.parametrize("layer", ["c2", "fc7"])
def test_pictures_of_the_study_come_to_their_own_patches(study: Study, images: ImageSet, layer: str) -> None:
    space = Space.open(study, layer)
    wanted = (9, 0, 5)
    placed = rows(place_pictures(space, small(), inputs(images, *wanted)))
    own = {
        (row["picture"], row["row"], row["column"]): patch
        for patch, row in enumerate(space.patches.to_pylist())
    }
    assert len(placed) == len([place for place in own if place[0] in wanted])  # all positions were sampled
    assert [row["picture"] for row in placed] == sorted(row["picture"] for row in placed)
    for row in placed:
        patch = own[wanted[int(row["picture"])], row["row"], row["column"]]
        assert row["distance"] == pytest.approx(0, abs=1e-4)
        assert np.allclose(space.vectors[int(row["nearest"])], space.vectors[patch], atol=1e-4)
    patches = [own[wanted[int(row["picture"])], row["row"], row["column"]] for row in placed]
    there = np.array([(row["x"], row["y"]) for row in placed])
    near = np.hypot(*(there - space.places[patches]).T)
    far = np.hypot(*(there[:, None] - space.places[None]).transpose(2, 0, 1))
    assert np.median(near) < 0.5 * np.median(far)


def test_each_patch_is_the_twins(study: Study, images: ImageSet) -> None:
    space, picture = Space.open(study, "c2"), 3
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 64, 64)).astype(np.float32)
    new = inputs(images, picture)[0] + torch.from_numpy(noise)
    placed = rows(place_pictures(space, small(), new[None]))
    maps = small().representations(new[None], ["c2"])["c2"][0].numpy()
    inside = [
        place
        for place, seen in every_patch(small(), "c2", picture_of(images, picture)).items()
        if min(seen.box) >= 0 and max(seen.box) <= 64
    ]
    assert [(row["row"], row["column"]) for row in placed] == inside
    for row in placed:
        vector = maps[:, int(row["row"]), int(row["column"])]
        ((patch, square),) = nearest(vector.tolist(), space.vectors.tolist(), 1)
        assert row["nearest"] == patch
        assert row["distance"] == pytest.approx(float(square) ** 0.5, rel=1e-4)


def test_what_else_is_placed_makes_no_difference(study: Study, images: ImageSet) -> None:
    space = Space.open(study, "c2")
    alone = rows(place_pictures(space, small(), inputs(images, 6)))
    both = [row for row in rows(place_pictures(space, small(), inputs(images, 2, 6))) if row["picture"] == 1]
    assert len(alone) == len(both) == 4
    for one, other in zip(alone, both, strict=True):
        assert (one["x"], one["y"]) == pytest.approx((other["x"], other["y"]), abs=0.05)
        assert one["nearest"] == other["nearest"]


def test_no_picture_has_no_place(study: Study) -> None:
    placed = place_pictures(Space.open(study, "c2"), small(), torch.empty(0, 3, 64, 64))
    assert placed.num_rows == 0
    assert placed.column_names == ["picture", "row", "column", "x", "y", "nearest", "distance"]


def test_another_network_is_refused(study: Study, images: ImageSet) -> None:
    other = load_network("alexcnn", options=Options(width=0.05, input_size=64, classes=8))
    with pytest.raises(StudyError, match="alexcnn has another architecture or other weights"):
        place_pictures(Space.open(study, "c2"), other, inputs(images, 0))
    with pytest.raises(StudyError, match="no network 'vggcnn'"):
        place_pictures(Space.open(study, "c2"), small("vggcnn"), inputs(images, 0))


def test_the_page_shows_old_and_new(study: Study, images: ImageSet, tmp_path: Path) -> None:
    space = Space.open(study, "c2")
    placed = place_pictures(space, small(), inputs(images, 0, 6))
    page = show_placed(space, placed, ["one.png", "two.png"])
    written = " ".join(text.get_text() for axes in page.axes for text in axes.texts)
    written += " ".join(text.get_text() for text in page.texts)
    assert "one.png" in written
    assert f"embedding of {len(space.points)} patches and {placed.num_rows} new ones" in written
    assert "two.png" in written
    colours = []
    for stem, table in (("both", placed), ("one", placed.slice(0, 4))):
        png, pdf = save_figure(show_placed(space, table, ["one.png", "two.png"]), tmp_path / stem)
        assert pdf.stat().st_size > 1000
        with Image.open(png) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        colours.append(int((np.ptp(pixels, axis=2) > 60).sum()))
    assert colours[0] > colours[1] > 20  # old patches are grey
