"""Regions of a plane: the patches an outline holds, and the filters that fire there.

Arrays in, arrays out: vectors (patches, channels), points (patches, 2) in the plane's own coordinates, x growing to
the right and y downwards. Vectors may be mapped from a file; they are read in blocks. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.errors import LayerscopeError

__all__ = [
    "Region",
    "contrasts",
    "describe_region",
    "inside",
    "plane_points",
    "region_filters",
    "strongest_filters",
]

Array: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = npt.NDArray[np.int64]
_CHANNELS = 64  # channels of which all values are in memory at once
_COLUMNS = ("channel", "mean", "mean_elsewhere", "fires", "fires_elsewhere", "contrast", "z")


@dataclass(frozen=True, eq=False)
class Region:
    """Patches of a plane that belong together.

    ``members``: their numbers, rising. ``outline``: a box (4,) or the corners of a polygon (M, 2). ``centre``: the
    member nearest to the mean of their points. ``pictures``: how many they come from. ``spread``: two members drawn
    with replacement share a picture as often as if drawn from so many pictures evenly; in [1, ``pictures``].
    ``label``: the class most of the labelled members' pictures have; ``label_share``: the share of all members that
    have it; both None without labels.
    """

    members: Numbers
    outline: npt.NDArray[np.float64]
    centre: int
    pictures: int
    spread: float
    label: int | None = None
    label_share: float | None = None


def describe_region(
    members: npt.ArrayLike,
    outline: npt.ArrayLike,
    points: Array,
    pictures: Array,
    classes: Array | None = None,
) -> Region:
    """The region of these patches (mask or numbers); ``pictures`` and ``classes`` (-1: no label) are per patch.

    Raises LayerscopeError for a bad outline, a patch that does not exist, or no patch at all.
    """
    every = plane_points(points, pictures, classes)
    own = _numbers(members, len(every))
    _, held = np.unique(np.asarray(pictures)[own], return_counts=True)
    places = every[own]
    far = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    label, share = _label(np.asarray(classes)[own]) if classes is not None else (None, None)
    return Region(
        members=own,
        outline=_outline(outline),
        centre=int(own[far.argmin()]),
        pictures=len(held),
        spread=float(len(own) ** 2 / (held**2).sum()),
        label=label,
        label_share=share,
    )


def _label(classes: Array) -> tuple[int | None, float | None]:
    found, held = np.unique(classes[classes >= 0], return_counts=True)
    return (int(found[held.argmax()]), float(held.max() / len(classes))) if len(found) else (None, None)


def plane_points(points: Array, *per_patch: Array | None) -> npt.NDArray[np.float64]:
    """The points (patches, 2) as float64. Raises LayerscopeError for others, or if not every patch has its value."""
    places = np.asarray(points, np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise LayerscopeError(
            f"points of shape {places.shape} are not finite places (patches, 2); embed anew"
        )
    if wrong := [len(values) for values in per_patch if values is not None and len(values) != len(places)]:
        raise LayerscopeError(
            f"{wrong[0]} pictures or classes for {len(places)} patches; give each patch one"
        )
    return places


# ------------------------------------------------------------------ outlines


def inside(points: Array, outline: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which points (N, 2) a box (left, top, right, bottom) or a polygon (corners (M, 2)) holds; its edges are in.

    A polygon that crosses itself holds what an odd number of its turns surrounds. Raises LayerscopeError for an
    outline with fewer than 3 corners, a side beyond its opposite, or a number that is not finite.
    """
    places = plane_points(points)
    border = _outline(outline)
    corners = border.reshape(-1, 2)
    held: npt.NDArray[np.bool_] = ((places >= corners.min(axis=0)) & (places <= corners.max(axis=0))).all(
        axis=1
    )
    if border.ndim == 2:
        near = np.flatnonzero(held)
        held[near] = _in_polygon(places[near], corners)
    return held


