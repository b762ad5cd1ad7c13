"""A space read from a study: regions, filters, neighbours, and what is said when there is none."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from layerscope import load_network
from layerscope.errors import EmbeddingError, LayerscopeError, StudyError
from layerscope.images.sets import open_images
from layerscope.plane.clusters import groups_of, suggest_regions
from layerscope.plane.regions import describe_region, region_filters
from layerscope.space.making import SpaceOptions, make_spaces
from layerscope.space.placing import place_pictures
from layerscope.space.sheets import region_tables
from layerscope.space.space import Space
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.oracles.plane import regions as slow
from tests.support.spaces import PLAN, begin, textured, undrawn
from tests.support.studies import small, write_pictures


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    begun, images = textured(tmp_path_factory.mktemp("space"))
    with undrawn():
        return make_spaces(begun, small(), images, ["p1"], options=PLAN)


@pytest.fixture
def space(study: Study) -> Space:
    return Space.open(study, "p1")


# ------------------------------------------------------------------ regions


@pytest.mark.parametrize(
    "outline",
    [(0.0, 0.0, 5.0, 4.0), (2.5, 1.25, 9.0, 14.0), [(0.0, 0.0), (12.0, 1.0), (4.0, 13.0)]],
)
def test_a_region_of_the_filled_plane_holds_the_points_in_it(space: Space, outline: list[float]) -> None:
    given = np.array(outline, float)
    left, top, right, bottom = given if given.ndim == 1 else (0, 0, 0, 0)
    corners = (
        [tuple(corner) for corner in given.tolist()]
        if given.ndim == 2
        else [(left, top), (right, top), (right, bottom), (left, bottom)]
    )
    grid, points = space.grid, space.points.astype(np.float64)
    cells = [((x - grid.left) / grid.side, (y - grid.top) / grid.side) for x, y in points.tolist()]
    expected = [patch for patch, (x, y) in enumerate(cells) if slow.holds(corners, x, y)]
    region = space.region(outline, "fill")
    assert 0 < len(expected) < 160
    assert region.members.tolist() == expected
    assert region.pictures == len({space.pictures[patch] for patch in expected})


def test_a_region_of_the_one_to_one_plane_holds_what_it_shows(space: Space) -> None:
    plane = space.planes["one-to-one"]
    assert space.arrangement == "one-to-one"
    shown = plane[1:4, 2:7]
    region = space.region((2.0, 1.0, 7.0, 4.0), "one-to-one")
    assert region.members.tolist() == sorted(shown[shown >= 0].tolist())
    row, column = np.argwhere(plane == region.centre)[0]
    assert 1 <= row < 4
    assert 2 <= column < 7
    corner = space.region([(2.0, 1.0), (3.0, 1.0), (3.0, 2.0), (2.0, 2.0)], "one-to-one")
    assert corner.members.tolist() == [plane[1, 2]]
    assert sorted(space.region((0, 0, *plane.shape[::-1]), "one-to-one").members.tolist()) == list(range(160))


def test_every_patch_stands_in_its_cell(space: Space) -> None:
    plane, places = space.planes["one-to-one"], space.places_in("one-to-one")
    for row, column in product(*map(range, plane.shape)):
        if plane[row, column] >= 0:
            assert places[plane[row, column]].tolist() == [column + 0.5, row + 0.5]
    assert np.array_equal(space.places_in("fill"), space.places)
    grid = space.grid
    cells = ((space.points - (grid.left, grid.top)) / grid.side).astype(int)[:, ::-1]
    assert np.allclose(np.floor(space.places[:, ::-1] - 1e-6).clip(0), cells, atol=1)
    assert len(np.unique(places, axis=0)) == 160


def test_filters_of_a_region_are_the_twins(space: Space) -> None:
    region = space.region((0.0, 0.0, 5.0, 5.0))
    here = space.vectors[region.members]
    elsewhere = np.delete(space.vectors, region.members, axis=0)
    table = space.filters(region).to_pylist()
    for row in table:
        channel = row["channel"]
        assert row["contrast"] == pytest.approx(
            float(slow.contrast(here[:, channel].tolist(), elsewhere[:, channel].tolist()))
        )
        assert row["mean"] == pytest.approx(float(slow.mean(here[:, channel].tolist())))
    contrasts = [row["contrast"] for row in table]
    assert contrasts == sorted(contrasts, reverse=True)
    means = space.filters(region, "mean")["mean"].to_pylist()
    assert means == sorted(means, reverse=True)
    assert {row["channel"] for row in table} == set(range(5))


def test_bad_outlines_and_empty_regions(space: Space) -> None:
    for outline, message in (
        ((900, 900, 901, 901), "the region holds no patch"),
        ((5, 0, 1, 4), "ends before it begins"),
        ([(0, 0), (1, 1)], "corners"),
        ((0, 0, float("nan"), 1), "finite"),
    ):
        with pytest.raises(LayerscopeError, match=message) as caught:
            space.region(outline)
        assert "\n" not in str(caught.value)
    with pytest.raises(StudyError, match="no arrangement 'round'; it has fill, one-to-one"):
        space.region((0, 0, 3, 3), "round")


# ------------------------------------------------------------------ one patch


@pytest.mark.parametrize("patch", [0, 7, 159])
def test_neighbours_and_strongest_filters_are_the_twins(space: Space, patch: int) -> None:
    assert space.arrangement == "one-to-one"
    for on, arrangement, values in (
        ("representation", None, space.vectors),
        ("plane", "fill", space.places),
        ("plane", None, space.places_in("one-to-one")),
    ):
        found = space.nearest(patch, 6, on=on, arrangement=arrangement)  # type: ignore[arg-type]
        expected = slow.nearest(values[patch].tolist(), values.tolist(), 6, without=patch)
        assert found.patches.tolist() == [number for number, _ in expected]
        assert np.allclose(found.distances**2, [float(square) for _, square in expected])
    assert space.strongest(patch, 3).tolist() == slow.strongest(space.vectors[patch].tolist(), 3)


def test_there_is_no_such_patch(space: Space) -> None:
    for patch in (-1, 160):
        with pytest.raises(StudyError, match=f"no patch {patch}; p1 has 160, counted from 0"):
            space.nearest(patch)
        with pytest.raises(StudyError, match=f"no patch {patch}; p1 has 160, counted from 0"):
            space.strongest(patch)
    with pytest.raises(LayerscopeError, match="160 neighbours of 159 patches"):
        space.nearest(0, 160)


# ------------------------------------------------------------------ suggested regions


def test_suggested_regions_come_back_as_they_were(space: Space) -> None:
    expected = suggest_regions(space.places, space.pictures, space.classes)
    assert len(space.suggested) == len(expected) > 1
    for found, region in zip(space.suggested, expected, strict=True):
        assert found.members.tolist() == region.members.tolist()
        assert np.array_equal(found.outline, region.outline)
        assert (found.centre, found.pictures, found.spread) == (region.centre, region.pictures, region.spread)
        assert (found.label, found.label_share) == (region.label, region.label_share)
    shares = [region.label_share for region in space.suggested if region.label_share is not None]
    assert np.mean(shares) > 0.7  # of three textures
    table = space.results.table("spaces/p1/region_filters")
    assert table["region"].unique().to_pylist() == list(range(1, len(expected) + 1))
    for number, region in enumerate(expected, 1):
        own = [
            {k: v for k, v in row.items() if k != "region"}
            for row in table.to_pylist()
            if row["region"] == number
        ]
        found_filters = region_filters(space.vectors, region.members).sort_by("channel").to_pylist()
        assert own == found_filters


def test_regions_on_a_line_and_none_at_all(study: Study, tmp_path: Path) -> None:
    """The outline of patches on a line is a box; a space may have no region worth a look."""
    copied = Study.open(shutil.copytree(study.path, tmp_path / "study"))
    space = Space.open(copied, "p1")
    box = space.region((0.0, 0.0, 5.0, 4.0))
    for regions in ((box,), ()):
        groups = groups_of(regions, 160)
        tables = region_tables(regions, [region_filters(space.vectors, region.members) for region in regions])
        planes = {f"planes/{name}": np.array(plane) for name, plane in space.planes.items()}
        grid = space.results.file("spaces/p1/grid.json").read_bytes()
        content = {**planes, **tables, "region_of": groups, "grid.json": grid, "truth": space.truth}
        options = copied.steps["alexcnn/spaces/p1/plane"]
        named = {f"spaces/p1/{name}": one for name, one in content.items()}
        copied = copied.add("spaces/p1/plane", named, network="alexcnn", options=options)
        space = Space.open(copied, "p1")
        assert len(space.suggested) == len(regions)
        for found in space.suggested:
            assert found.outline.tolist() == [0.0, 0.0, 5.0, 4.0]
            assert found.members.tolist() == box.members.tolist()
    assert isinstance(space.results.table("spaces/p1/region_filters"), pa.Table)


def test_classes_are_those_of_the_pictures(space: Space) -> None:
    assert space.classes is not None
    assert space.classes.tolist() == [picture // 4 for picture in space.pictures.tolist()]
    region = space.region((-9, -9, 99, 99))
    assert region.label == np.bincount(space.classes).argmax()
    members = np.arange(160)
    whole = describe_region(members, region.outline, space.places, space.pictures, space.classes)
    assert region.label_share == whole.label_share


# ------------------------------------------------------------------ spaces that are not there


def test_spaces_that_are_not_there(study: Study, tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"no space of c2 of alexcnn; `layerscope space make .* --layers c2` makes it$"
    ):
        Space.open(study, "c2")
    with pytest.raises(StudyError, match=r"^alexcnn has no layer 'c9'; `layerscope layers` lists"):
        Space.open(study, "c9")
    with pytest.raises(StudyError, match=r"has no network 'vggcnn'; it has alexcnn$"):
        Space.open(study, "p1", "vggcnn")
    images = open_images(write_pictures(tmp_path / "photos", 2, ()))
    both = begin((small(), small("vggcnn")), images, tmp_path / "both")
    with pytest.raises(StudyError, match=r"has alexcnn, vggcnn; say whose p1 is meant$"):
        Space.open(both, "p1")
    with pytest.raises(StudyError, match="no space of p1 of vggcnn"):
        Space.open(both, "p1", "vggcnn")


def test_new_vectors_of_another_layer(space: Space) -> None:
    with pytest.raises(EmbeddingError, match="vectors of 3 channels among those of 5; take the same layer"):
        space.place(np.zeros((2, 3), np.float32))
    assert space.place(np.zeros((0, 5), np.float32)).shape == (0, 2)


# ------------------------------------------------------------------ at full scale


@pytest.mark.slow
def test_textures_are_neighbours_in_c4_1_of_vgg16(tmp_path: Path) -> None:
    """Patches of one texture lie together, whatever picture they are of; a placed picture comes back to itself."""
    data = Path(pytest.importorskip("skimage").__file__).parent / "data"
    for name in ("brick", "grass", "gravel"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        with Image.open(data / f"{name}.png") as photo:
            for corner in range(4):
                x, y = corner % 2 * 256, corner // 2 * 256
                photo.crop((x, y, x + 256, y + 256)).save(tmp_path / "photos" / name / f"{corner}.png")
    network = load_network("vgg16", "imagenet-trunk")
    images = open_images(tmp_path / "photos", labels="folders")
    study = sweep_study([network], images, [TopPatches(2, ("c4_1",))], tmp_path / "study")
    made = make_spaces(study, network, images, ["c4_1"], options=SpaceOptions(count=1000, side=16))
    space = Space.open(made, "c4_1")
    assert check_study(made.path) == ()
    assert space.vectors.shape == (1000, 512)
    found = {(row["name"], row["of"]): row for row in space.truth.to_pylist()}
    for measure in ("purity by class", "purity by class, other pictures"):
        for of in ("representation", "embedding"):
            row = found[measure, of]
            assert row["control"] < 0.45
            assert row["value"] > 0.85
    recall = found["neighbour recall", "embedding"]
    assert recall["value"] > 0.3
    assert recall["control"] < 0.05
    trust = found["trustworthiness", "embedding"]
    assert trust["value"] > 0.8 > trust["control"] + 0.2
    assert found["patches shown", "one-to-one"]["value"] == 1
    assert found["duplicate neighbours", "one-to-one"]["value"] == 0
    assert 0.1 < found["patches shown", "fill"]["value"] < 0.6
    assert found["duplicate neighbours", "fill"]["value"] > 0.3
    assert space.suggested
    for region in space.suggested[:3]:
        best = space.filters(region).to_pylist()[0]
        assert best["contrast"] > 0.8
        assert best["mean"] > 2 * best["mean_elsewhere"]
    values = network.preprocessing.apply(images.load(5).image)
    placed = place_pictures(space, network, values[None]).to_pandas()
    own = {(r["row"], r["column"]): n for n, r in enumerate(space.patches.to_pylist()) if r["picture"] == 5}
    sampled = placed[[place in own for place in zip(placed["row"], placed["column"], strict=True)]]
    assert len(sampled) == len(own) > 50
    numbers = [own[place] for place in zip(sampled["row"], sampled["column"], strict=True)]
    assert sampled["nearest"].tolist() == numbers
    apart = np.hypot(*(sampled[["x", "y"]].to_numpy() - space.places[numbers]).T)
    assert np.median(apart) < 1.5
