"""What finished shards leave on the disk until a study is whole: one .npz file each, without pickle.

The same result always gives the same bytes, and a file that is there is whole: see `files.written_whole`.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.disk.tables import Array, publish
from layerscope.errors import StudyError, said
from layerscope.sweep.one_pass import Key, ShardResult
from layerscope.sweep.reducers import State

_ABOUT = "about"  # the member that says which array is which; the arrays are numbered
_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Shard:
    """Some neighbouring pictures of an image set, and the shard's number, counted from 0."""

    number: int
    indices: range


@dataclass(frozen=True)
class Checkpoints:
    """The shard states of one network's pass in a folder. ``study``: digest of all that they depend on."""

    folder: Path
    study: str

    def path(self, shard: Shard) -> Path:
        """Where the shard's state is, or will be."""
        return self.folder / f"shard-{shard.number:05d}.npz"

    def has(self, shard: Shard) -> bool:
        """Whether the shard is finished."""
        return self.path(shard).exists()

    def save(self, shard: Shard, result: ShardResult) -> None:
        """Keep the result. Raises OutputError if it cannot be written, StudyError as `encode` does."""
        publish(self.path(shard), [encode(result, self._belongs(shard))])

    def load(self, shard: Shard) -> ShardResult:
        """The result as it was saved. Raises StudyError if it is damaged or belongs to other inputs."""
        path = self.path(shard)
        try:
            about, result = decode(path.read_bytes())
        except _DAMAGED as error:
            raise StudyError(
                f"{path} is damaged: {said(error)[:200]}; remove it and run the same again: that shard is computed anew"
            ) from error
        if about != self._belongs(shard):
            raise StudyError(
                f"{path} belongs to other pictures, another network or other options; remove it and run the "
                "same again: that shard is computed anew"
            )
        return result

    def _belongs(self, shard: Shard) -> dict[str, Any]:
        return {"study": self.study, "pictures": [shard.indices.start, shard.indices.stop]}


def encode(result: ShardResult, belongs: Mapping[str, Any]) -> memoryview:
    """The result as the bytes of an .npz file, with a note of what it belongs to.

    Raises StudyError for a state that holds anything but plain arrays.
    """
    named: list[tuple[Key | None, State]] = [*result.states.items(), (None, result.pictures)]
    arrays = list(_plain_arrays(named))
    about = {"belongs": belongs, "states": [[key, list(state)] for key, state in named]}
    head = np.frombuffer(json.dumps(about).encode(), np.uint8)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in [(_ABOUT, head), *((str(i), array) for i, array in enumerate(arrays))]:
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return file.getbuffer()


def _plain_arrays(named: Sequence[tuple[Key | None, State]]) -> Iterator[Array]:
    for key, state in named:
        for name, array in state.items():
            if not isinstance(array, np.ndarray) or array.dtype.hasobject:
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                owner = "the pictures" if key is None else f"reducer {key[0]} at {key[1]}"
                raise StudyError(f"{name!r} in the state of {owner} is {kind}; states are plain numpy arrays")
            yield array


def decode(data: bytes) -> tuple[dict[str, Any], ShardResult]:
    """What the bytes of an .npz file belong to, and the result; the opposite of `encode`.

    Every member is checked against its sum before it is read. Raises one of several errors if anything is wrong.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        about = json.loads(_member(file, _ABOUT).tobytes())
        numbers = iter(range(len(file.namelist()) - 1))
        states: dict[Key, State] = {}
        pictures: State = {}
        for key, names in about["states"]:
            state = {name: _member(file, str(next(numbers))) for name in names}
            if key is None:
                pictures = state
            else:
                states[key[0], key[1]] = state
    return about["belongs"], ShardResult(states, pictures)


def _member(file: zipfile.ZipFile, name: str) -> Array:
    array: Array = np.lib.format.read_array(io.BytesIO(file.read(f"{name}.npy")), allow_pickle=False)
    return array
