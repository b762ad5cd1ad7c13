"""All distances between the vectors of a layer's patches, a block at a time.

Distances are Euclidean. They are computed in float64 and compared in float32; those below a millionth of the longest
vector's length are zero, so that equal vectors tie. Of tied patches the lowest numbers come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.errors import TruthError

Whole = npt.NDArray[np.integer[Any]]
Real = npt.NDArray[np.floating[Any]]

_CHUNK = 2048  #: vectors made float64 at a time
_BLOCK = 1 << 26  #: distances held at a time; 256 MiB
_TIE = 1e-12  #: squared distances up to so much of the longest vector's square are zero


@dataclass(frozen=True, eq=False)
class Vectors:
    """N vectors ``values`` (N, C), maybe mapped from a file; ``scale`` is the greatest magnitude in them, or 1.

    ``squares``: their squared lengths, divided by the scale's square.
    """

    values: Real
    scale: float
    squares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, values: Real) -> Vectors:
        """Prepare them. Raises TruthError if they are not (patches, channels), none, or not finite."""
        if values.ndim != 2 or not len(values):
            raise TruthError(f"vectors of shape {values.shape}: give (patches, channels), 1 patch or more")
        starts, peaks = range(0, len(values), _CHUNK), []
        squares, room = np.empty(len(values)), np.empty((min(_CHUNK, len(values)), values.shape[1]))
        for start in starts:
            part = values[start : start + _CHUNK]
            peaks.append(max(float(part.max(initial=0)), -float(part.min(initial=0))))
            if not np.isfinite(peaks[-1]):
                last = start + len(part) - 1
                raise TruthError(f"a vector of patches {start} to {last} is not finite: sample again")
        scale = max(peaks) or 1.0
        for start in starts:
            part = values[start : start + _CHUNK]
            scaled = np.divide(part, scale, out=room[: len(part)], dtype=np.float64)
            np.einsum("nc,nc->n", scaled, scaled, out=squares[start : start + len(part)])
        return cls(values, scale, squares)

    def walk(self, rows: Whole) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Each row and its squared distances to all vectors, in scales; yours to change until the next one."""
        total, tie = len(self.values), np.float32(_TIE * self.squares.max())
        step = min(max(1, _BLOCK // total), max(1, len(rows)))
        found = np.empty((step, total), np.float32)
        for first in range(0, len(rows), step):
            block = rows[first : first + step]
            self._fill(found[: len(block)], block)
            for row, distances in zip(block, found, strict=False):
                yield int(row), np.multiply(distances, distances > tie, out=distances)

    def _fill(self, found: npt.NDArray[np.float32], block: Whole) -> None:
        """Squared distances as one product: (-2 q, |q|^2, 1) times (v, 1, |v|^2)."""
        channels = self.values.shape[1]
        queries, part = np.ones((len(block), channels + 2)), np.ones((_CHUNK, channels + 2))
        queries[:, :channels] = self.values[block]
        queries[:, :channels] *= -2 / self.scale
        queries[:, channels] = self.squares[block]
        product = np.empty((len(block), _CHUNK))
        for start in range(0, len(self.values), _CHUNK):
            count = min(_CHUNK, len(self.values) - start)
            part[:count, :channels] = self.values[start : start + count]
            part[:count, :channels] /= self.scale
            part[:count, channels + 1] = self.squares[start : start + count]
            np.matmul(queries, part.T, out=product)
            found[:, start : start + count] = product[:, :count]

    def mean_distance(self, pairs: Whole) -> float:
        """The mean distance of the pairs (pairs, 2) of vectors; exactly zero for equal ones."""
        total = 0.0
        for start in range(0, len(pairs), 1024):
            one, other = (np.asarray(self.values[side], np.float64) for side in pairs[start : start + 1024].T)
            total += float(np.linalg.norm(one - other, axis=1).sum())
        return total / len(pairs)


def least(distances: Real, limit: float, k: int) -> Whole:
    """The places of the k least distances, given the k-th, none of them infinite; equals in order of their numbers."""
    found = np.flatnonzero((distances <= limit) & (distances < np.inf))
    return found[np.argsort(distances[found], kind="stable")[:k]]
