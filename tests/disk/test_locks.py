"""One process at a time writes to a folder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.disk.locks import LOCK, lock
from layerscope.errors import OutputError

HOLDER = (
    "import sys; from pathlib import Path; from layerscope.disk.locks import lock\n"
    "with lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def test_another_process_keeps_out_until_it_is_dead(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(OutputError) as caught, lock(tmp_path):
            pass
        other.kill()
    assert (
        str(caught.value) == f"{tmp_path} is in use by another process; wait for it, or name another folder"
    )
    assert other.returncode == -signal.SIGKILL
    assert (tmp_path / LOCK).exists()  # what the dead leave holds nothing
    with lock(tmp_path):
        pass


def test_it_holds_within_a_process_too(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(OutputError, match="in use"), lock(tmp_path):
        pass
    with lock(tmp_path):
        pass


@pytest.mark.parametrize("inside", ["file", "missing"])
def test_a_folder_that_is_none(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    told = f"{inside} cannot be written: N.* directory; name another"
    with pytest.raises(OutputError, match=told), lock(tmp_path / inside):
        pass


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("filelock.lock_descriptor", fail)
    told = "cannot be locked: No locks available; name a folder on a disk"
    with pytest.raises(OutputError, match=told), lock(tmp_path):
        pass
