"""A folder of results is written by one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        if not _held(folder, file.fileno()):
            raise OutputError(f"{folder} is in use by another process; wait for it, or name another folder")
        yield


def _held(folder: Path, descriptor: int) -> bool:
    """Lock the file for this process at once; False if another has it."""
    from filelock import lock_descriptor  # a tenth of a second that reading a study need not wait

    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be locked: {said(error)}; name a folder on a disk that knows locks"
        ) from error
