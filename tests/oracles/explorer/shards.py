"""Shards read letter by letter, as the page's own code does, and what they say worked out from a study's tables."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from typing import Any

import numpy as np

_LETTERS = {"u1": "B", "i2": "h", "i4": "i", "f4": "f"}


def read(data: bytes) -> tuple[str, Any]:
    """The path and the value that a shard registers; it is ASCII, and one statement."""
    found = re.fullmatch(r'layerscope\.register\("([\x20-\x7e]+?)", (.*)\);\n', data.decode("ascii"))
    assert found is not None, data[:80]
    return found[1], json.loads(found[2])


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The values of a packed array, one after the other."""
    data = zlib.decompressobj(-15).decompress(base64.b64decode(packed["data"]))
    letter = _LETTERS[packed["dtype"]]
    size = struct.calcsize(f"<{letter}")
    values = [struct.unpack_from(f"<{letter}", data, at)[0] for at in range(0, len(data), size)]
    return np.array(values).reshape(packed["shape"])


def level(value: float, largest: float) -> int:
    """Of 255 steps from 0 to the largest, the nearest to a value; only what is not above zero has the step 0."""
    if value <= 0:
        return 0
    return max(1, round(value / (largest / 255)))


def correlation(one: list[float], other: list[float]) -> float:
    """Pearson's."""
    n = len(one)
    a, b = sum(one) / n, sum(other) / n
    both = sum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    squares = [sum((x - mean) ** 2 for x in values) for values, mean in ((one, a), (other, b))]
    return float(both / (squares[0] * squares[1]) ** 0.5)
