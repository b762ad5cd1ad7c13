"""A folder of results is written by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from layerscope.errors import OutputError, said

LOCK = "lock"  #: the empty file that is held; it stays when nobody holds it


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder that is there; the system lets go when the process ends, however it ends.

    Raises OutputError if another process holds it, or if the folder is on a disk that knows no locks.
    """
    try:
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {said(error)}; name another folder") from error
    with file:
        try:
            _hold(file)
        except BlockingIOError as error:
            raise OutputError(
                f"{folder} is in use by another process; wait for it, or name another folder"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be locked: {said(error)}; name a folder on a disk that knows locks"
            ) from error
        yield


def _hold(file: IO[bytes]) -> None:
    """Lock the file for this process at once; raises BlockingIOError if another has it."""
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except PermissionError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
