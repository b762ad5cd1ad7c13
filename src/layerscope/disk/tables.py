"""Files of a study: Parquet tables, plain arrays, JSON; each appears whole or not at all. No pickle, no torch.

The same content always gives the same bytes: nothing in a file says when or where it was written.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from layerscope.disk.whole import written_whole
from layerscope.errors import StudyError, said

Buffer: TypeAlias = bytes | memoryview
Array: TypeAlias = npt.NDArray[np.generic]
Content: TypeAlias = pa.Table | Array | bytes  #: of a file: .parquet, .npy, or as it is

_CHUNK = 1 << 20
_BROKEN = (OSError, pa.ArrowException, ValueError, EOFError)  # what reading a damaged file raises


@dataclass(frozen=True)
class Written:
    """What is known of a file: its size in bytes, its SHA-256 (64 hex digits)."""

    size: int
    sha256: str


# ------------------------------------------------------------------ writing


def publish(path: Path, pieces: Iterable[Buffer]) -> Written:
    """Write the bytes to ``path``, whole or not at all. Raises OutputError as `files.written_whole` does."""
    with written_whole(path) as partial:
        return _write(partial, pieces)


def _write(path: Path, pieces: Iterable[Buffer]) -> Written:
    sha256, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            sha256.update(piece)
            size += memoryview(piece).nbytes
    return Written(size, sha256.hexdigest())


def digest_of(pieces: Iterable[Buffer]) -> Written:
    """What would be known of a file of these bytes."""
    sha256, size = hashlib.sha256(), 0
    for piece in pieces:
        sha256.update(piece)
        size += memoryview(piece).nbytes
    return Written(size, sha256.hexdigest())


def publish_content(stem: Path, content: Content) -> tuple[Path, Written]:
    """Publish a table as ``stem``.parquet, an array as ``stem``.npy, bytes as ``stem`` itself; the path too."""
    path, pieces = pieces_of(stem, content)
    return path, publish(path, pieces)


def pieces_of(stem: Path, content: Content) -> tuple[Path, list[Buffer]]:
    """Where `publish_content` writes the content, and the bytes that it writes there."""
    if isinstance(content, pa.Table):
        return stem.with_name(f"{stem.name}.parquet"), [table_bytes(content)]
    if isinstance(content, np.ndarray):
        return stem.with_name(f"{stem.name}.npy"), array_pieces(content, stem.name)
    return stem, [content]


def table_bytes(table: pa.Table) -> Buffer:
    """The table as a Parquet file, compressed with zstd."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return memoryview(sink.getvalue())


def csv_bytes(table: pa.Table) -> bytes:
    """The table as a CSV file."""
    memory = io.BytesIO()
    csv.write_csv(table, memory)
    return memory.getvalue()


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
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # a file name may hold what only JSON can escape


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
    return parse_json(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The file as it is. Raises StudyError if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unread(path, error) from error


def parse_json(path: Path, data: bytes) -> dict[str, Any]:
    """The object that the bytes of a JSON file say. Raises StudyError if they say none."""
    try:
        content = json.loads(data)
    except RecursionError as error:
        raise StudyError(
            f"{path} is damaged: it is nested deeper than any of ours; make the study anew"
        ) from error
    except ValueError as error:
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
        return StudyError(f"{path} is missing; `layerscope check` says what else is")
    return StudyError(f"{path} is damaged or not of this kind: {said(error)[:200]}; make the study anew")
