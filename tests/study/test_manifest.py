"""The manifest is guarded: every changed bit is found, and whatever is in it is one line, never a traceback."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerscope.errors import StudyError
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.manifest import sealed
from layerscope.sweep.making import sweep_study
from tests.support.studies import SETTINGS, Sums, pictures, small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    base = tmp_path_factory.mktemp("made")
    study = sweep_study([small()], pictures(base / "in", 4), [Sums()], base / "out", settings=SETTINGS)
    return study.add("page", {"note": b"1"}, options={"size": [1, 2]})


@pytest.fixture
def study(made: Study, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.path, tmp_path / "study"))


def refused(study: Path) -> str:
    """What is said of a study that does not open; the check says the same, of its manifest alone."""
    with pytest.raises(StudyError) as caught:
        Study.open(study)
    (fault,) = check_study(study)
    assert str(caught.value) == f"{study / fault.file} {fault.what}"
    assert "\n" not in str(fault)
    return str(fault)


def test_every_changed_bit_is_found(study: Path) -> None:
    path = study / "study.json"
    whole = path.read_bytes()
    everywhere = np.random.default_rng(0).integers(8 * len(whole), size=400).tolist()
    for place in (
        *everywhere,
        *range(8 * (len(whole) - 90), 8 * len(whole)),
    ):  # the checksum itself, bit by bit
        spoilt = bytearray(whole)
        spoilt[place // 8] ^= 1 << place % 8
        path.write_bytes(spoilt)
        assert "study.json: " in refused(study), place
    path.write_bytes(whole)
    assert check_study(study) == ()


def test_the_checksum_is_what_the_format_says(made: Study) -> None:
    text = (made.path / "study.json").read_text("utf-8")
    head, checksum = text.split(',\n "checksum": ')
    assert json.loads(checksum.removesuffix("\n}\n")) == hashlib.sha256(head.encode()).hexdigest()
    assert made.has_checksum


def test_a_study_made_before_there_was_a_checksum(study: Path, made: Study) -> None:
    manifest = {name: part for name, part in made.manifest.items() if name != "checksum"}
    (study / "study.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    old = Study.open(study)
    assert not old.has_checksum
    assert (old.digest, old.steps) == (made.digest, made.steps)
    assert check_study(study) == ()
    assert old.add("more", {}).has_checksum


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every part of JSON: the keys that lead there."""
    for key in (
        content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    ):
        yield (*above, key)
        yield from places(content[key], (*above, key))


ODD: tuple[Any, ...] = (None, True, -1, 1.5, "x", "../x", "", [], [3], {}, {"x": 1}, "lock")


def test_whatever_stands_in_a_manifest_is_one_line(study: Path, made: Study) -> None:
    """Well sealed, but wrong: opening it gives a study or one line, the check gives lines."""
    opened, said = 0, list[str]()
    for number, place in enumerate(places(made.manifest)):
        for odd in (*ODD[number % 3 :: 3], ...):
            manifest = json.loads(json.dumps(made.manifest))
            inner = manifest
            for key in place[:-1]:
                inner = inner[key]
            if odd is ...:
                del inner[place[-1]]
            else:
                inner[place[-1]] = odd
            (study / "study.json").write_bytes(sealed(manifest))
            assert not any("\n" in str(fault) for fault in check_study(study))
            try:
                opened += bool(Study.open(study))
            except StudyError as error:
                said.append(str(error))
    assert len(said) > 100
    assert not any("\n" in line for line in said)
    assert opened > 100  # of those whose change does not show without the files


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('"1"', 'has format "1", which is text, and this layerscope reads format 1'),
        ("1.0", "has format 1.0, which is no whole number, and this layerscope reads format 1"),
        ("true", "has format true, which is no whole number, and this layerscope reads format 1"),
        ("2", "has format 2, and this layerscope reads format 1"),
    ],
)
def test_formats_that_are_not_this_one(study: Path, given: str, said: str) -> None:
    path = study / "study.json"
    path.write_text(re.sub('"format": 1', f'"format": {given}', path.read_text("utf-8"), count=1), "utf-8")
    assert refused(study).startswith(f"study.json: {said}; use the layerscope that made it")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 200_000 + "]" * 200_000,
        '{"a":' * 200_000 + "1" + "}" * 200_000,
        "\0",
        '{"format": 1e999}',
    ],
    ids=["empty", "open", "list", "lists", "objects", "nothing", "infinite"],
)
def test_what_is_no_manifest(study: Path, text: str) -> None:
    (study / "study.json").write_text(text)
    assert refused(study).startswith(("study.json: is damaged", "study.json: has format Infinity, which"))


def test_deep_inputs(study: Path, made: Study) -> None:
    """As deep as JSON can just be read here, and deeper than it can be written."""
    for depth in range(900, 1000, 5):
        deep = json.dumps({**made.manifest, "inputs": {"networks": {}, "x": ...}}, default=lambda _: "DEEP")
        text = deep.replace('"DEEP"', "[" * depth + "]" * depth)
        (study / "study.json").write_text(text.replace(', "checksum"', ', "x"'))
        assert check_study(study)


def test_a_link_in_place_of_a_file(study: Path, tmp_path: Path) -> None:
    listed = study / "alexcnn" / "sums.parquet"
    shutil.copy(listed, tmp_path / "equal")
    listed.unlink()
    listed.symlink_to(tmp_path / "equal")
    (fault,) = check_study(study)
    assert str(fault).startswith(
        "alexcnn/sums.parquet: a link, by alexcnn/sums.parquet, to what may change elsewhere"
    )


def test_a_link_in_place_of_a_folder_or_the_manifest(study: Path, tmp_path: Path) -> None:
    (study / "alexcnn").rename(tmp_path / "away")
    (study / "alexcnn").symlink_to(tmp_path / "away")
    (study / "study.json").rename(tmp_path / "away.json")
    (study / "study.json").symlink_to(tmp_path / "away.json")
    (study / "more").symlink_to(tmp_path)
    said = [str(fault) for fault in check_study(study)]
    listed = [file for file in Study.open(study).manifest["files"] if file.startswith("alexcnn/")]
    assert [text.split(":")[0] for text in said] == [*listed, "more", "study.json"]
    assert all("a link, by alexcnn, to what" in text for text in said[: len(listed)])
    (tmp_path / "link").symlink_to(study)
    assert len(check_study(tmp_path / "link")) == len(said)