def _in_polygon(places: Array, corners: Array) -> npt.NDArray[np.bool_]:
    """A ray to the right crosses the border an odd number of times, or the point lies on it."""
    x, y = places.T
    odd, on_edge = np.zeros(len(places), bool), np.zeros(len(places), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
        beside = (x >= min(x0, x1)) & (x <= max(x0, x1)) & (y >= min(y0, y1)) & (y <= max(y0, y1))
        on_edge |= (side == 0) & beside
        odd ^= ((y0 > y) != (y1 > y)) & ((side > 0) == (y1 > y0))
    return odd | on_edge


def _outline(outline: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        border = np.asarray(outline, np.float64)
    except (TypeError, ValueError):
        raise LayerscopeError(
            "the outline of a region is neither (left, top, right, bottom) nor a list of corners (x, y)"
        ) from None
    box, polygon = border.shape == (4,), border.ndim == 2 and border.shape[1] == 2
    if not box and (not polygon or len(border) < 3):
        raise LayerscopeError(
            f"the outline of a region has shape {border.shape}; "
            "give (left, top, right, bottom) or 3 or more corners (x, y)"
        )
    if not np.isfinite(border).all():
        raise LayerscopeError("the outline of a region holds a number that is not finite; leave it out")
    if box and (border[:2] > border[2:]).any():
        raise LayerscopeError(
            f"the box {border.tolist()} ends before it begins; give (left, top, right, bottom)"
        )
    return border


def _numbers(members: npt.ArrayLike, patches: int) -> Numbers:
    """The numbers of the members, rising, each once."""
    given = np.asarray(members)
    if given.dtype == bool and given.shape != (patches,):
        raise LayerscopeError(
            f"a mask of shape {given.shape} says nothing of {patches} patches; give one of each"
        )
    if given.dtype != bool and given.size and not np.issubdtype(given.dtype, np.integer):
        raise LayerscopeError(f"members of a region are a mask or patch numbers, not {given.dtype}")
    own = np.flatnonzero(given) if given.dtype == bool else np.unique(given.astype(np.int64))
    if not len(own):
        raise LayerscopeError("the region holds no patch; draw it larger or elsewhere")
    if own[0] < 0 or own[-1] >= patches:
        wrong = own[0] if own[0] < 0 else own[-1]
        raise LayerscopeError(f"there is no patch {wrong}; the plane has {patches}, counted from 0")
    return own


# ------------------------------------------------------------------ filters


def region_filters(
    vectors: Array, members: npt.ArrayLike, by: Literal["contrast", "mean"] = "contrast"
) -> pa.Table:
    """The filters of a region against the patches elsewhere, the highest ``by`` first, equals by channel.

    ``members``: mask or numbers. Columns as in `contrasts`. Raises LayerscopeError for a patch that does not exist,
    no patch at all, or a filter with values that are not finite.
    """
    groups = np.full(len(vectors), -1, np.int64)
    groups[_numbers(members, len(vectors))] = 0
    (table,) = contrasts(vectors, groups)
    order = np.argsort(-table.column(by).to_numpy(), kind="stable")
    return table.take(pa.array(order))


def contrasts(vectors: Array, groups: npt.NDArray[np.integer]) -> tuple[pa.Table, ...]:
    """For each group of patches its filters against all other patches, in one reading of the vectors.

    ``groups``: of each patch, 0 up; -1: in none. A row per channel: ``channel``; ``mean`` and ``mean_elsewhere`` of
    its activations; ``fires`` and ``fires_elsewhere``, the shares of patches where it is above zero; ``contrast`` in
    [0, 1], how often a patch here excites it more than one elsewhere, if both are drawn by lot, a tie counting one
    half (the area under the ROC curve; Mann and Whitney 1947): 0.5 for a dead filter; ``z``, how many standard
    deviations the contrast of as many patches drawn by lot would have to lie from 0.5. With nothing elsewhere, its
    mean and share are null, contrast 0.5, z 0. Raises LayerscopeError if a value is not finite.
    """
    own = np.asarray(groups, np.int64) + 1  # 0: in none
    sizes = np.bincount(own, minlength=2)
    if own.shape != (len(vectors),):
        raise LayerscopeError(f"{own.shape} groups for {len(vectors)} patches; give each patch one")
    channels = vectors.shape[1]
    found = np.concatenate(
        [
            np.stack(
                [_moments(column, own, sizes) for column in np.array(vectors[:, start : start + _CHANNELS].T)]
            )
            for start in range(0, channels, _CHANNELS)
        ]
    )
    if not np.isfinite(found).all():
        bad = np.flatnonzero(~np.isfinite(found).all(axis=(1, 2)))[0]
        raise LayerscopeError(f"activations of channel {bad} are not finite; make the study anew")
    return tuple(_table(found, sizes, group) for group in range(1, len(sizes)))


def _moments(column: Array, own: Numbers, sizes: Numbers) -> Array:
    """Of one channel (4, groups): sums, patches where it fires, sums of ranks from 1, what ties take off (all alike).

    Only values other than zero are sorted; the zeros, most of a rectified layer, share one rank.
    """
    some = np.flatnonzero(column)
    values, groups, zeros = column[some], own[some], len(column) - len(some)
    order = np.argsort(values)
    rising, below = values[order], np.count_nonzero(values < 0)
    starts = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]])[: len(rising)])
    equal = np.diff(starts, append=len(rising))
    ranks = np.repeat(starts + (equal + 1) / 2, equal)
    ranks[below:] += zeros

    def per_group(groups: Numbers, weights: Array | None = None) -> Array:
        return np.bincount(groups, weights, len(sizes))

    of_zeros = (sizes - per_group(groups)) * (below + (zeros + 1) / 2)
    ties = float(zeros**3 - zeros) + (equal.astype(np.float64) ** 3 - equal).sum()
    return np.stack(
        [
            per_group(groups, values),
            per_group(groups[values > 0]),
            per_group(groups[order], ranks) + of_zeros,
            np.full(len(sizes), ties),
        ]
    )


