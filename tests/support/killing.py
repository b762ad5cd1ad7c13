"""Work done again and again in new processes, each of which can be killed at any moment.

A server loads what all of them need, then forks one for each piece of work. It has no thread but its own, and refuses
to go on with more: a fork copies only the thread that forks, and what another held at that moment stays held for ever.
The moments are counted in what the work tells of its progress, not in seconds, so that a slow machine sees the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.disk import tables
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from tests.support.studies import bytes_of

ALONE = {  # of OpenMP, linear algebra, Arrow and its allocator
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}

Attempt = Callable[..., None]  #: does the work; called with the words of ``start``


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, negative for a signal; the error it ended with, or nothing."""

    code: int
    said: str


@dataclass
class Work:
    """One process at a time."""

    server: subprocess.Popen[str]
    process: int = field(default=0, init=False)
    said: str | None = field(default=None, init=False)  #: of the process, once it is over

    def start(self, *words: object) -> None:
        """Begin, or go on."""
        self._tell_server("start", *words)
        self.said = None
        self.process = int(self._line("child"))

    def next(self) -> str | None:
        """What it tells next, or None if it has ended."""
        assert self.server.stdout is not None
        while self.said is None:
            word, _, rest = self.server.stdout.readline().rstrip("\n").partition(" ")
            if word == "at":
                return rest
            assert word == "over", f"the server says {word!r}"
            self.said = rest
        return None

    def until(self, wanted: str) -> None:
        """Wait until it tells of something that begins so."""
        while (told := self.next()) is None or not told.startswith(wanted):
            assert told is not None, f"it ended before it told of {wanted!r}: {self.said}"

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.process, number)

    def end(self) -> Ended:
        """Wait until it ends."""
        self._tell_server("end")
        return Ended(int(self._line("ended")), self.said or "")

    def do(self, *words: object) -> Ended:
        """Begin, or go on, to the end."""
        self.start(*words)
        return self.end()

    def do_counting(self, *words: object) -> int:
        """Begin, and go on to the end; how often it told of progress."""
        self.start(*words)
        told = 0
        while self.next() is not None:
            told += 1
        ended = self.end()
        assert ended == Ended(0, "")
        return told

    def do_killed(self, *words: object, within: int, random: np.random.Generator) -> Ended:
        """Begin, or go on, until it is killed somewhere in so many tellings."""
        self.start(*words)
        for _ in range(random.integers(within)):
            self.next()
        time.sleep(random.uniform(0, 0.01))
        self.kill()
        return self.end()

    def _tell_server(self, *words: object) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write("\t".join(map(str, words)) + "\n")
        self.server.stdin.flush()

    def _line(self, wanted: str) -> str:
        """The server's answer; what the process tells before it is passed over."""
        assert self.server.stdout is not None
        for line in self.server.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == wanted:
                return rest
            if word == "over":
                self.said = rest
        raise AssertionError("the server is gone")


@contextmanager
def working(module: str, *words: object) -> Iterator[Work]:
    """A server for the work that ``prepare(*words)`` of the module returns."""
    command = [sys.executable, "-m", "tests.support.killing", module, *map(str, words)]
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    environment = os.environ | ALONE
    with subprocess.Popen(command, cwd=root, env=environment, stdin=pipe, stdout=pipe, text=True) as server:
        yield Work(server)
        server.kill()


@dataclass(frozen=True)
class Begun:
    """A study to be copied, added to and killed in; and how it is when it was added to undisturbed."""

    work: Work
    study: Path
    whole: dict[str, str]
    told: int  #: how often the work told of progress

    def copy(self, place: Path) -> Path:
        return Path(shutil.copytree(self.study, place))

    def killed_at_random(
        self, study: Path, times: int, seed: int, opens: Callable[[Path], object]
    ) -> list[int]:
        """Kill so many times, each time see that the study opens, and let it end as if nothing had happened.

        Returns how each killed process ended.
        """
        random, codes = np.random.default_rng(seed), []
        for _ in range(times):
            codes.append(self.work.do_killed(study, within=self.told // 2, random=random).code)
            opens(study)
        assert self.work.do(study) == Ended(0, "")
        assert bytes_of(study) == self.whole
        assert check_study(study) == ()
        return codes


def ends_the_same_however_killed(begun: Begun, top: Path) -> None:
    """Whatever is killed, a study of it opens, and the next run ends as if nothing had happened."""
    codes = []
    for number in range(2):  # studies, each killed again and again
        codes += begun.killed_at_random(begun.copy(top / str(number)), 4, number, Study.open)
    assert codes.count(-signal.SIGKILL) > 3  # not all were done before


@contextmanager
def beginning(module: str, top: Path, *words: object) -> Iterator[Begun]:
    """The study that the work makes below ``top`` when it is told to begin."""
    with working(module, *words) as work:
        assert work.do(top / "study", "begin") == Ended(0, "")
        whole = shutil.copytree(top / "study", top / "whole")
        told = work.do_counting(whole)
        yield Begun(work, top / "study", bytes_of(whole), told)


def tell(*what: object) -> None:
    """For the work: tell of progress."""
    _say("at", *what)


def _say(*words: object) -> None:
    """A line at once: a thread that tells at the same time, and a kill, find it whole or not at all."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def die(where: str, survives: int) -> None:
    """This process ends before, midway in or after a file is written, or before one is removed; so many it survives."""
    replace, unlink, write, left = Path.replace, Path.unlink, tables._write, count(survives, -1)

    def dying(one: Path, other: Path) -> None:
        last = next(left) <= 0
        if not (last and where == "before"):
            replace(one, other)
        if last:
            os._exit(9)

    def half(path: Path, pieces: Iterable[Any]) -> tables.Written:
        whole = b"".join(map(bytes, pieces))
        if next(left) <= 0:
            path.write_bytes(whole[: len(whole) // 2])
            os._exit(9)
        return write(path, [whole])

    def removing(path: Path, missing_ok: bool = False) -> None:
        if path.exists() and next(left) <= 0:
            os._exit(9)
        unlink(path, missing_ok)

    if where == "midway":
        tables._write = half
    elif where == "removing":
        Path.unlink = removing  # type: ignore[assignment, method-assign]
    else:
        Path.replace = dying  # type: ignore[assignment, method-assign]


def _serve(attempt: Attempt) -> None:
    child = 0
    for line in sys.stdin:
        order, *words = line.rstrip("\n").split("\t")
        if order == "end":
            _say("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            continue
        tasks = Path("/proc/self/task")
        assert not tasks.exists() or len(list(tasks.iterdir())) == 1, "the server has threads"
        child = os.fork()
        if child == 0:
            os._exit(_work(attempt, words))


def _work(attempt: Attempt, words: list[str]) -> int:
    """In the new process: the exit code."""
    _say("child", os.getpid())
    said = ""
    try:
        attempt(*words)
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    _say("over", said)
    return 1 if said else 0


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    _serve(import_module(sys.argv[1]).prepare(*sys.argv[2:]))
