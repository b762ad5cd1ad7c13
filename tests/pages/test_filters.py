"""Pictures of filters: what they show, which there are, what is kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from layerscope.drawing.sprites import read_sprite
from layerscope.errors import LayerscopeError, NetworkError, StudyError
from layerscope.filters.portraits import make_portraits
from layerscope.filters.top_filters import top_filters
from layerscope.images.sets import open_images
from layerscope.network.network import Network, Unit
from layerscope.network.preprocessing import Preprocessing
from layerscope.pages import PageOptions, add_pages, panels, summary
from layerscope.pages.filters import add_filters
from layerscope.pages.panels import Layout
from layerscope.pages.patches import cut_rows
from layerscope.pages.summary import summary_of
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import DECONVNET
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.channel_statistics import Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.oracles.pages import panels as oracle
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of a narrow AlexCNN, and the folder of its pictures."""
    top = tmp_path_factory.mktemp("made")
    photos = write_pictures(top / "photos", 6, (2,))
    images = open_images(photos)
    study = sweep_study([small()], images, [TopPatches(3)], top / "study", settings=SETTINGS)
    remember_sources(study, [small()], images)
    return top / "study", photos


@pytest.fixture
def study(made: tuple[Path, Path], tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(made[0], tmp_path / "study"))


@pytest.fixture
def photos(made: tuple[Path, Path]) -> Path:
    return made[1]


def rows(study: Study, network: str = "alexcnn") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = study.network(network).table("pages/filters").to_pylist()
    return found


def own(module: nn.Module, *, size: int = 24) -> Network:
    module.eval()
    preprocessing = Preprocessing(resize=None, height=size, width=size)
    return Network.from_module(module, name="own", preprocessing=preprocessing)


# ------------------------------------------------------------------ patches


def test_rows_of_patches_equal_plain_indexing(
    study: Study, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panels, "SIDE", 20)
    images, network = open_images(photos), small()
    filters = [one for one in top_filters(study, network, ["c1", "c2", "c5", "fc7"]) if one.patches]
    frames = {"c1": (11, 11), "c2": (47, 47), "c5": (64, 64), "fc7": (64, 64)}
    layouts = {layer: Layout(frame, 4) for layer, frame in frames.items()}
    outside = 0
    with cut_rows(study, network, images, layouts, filters) as cut:
        for one in filters:
            frame, panel = frames[one.layer.name], layouts[one.layer.name].panel
            assert panel == ((11, 11) if one.layer.name == "c1" else (20, 20))
            row = cut.of(one)
            assert row.shape == (panel[0], 4 * panel[1], 3)
            assert (row[:, len(one.patches) * panel[1] :] == 128).all()  # no such patches
            for rank, patch in enumerate(one.patches):
                picture = images.load(patch.picture).image
                pixels = network.preprocessing.picture(network.preprocessing.apply(picture))
                field = one.layer.field
                assert field is not None
                box = field.box(patch.row, patch.column)
                outside += box.height <= 64 and box.outside(64, 64) != (0, 0, 0, 0)
                expected = oracle.cut(pixels, (box.top, box.left, box.bottom, box.right)).astype(float)
                assert expected.shape == (*frame, 3)
                found = row[:, rank * panel[1] : (rank + 1) * panel[1]].astype(float)
                if panel == frame:
                    np.testing.assert_array_equal(found, expected)
                elif one.channel % 3 == rank % 3 == 0:  # the twin takes a while
                    assert np.abs(found - oracle.hamming(expected, panel)).max() < 1.5
    assert outside > 5


def test_small_panels_are_kept_without_loss(study: Study, photos: Path) -> None:
    images, network = open_images(photos), small()
    made = add_filters(study, network, images, PageOptions(layers=["c1"]), DECONVNET)
    one = next(one for one in top_filters(study, network, ["c1"]) if one.patches)
    patch = one.patches[0]
    pixels = network.preprocessing.picture(network.preprocessing.apply(images.load(patch.picture).image))
    assert one.layer.field is not None
    box = one.layer.field.box(patch.row, patch.column)
    shown = read_sprite(made.network("alexcnn").file(f"pages/filters/c1/{one.channel}.png"))
    np.testing.assert_array_equal(
        shown[:11, :11], oracle.cut(pixels, (box.top, box.left, box.bottom, box.right))
    )


