"""Killed while a space is added to a study: started again it goes on, and ends the same, byte for byte."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from layerscope.errors import StudyError
from layerscope.plane import fill
from layerscope.space import Space
from layerscope.study import Study
from layerscope.study_check import check_study
from tests.studies import bytes_of

if sys.platform == "win32":
    pytest.skip("no fork", allow_module_level=True)

# One process makes the study; each attempt at its space is a child of it, which says how far it is. It begins with the
# space of another plan: the new one takes its place and its names.
PROGRAM = """
import os, sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
import openTSNE, scipy.spatial, shufflesnap, sklearn.cluster, sklearn.neighbors
from layerscope.spaces import make_spaces
from layerscope.study import Study
from tests.spaces import PLAN, textured, undrawn
from tests.studies import small

study, images = textured(Path(sys.argv[1]))

def attempt(study, other):
    told = []
    def tell(what, _):
        if what not in told:
            told.append(what)
            print("at", what, flush=True)
    plan = replace(PLAN, seed=1, cells=100) if other else PLAN
    with undrawn() if other else nullcontext():
        make_spaces(Study.open(study), small(), images, ["p1"], plan=plan, progress=tell)

print("ready", flush=True)
for line in sys.stdin:
    study, other = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        try:
            attempt(study, other == "other")
        except BaseException as error:
            print("failed", type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    print("child", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Maker:
    """Makes the same space as often as it is asked to, each time in a new process."""

    server: subprocess.Popen[str]
    begun: Path  #: the study with the space of another plan

    def start(self, study: Path, plan: str = "this") -> int:
        """Begin, or go on; the process."""
        assert self.server.stdin is not None
        self.server.stdin.write(f"{study}\t{plan}\n")
        self.server.stdin.flush()
        return int(self.until("child"))

    def until(self, wanted: str) -> str:
        """What it says after the word, when it says it."""
        assert self.server.stdout is not None
        for line in self.server.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == wanted:
                return rest
        raise AssertionError("the process that makes spaces is gone")

    def end(self) -> int:
        """Wait until it ends; its exit code, negative for a signal."""
        return int(self.until("ended"))

    def copy(self, place: Path) -> Path:
        """The study, to be killed in."""
        return Path(shutil.copytree(self.begun, place))


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    top = tmp_path_factory.mktemp("begun")
    command = [sys.executable, "-c", PROGRAM, str(top)]
    root, pipe = Path(__file__).parent.parent, subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True) as server:
        made = Maker(server, top / "study")
        made.until("ready")
        made.start(top / "study", "other")
        assert made.end() == 0
        yield made
        server.kill()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, maker: Maker) -> tuple[dict[str, str], float]:
    """The study with its space made undisturbed, file by file, and the seconds that took."""
    study = maker.copy(tmp_path_factory.mktemp("whole") / "study")
    began = time.monotonic()
    maker.start(study)
    assert maker.end() == 0
    return bytes_of(study), time.monotonic() - began


def opens_whole_or_not_at_all(path: Path) -> bool:
    """Whether the space opens; then its parts are those of one plan."""
    study = Study.open(path)
    if not {f"alexcnn/spaces/p1/{step}" for step in ("patches", "embedding", "plane")} <= set(study.steps):
        with pytest.raises(StudyError, match=r"has no space of p1|is not finished"):
            Space.open(study, "p1")
        return False
    with suppress(StudyError):
        space = Space.open(study, "p1")
        assert space.patches.num_rows == len(space.points) == len(space.vectors)
        assert np.array_equal(space.planes["fill"], fill(space.points, space.grid))
        return True
    return False


def test_killed_at_random_moments(tmp_path: Path, maker: Maker, whole: tuple[dict[str, str], float]) -> None:
    """Whatever is killed, the study opens, and the next run ends as if nothing had happened."""
    expected, seconds = whole
    study, codes = maker.copy(tmp_path / "study"), []
    for moment in np.random.default_rng(0).uniform(0, 0.8 * seconds, 5):
        process = maker.start(study)
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
        codes.append(maker.end())
        opens_whole_or_not_at_all(study)
    maker.start(study)
    assert maker.end() == 0
    assert bytes_of(study) == expected
    assert check_study(study) == ()
    assert codes.count(-signal.SIGKILL) > 2  # not all were done before


def test_killed_as_tiles_are_written(tmp_path: Path, maker: Maker) -> None:
    study = maker.copy(tmp_path / "study")
    process = maker.start(study)
    while maker.until("at") != "p1: tiles":
        pass
    os.kill(process, signal.SIGKILL)
    assert maker.end() == -signal.SIGKILL
    steps = Study.open(study).steps
    assert "alexcnn/spaces/p1/plane" in steps
    assert "alexcnn/spaces/p1/pictures" not in steps
    assert len(Space.open(Study.open(study), "p1").planes) == 2
    process = maker.start(study)
    assert maker.until("at") in ("p1: portraits", "p1: cutting patches")  # what was finished is kept
    os.kill(process, signal.SIGKILL)
    maker.end()
