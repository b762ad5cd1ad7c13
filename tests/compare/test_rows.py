"""The rows of the paper's Fig. 5: what stands where, that it is what a direct reconstruction gives, and its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from layerscope.compare.comparison import compare_studies
from layerscope.compare.parts.rows import ROWS
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.disk.tables import read_table
from layerscope.errors import ComparisonError
from layerscope.gallery.folder import Look, exhibit
from layerscope.images.sets import open_images
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.progress import Progress
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.predictions import Predictions
from tests.support.looking import images as drawn
from tests.support.looking import meeting, on_page, outside, texts, words
from tests.support.small_networks import Written, conv
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures

LABELS = [0, 1, 2, 3, 4, 5, 6, -1]  # picture 5 cannot be read


def smooth(name: str) -> Network:
    """The deconvnet goes back from none of its layers, the gradient from all."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh(), nn.Conv2d(4, 4, 3), nn.Hardtanh())
    return Network.from_module(module, name=name, preprocessing=Preprocessing(None, 16, 16))


def study(top: Path, networks: Sequence[Network]) -> Study:
    write_pictures(top / "pictures", len(LABELS))
    lines = [f"pictures/{i:03d}.png\t{label}\n" for i, label in enumerate(LABELS)]
    (top / "list.txt").write_text("".join(lines))
    images = open_images(top / "list.txt")
    return sweep_study(networks, images, [Predictions(3)], top / "study", settings=SETTINGS)


def compared(made: Study, networks: Sequence[Network], out: Path, pictures: Any = 2, **more: Any) -> Study:
    options = CompareOptions(parts=("rows",), pictures=pictures, rule=more.pop("rule", CompareOptions.rule))
    images = open_images(made.path.parent / "list.txt", labels="none")
    return compare_studies(made, out, options=options, networks=networks, images=images, **more)


def subject(made: Study, networks: Sequence[Network], pictures: Any = ("002.png",), **more: Any) -> Subject:
    options = CompareOptions(pictures=pictures, **more)
    images = open_images(made.path.parent / "list.txt", labels="none")
    return Subject(made, options, {network.name: network for network in networks}, images)


@pytest.fixture(scope="module")
def pair() -> list[Network]:
    return [small(), small("vggcnn")]