def test_reconstructions_equal_those_made_by_hand(
    study: Study, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put into the frame, reduced as values about zero, then stretched; each of its own."""
    monkeypatch.setattr(panels, "SIDE", 20)  # kept without loss
    images, network = open_images(photos), small()
    made = add_filters(
        study, network, images, PageOptions(layers=["c1", "c2", "c5"], filters="all"), DECONVNET
    )
    seen = 0
    for row in rows(made):
        assert row["drawn"]
        assert (row["height"], row["width"]) == ((11, 11) if row["layer"] == "c1" else (20, 20))
        [one] = [f for f in top_filters(study, network, [row["layer"]]) if f.channel == row["channel"]]
        shown = read_sprite(made.network("alexcnn").file(f"pages/{row['file']}"))
        assert shown.shape[0] == 2 * row["height"]
        assert len(row["white"]) == len(one.patches)
        for rank, patch in enumerate(one.patches):
            if (row["channel"] + rank) % 4:
                continue  # the twin takes a while
            unit = Unit(row["layer"], row["channel"], patch.row, patch.column)
            values = network.preprocessing.apply(images.load(patch.picture).image)[None]
            signal = reconstruct(network, values, [unit])[unit][0].permute(1, 2, 0).double().numpy()
            box = network.box(unit)
            framed = oracle.cut_values(signal, (box.top, box.left, box.bottom, box.right))
            expected = oracle.stretched(oracle.mean_of_area(framed, (row["height"], row["width"])))
            found = shown[row["height"] :, rank * row["width"] : (rank + 1) * row["width"]].astype(int)
            assert np.abs(found - expected).max() <= 1
            seen += (found != 128).any()
    assert seen > 10


# ------------------------------------------------------------------ which there are


def test_all_convolutions_and_linear_layers_have_a_picture_of_each_filter_that_fires(
    study: Study, photos: Path
) -> None:
    made = add_filters(study, small(), open_images(photos), PageOptions(), DECONVNET)
    alive = {
        (one.layer.name, one.channel)
        for one in top_filters(study, small(), "all")
        if one.patches and one.layer.kind in ("conv2d", "linear")
    }
    found = rows(made)
    assert {(row["layer"], row["channel"]) for row in found} == alive
    assert {row["layer"] for row in found} == {"c1", "c2", "c3", "c4", "c5", "fc6", "fc7", "fc8"}
    for row in found:
        shown = read_sprite(made.network("alexcnn").file(f"pages/{row['file']}"))
        assert shown.shape == (row["height"], row["width"] * row["columns"], 3)
        assert (row["drawn"], row["white"]) == (False, None)
    assert check_study(made.path) == ()


def test_layers_asked_for_later_stand_beside_those_that_are_there(study: Study, photos: Path) -> None:
    images, network = open_images(photos), small()
    other = Study.open(shutil.copytree(study.path, study.path.parent / "other"))
    first = add_filters(study, network, images, PageOptions(layers=["c2"]), DECONVNET)
    kept = {name: digest for name, digest in bytes_of(first.path).items() if "filters/c2" in name}
    second = add_filters(first, network, images, PageOptions(layers=["p1", "c1"]), DECONVNET)
    assert {row["layer"] for row in rows(second)} == {"c1", "p1", "c2"}
    assert kept
    assert kept.items() <= bytes_of(second.path).items()
    at_once = add_filters(other, network, images, PageOptions(layers=["c1", "c2", "p1"]), DECONVNET)
    assert bytes_of(at_once.path) == bytes_of(second.path)


def test_portrayed_filters_are_drawn_and_stay_drawn(study: Study, photos: Path) -> None:
    images, network = open_images(photos), small()
    bare = add_filters(study, network, images, PageOptions(layers=["c2"]), DECONVNET)
    assert not any(row["drawn"] for row in rows(bare))
    portrayed = make_portraits(bare, network, images, layers=["c2"], channels=[0, 2, 5])
    alive = {
        row["channel"] for row in portrayed.network("alexcnn").table("filters").to_pylist() if not row["dead"]
    }
    drawn = add_filters(portrayed, network, images, PageOptions(layers=["c2"]), DECONVNET)
    assert {row["channel"] for row in rows(drawn) if row["drawn"]} == alive
    assert alive
    for row in rows(drawn):
        assert (row["white"] is not None) == row["drawn"]
        shown = read_sprite(drawn.network("alexcnn").file(f"pages/{row['file']}"))
        assert shown.shape[0] == (1 + row["drawn"]) * row["height"]
    before = bytes_of(drawn.path)
    again = add_filters(drawn, network, images, PageOptions(layers=["c2"], filters="none"), DECONVNET)
    assert bytes_of(again.path) == before
    assert check_study(again.path) == ()


def test_what_the_rule_does_not_go_back_from_has_patches_alone(photos: Path, tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.Hardtanh(), nn.Conv2d(2, 2, 3)
    )
    network, images = own(module), open_images(photos)
    study = sweep_study([network], images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS)
    made = add_pages(study, [network], images, PageOptions(1, filters="all"))
    assert {(row["layer"], row["drawn"]) for row in rows(made, "own")} == {
        ("0", True),
        ("2", False),
        ("4", False),
    }
    said = list(summary_of(made, ["own"]))
    assert said[1] == "own: reconstructions from 1 layer, none of 2, 4: deconvnet does not go back from there"


def test_a_damaged_picture_is_made_anew(study: Study, photos: Path) -> None:
    images, network = open_images(photos), small()
    made = add_filters(study, network, images, PageOptions(layers=["c2"]), DECONVNET)
    before = bytes_of(made.path)
    file = next(iter(sorted((made.path / "alexcnn/pages/filters/c2").iterdir())))
    file.write_bytes(bytes(file.stat().st_size))
    again = add_filters(made, network, images, PageOptions(layers=["c2"]), DECONVNET)
    assert bytes_of(again.path) == before


def test_a_filter_that_never_fires_has_no_picture(photos: Path, tmp_path: Path) -> None:
    convolution = nn.Conv2d(3, 2, 3)
    assert convolution.bias is not None
    convolution.bias.data = convolution.bias.data.new_tensor([-1e6, 1e6])
    network, images = own(nn.Sequential(convolution, nn.ReLU())), open_images(photos)
    study = sweep_study([network], images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS)
    made = add_filters(study, network, images, PageOptions(), DECONVNET)
    assert [(row["layer"], row["channel"]) for row in rows(made, "own")] == [("0", 1)]


def test_of_many_filters_a_sample_that_is_said(study: Study, photos: Path, tmp_path: Path) -> None:
    """Those portrayed, and as many of each layer as can be, evenly spaced; all by ``most=None``."""
    images, network, layers = open_images(photos), small(), ["c1", "c2", "c5"]
    alive = {name: [o.channel for o in top_filters(study, network, [name]) if o.patches] for name in layers}
    portrayed = alive["c5"][0]
    study = make_portraits(study, network, images, layers=["c5"], channels=[portrayed])
    made = add_filters(study, network, images, PageOptions(layers=layers, most=7), DECONVNET)
    found = {name: [r["channel"] for r in rows(made) if r["layer"] == name] for name in layers}
    assert [len(own) for own in found.values()] == [2, 2, 3]
    for name in ("c1", "c2"):
        own, every = found[name], alive[name]
        assert own == [every[len(every) // 4], every[3 * len(every) // 4]]
    assert portrayed in found["c5"]
    left = sum(map(len, alive.values())) - 7
    how = f"`layerscope pages {made.path} -n alexcnn --most all` adds a picture of each"
    (said,) = (line for line in summary_words(made) if "filters" in line)
    assert (
        said == f"7 filters of 3 layers, 1 with reconstructions; {left} more filters of these layers: {how}"
    )
    every_one = add_filters(made, network, images, PageOptions(layers=layers, most=None), DECONVNET)
    assert len(rows(every_one)) == left + 7
    assert not any("more filters" in line for line in summary_words(every_one))
    with pytest.raises(LayerscopeError, match="most=-1"):
        PageOptions(most=-1)


def summary_words(study: Study) -> list[str]:
    """What is said of a network whose reconstructions were not made."""
    results = study.network("alexcnn")
    return [summary._filters(results) + summary._left_out(study, "alexcnn")]


def test_without_top_patches_there_are_none(photos: Path, tmp_path: Path) -> None:
    images = open_images(photos)
    study = sweep_study([small()], images, [Sparsity()], tmp_path / "s", settings=SETTINGS)
    made = add_filters(study, small(), images, PageOptions(), DECONVNET)
    assert "alexcnn/pages/filters" not in made.steps


def test_a_layer_that_no_network_has_is_refused(study: Study, photos: Path) -> None:
    with pytest.raises(NetworkError, match="c9"):
        add_pages(study, [small()], open_images(photos), PageOptions(layers=["c1", "c9"]))
    assert not (study.path / "pages").exists()
    other = own(nn.Conv2d(3, 2, 3))
    with pytest.raises(StudyError, match="no network 'own'"):
        add_pages(study, [other], open_images(photos))
