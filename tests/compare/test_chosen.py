"""Which pictures are shown, and what is said of the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layerscope.compare.chosen import choose_pictures
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.errors import ComparisonError
from layerscope.images.sets import open_images
from layerscope.network.network import Network
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.predictions import Predictions
from tests.oracles.compare import rows as twin
from tests.support.studies import SETTINGS, small, write_pictures


def subject(place: Path, networks: Sequence[Network], pictures: int | tuple[str, ...] = 4) -> Subject:
    """A comparison of the networks over the pictures in a folder; the study lies beside it."""
    images = open_images(place)
    study = sweep_study(networks, images, [Predictions(3)], place.parent / "study", settings=SETTINGS)
    given = {network.name: network for network in networks}
    return Subject(study, CompareOptions(pictures=pictures), given, images)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    place = write_pictures(tmp_path_factory.mktemp("both") / "pictures", 9)
    (place / "old").mkdir()
    for name in ("old/006.png", "old/0061.png", "old/n006.png", "old/n0061.png"):
        (place / name).write_bytes((place / "006.png").read_bytes())
    return subject(place, [small(), small("vggcnn")])


def kept(study: Study, network: str, picture: int) -> dict[int, float]:
    rows = study.network(network).table("predictions").to_pylist()
    return {row["class"]: row["probability"] for row in rows if row["picture"] == picture}


def test_those_whose_predictions_differ_most(both: Subject) -> None:
    found = choose_pictures(both)
    expected = {p: twin.divergence([kept(both.study, name, p) for name in both.names], 7) for p in both.good}
    assert found.differences == pytest.approx(expected, abs=1e-6)
    assert list(found.pictures) == sorted(expected, key=lambda p: -expected[p])[:4]
    assert len({round(value, 4) for value in expected.values()}) > 4
    numbers = found.finding.numbers
    assert (numbers["of"], numbers["count"]) == (len(both.good), 4)
    assert numbers["most"] == max(found.differences.values()) > numbers["median"]
    table = found.table(both.study).to_pylist()
    assert [row["picture"] for row in sorted(table, key=lambda r: (r["shown"] is None, r["shown"]))][
        :4
    ] == list(found.pictures)
    assert [row["difference"] for row in table if row["name"] == "005.png"] == [None]  # which is no picture


def trunks() -> list[Network]:
    return [replace(small(name), trunk=True) for name in ("alexcnn", "vggcnn")]


def test_without_predictions_those_with_other_neighbours(tmp_path: Path) -> None:
    given = subject(write_pictures(tmp_path / "pictures", 12), trunks(), 3)
    found = choose_pictures(given)
    k, layer = 3, {"alexcnn": "p5", "vggcnn": "c5_3"}  # whose p5 has one position
    near = {}
    for network, name in layer.items():
        vectors = given.representations[network].layers[name][:, 0].astype(np.float64)
        away = np.linalg.norm(vectors[:, None] - vectors, axis=2)
        near[network] = [set(np.argsort(row, kind="stable")[1 : k + 1].tolist()) for row in away]
    same = [len(a & b) / len(a | b) for a, b in zip(near["alexcnn"], near["vggcnn"], strict=True)]
    expected = dict(zip(given.good, (1 - one for one in same), strict=True))
    assert found.differences == pytest.approx(expected, abs=1e-6)
    assert list(found.pictures) == sorted(expected, key=lambda p: -expected[p])[:3]
    assert "p5 of alexcnn and c5_3 of vggcnn" in found.finding.text
    assert found.finding.numbers["mean"] == pytest.approx(np.mean(same), abs=1e-6)


def test_predictions_of_other_classes_are_not_compared(tmp_path: Path) -> None:
    named = [replace(small(), classes=tuple("abcdefg")), replace(small("vggcnn"), classes=tuple("hijklmn"))]
    assert "neighbours" in choose_pictures(subject(write_pictures(tmp_path / "p", 6, ()), named)).finding.text
    one = replace(named[1], classes=None)
    given = subject(write_pictures(tmp_path / "other" / "p", 6, ()), [named[0], one])
    assert "predictions" in choose_pictures(given).finding.text


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_pictures_for_neighbours(count: int, tmp_path: Path) -> None:
    found = choose_pictures(subject(write_pictures(tmp_path / "p", count + 1, (1,)), trunks(), 2))
    assert found.pictures == (0, 2)[:count]
    assert found.finding.text.startswith(f"Among {count} pictures neighbours say nothing")
    assert not found.differences


def test_pictures_that_are_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for name in "abcde":
        Image.new("RGB", (40, 40), "teal").save(tmp_path / "p" / f"{name}.png")
    found = choose_pictures(subject(tmp_path / "p", trunks(), 2))
    assert found.pictures == (0, 1)
    assert "the same for all 5 pictures" in found.finding.text


def named(both: Subject, *names: str) -> tuple[str, ...]:
    asked = replace(both, options=CompareOptions(pictures=names))
    found = choose_pictures(asked)
    assert found.finding.numbers == {"count": len(found.pictures)}
    assert not found.differences
    shown: list[str] = both.study.pictures["name"].take(list(found.pictures)).to_pylist()
    return tuple(shown)


def test_pictures_by_name(both: Subject) -> None:
    assert named(both, "003.png", "001.png") == ("003.png", "001.png")
    assert named(both, "006.png") == ("006.png",)  # the whole name, though others end so
    assert named(both, "0061.png") == ("old/0061.png",)  # that of the whole last part
    assert named(both, "ld/006.png", "n006.png", "old/n006.png") == ("old/006.png", "old/n006.png")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing", "no picture is called 'nothing'"),
        ("", "say more of the name"),
        ("6.png", "3 pictures end in '6.png', 006.png and old/006.png among them; say more"),
        ("005.png", "005.png could not be read"),
    ],
)
def test_names_that_say_no_picture(both: Subject, name: str, says: str) -> None:
    with pytest.raises(ComparisonError, match=says):
        named(both, "003.png", name)


@pytest.mark.parametrize("pictures", [0, -1, ()])
def test_no_picture_at_all(pictures: int | tuple[str, ...]) -> None:
    with pytest.raises(ComparisonError, match="ask for at least 1"):
        CompareOptions(pictures=pictures)


def test_more_pictures_than_there_are(both: Subject) -> None:
    found = choose_pictures(replace(both, options=CompareOptions(pictures=99)))
    assert sorted(found.pictures) == list(both.good)
