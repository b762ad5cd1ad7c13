"""Killed, interrupted, out of room: started again the study goes on, and ends the same, byte for byte."""

import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from layerscope.images.sets import open_images
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.one_pass import SweepOptions
from tests.support.killing import Attempt, Ended, Work, die, tell, working
from tests.support.studies import bytes_of, every_reducer, small, write_pictures

if sys.platform == "win32":
    pytest.skip("no fork, no limits of size", allow_module_level=True)


def prepare(shown: str) -> Attempt:
    """Makes the study of two networks, or goes on with it."""
    networks, images = [small("alexcnn"), small("vggcnn")], open_images(shown)
    settings = SweepOptions(batch=2, shard=4, workers=1)

    def attempt(out: str, limit: str = "0", where: str = "", survives: str = "0") -> None:
        if int(limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
        if where:
            die(where, int(survives))
        sweep_study(networks, images, every_reducer(), out, settings=settings, progress=tell)

    return attempt


@dataclass(frozen=True)
class Undisturbed:
    """A study as it is when nothing is killed, file by file; and how often it told of progress."""

    work: Work
    files: dict[str, str]
    told: int


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    top = tmp_path_factory.mktemp("whole")
    with working(__name__, write_pictures(top / "pictures", 24)) as work:
        told = work.do_counting(top / "out")
        assert work.do(top / "again") == Ended(0, "")
        assert bytes_of(top / "out") == bytes_of(top / "again")
        yield Undisturbed(work, bytes_of(top / "out"), told)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, whole: Undisturbed) -> None:
    """Killed at any step, a run leaves nothing that misleads the next."""
    codes = []
    for number in range(2):  # studies, each killed again and again
        out, random = tmp_path / str(number), np.random.default_rng(number)
        codes += [whole.work.do_killed(out, within=whole.told // 2, random=random).code for _ in range(4)]
        assert whole.work.do(out) == Ended(0, "")
        assert bytes_of(out) == whole.files
        assert check_study(out) == ()
    assert codes.count(-signal.SIGKILL) > 3  # not all were done before


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "midway", "after"])
def test_killed_at_every_file(tmp_path: Path, whole: Undisturbed, where: str) -> None:
    """Dies as a file is written or gets its name: each time seven files later, until it survives them all."""
    codes = []
    for survives in count(1, 7):
        codes.append(whole.work.do(tmp_path / "out", 0, where, survives).code)
        if codes[-1] != 9:
            break
    assert codes[-1] == 0
    assert len(codes) > 4
    assert bytes_of(tmp_path / "out") == whole.files


def test_interrupted(tmp_path: Path, whole: Undisturbed) -> None:
    work, out = whole.work, tmp_path / "out"
    work.start(out)
    for _ in range(10):
        work.next()
    work.kill(signal.SIGINT)
    assert work.end() == Ended(1, "KeyboardInterrupt: ")
    assert not list(out.rglob(".partial-*"))
    assert list(out.rglob("shard-*.npz"))
    assert not (out / "study.json").exists()
    assert work.do(out) == Ended(0, "")
    assert bytes_of(out) == whole.files


@pytest.mark.slow
def test_no_room(tmp_path: Path, whole: Undisturbed) -> None:
    """Files may not grow beyond a limit, as on a full disk: one line; with room it goes on."""
    out = tmp_path / "out"
    for limit in (100, 10_000, 30_000):
        said = whole.work.do(out, limit).said
        assert said.startswith(f"OutputError: {out}")
        assert said.endswith(
            "cannot be written: File too large; make room and run the same again: what is finished is kept"
        )
        assert not list(out.rglob(".partial-*"))
        assert not (out / "study.json").exists()
    assert whole.work.do(out) == Ended(0, "")
    assert bytes_of(out) == whole.files
    assert Study.open(out).bad.num_rows == 1