@pytest.fixture(scope="module")
def both(pair: list[Network], tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study(tmp_path_factory.mktemp("both"), pair)


def test_panels_are_those_of_a_direct_reconstruction(both: Study, pair: list[Network]) -> None:
    given = subject(both, pair)
    made = ROWS.make(given)
    columns = made.tables["columns"][0].to_pylist()
    ((_, image),) = given.read([2], lambda image: image)
    for name in ("depth", "field"):
        (page,) = made.figures[name].pages  # type: ignore[misc]
        found = iter(np.asarray(picture.get_array()) for picture in drawn(page))
        for network in pair:
            layers = [r["layer"] for r in columns if (r["alignment"], r["network"]) == (name, network.name)]
            assert len(layers) == {"depth": 9, "field": 4}[name]
            expected = exhibit(network, image, Look(layers=tuple(layers))).row
            assert np.array_equal(next(found), expected.input)
            for panel, layer in zip((next(found) for _ in layers), layers, strict=True):
                assert np.array_equal(panel, dict(expected.panels)[layer].pixels)
        assert next(found, None) is None


def test_what_is_written_on_a_page(both: Study, pair: list[Network]) -> None:
    made = ROWS.make(subject(both, pair))
    for name, head in (("depth", "0% · 11 px"), ("field", "11 px")):
        (page,) = made.figures[name].pages  # type: ignore[misc]
        boxes = on_page(page, drawn(page)) + on_page(page, texts(page))
        assert meeting(boxes) == []
        assert outside(page, boxes) == []
        assert words(page).count("input") == 2
        assert {head, "alexcnn", "vggcnn", "002"} <= set(words(page))
        assert sum(text.startswith("✓") for text in words(page)) == 2  # the label is known
        assert "percentile 99.5 of each panel" in " ".join(words(page))


def test_a_network_without_max_pools_says_what_the_deconvnet_does_not_know(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU())
    blind = Network.from_module(module, name="blind", preprocessing=Preprocessing(None, 16, 16))
    pair, lost = [small(), blind], "nothing tells the deconvnet where things were"
    made = study(tmp_path, pair)
    for rule, times in ((DECONVNET, 1), (GUIDED, 0)):
        found = ROWS.make(subject(made, pair, rule=rule))
        for shown in found.figures.values():
            (page,) = shown.pages  # type: ignore[misc]
            assert " ".join(" ".join(words(page)).split()).count(lost) == times


def test_right_and_wrong_only_where_a_label_says_it(both: Study, pair: list[Network]) -> None:
    made = ROWS.make(subject(both, pair, ("007.png",)))
    for shown in made.figures.values():
        (page,) = shown.pages  # type: ignore[misc]
        assert not [text for text in words(page) if text[0] in "✓✗"]


def test_columns_are_looked_down(both: Study, pair: list[Network]) -> None:
    rows = ROWS.make(subject(both, pair)).tables["columns"][0].to_pylist()
    for name, value in (("depth", "depth"), ("field", "field_size_rows")):
        per = [[r[value] for r in rows if (r["alignment"], r["network"]) == (name, n.name)] for n in pair]
        assert all(a < b for own in per for a, b in pairwise(own))
        seen = [max(own) < network.input_shape[1] for own, network in zip(per, pair, strict=True)]
        assert name == "depth" or all(seen)  # what sees all of the picture is of no one window
        sizes = [network.input_shape[1] if name == "field" else 1 for network in pair]
        for one, other in zip(*per, strict=True):
            apart = one / sizes[0] - other / sizes[1], (one / sizes[0]) / (other / sizes[1] or 1)
            assert abs(apart[0]) < 0.05 if name == "depth" else 1 / 1.5 <= apart[1] <= 1.5


def test_a_killed_comparison_goes_on_to_the_same_bytes(
    both: Study, pair: list[Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bytes_of(compared(both, pair, tmp_path / "whole").path)
    made: list[str] = []

    def counted(network: Network, *rest: Any) -> Any:
        made.append(network.name)
        return exhibit(network, *rest)

    monkeypatch.setattr("layerscope.compare.parts.rows.exhibit", counted)

    def killing(progress: Progress) -> None:
        if progress.stage == "reconstructions" and progress.share == 0.75:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compared(both, pair, tmp_path / "out", progress=killing)
    assert made == ["alexcnn", "vggcnn", "alexcnn"]
    assert bytes_of(compared(both, pair, tmp_path / "out").path) == whole
    assert made == ["alexcnn", "vggcnn"] * 2
    assert not check_study(tmp_path / "out")
    assert not (tmp_path / "out" / "work" / "compare").exists()


def test_other_pictures_are_made_anew(both: Study, pair: list[Network], tmp_path: Path) -> None:
    for pictures in (1, ("007.png", "001.png")):
        made = compared(both, pair, tmp_path / "out", pictures)
    shown = read_table(made.path / "rows" / "pictures_chosen.parquet").to_pylist()
    assert {row["name"]: row["shown"] for row in shown if row["shown"] is not None} == {
        "pictures/007.png": 0,
        "pictures/001.png": 1,
    }
    assert [row["difference"] for row in shown] == [None] * len(LABELS)
    with pytest.raises(ComparisonError, match="no picture is called 'nobody'"):
        compared(both, pair, tmp_path / "out", ("nobody",))


def test_many_pictures_are_several_pages(both: Study, pair: list[Network]) -> None:
    made = ROWS.make(subject(both, pair, 5))
    assert [len(shown.pages) for shown in made.figures.values()] == [2, 2]  # type: ignore[arg-type]


def test_more_pictures_than_a_figure_holds(
    both: Study, pair: list[Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.compare.parts.rows.FIGURE_PICTURES", 1)
    made = ROWS.make(subject(both, pair, 3))
    assert made.findings[1].text.startswith("The figures show the first 1 of 3 pictures")
    assert made.findings[1].warns
    assert [row["shown"] for row in made.tables["pictures_chosen"][0].to_pylist()].count(None) == len(
        LABELS
    ) - 1
    assert len(made.figures["depth"].pages) == 1  # type: ignore[arg-type]


def says(given: Subject) -> dict[str, bool]:
    """What is said, and whether it tells of a doubt."""
    return {finding.text: finding.warns for finding in ROWS.make(given).findings}


def test_networks_that_the_rule_does_not_cover(tmp_path: Path) -> None:
    networks = [small(), smooth("smooth")]
    made = study(tmp_path, networks)
    found = says(subject(made, networks))
    assert found["The rule deconvnet does not go back from 2 of 2 layers of smooth: 0, 2."]
    assert any("No rows by receptive field" in text for text in found)
    assert not [t for t in says(subject(made, networks, rule=GRADIENT)) if "does not go back" in t]
    alone = [smooth("smooth"), smooth("too")]
    with pytest.raises(ComparisonError, match="deconvnet goes back from no layer of smooth or too"):
        compared(study(tmp_path / "alone", alone), alone, tmp_path / "none")


def test_a_network_that_the_rule_leaves_after_its_first_layer_has_no_row(tmp_path: Path) -> None:
    """Its one layer in every column would hold the others to their first ones."""

    def waving(s: Any, x: Tensor) -> Tensor:
        y: Tensor = s.c(x)
        for _ in range(20):
            y = torch.sin(y)
        return y

    sums = Network.from_module(
        Written(waving, c=conv()), name="sums", preprocessing=Preprocessing(None, 16, 16)
    )
    networks = [small(), small("vggcnn"), sums]
    made = ROWS.make(subject(study(tmp_path, networks), networks))
    text = "sums has no row: the rule deconvnet goes back from the first 0% of its way alone."
    assert [finding.warns for finding in made.findings if finding.text == text] == [True]
    assert {r["network"] for r in made.tables["columns"][0].to_pylist()} == {"alexcnn", "vggcnn"}
    both = [sums, replace(sums, name="too")]
    alone = ROWS.make(subject(study(tmp_path / "alone", both), both))
    assert {r["network"] for r in alone.tables["columns"][0].to_pylist()} == {"sums", "too"}


def test_a_network_whose_fields_are_unknown_is_left_out_by_field(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5), nn.ReLU(), nn.Linear(5, 7))
    dense = Network.from_module(module, name="dense", preprocessing=Preprocessing(None, 16, 16))
    networks = [small(), small("vggcnn"), dense]
    made = ROWS.make(subject(study(tmp_path, networks), networks))
    text = "dense is not among the rows by receptive field: none of its 2 layers"
    assert any(finding.text.startswith(text) for finding in made.findings)
    rows = made.tables["columns"][0].to_pylist()
    named = {one: {r["network"] for r in rows if r["alignment"] == one} for one in ("depth", "field")}
    assert named == {"depth": {"alexcnn", "vggcnn", "dense"}, "field": {"alexcnn", "vggcnn"}}


def test_a_trunk_beside_a_whole_network_is_said(tmp_path: Path) -> None:
    networks = [replace(small(), trunk=True), small("vggcnn")]
    made = study(tmp_path, networks)
    page = ROWS.make(subject(made, networks, ("002.png",)))
    assert any("1 of 2 networks are trunks (alexcnn)" in finding.text for finding in page.findings)
    (drawing,) = page.figures["depth"].pages  # type: ignore[misc]
    assert "no predictions: the weights" in " ".join(words(drawing))


def test_networks_that_nobody_can_load_are_a_reason(both: Study, pair: list[Network]) -> None:
    assert "load it in Python" in str(ROWS.why_not(subject(both, pair[:1])))
    assert ROWS.why_not(subject(both, pair)) is None
