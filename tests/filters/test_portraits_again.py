"""What a second run does to portraits that are there: other precisions, rules that do not fit, files cut short."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from layerscope.cli.main import main
from layerscope.errors import StudyError, UnsupportedOperationError
from layerscope.filters.painting import Drawing
from layerscope.filters.portraits import drawing_of, make_portraits, precision_of
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.reconstruction.rules import GRADIENT, GUIDED
from layerscope.space.making import make_spaces
from layerscope.space.placing import place_pictures
from layerscope.space.space import Space
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.sources import check_network, network_of
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.support.spaces import PLAN, textured
from tests.support.studies import SETTINGS, bytes_of, pictures, small


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, ImageSet]:
    """A study in float32, which knows its sources; to be copied."""
    return textured(tmp_path_factory.mktemp("begun"))


@pytest.fixture
def study(begun: tuple[Study, ImageSet], tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(begun[0].path, tmp_path / "study"))


@pytest.fixture
def images(begun: tuple[Study, ImageSet]) -> ImageSet:
    return begun[1]


def portraits_of(study: Study) -> dict[str, str]:
    return {name: digest for name, digest in bytes_of(study.path).items() if "/filters/" in name}


def filters(study: Study, *words: object) -> Result:
    return CliRunner().invoke(main, ["filters", str(study.path), *map(str, words)], catch_exceptions=False)


def made_as(study: Study) -> tuple[Any, ...]:
    step = Study.open(study.path).steps["alexcnn/filters"]
    return step["rule"], step["display"], step["dtype"]


# ------------------------------------------------------------------ another precision than the study's


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_network_in_another_precision_is_the_studys(study: Study, dtype: torch.dtype) -> None:
    for network in (small().to(dtype=dtype), network_of(study, "alexcnn", dtype=dtype)):
        assert network.dtype == dtype
        check_network(study, network)
        assert network.to("cpu").dtype == dtype
        check_network(study, network.to("cpu"))
        check_network(study, network.to(dtype=torch.float32))
    tensors = {name: 1.001 * tensor for name, tensor in small().graph.tensors.items()}
    other = replace(small(), graph=replace(small().graph, tensors=tensors))
    with pytest.raises(StudyError, match="other weights"):
        check_network(study, other.to(dtype=dtype))


def test_weights_are_hashed_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    network, other = (network_of(study, "alexcnn") for _ in range(2))
    check_network(study, network)
    monkeypatch.setattr("layerscope.network.graph.hashlib.sha256", lambda *_: 1 / 0)
    for again in (network, network.to("cpu"), network.to(dtype=torch.float32)):
        check_network(study, again)
    with pytest.raises(ZeroDivisionError):  # the control
        check_network(study, other)


def test_filters_in_bfloat16_of_a_float32_study(study: Study) -> None:
    made = filters(study, "--layers", "c1", "--channels", "0-1", "--dtype", "bfloat16")
    assert made.exit_code == 0, made.output
    assert made_as(study) == ("deconvnet", "signed", "bfloat16")


def test_a_space_in_bfloat16_of_a_float32_study_adds_to_its_portraits(study: Study, images: ImageSet) -> None:
    portrayed = make_portraits(study, small(), images, layers=["c1"], channels=[0])
    before = portraits_of(portrayed)
    rounded = network_of(study, "alexcnn", dtype=torch.bfloat16)
    made = make_spaces(portrayed, rounded, images, ["p1"], options=PLAN)
    assert made_as(made) == ("deconvnet", "signed", "float32")
    assert {name: digest for name, digest in portraits_of(made).items() if name in before} == before
    space = Space.open(made, "p1")
    assert np.array_equal(space.vectors, torch.tensor(space.vectors).bfloat16().float().numpy())
    assert place_pictures(space, rounded, torch.zeros(1, 3, 64, 64)).num_rows > 0


# ------------------------------------------------------------------ what is there stays


def test_what_is_not_asked_for_is_as_in_those_that_are_there(study: Study, images: ImageSet) -> None:
    rounded = small().to(dtype=torch.bfloat16)
    drawing = Drawing(GUIDED, "heat")
    study = make_portraits(study, rounded, images, layers=["c1"], channels=[0, 1], drawing=drawing)
    assert (drawing_of(study, "alexcnn"), precision_of(study, "alexcnn")) == (drawing, torch.bfloat16)
    before = portraits_of(study)
    make_portraits(study, rounded, images, layers=["c3"], channels=[0])
    assert filters(study, "--layers", "c2", "--channels", "0").exit_code == 0
    assert made_as(study) == ("guided", "heat", "bfloat16")
    after = portraits_of(study)
    assert before.items() <= after.items()
    assert any("/c3/" in name for name in after)
    assert any("/c2/" in name for name in after)
    assert filters(study, "--layers", "c2", "--channels", "0", "--display", "signed").exit_code == 0
    assert made_as(study) == ("guided", "signed", "bfloat16")
    assert not any("/c1/" in name for name in portraits_of(study))
    words = ("--layers", "c2", "--channels", "0", "--rule", "gradient", "--dtype", "float32")
    assert filters(study, *words).exit_code == 0
    assert made_as(study) == ("gradient", "signed", "float32")
    assert check_study(study.path) == ()


def test_without_portraits_they_are_drawn_as_the_paper_does_in_the_studys_precision(
    tmp_path: Path, images: ImageSet
) -> None:
    half = small().to(dtype=torch.bfloat16)
    study = sweep_study([half], images, [TopPatches(2)], tmp_path / "half", settings=SETTINGS)
    assert (drawing_of(study, "alexcnn"), precision_of(study, "alexcnn")) == (Drawing(), torch.bfloat16)


# ------------------------------------------------------------------ what cannot be made replaces nothing


def test_a_rule_that_does_not_cover_the_network_replaces_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh(), nn.Conv2d(4, 4, 3), nn.Hardtanh()).eval()
    smooth = Network.from_module(
        module, name="smooth", preprocessing=Preprocessing(resize=None, height=24, width=24)
    )
    images = pictures(tmp_path / "photos", 3, ())
    study = sweep_study([smooth], images, [TopPatches(2)], tmp_path / "study", settings=SETTINGS)
    made = make_portraits(study, smooth, images, drawing=Drawing(GRADIENT))
    before = bytes_of(made.path)
    with pytest.raises(UnsupportedOperationError, match="deconvnet has no rule for hardtanh"):
        make_portraits(made, smooth, images, drawing=Drawing())
    assert bytes_of(made.path) == before
    assert check_study(made.path) == ()


@pytest.mark.parametrize("layers", ["c1", "c5"])  # PNG and JPEG
def test_a_portrait_or_a_page_that_was_cut_short_is_made_again(
    study: Study, images: ImageSet, layers: str
) -> None:
    made = make_portraits(study, small(), images, layers=[layers], channels=[0, 1])
    before = bytes_of(made.path)
    (row,) = made.network("alexcnn").table("filters").to_pylist()[:1]
    for path in (made.path / "alexcnn" / row["file"], made.path / "alexcnn" / "filters" / f"{layers}.png"):
        path.write_bytes(path.read_bytes()[:-300])
        make_portraits(made, small(), images, layers=[layers], channels=[0, 1])
        assert bytes_of(made.path) == before
