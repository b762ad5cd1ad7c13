"""Killed, interrupted, out of room: started again the study goes on, and ends the same, byte for byte."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from layerscope.study import Study
from layerscope.study_check import check_study
from tests.studies import bytes_of, write_pictures

if sys.platform == "win32":
    pytest.skip("no fork, no limits of size", allow_module_level=True)

# One process reads the networks; each attempt at the study is a child of it, which says how far it is.
PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from layerscope import tables
from layerscope.imagesets import open_images
from layerscope.making import make_study
from layerscope.sweep import Pass, sweep
from tests.studies import every_reducer, small

networks, pictures = [small("alexcnn"), small("vggcnn")], open_images(sys.argv[1])
settings = Pass(batch=2, shard=4, workers=1)

def attempt(out, limit, survives, where):
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    replace, write, left = Path.replace, tables._write, [survives]
    def dying(one, other):
        left[0] -= 1
        os._exit(9) if left[0] < 0 and where == "before" else replace(one, other)
        os._exit(9) if left[0] < 0 else None
    def half(path, pieces):
        left[0] -= 1
        whole = b"".join(map(bytes, pieces))
        if left[0] < 0:
            path.write_bytes(whole[: len(whole) // 2])
            os._exit(9)
        return write(path, [whole])
    if where == "midway":
        tables._write = half
    elif where:
        Path.replace = dying
    make_study(networks, pictures, every_reducer(), out, settings=settings, progress=lambda n: print("at", flush=True))

print("ready", flush=True)
for line in sys.stdin:
    out, limit, survives, where = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        said, code = "", 1
        try:
            attempt(Path(out), int(limit), int(survives), where)
            code = 0
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        Path(f"{out}.said").write_text(said)
        os._exit(code)
    print("child", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Maker:
    """Makes the same study as often as it is asked to, each time in a new process."""

    server: subprocess.Popen[str]

    def start(self, out: Path, *, limit: int = 0, survives: int = 0, where: str = "") -> int:
        """Begin, or go on; the process. It dies before, midway in or after a file, so many others it survives."""
        assert self.server.stdin is not None
        self.server.stdin.write(f"{out}\t{limit}\t{survives}\t{where}\n")
        self.server.stdin.flush()
        return int(self.line("child"))

    def line(self, wanted: str) -> str:
        assert self.server.stdout is not None
        for line in self.server.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == wanted:
                return rest
        raise AssertionError("the process that makes studies is gone")

    def end(self) -> int:
        """Wait until it ends; its exit code, negative for a signal."""
        return int(self.line("ended"))

    def make(self, out: Path, *, limit: int = 0) -> str:
        """Begin, or go on, to the end; what it said."""
        self.start(out, limit=limit)
        self.end()
        return Path(f"{out}.said").read_text()


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    shown = write_pictures(tmp_path_factory.mktemp("pictures"), 24)
    command = [sys.executable, "-c", PROGRAM, str(shown)]
    root = Path(__file__).parent.parent
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True) as server:
        made = Maker(server)
        made.line("ready")
        yield made
        server.kill()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, maker: Maker) -> tuple[dict[str, str], float]:
    """A study made undisturbed, file by file, and the seconds that took."""
    out = tmp_path_factory.mktemp("whole") / "out"
    maker.make(out)  # the first loads the compiled code
    began = time.monotonic()
    assert maker.make(out.with_name("again")) == ""
    seconds = time.monotonic() - began
    assert bytes_of(out) == bytes_of(out.with_name("again"))
    return bytes_of(out), seconds


def test_killed_at_random_moments(tmp_path: Path, maker: Maker, whole: tuple[dict[str, str], float]) -> None:
    """Killed at any step, a run leaves nothing that misleads the next."""
    expected, seconds = whole
    codes = []
    for number in range(2):  # studies, each killed again and again
        out = tmp_path / str(number)
        for moment in np.random.default_rng(number).uniform(0, 0.7 * seconds, 4):
            process = maker.start(out)
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
            codes.append(maker.end())
        assert maker.make(out) == ""
        assert bytes_of(out) == expected
        assert check_study(out) == ()
    assert codes.count(-signal.SIGKILL) > 3  # not all were done before


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "midway", "after"])
def test_killed_at_every_file(
    tmp_path: Path, maker: Maker, whole: tuple[dict[str, str], float], where: str
) -> None:
    """Dies as a file is written or gets its name: each time seven files later, until it survives them all."""
    codes = []
    for survives in count(1, 7):
        maker.start(tmp_path / "out", survives=survives, where=where)
        codes.append(maker.end())
        if codes[-1] != 9:
            break
    assert codes[-1] == 0
    assert len(codes) > 4
    assert bytes_of(tmp_path / "out") == whole[0]


def test_interrupted(tmp_path: Path, maker: Maker, whole: tuple[dict[str, str], float]) -> None:
    out = tmp_path / "out"
    process = maker.start(out)
    for _ in range(10):
        maker.line("at")
    os.kill(process, signal.SIGINT)
    assert maker.end() == 1
    assert Path(f"{out}.said").read_text() == "KeyboardInterrupt: "
    assert not list(out.rglob(".partial-*"))
    assert list(out.rglob("shard-*.npz"))
    assert not (out / "study.json").exists()
    assert maker.make(out) == ""
    assert bytes_of(out) == whole[0]


def test_no_room(tmp_path: Path, maker: Maker, whole: tuple[dict[str, str], float]) -> None:
    """Files may not grow beyond a limit, as on a full disk: one line; with room it goes on."""
    out = tmp_path / "out"
    for limit in (100, 10_000, 30_000):
        said = maker.make(out, limit=limit)
        assert said.startswith(f"OutputError: {out}")
        assert said.endswith(
            "cannot be written: File too large; make room and run the same again: what is finished is kept"
        )
        assert "\n" not in said
        assert not list(out.rglob(".partial-*"))
        assert not (out / "study.json").exists()
    assert maker.make(out) == ""
    assert bytes_of(out) == whole[0]
    assert Study.open(out).bad.num_rows == 1
