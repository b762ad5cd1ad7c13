"""Killed while portraits are added to a study: started again it goes on, and ends the same, byte for byte."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from layerscope.study import Study
from layerscope.study_check import check_study
from tests.studies import bytes_of, write_pictures

if sys.platform == "win32":
    pytest.skip("no fork", allow_module_level=True)

# One process makes the study; each attempt at its portraits is a child of it, which says how far it is. It begins with
# every portrait of another display: the new ones take their places and their names.
PROGRAM = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from layerscope.imagesets import open_images
from layerscope.making import make_study
from layerscope.portraits import Drawing, make_portraits
from layerscope.study import Study
from layerscope.top_patches import TopPatches
from tests.studies import SETTINGS, small

network, pictures = small("alexcnn"), open_images(sys.argv[1])
study = make_study([network], pictures, [TopPatches(2)], sys.argv[2], settings=SETTINGS)
chosen = {"layers": ["c1", "c2", "c5"]}
make_portraits(study, network, pictures, **chosen, drawing=Drawing(display="heat"))

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        tell = lambda done: print("at", done.units, flush=True)
        try:
            make_portraits(Study.open(line.rstrip("\\n")), network, pictures, **chosen, progress=tell)
        except BaseException as error:
            print("failed", error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    print("child", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Maker:
    """Makes the same portraits as often as it is asked to, each time in a new process."""

    server: subprocess.Popen[str]
    begun: Path  #: the study without them

    def start(self, study: Path) -> int:
        """Begin, or go on; the process."""
        assert self.server.stdin is not None
        self.server.stdin.write(f"{study}\n")
        self.server.stdin.flush()
        return int(self.until("child"))

    def until(self, wanted: str) -> str:
        """What it says after the word, when it says it."""
        assert self.server.stdout is not None
        for line in self.server.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == wanted:
                return rest
        raise AssertionError("the process that makes portraits is gone")

    def end(self) -> int:
        """Wait until it ends; its exit code, negative for a signal."""
        return int(self.until("ended"))

    def copy(self, place: Path) -> Path:
        """The study without the portraits, to be killed in."""
        return Path(shutil.copytree(self.begun, place))


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    shown = write_pictures(tmp_path_factory.mktemp("pictures"), 6, ())
    begun = tmp_path_factory.mktemp("begun") / "study"
    command = [sys.executable, "-c", PROGRAM, str(shown), str(begun)]
    root, pipe = Path(__file__).parent.parent, subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True) as server:
        made = Maker(server, begun)
        made.until("ready")
        yield made
        server.kill()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, maker: Maker) -> tuple[dict[str, str], float]:
    """The study with its portraits made undisturbed, file by file, and the seconds that took."""
    study = maker.copy(tmp_path_factory.mktemp("whole") / "study")
    began = time.monotonic()
    maker.start(study)
    assert maker.end() == 0
    return bytes_of(study), time.monotonic() - began


def test_killed_at_random_moments(tmp_path: Path, maker: Maker, whole: tuple[dict[str, str], float]) -> None:
    """Whatever is killed, the study opens, and the next run ends as if nothing had happened."""
    expected, seconds = whole
    codes = []
    for number in range(2):  # studies, each killed again and again
        study = maker.copy(tmp_path / str(number))
        for moment in np.random.default_rng(number).uniform(0, 0.8 * seconds, 4):
            process = maker.start(study)
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
            codes.append(maker.end())
            Study.open(study)
        maker.start(study)
        assert maker.end() == 0
        assert bytes_of(study) == expected
        assert check_study(study) == ()
    assert codes.count(-signal.SIGKILL) > 3  # not all were done before


def test_killed_midway_keeps_what_is_finished(
    tmp_path: Path, maker: Maker, whole: tuple[dict[str, str], float]
) -> None:
    study = maker.copy(tmp_path / "study")
    process = maker.start(study)
    for _ in range(30):
        maker.until("at")
    os.kill(process, signal.SIGKILL)
    assert maker.end() == -signal.SIGKILL
    assert (
        "alexcnn/filters" not in Study.open(study).steps
    )  # the manifest lists no portrait that is half made
    maker.start(study)
    assert int(maker.until("at")) > 0
    assert maker.end() == 0
    assert bytes_of(study) == whole[0]
