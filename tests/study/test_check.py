"""The check of a study: silent when it is whole, and every kind of damage named with its file."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layerscope.disk.tables import measure
from layerscope.errors import StudyError
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.manifest import write_manifest
from layerscope.sweep.making import sweep_study
from tests.support.studies import SETTINGS, Sums, pictures, small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("made")
    sweep_study([small()], pictures(base / "in"), [Sums()], base / "out", settings=SETTINGS)
    return base / "out"


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "study"))


def faults(study: Path) -> list[str]:
    return [str(fault) for fault in check_study(study)]


def edit(study: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((study / "study.json").read_text("utf-8"))
    change(manifest)
    write_manifest(study, manifest)


def relist(study: Path, file: str) -> None:
    """The manifest made to say what the file now is, rows left as they were."""
    found = measure(study / file)
    edit(study, lambda m: m["files"][file].update(bytes=found.size, sha256=found.sha256))


def test_a_whole_study_has_no_fault(study: Path) -> None:
    assert faults(study) == []
    added = Study.open(study).add("plane", {"xy": np.eye(2), "page.html": b""}, network="alexcnn")
    assert faults(added.path) == []


SPOILS: dict[str, Callable[[dict[str, Any]], object]] = {
    "digest": lambda m: m.pop("digest"),
    "inputs": lambda m: m.update(inputs=[1]),
    "networks.alexcnn.folder": lambda m: m["networks"]["alexcnn"].pop("folder"),
    "images.count": lambda m: m["images"].pop("count"),
    "threads": lambda m: m.update(threads=True),
    "steps.x": lambda m: m["steps"].update(x=3),
    "files.pictures.parquet": lambda m: m["files"].update({"pictures.parquet": []}),
}


@pytest.mark.parametrize("lacks", SPOILS)
def test_a_manifest_that_lacks_something(study: Path, lacks: str) -> None:
    edit(study, SPOILS[lacks])
    told = f"is damaged: it has no {lacks!r}; put back the one that was written, or make the study anew"
    with pytest.raises(StudyError) as caught:
        Study.open(study)
    assert str(caught.value) == f"{study / 'study.json'} {told}"
    assert faults(study) == [f"study.json: {told}"]


@pytest.mark.parametrize("lacks", ["inputs", "made_with", "threads"])
def test_a_beginning_that_lacks_something(tmp_path: Path, lacks: str) -> None:
    out = tmp_path / "out"
    (out / "work").mkdir(parents=True)
    begun = {"format": 1, "inputs": {}, "made_with": {}, "threads": 1, lacks: "x"}
    (out / "work" / "begun.json").write_text(json.dumps(begun), "utf-8")
    with pytest.raises(
        StudyError, match=rf"begun.json is damaged: it has no '{lacks}'; remove .*work and run"
    ):
        sweep_study([small()], pictures(tmp_path / "in"), [Sums()], out, settings=SETTINGS)


def test_damaged_files(study: Path) -> None:
    files = sorted(path for path in study.rglob("*") if path.suffix in (".parquet", ".npy"))
    missing, short, changed, longer = files[:4]
    missing.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    longer.write_bytes(longer.read_bytes() + b"\0")
    (study / "alexcnn" / "notes.txt").write_text("mine")
    (study / "alexcnn" / ".partial-x").write_text("")
    (study / "work").mkdir()
    (study / "work" / "begun.json").write_text("{}")
    name = {path: path.relative_to(study).as_posix() for path in files}
    found = {text.partition(": ")[0]: text.partition(": ")[2] for text in faults(study)}
    assert found.pop(name[missing]) == "missing"
    assert found.pop(name[short]).startswith("truncated: ")
    assert found.pop(name[changed]).startswith("changed: its SHA-256 begins ")
    assert found.pop(name[longer]).startswith("longer than it was: ")
    assert found.pop("alexcnn/notes.txt").startswith("unknown: study.json does not list it; ")
    assert found.pop("alexcnn/.partial-x").startswith("left over")
    assert found.pop("work/begun.json").startswith("left over")
    assert found == {}


def test_every_single_damaged_file_is_named(study: Path) -> None:
    for file in Study.open(study).manifest["files"]:
        kept = (study / file).read_bytes()
        (study / file).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        assert [text.split(": ")[0] for text in faults(study)] == [file]
        (study / file).write_bytes(kept)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("pictures.parquet", "pictures.parquet: holds {'rows': 11"),
        ("alexcnn/layers.parquet", "alexcnn/layers.parquet: holds {'rows': 10"),
    ],
)
def test_rows_that_contradict(study: Path, file: str, said: str) -> None:
    pq.write_table(pq.read_table(study / file)[:-1], study / file)
    relist(study, file)
    assert said in faults(study)[0]
    rows = pq.read_metadata(study / file).num_rows
    edit(study, lambda m: m["files"][file].update(rows=rows))
    assert any(f"has {rows} rows, not {rows + 1}" in text for text in faults(study))


def test_bad_pictures_that_contradict(study: Path) -> None:
    edit(study, lambda m: m["images"].update(bad=3))
    assert faults(study) == ["pictures.parquet: has 1 bad pictures, not 3"]


def test_a_listed_file_that_cannot_be_read(study: Path) -> None:
    (study / "alexcnn" / "sums.parquet").write_bytes(b"PAR1")
    relist(study, "alexcnn/sums.parquet")
    assert "alexcnn/sums.parquet: is damaged" in faults(study)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(format=2), "study.json: has format 2, and this layerscope reads format 1"),
        (lambda m: m.pop("files"), "study.json: is damaged: it has no 'files'"),
        (
            lambda m: m["inputs"]["pass"].update(batch=3),
            "study.json: was changed: its inputs do not have its digest",
        ),
        (
            lambda m: m["files"].update({"../x": {"bytes": 0, "sha256": ""}}),
            "study.json: was changed: '../x' is no file of a study",
        ),
        (lambda m: m["files"].pop("pictures.parquet"), "pictures.parquet: not listed in study.json"),
    ],
)
def test_manifests_that_are_wrong(study: Path, change: Callable[[dict[str, Any]], object], said: str) -> None:
    edit(study, change)
    assert faults(study)[0].startswith(said)


def test_no_manifest(study: Path, tmp_path: Path) -> None:
    (study / "study.json").write_text("{")
    assert faults(study)[0].startswith("study.json: is damaged")
    (study / "study.json").unlink()
    assert faults(study) == ["study.json: missing; this is no study"]
    assert faults(tmp_path / "nowhere") == ["study.json: missing, and so is the folder; name that of a study"]


def test_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.sweep.making.merge_shards", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sweep_study([small()], pictures(tmp_path / "in"), [Sums()], tmp_path / "out", settings=SETTINGS)
    assert faults(tmp_path / "out") == [
        "study.json: missing, the study is unfinished: 3 shards are done; run the command that began it again, "
        "it goes on from there"
    ]


def test_the_digest_is_what_the_format_says(made: Path) -> None:
    manifest = json.loads((made / "study.json").read_text("utf-8"))
    inputs = json.dumps(manifest["inputs"], sort_keys=True)
    assert hashlib.sha256(inputs.encode()).hexdigest() == manifest["digest"]
    assert isinstance(pq.read_table(made / "pictures.parquet"), pa.Table)
