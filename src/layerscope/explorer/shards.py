"""Data as the pages load it: classic scripts, each of which registers one value under its path. Pure ASCII.

The types of the values are in web/src/data.ts.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shard: TypeAlias = Mapping[str, Any]
KINDS: Mapping[str, Any] = {"u1": np.uint8, "i2": np.int16, "i4": np.int32, "f4": np.float32}
_RAW = -15  # deflate without head and checksum, with the largest window
_STRATEGIES = (
    zlib.Z_DEFAULT_STRATEGY,
    zlib.Z_HUFFMAN_ONLY,
    zlib.Z_RLE,
)  # the others are better where nothing repeats, or zeros alone: activations


def script(path: str, value: Any) -> bytes:
    """The file of a shard, by its path below data/ without suffix. Raises ValueError for NaN."""
    words = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return f"layerscope.register({json.dumps(path)}, {words});\n".encode("ascii")


def pack(values: npt.ArrayLike, kind: str) -> dict[str, Any]:
    """An array as text: base64 of little-endian bytes, rows first, in raw deflate. ``kind``: one of KINDS.

    Raises ValueError for whole numbers that the kind cannot hold.
    """
    given = np.asarray(values)
    array = np.ascontiguousarray(given, np.dtype(KINDS[kind]).newbyteorder("<"))
    if kind != "f4" and not np.array_equal(array, given):
        raise ValueError(f"{kind} does not hold all values of {given.dtype} {given.shape}")
    data = min((_deflated(array.tobytes(), strategy) for strategy in _STRATEGIES), key=len)
    return {"dtype": kind, "shape": list(array.shape), "data": base64.b64encode(data).decode("ascii")}


def _deflated(data: bytes, strategy: int) -> bytes:
    squeeze = zlib.compressobj(6, zlib.DEFLATED, _RAW, zlib.DEF_MEM_LEVEL, strategy)
    return squeeze.compress(data) + squeeze.flush()


def number(value: float | None) -> float | None:
    """A number with as many digits as tell it from other float32 numbers; None for None and what is not finite."""
    if value is None or not np.isfinite(value):
        return None
    return float(str(np.float32(value)))


def numbers(values: Iterable[float | None]) -> list[float | None]:
    """Each as `number` has it."""
    return [number(value) for value in values]
