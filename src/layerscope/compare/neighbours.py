"""Which pictures two layers hold to be neighbours, and so which pictures two networks see differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.compare.cross_sums import Centred, centred
from layerscope.compare.representations import Representations, hashed_order
from layerscope.errors import ComparisonError

MOST = 5_000  #: pictures that neighbours are sought among
_ROWS = 512  #: pictures whose distances to all others are held at once


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How far pictures have the same neighbours in two networks.

    ``pictures``: places of those in the sample, rising; ``overlap``, float32, (layers, other layers, pictures): the
    share of the k nearest in both among those in either (Jaccard), in [0, 1], NaN for a layer that is the same for
    all pictures; ``chance``: what unrelated layers give on average, nearly.
    """

    one: Representations
    other: Representations
    k: int
    pictures: npt.NDArray[np.int64]
    overlap: npt.NDArray[np.float32]

    @property
    def chance(self) -> float:
        """The overlap of two sets of k drawn from the others, at the mean size of what they share."""
        shared = self.k**2 / (len(self.pictures) - 1)
        return float(shared / (2 * self.k - shared))

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Over the pictures: (layers, other layers)."""
        found: npt.NDArray[np.float64] = self.overlap.mean(axis=2, dtype=np.float64)
        return found


def compare_neighbours(
    one: Representations, other: Representations, *, k: int = 10, most: int = MOST
) -> Overlaps:
    """Compare the k nearest neighbours of each picture in every pair of layers, by Euclidean distance.

    Positions are averaged first. Of more than ``most`` pictures a sample is taken by hashes of their names, the same
    whatever their order. Raises ComparisonError for other pictures, and for no more than k + 1 of them.
    """
    if one.pictures != other.pictures:
        raise ComparisonError(
            f"{one.network} and {other.network} were shown other pictures; compare them over the same ones"
        )
    chosen = np.sort(hashed_order(one.pictures)[:most])
    if not 1 <= k < len(chosen) - 1:
        raise ComparisonError(f"{k} neighbours among {len(chosen)} pictures; ask for 1 to {len(chosen) - 2}")
    left = _all_nearest(one, chosen, k)
    right = left if other is one else _all_nearest(other, chosen, k)
    overlap = np.full((len(left), len(right), len(chosen)), np.nan, np.float32)
    for i, j in np.ndindex(len(left), len(right)):
        if (a := left[i]) is not None and (b := right[j]) is not None:
            overlap[i, j] = _jaccard(a, b)
    return Overlaps(one, other, k, chosen, overlap)


def _all_nearest(
    side: Representations, chosen: npt.NDArray[np.int64], k: int
) -> Sequence[npt.NDArray[np.int32] | None]:
    layers = (centred(f"{name} of {side.network}", values) for name, values in side.layers.items())
    return [None if layer.constant else nearest(_vectors(layer, chosen), k) for layer in layers]


def _vectors(layer: Centred, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    parts = np.array_split(chosen, -(-len(chosen) // _ROWS))
    return np.concatenate([layer.read(part).mean(1).numpy() for part in parts])


def nearest(vectors: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.int32]:
    """Places of each row's k nearest others, rising; of equally near ones the first: (rows, k)."""
    lengths = (vectors**2).sum(axis=1)
    found = np.empty((len(vectors), k), np.int32)
    for start in range(0, len(vectors), _ROWS):
        part = slice(start, min(start + _ROWS, len(vectors)))
        distances = lengths - 2 * (vectors[part] @ vectors.T)
        distances[np.arange(part.stop - start), np.arange(start, part.stop)] = np.inf
        furthest = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
        closer, ties = distances < furthest, distances == furthest
        room = k - closer.sum(axis=1, keepdims=True)
        taken = closer | (ties & (ties.cumsum(axis=1) <= room))
        found[part] = np.nonzero(taken)[1].reshape(-1, k)
    return found


def _jaccard(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    k = one.shape[1]
    shared = (one[:, :, None] == other[:, None]).sum(axis=(1, 2))
    return np.asarray(shared / (2 * k - shared), np.float32)
