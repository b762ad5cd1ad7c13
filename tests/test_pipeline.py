"""The whole way from Python: one call, a study opened again with its pictures and its network."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from layerscope import (
    NetworkError,
    PortraitError,
    Preprocessing,
    Study,
    StudyError,
    StudyOptions,
    load_network,
    make_study,
    open_images,
)
from layerscope.filters import FilterOptions
from layerscope.filters.top_filters import count_filters
from layerscope.network import Options
from layerscope.progress import Progress
from layerscope.study import check_study, images_of, network_of
from layerscope.sweep import Sparsity, SweepOptions, TopPatches
from tests.support.studies import bytes_of, write_pictures

SWEEP = SweepOptions(batch=2, shard=4)
SMALL = Options(width=0.05, input_size=(64, 72), classes=7)
FEW = StudyOptions([TopPatches(2), Sparsity()], SWEEP, filters=FilterOptions(["c1"], channels=range(2)))


class Smooth(nn.Sequential):
    """What the deconvnet has no rule for."""

    preprocessing = Preprocessing(resize=None, height=16, width=16)

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.Hardtanh(), nn.Conv2d(4, 4, 3), nn.ReLU())


def test_one_call_makes_and_draws_and_the_study_opens_again(tmp_path: Path) -> None:
    photos, told = write_pictures(tmp_path / "photos", 4, ()), list[Progress]()
    network = load_network("alexcnn", options=SMALL)
    made = make_study([network], open_images(photos), tmp_path / "s", options=FEW, progress=told.append)
    assert {row["channel"] for row in made.network("alexcnn").table("filters").to_pylist()} == {0, 1}
    assert "sparsity_chart" in made.steps
    assert list(dict.fromkeys(one.stage for one in told)) == ["pictures", "alexcnn: portraits"]
    assert check_study(made.path) == ()
    again = Study.open(made.path)
    assert images_of(again).names == open_images(photos).names
    assert network_of(again, "alexcnn").input_shape == (3, 64, 72)
    assert network_of(again, "alexcnn").graph.digest == network.graph.digest


def test_the_same_call_again_writes_nothing(tmp_path: Path) -> None:
    """Not even the manifest: sizes given as a pair come back as a list."""
    photos = write_pictures(tmp_path / "photos", 4, ())
    made = make_study(
        [load_network("alexcnn", options=SMALL)], open_images(photos), tmp_path / "s", options=FEW
    )
    before = bytes_of(made.path)
    when = (made.path / "study.json").stat().st_mtime_ns
    without = StudyOptions(FEW.reducers, SWEEP)
    make_study([load_network("alexcnn", options=SMALL)], open_images(photos), made.path, options=without)
    assert bytes_of(made.path) == before
    assert (made.path / "study.json").stat().st_mtime_ns == when


def test_a_module_and_a_data_set_of_yours_are_said_not_to_be_remembered(tmp_path: Path) -> None:
    images = open_images([Image.effect_noise((64, 64), 60).convert("RGB")] * 2)
    made = make_study([load_network(Smooth())], images, tmp_path / "s", options=StudyOptions(sweep=SWEEP))
    with pytest.raises(StudyError, match=r"does not say how Smooth is loaded: it was given as a module"):
        network_of(made, "Smooth")
    with pytest.raises(StudyError, match=r"where its pictures are; give --images PLACE, or in Python"):
        images_of(made)


def test_what_no_rule_covers_is_said_when_all_else_is_there(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 4, ())
    networks = [load_network(Smooth()), load_network("alexcnn", options=SMALL)]
    options = StudyOptions([TopPatches(2)], SWEEP, filters=FilterOptions(channels=[0]))
    with pytest.raises(PortraitError, match=r"^no portraits of Smooth: deconvnet has no rule for hardtanh"):
        make_study(networks, open_images(photos), tmp_path / "s", options=options)
    made = Study.open(tmp_path / "s")
    assert "filters" not in made.network("Smooth").results
    assert made.network("alexcnn").table("filters").num_rows == 5
    layers = made.network("alexcnn").layers.to_pylist()
    every = sum(row["channels"] for row in layers if row["kind"] == "conv2d")
    assert [count_filters(made, name) for name in ("Smooth", "alexcnn")] == [8, every - 5]


def test_what_cannot_be_is_refused_before_the_pass(tmp_path: Path) -> None:
    images = open_images(write_pictures(tmp_path / "photos", 2, ()))
    network = load_network("alexcnn", options=SMALL)
    with pytest.raises(NetworkError, match="alexcnn: no layer 'c9' to map"):
        make_study([network], images, tmp_path / "s", options=StudyOptions(spaces=["c9"]))
    assert not (tmp_path / "s").exists()


def test_a_study_that_lies_among_its_pictures_goes_on(tmp_path: Path) -> None:
    """Neither its own figures nor those of others are taken for pictures."""
    photos, network = write_pictures(tmp_path / "photos", 4, ()), load_network("alexcnn", options=SMALL)
    make_study([network], open_images(photos), photos / "one", options=FEW)
    assert len(open_images(photos)) == 4
    (photos / "two" / "work").mkdir(parents=True)
    (photos / "two" / "work" / "begun.json").write_text("{}")
    Image.new("RGB", (8, 8)).save(photos / "two" / "figure.png")
    assert len(open_images(photos)) == 4
