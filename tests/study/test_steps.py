"""One writer: killed anywhere it ends with the same bytes, and nothing goes that is not the study's own."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from layerscope.disk.tables import Content
from layerscope.errors import StudyError
from layerscope.images.sets import open_images
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.study.notes import noted
from layerscope.sweep.making import sweep_study
from tests.support.killing import Attempt, Ended, Work, die, working
from tests.support.studies import SETTINGS, Sums, bytes_of, small, write_pictures

if sys.platform == "win32":
    pytest.skip("no fork", allow_module_level=True)

BEFORE: dict[str, Content] = {
    "p/same": b"1",
    "p/changed": np.eye(2),
    "p/gone": pa.table({"x": [1]}),
    "p/q/old": b"2",
}
AFTER: dict[str, Content] = {
    "p/same": b"1",
    "p/changed": np.eye(3),
    "p/new": pa.table({"y": [2]}),
    "p/r/new": b"3",
}
MINE = (
    "p/mine.txt",
    "p/.partial-mine",
    "work/mine",
    "p/r/mine",
    "0001.png",
)  # in the network's folder, and above


def prepare(shown: str) -> Attempt:
    """Makes a study with the step ``p``, or does the step anew, with other files, and perhaps with other options."""

    def attempt(path: str, options: str, where: str = "", survives: str = "0") -> None:
        if options == "begin":
            study = sweep_study([small()], open_images(shown), [Sums()], path, settings=SETTINGS)
            study.add("p", BEFORE, network="alexcnn", options={"seed": 0}).add("a", {"page": b"0"})
            return
        if where:
            die(where, int(survives))
        Study.open(path).add("p", AFTER, network="alexcnn", options=json.loads(options))

    return attempt


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Work, Path]]:
    top = tmp_path_factory.mktemp("begun")
    with working(__name__, write_pictures(top / "pictures", 4)) as work:
        assert work.do(top / "study", "begin") == Ended(0, "")
        for name in MINE:
            (top / "study" / "alexcnn" / name).parent.mkdir(parents=True, exist_ok=True)
            (top / "study" / "alexcnn" / name).write_text("my own")
        yield work, top / "study"


def is_true(study: Path) -> None:
    """The manifest lists nothing that is not there as it says, and what is mine is there."""
    Study.open(study)
    said = [str(fault) for fault in check_study(study)]
    assert [
        text for text in said if not any(why in text for why in ("interrupted", "left over", "unknown"))
    ] == []
    held = {name: (study / "alexcnn" / name).read_text() for name in MINE}
    assert held == dict.fromkeys(MINE, "my own")


@pytest.mark.parametrize("where", ["before", "midway", "after", "removing"])
@pytest.mark.parametrize("seed", [0, 1], ids=["same options", "other options"])
def test_killed_at_every_file(tmp_path: Path, begun: tuple[Work, Path], seed: int, where: str) -> None:
    work, study = begun
    whole, killed = (Path(shutil.copytree(study, tmp_path / name)) for name in ("whole", "killed"))
    options = json.dumps({"seed": seed})
    assert work.do(whole, options) == Ended(0, "")
    codes = []
    for survives in count():  # one more each time, and then from where it was before
        once = Path(shutil.copytree(study, tmp_path / str(survives)))
        codes.append(work.do(once, options, where, survives).code)
        is_true(once)
        assert work.do(killed, options, where, survives % 3).code in (0, 9)
        is_true(killed)
        assert work.do(once, options) == Ended(0, "")
        assert bytes_of(once) == bytes_of(whole)
        if codes[-1] == 0:
            break
    assert codes == [*[9] * (len(codes) - 1), 0]
    assert len(codes) > 2
    assert work.do(killed, options) == Ended(0, "")
    assert bytes_of(killed) == bytes_of(whole)
    assert not noted(killed)


def test_killed_and_begun_again_in_another_way(tmp_path: Path, begun: tuple[Work, Path]) -> None:
    """What the first way left is taken away by the second, and nothing else."""
    work, study = begun
    whole = Path(shutil.copytree(study, tmp_path / "whole"))
    assert work.do(whole, '{"seed": 2}') == Ended(0, "")
    for survives in range(3, 7):
        once = Path(shutil.copytree(study, tmp_path / str(survives)))
        assert work.do(once, '{"seed": 1}', "after", survives).code == 9
        assert noted(once)
        assert "interrupted" in str(check_study(once))
        assert work.do(once, '{"seed": 2}') == Ended(0, "")
        assert bytes_of(once) == bytes_of(whole)


# ------------------------------------------------------------------ in this process


@pytest.fixture
def study(begun: tuple[Work, Path], tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(begun[1], tmp_path / "study"))


def add(study: Study, results: Mapping[str, Content], seed: int = 0) -> Study:
    return study.add("p", results, network="alexcnn", options={"seed": seed})


def times(study: Study) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in study.path.rglob("*") if path.is_file()}


def test_the_same_again_writes_nothing(study: Study) -> None:
    before = times(study)
    assert add(study, BEFORE) == study
    assert times(study) == before
    add(study, {**BEFORE, "p/same": b"other"})  # the control
    assert times(study) != before


def test_steps_have_a_place_that_does_not_depend_on_when_they_were_done(study: Study) -> None:
    again = add(add(study, AFTER, 5), BEFORE)
    assert bytes_of(again.path) == bytes_of(study.path)
    assert list(again.steps) == ["a", "alexcnn/p"]


@pytest.mark.parametrize("name", ["p/mine.txt", "p/r/mine"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_file_of_the_users_is_in_the_way(study: Study, name: str, seed: int) -> None:
    with pytest.raises(StudyError) as caught:
        add(study, {name: b"ours", "p/same": b"1"}, seed)
    path = study.path / "alexcnn" / name
    assert str(caught.value).startswith(
        f"{path} is in the way: no step of the study has it; move it elsewhere"
    )
    is_true(study.path)
    path.unlink()
    made = add(study, {name: b"ours", "p/same": b"1"}, seed)
    assert path.read_text() == "ours"
    assert not noted(made.path)


def test_a_step_that_only_adds_stays_listed(study: Study) -> None:
    with study.open_step("p", network="alexcnn", options={"seed": 0}) as step:
        step.put("p/more", b"")
        assert "alexcnn/p" in Study.open(study.path).steps
        step.put("p/same", b"2")
        assert "alexcnn/p" not in Study.open(study.path).steps
        step.finish(step.names())
    assert Study.open(study.path).steps["alexcnn/p"] == {"seed": 0}
    assert (study.path / "alexcnn" / "p" / "same").read_bytes() == b"2"


def test_a_file_that_was_replaced_by_another_size_is_held(study: Study) -> None:
    with study.open_step("p", network="alexcnn", options={"seed": 0}) as step:
        assert step.holds("p/same")
        step.put("p/same", b"longer")
        assert step.holds("p/same")
        step.finish(step.names())
    is_true(study.path)


def test_a_file_damaged_without_a_change_of_its_size_is_put_in_place_anew(study: Study) -> None:
    path = study.path / "alexcnn" / "p" / "same"
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    add(study, {**BEFORE, "p/same": content}, 0)
    assert path.read_bytes() == content
    is_true(study.path)


def test_opening_a_step_changes_nothing(study: Study) -> None:
    before = times(study)
    with study.open_step("p", network="alexcnn", options={"seed": 7}) as step:
        assert step.names() == []
        assert not step.holds("p/same")
    assert times(study) == before


def test_a_note_that_was_cut_short(study: Study) -> None:
    with study.open_step("p", network="alexcnn", options={"seed": 0}) as step:
        step.put("p/new", b"1")
    note = study.path / "work" / "steps" / "alexcnn" / "p~unfinished"
    note.write_bytes(note.read_bytes() + b'\n"alexcnn/p/ne')
    assert noted(study.path).keys() == {"alexcnn/p/new", "work/steps/alexcnn/p~unfinished"}
    made = add(study, BEFORE)
    assert made == study
    assert not noted(study.path)
    assert not (study.path / "alexcnn" / "p" / "new").exists()
