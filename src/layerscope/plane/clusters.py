"""Regions worth a look: clusters of an embedding that two halves of the patches show alike.

A clustering finds groups in any cloud of points, in noise too. So the patches are split in two by lot, each half is
clustered by HDBSCAN (Campello, Moulavi and Sander 2013; scikit-learn's), and only what both find is suggested: chance
does not repeat itself. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from layerscope.errors import LayerscopeError
from layerscope.plane.libraries import library
from layerscope.plane.nearest import nearest
from layerscope.plane.regions import Numbers, Region, describe_region, plane_points

__all__ = ["Clustering", "convex_hull", "groups_of", "suggest_regions"]

Array: TypeAlias = npt.NDArray[Any]
_NEIGHBOURS = 10  # points that make a place dense: HDBSCAN's min_samples


@dataclass(frozen=True)
class Clustering:
    """How regions are suggested: at most ``most``, each between these shares of all patches.

    Each half has at most ``half`` patches; all others go with the nearest of these. Two clusters are the same if the
    patches in both are more than the share ``agreement`` of those in either. ``seed`` draws the halves.
    Raises LayerscopeError for what cannot be.
    """

    smallest: float = 1 / 200
    largest: float = 0.6
    most: int = 30
    half: int = 20_000
    agreement: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.smallest < self.largest <= 1 or min(self.most, self.half) < 1:
            raise LayerscopeError(
                f"{self} finds nothing: 0 < smallest < largest <= 1, most and half 1 or more"
            )
        if not 0.5 <= self.agreement <= 1:
            raise LayerscopeError(f"an agreement of {self.agreement} can pair a cluster twice; give 0.5 to 1")


def suggest_regions(
    points: Array, pictures: Array, classes: Array | None = None, settings: Clustering | None = None
) -> tuple[Region, ...]:
    """Clusters of the points (patches, 2), those spread over most pictures first; equals by size, then number.

    ``pictures`` and ``classes`` (-1: no label) are per patch. The outline of each is the convex hull of its members,
    which may hold other patches too; the box around them if they lie on a line. The same settings give the same
    regions; none, if the halves agree on nothing or are too small. Raises LayerscopeError for points that are not
    finite, or if scikit-learn is missing.
    """
    settings, places = settings or Clustering(), plane_points(points, pictures, classes)
    order = np.random.default_rng(settings.seed).permutation(len(places))
    half = min(settings.half, len(places) // 2)
    one, other = (_labels(places, np.sort(some), settings) for some in (order[:half], order[half : 2 * half]))
    found = [
        describe_region(members, convex_hull(places[members]), places, pictures, classes)
        for members in _agreed(one, other, settings.agreement)
    ]
    return tuple(sorted(found, key=lambda r: (-r.spread, -len(r.members), r.centre))[: settings.most])


def groups_of(regions: Sequence[Region], patches: int) -> Numbers:
    """Of each patch the place of its region, -1 for none: what `regions.contrasts` asks for; the first region wins."""
    groups = np.full(patches, -1, np.int64)
    for place in reversed(range(len(regions))):
        groups[regions[place].members] = place
    return groups


def _labels(places: Array, sample: Numbers, settings: Clustering) -> Numbers:
    """The cluster of each patch, -1 for none, as the sample shows them."""
    hdbscan = library("sklearn.cluster", "suggesting regions").HDBSCAN
    smallest = max(_NEIGHBOURS, round(settings.smallest * len(sample)))
    known = places[sample]
    if len(sample) < 2 * smallest:
        return np.full(len(places), -1, np.int64)
    clusters = hdbscan(
        min_cluster_size=smallest,
        min_samples=_NEIGHBOURS,
        max_cluster_size=max(smallest, int(settings.largest * len(sample))),
        copy=True,
    )
    labels = np.maximum(clusters.fit(known).labels_, -1)
    found: Numbers = labels[nearest(places, known, 1)[0][:, 0]].astype(np.int64)
    return found


def _agreed(one: Numbers, other: Numbers, agreement: float) -> list[Numbers]:
    """Patches that both put into the same cluster, for each cluster that both have."""
    shared = np.zeros((one.max(initial=-1) + 2, other.max(initial=-1) + 2), np.int64)
    np.add.at(shared, (one, other), 1)  # the last row and column: in no cluster
    either = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0) - shared
    same = shared[:-1, :-1] > agreement * either[:-1, :-1]
    return [np.flatnonzero((one == a) & (other == b)) for a, b in np.argwhere(same).tolist()]


def convex_hull(points: Array) -> npt.NDArray[np.float64]:
    """Corners (M, 2) of the smallest convex polygon around points (N, 2); of points on a line, the box (4,).

    The first is the leftmost, of several the one with the least y; the next lie the way from x to y.
    """
    places, spatial = (
        np.unique(np.asarray(points, np.float64), axis=0),
        library("scipy.spatial", "an outline"),
    )
    try:
        corners = places[spatial.ConvexHull(places).vertices] if len(places) > 2 else places
    except spatial.QhullError:  # all on a line
        corners = places[:2]
    if len(corners) < 3:
        return np.concatenate([places.min(axis=0), places.max(axis=0)])
    first = np.lexsort((corners[:, 1], corners[:, 0]))[0]
    return np.roll(corners, -first, axis=0)
