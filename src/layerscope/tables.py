"""Files of a study: Parquet tables, plain arrays, JSON; each appears whole or not at all. No pickle, no torch.

A file is written beside its place, flushed to the disk and renamed. The same content always gives the same bytes:
nothing in a file says when or where it was written.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.errors import LayerscopeError, said

Buffer: TypeAlias = bytes | memoryview
Array: TypeAlias = npt.NDArray[np.generic]
Content: TypeAlias = pa.Table | Array | bytes  #: of a file: .parquet, .npy, or as it is

PARTIAL = ".partial-"  #: what the name of an unfinished file begins with
_CHUNK = 1 << 20
_BROKEN = (OSError, pa.ArrowException, ValueError, EOFError)  # what reading a damaged file raises
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StudyError(LayerscopeError):
    """A study cannot be made, written, read or added to."""


@dataclass(frozen=True)
class Written:
    """What is known of a file: its size in bytes, its SHA-256 (64 hex digits)."""

    size: int
    sha256: str


# ------------------------------------------------------------------ writing


def publish(path: Path, pieces: Iterable[Buffer]) -> Written:
    """Write the bytes to ``path``, replacing what is there; others see the old file or the whole new one.

    Raises StudyError if that fails, the disk being full included; then nothing has changed. Only one process may
    write to a folder at a time.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            written = _write(partial, pieces)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    return written


def _write(path: Path, pieces: Iterable[Buffer]) -> Written:
    sha256, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            sha256.update(piece)
            size += memoryview(piece).nbytes
        file.flush()
        os.fsync(file.fileno())
    return Written(size, sha256.hexdigest())


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritten(path: Path, error: OSError) -> StudyError:
    what_to_do = "make room" if error.errno in _FULL else "make it writable"
    return StudyError(
        f"{path} cannot be written: {error.strerror or error}; {what_to_do} and run the same again: "
        "what is finished is kept"
    )


def publish_content(stem: Path, content: Content) -> tuple[Path, Written]:
    """Publish a table as ``stem``.parquet, an array as ``stem``.npy, bytes as ``stem`` itself; the path too."""
    if isinstance(content, pa.Table):
        path, pieces = stem.with_name(f"{stem.name}.parquet"), [table_bytes(content)]
    elif isinstance(content, np.ndarray):
        path, pieces = stem.with_name(f"{stem.name}.npy"), array_pieces(content, stem.name)
    else:
        path, pieces = stem, [content]
    return path, publish(path, pieces)


def table_bytes(table: pa.Table) -> Buffer:
    """The table as a Parquet file, compressed with zstd."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return memoryview(sink.getvalue())


def array_pieces(array: Array, name: str) -> list[Buffer]:
    """The array as a .npy file: its header and its values, rows first. Raises StudyError for Python objects."""
    if array.dtype.hasobject:
        raise StudyError(
            f"{name} holds Python objects ({array.dtype}); give it numbers or text of fixed length"
        )
    rows_first = np.asarray(array, order="C")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(rows_first))
    values = rows_first.reshape(-1).view(np.uint8) if rows_first.size else np.empty(0, np.uint8)
    return [header.getvalue(), values.data]


def publish_json(path: Path, content: Mapping[str, Any]) -> Written:
    """Publish JSON that a person can read."""
    return publish(path, [json_bytes(content)])


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """The content as indented JSON in UTF-8, in the order given."""
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def remove_partials(folder: Path) -> None:
    """Remove the unfinished files that a killed process left anywhere below the folder."""
    for partial in sorted(folder.rglob(f"{PARTIAL}*")):
        partial.unlink(missing_ok=True)


# ------------------------------------------------------------------ reading


def read_table(path: Path) -> pa.Table:
    """The table of a Parquet file. Raises StudyError if it is missing or damaged."""
    try:
        return pq.read_table(path, partitioning=None)
    except _BROKEN as error:
        raise _unread(path, error) from error


def read_array(path: Path) -> Array:
    """The array of a .npy file, mapped into memory, read-only. Raises StudyError if it is missing or damaged."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _BROKEN as error:
        raise _unread(path, error) from error
    return array


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises StudyError if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except _BROKEN as error:
        raise _unread(path, error) from error
    if not isinstance(content, dict):
        raise StudyError(f"{path} is damaged: it holds no JSON object")
    return content


def measure(path: Path) -> Written:
    """Size and SHA-256 of a file that is there."""
    sha256, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            size += len(chunk)
    return Written(size, sha256.hexdigest())


def shape_of(path: Path) -> dict[str, Any]:
    """Rows and columns of a table, shape and type of an array, nothing of other files, from the file's head.

    Raises StudyError if it cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return {"rows": pq.read_metadata(path).num_rows, "columns": pq.read_schema(path).names}
    except _BROKEN as error:
        raise _unread(path, error) from error
    if path.suffix == ".npy":
        array = read_array(path)
        return {"shape": list(array.shape), "dtype": str(array.dtype)}
    return {}


def _unread(path: Path, error: Exception) -> StudyError:
    if isinstance(error, FileNotFoundError):
        return StudyError(f"{path} is missing; `layerscope study --check` says what else is")
    return StudyError(f"{path} is damaged or not of this kind: {said(error)[:200]}; make the study anew")