def _table(found: Array, sizes: Numbers, group: int) -> pa.Table:
    here, total = int(sizes[group]), int(sizes.sum())
    if not here:
        raise LayerscopeError(f"group {group - 1} holds no patch; number the groups without gaps")
    other = total - here
    rest = np.arange(len(sizes)) != group
    sums, fires = found[:, 0], found[:, 1]
    nothing = np.full(len(found), not other)
    contrast, z = _contrast(found[:, 2, group], found[:, 3, group], here, other)
    columns = (
        pa.array(np.arange(len(found))),
        pa.array(sums[:, group] / here),
        pa.array(sums[:, rest].sum(axis=1) / max(other, 1), mask=nothing),
        pa.array(fires[:, group] / here),
        pa.array(fires[:, rest].sum(axis=1) / max(other, 1), mask=nothing),
        pa.array(contrast),
        pa.array(z),
    )
    return pa.table(columns, names=_COLUMNS)


def _contrast(ranks: Array, ties: Array, here: int, other: int) -> tuple[Array, Array]:
    """Share of pairs won, and its distance from one half in standard deviations of what chance gives."""
    if not other:
        return np.full(len(ranks), 0.5), np.zeros(len(ranks))
    pairs, total = here * other, here + other
    contrast = (ranks - here * (here + 1) / 2) / pairs
    variance = np.maximum(total + 1 - ties / (total * (total - 1)), 0) / (12 * pairs)
    off = contrast - 0.5
    return contrast, np.divide(
        off, np.sqrt(variance), out=np.zeros(len(ranks)), where=(off != 0) & (variance > 0)
    )


def strongest_filters(vector: Array, count: int) -> Numbers:
    """Channels of the highest activations of one patch, at most so many, equals by channel; only those above 0."""
    values = np.asarray(vector)
    order = np.argsort(-values, kind="stable")[: max(count, 0)]
    return order[values[order] > 0]
