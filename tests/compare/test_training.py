"""States of one training compared: which step each is of, what is nearer to the end, and how it is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from layerscope import load_network
from layerscope.cli.main import main
from layerscope.compare.comparison import compare_studies
from layerscope.compare.matched import MATCHED
from layerscope.compare.parts.training import _order
from layerscope.compare.similarity import compare_layers
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.compare.training import Course, State, own_correlations, states_of
from layerscope.disk.tables import read_json, read_table
from layerscope.drawing.canvas import page_image
from layerscope.drawing.step_charts import StepChart, step_charts
from layerscope.errors import ComparisonError, DisplayError
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.network import Network
from layerscope.network.source import Options
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.making import sweep_study
from layerscope.train.plan import STEPS, TrainOptions
from layerscope.train.recipes import RECIPES
from layerscope.train.training import train_network
from tests.compare.test_similarity import made, related
from tests.support.classes import write_classes
from tests.support.studies import SETTINGS, bytes_of, every_reducer

ONLY = CompareOptions(parts=("training",), filters=5)
RECIPE = replace(RECIPES["short"], epochs=3, batch=4)


def trained(out: Path, images: ImageSet, seed: int = 0) -> list[Path]:
    """States after 0, 2, 8 and 12 steps."""
    options = TrainOptions(RECIPE, Options(width=0.05, input_size=64), seed=seed, keep=(0, 0.5, 2, 3))
    train_network("alexcnn", images, out, options=options)
    return sorted((out / STEPS).iterdir())


def networks_of(paths: list[Path]) -> list[Network]:
    return [replace(load_network("alexcnn", path), name=f"alexcnn@{int(path.stem)}") for path in paths]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return open_images(
        write_classes(tmp_path_factory.mktemp("training") / "classes", side=64), labels="folders"
    )


@pytest.fixture(scope="module")
def states(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return trained(tmp_path_factory.mktemp("trained") / "one", images)


@pytest.fixture(scope="module")
def study(images: ImageSet, states: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Study:
    return made_of(networks_of(states[::-1]), images, tmp_path_factory.mktemp("study") / "study")


def made_of(networks: list[Network], images: ImageSet, out: Path) -> Study:
    return remember_sources(
        sweep_study(networks, images, every_reducer(), out, settings=SETTINGS), networks, images
    )


def test_states_stand_in_the_order_of_their_steps(study: Study) -> None:
    found = states_of(Subject(study))
    assert [(s.network, s.step, s.epoch) for s in found] == [
        ("alexcnn@0", 0, 0), ("alexcnn@2", 2, 0.5), ("alexcnn@8", 8, 2), ("alexcnn@12", 12, 3),
    ]  # fmt: skip


@pytest.mark.slow
def test_what_is_no_state_of_one_training_is_refused(
    images: ImageSet, states: list[Path], tmp_path: Path
) -> None:
    one = networks_of(states)[0]
    random = replace(
        load_network("alexcnn", options=Options(width=0.05, input_size=64, classes=3)), name="random"
    )
    another = replace(networks_of(trained(tmp_path / "two", images, seed=1))[0], name="another")
    twice = replace(networks_of([tmp_path / "two" / STEPS / "00000002.safetensors"])[0], name="twice")
    for other, line in (
        (random, "random does not say of which training it is a state"),
        (another, "alexcnn@0 and another are of different trainings"),
    ):
        both = made_of([one, other], images, tmp_path / other.name)
        with pytest.raises(ComparisonError, match=line):
            states_of(Subject(both))
        with pytest.raises(ComparisonError, match=f"no training: {line}"):
            compare_studies(both, tmp_path / f"{other.name}-out", options=ONLY)
    same = made_of(
        [twice, replace(twice, name="same"), replace(another, name="a")], images, tmp_path / "three"
    )
    with pytest.raises(ComparisonError, match=r"(twice|same) is not the only state after step 2"):
        states_of(Subject(same))


def test_own_correlations_against_numpy() -> None:
    x, y = related(30, (9, 9))
    one, other = (made({"a": side[:, :4], "b": side[:, 4:]}) for side in (x, y))
    found = own_correlations(compare_layers(one, other))
    expected = [np.corrcoef(x[:, channel], y[:, channel])[0, 1] for channel in range(9)]
    assert [len(own) for own in found.values()] == [4, 5]
    assert np.concatenate([found["a"], found["b"]]) == pytest.approx(np.array(expected), abs=1e-5)


def test_what_settles(study: Study) -> None:
    """By the correlations of each channel with itself in the end, of those that change; the end is settled."""
    course = Course(Subject(study), states_of(Subject(study)))
    assert course.layers == ("c1", "c2", "c3", "c4", "c5", "fc6", "fc7", "fc8")
    ends = course.found["alexcnn@0"].other.layers
    for layer in course.layers:
        live = np.ptp(np.asarray(ends[layer]), axis=(0, 1)) > 0
        assert course.live(layer).tolist() == live.tolist()
        for name, own in course.correlations.items():
            expected = np.mean([r >= MATCHED for r in own[layer][live]])
            assert course.settled(name, layer, MATCHED) == pytest.approx(expected)
        assert course.settled(course.last, layer, MATCHED) == 1
    early, late = (
        np.concatenate(list(course.correlations[name].values())) for name in ("alexcnn@0", "alexcnn@8")
    )
    assert np.nanmean(late) > np.nanmean(early)


def test_filters_that_are_shown(study: Study) -> None:
    course = Course(Subject(study), states_of(Subject(study)))
    for most, layers in ((5, 5), (12, 5), (3, 3)):
        chosen = course.chosen(most)
        assert len(chosen) == len(set(chosen)) <= most
        assert len({layer for layer, _ in chosen}) == layers
        assert all(course.live(layer)[channel] for layer, channel in chosen)
    first, last = (channel for layer, channel in course.chosen(12) if layer == "c2")
    means = np.mean([own["c2"] for own in course.correlations.values()], axis=0)[course.live("c2")]
    assert np.flatnonzero(course.live("c2"))[[means.argmax(), means.argmin()]].tolist() == [first, last]


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (12, "Of each convolution as many, from the one that settles first to the one that settles last."),
        (5, "Of each convolution one, in the middle between the one that settles first and the one that"),
        (3, "Of 3 of 5 convolutions one, in the middle between"),
    ],
)
def test_the_caption_says_which_filters_are_shown(study: Study, most: int, said: str, tmp_path: Path) -> None:
    found = compare_studies(study, tmp_path / "out", options=replace(ONLY, filters=most))
    figures = read_json(found.path / "training" / "section.json")["figures"]
    assert said in next(figure["caption"] for figure in figures if figure["name"] == "features")


def test_an_order_in_the_mean_need_not_be_one_throughout() -> None:
    """Of three layers and two states, in the first of which alone lower ones are nearer."""
    states = tuple(State(name, step, 0) for step, name in enumerate(("a", "b", "end")))
    layers = ("c1", "c2", "fc3")
    rows = [
        {"network": name, "layer": layer, "cka": cka}
        for name, values in (("a", (0.9, 0.5, 0.1)), ("b", (0.9, 0.7, 0.8)))
        for layer, cka in zip(layers, values, strict=True)
    ]
    (found,) = _order(SimpleNamespace(states=states, layers=layers, last="end"), rows)  # type: ignore[arg-type]
    assert found.holds is True
    assert "in the mean over 2 earlier states" in found.text
    assert "as in 1 of these states alone; nearest c1, with a CKA of 0.90" in found.text


def test_the_part(study: Study, tmp_path: Path) -> None:
    found = compare_studies(study, tmp_path / "out", options=ONLY)
    rows = read_table(found.path / "training" / "steps.parquet").to_pylist()
    assert [(row["step"], row["layer"]) for row in rows] == [
        (step, layer)
        for step in (0, 2, 8, 12)
        for layer in ("c1", "c2", "c3", "c4", "c5", "fc6", "fc7", "fc8")
    ]
    for row in rows:
        if row["step"] == 12:
            assert (row["cka"], row["settled"], row["low"]) == (1, 1, None)
        zeros = read_table(study.path / f"alexcnn@{row['step']}" / "sparsity.parquet").to_pylist()
        assert row["zeros"] == next(z["sparsity"] for z in zeros if z["layer"] == row["layer"])
        assert row["zeros_low"] <= row["zeros"] <= row["zeros_high"]
    section = read_json(found.path / "training" / "section.json")
    assert [figure["name"] for figure in section["figures"]] == ["steps", "features"]
    assert len(section["findings"]) == 3
    assert "of 12" in section["findings"][1]["text"]
    check_study(found.path)
    again = compare_studies(study, tmp_path / "again", options=ONLY)
    assert bytes_of(again.path) == bytes_of(found.path)


def test_states_are_named_after_their_files(images: ImageSet, states: list[Path], tmp_path: Path) -> None:
    command = ["study", *images.sources, "--out", tmp_path / "study"]
    for path in states[:2]:
        command += ["-n", "alexcnn", "-w", path]
    found = CliRunner().invoke(main, list(map(str, command)))
    assert found.exit_code == 0, found.output
    assert Study.open(tmp_path / "study").networks == ("alexcnn@00000000", "alexcnn@00000002")


def test_charts_over_steps() -> None:
    chart = StepChart(
        "share", {"a": [0.1, 0.5, 1], "b": [np.nan, 0.2, 1]}, {"a": [0, 0.4, 1]}, {"a": [0.2, 0.6, 1]}
    )
    page = step_charts([chart, chart], ["0", "5\n1 epoch", "9"])
    named = [label.get_text() for label in page.axes[-1].get_xticklabels()]
    assert named == ["0", "5\n1 epoch", "9"]
    assert np.asarray(page_image(page)).std() > 0
    assert len(page.axes) == 2
    for axes in page.axes:
        line = axes.lines[0]
        assert np.asarray(line.get_xdata()).tolist() == [0, 1, 2]
        assert np.asarray(line.get_ydata()).tolist() == [0.1, 0.5, 1]
    with pytest.raises(DisplayError, match="a value at every step"):
        step_charts([chart], ["0", "5"])
    with pytest.raises(DisplayError, match="needs layers"):
        step_charts([], [])
