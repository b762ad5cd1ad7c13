"""Files and folders that appear whole or not at all: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerscope.errors import OutputError, said

PARTIAL = ".partial-"  #: what the name of an unfinished file or folder begins with
_BYTES = 8  # at random, by which its name goes on
_BESIDE = re.compile(rf"{re.escape(PARTIAL)}[0-9a-f]{{{2 * _BYTES}}}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def written_whole(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Give a name beside ``path`` to write a file to; at the end it becomes ``path``, replacing what is there.

    Others see the old file or the whole new one. The folders above it are made. Whatever is raised, the unfinished
    file is removed. ``lasting``: through a power cut that comes after this; for many files `flush_all` does it at
    once. Raises OutputError if it cannot be written, the disk being full included.
    """
    partial = _beside(path)
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            if lasting:
                _flush(partial, os.O_RDWR)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        if lasting:
            _flush_folder(path.parent)


def flush_all() -> None:
    """Make all that was written so far last through a power cut; Windows has no such call."""
    if hasattr(os, "sync"):
        os.sync()


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to write to; at the end it becomes ``path``, as `written_whole` does with files.

    Killed in the moment of replacing an older one, neither is there.
    """
    partial = _beside(path)
    with written(path):
        try:
            partial.mkdir(parents=True)
            yield partial
            if path.exists():
                shutil.rmtree(path)
            os.rename(partial, path)  # noqa: PTH104 - says that nothing is replaced
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _flush_folder(path.parent)


def remove_partials(folder: Path, *, deep: bool = True) -> None:
    """Remove what a killed process left unfinished in the folder, ``deep``: or anywhere below it.

    Nobody else may be writing there. Raises OutputError if something cannot be removed.
    """
    pattern = f"{PARTIAL}*"
    with written(folder):
        for partial in sorted(folder.rglob(pattern) if deep else folder.glob(pattern)):
            if not _BESIDE.fullmatch(partial.name):
                continue
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink(missing_ok=True)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """What fails inside is said of ``path``, which the user knows, in one line: an OutputError."""
    try:
        yield
    except (OSError, OutputError) as error:
        cause = error.__cause__
        raise _unwritten(path, cause if isinstance(cause, OSError) else error) from error


def _unwritten(path: Path, error: Exception) -> OutputError:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return OutputError(
            f"{path} cannot be written: a file is where its folder should be; name another place"
        )
    if isinstance(error, IsADirectoryError):
        return OutputError(
            f"{path} cannot be written: a folder is where the file should be; name another place"
        )
    full = isinstance(error, OSError) and error.errno in _FULL
    return OutputError(
        f"{path} cannot be written: {said(error)}; {'make room' if full else 'make it writable'} and run the same "
        "again: what is finished is kept"
    )


def _beside(path: Path) -> Path:
    return path.with_name(f"{PARTIAL}{secrets.token_hex(_BYTES)}")


def _flush(path: Path, how: int) -> None:
    descriptor = os.open(path, how)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut; Windows has no such call and needs none."""
    if os.name != "nt":
        _flush(folder, os.O_RDONLY)
