"""Is the plane true? What of the representation an embedding and its planes keep, each number beside its control.

Distances between vectors are Euclidean, between the vectors as they are and not their principal components. Where a
measure looks at a sample, it is drawn by the seed, and its size is in the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
import pyarrow as pa

from layerscope.errors import TruthError
from layerscope.plane.distances import Real, Vectors, Whole, least
from layerscope.plane.embedding import Affinities
from layerscope.plane.grid import EMPTY, Plane, Points, share_repeated, share_shown
from layerscope.plane.nearest import nearest
from layerscope.plane.scores import (
    adjacent,
    chance,
    distance_preservation,
    divergences,
    purity,
    recall,
    trustworthiness,
)

UNLABELLED = -1  #: the class of a patch without one
_QUERIES, _CELLS, _PAIRS, _RANDOM, _ORDER, _SUM = range(6)  #: what is drawn; no draw depends on another


@dataclass(frozen=True)
class Measure:
    """One number: its ``name``, ``of`` what, its ``value``, and the ``control``: the same where nothing is kept.

    ``sample``: how many patches, cells or pairs it was averaged over, None if nothing was left out. ``value`` is
    None where there is none, and ``missing`` then says why.
    """

    name: str
    of: str
    value: float | None
    control: float | None
    sample: int | None
    meaning: str
    missing: str = ""


@dataclass(frozen=True, eq=False)
class Embedded:
    """What is measured: N patches' ``vectors`` (N, C), their ``points`` (N, 2), and the number of each one's picture.

    ``planes``: by name, the patch of each cell, EMPTY in empty ones. ``classes``: a number per patch, UNLABELLED
    without one. ``affinities``: t-SNE's P (N, N). Raises TruthError for shapes or numbers that do not fit.
    """

    vectors: Real
    points: Points
    pictures: Whole
    planes: Mapping[str, Plane] = field(default_factory=dict)
    classes: Whole | None = None
    affinities: Affinities | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        if not np.isfinite(self.points).all():
            raise TruthError("some points are not finite: embed the patches again")
        for name, plane in self.planes.items():
            if (
                plane.ndim != 2
                or plane.min(initial=0) < EMPTY
                or plane.max(initial=EMPTY) >= len(self.points)
            ):
                raise TruthError(
                    f"the plane {name} holds other numbers than those of {len(self.points)} patches; make it anew"
                )


@dataclass(frozen=True)
class Effort:
    """How much is looked at: ``k`` neighbours of ``queries`` patches, ``cells`` for DPQ, ``pairs`` of adjacent cells.

    Small sets have fewer neighbours: at most half of the other patches. ``terms`` of the N * N of the sum that makes
    t-SNE's q add up to one: if there are fewer, a sample of whole rows.
    """

    k: int = 10
    queries: int = 2000
    cells: int = 256
    pairs: int = 20_000
    terms: int = 2 * 10**8
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k", "queries", "cells", "pairs", "terms"):
            if getattr(self, name) < 1:
                raise TruthError(f"{name}={getattr(self, name)}: ask for 1 or more")

    def random(self, what: int) -> np.random.Generator:
        """The random numbers of one of the draws."""
        return np.random.default_rng([self.seed, what])

    def draw(self, what: int, count: int, of: int) -> Whole:
        """So many of the numbers below ``of``, rising, each at most once; all if there are no more."""
        if count >= of:
            return np.arange(of)
        return np.sort(self.random(what).choice(of, count, replace=False))


@dataclass(frozen=True, eq=False)
class _Task:
    """What every measure looks at; in the control patch i's vector lies at the point of patch ``order[i]``."""

    patches: Embedded
    vectors: Vectors
    effort: Effort
    order: Whole

    @property
    def total(self) -> int:
        return len(self.order)


def measure_truth(patches: Embedded, effort: Effort | None = None) -> tuple[Measure, ...]:
    """Every measure that the patches allow: of the representation and the embedding, then of each plane.

    The control has the vectors shuffled among the patches. Where that changes nothing (share shown, duplicates) or
    its expectation is known (purity) it is what chance gives, computed exactly; the meaning says so.
    Raises TruthError if a vector is not finite.
    """
    effort = effort or Effort()
    order = effort.random(_ORDER).permutation(len(patches.points))
    task = _Task(patches, Vectors.of(patches.vectors), effort, order)
    of_planes = (_of_plane(task, name, plane) for name, plane in patches.planes.items())
    return (*_of_neighbours(task), *_of_affinities(task), *(m for plane in of_planes for m in plane))


def truth_table(measures: tuple[Measure, ...]) -> pa.Table:
    """The measures as a table, a row each, the columns named as the fields; None is null."""
    kinds = {"value": pa.float64(), "control": pa.float64(), "sample": pa.int64()}
    schema = pa.schema([(f.name, kinds.get(f.name, pa.string())) for f in fields(Measure)])
    return pa.Table.from_pylist([vars(measure) for measure in measures], schema=schema)


def _sample(rows: Whole, of: int) -> int | None:
    """How many there are, if that is not all."""
    return None if len(rows) == of else len(rows)


# ------------------------------------------------------------------ neighbours


def _of_neighbours(task: _Task) -> Iterator[Measure]:
    """Recall and trustworthiness of the embedding, and the purities of both spaces."""
    k = min(task.effort.k, (task.total - 1) // 2)
    if k < 1:
        few = "neighbours need 3 patches or more"
        for name in ("neighbour recall", "trustworthiness", "purity by picture"):
            yield Measure(name, "embedding", None, None, None, f"of {task.total}: no neighbours", few)
        return
    rows = task.effort.draw(_QUERIES, task.effort.queries, task.total)
    near = _near_points(task, rows, k)
    shuffled = np.argsort(task.order)[_near_points(task, task.order[rows], k)]
    space = _look(task, rows, k, np.concatenate([near, shuffled], axis=1))
    yield from _kept(space.ranks[:, :k], space.ranks[:, k:], task.total, _sample(rows, task.total))
    yield from _purities(task, rows, {"representation": space.near, "embedding": near}, None)
    if space.others is not None:
        apart = _near_points(task, rows, k, task.patches.pictures)
        yield from _purities(
            task, rows, {"representation": space.others, "embedding": apart}, task.patches.pictures
        )


def _near_points(task: _Task, rows: Whole, k: int, groups: Whole | None = None) -> Whole:
    """The k patches nearest to each on the embedding, of other groups if there are groups; -1 where there are fewer."""
    points, own = np.asarray(task.patches.points, np.float64), np.arange(task.total)
    groups = own if groups is None else groups
    return nearest(points[rows], points, k, apart=(groups[rows], groups))[0]


@dataclass(frozen=True, eq=False)
class _Look:
    """Of each query in the representation: its nearest, its nearest of other pictures, and the ranks asked for."""

    near: Whole
    others: Whole | None
    ranks: Whole


def _look(task: _Task, rows: Whole, k: int, asked: Whole) -> _Look:
    """One walk over the distances. A rank is 1 for the nearest patch; tied patches share the best of their ranks.

    Neighbours of other pictures are looked for if there are classes; -1 where there are fewer than k.
    """
    pictures = None if task.patches.classes is None else task.patches.pictures
    near, others = np.full((len(rows), k), -1), np.full((len(rows), k), -1)
    ranks = np.empty(asked.shape, np.int64)
    for at, (row, distances) in enumerate(task.vectors.walk(rows)):
        distances[row] = np.inf
        ordered = np.sort(distances)
        ranks[at] = np.searchsorted(ordered, distances[asked[at]]) + 1
        near[at] = least(distances, ordered[k - 1], k)
        if pictures is not None:
            distances[pictures == pictures[row]] = np.inf
            found = least(distances, np.partition(distances, k - 1)[k - 1], k)
            others[at, : len(found)] = found
    return _Look(near, None if pictures is None else others, ranks)


def _kept(true: Whole, false: Whole, total: int, sample: int | None) -> Iterator[Measure]:
    """What the ranks, in the representation, of the k neighbours in the embedding say."""
    k = true.shape[1]
    yield Measure(
        "neighbour recall",
        "embedding",
        recall(true, k),
        recall(false, k),
        sample,
        f"share of a patch's {k} nearest in the embedding that are among its {k} nearest in the representation",
    )
    yield Measure(
        "trustworthiness",
        "embedding",
        trustworthiness(true, k, total),
        trustworthiness(false, k, total),
        sample,
        f"1 less a penalty for each of a patch's {k} nearest in the embedding that ranks lower in the representation",
    )


def _purities(
    task: _Task, rows: Whole, spaces: Mapping[str, Whole], apart: Whole | None
) -> Iterator[Measure]:
    """How often neighbours agree; ``apart`` are the pictures if those of the same one were left out."""
    kinds = {"picture": task.patches.pictures, "class": task.patches.classes}
    among = "" if apart is None else " of other pictures"
    for kind, labels in kinds.items():
        if labels is None or (kind == "picture" and apart is not None):
            continue
        for space, near in spaces.items():
            value = purity(rows, near, labels)
            yield Measure(
                f"purity by {kind}" + ("" if apart is None else ", other pictures"),
                space,
                value,
                None if value is None else chance(rows, labels, apart),
                _sample(rows, task.total),
                f"share of a patch's {near.shape[1]} nearest{among} that have its {kind}; "
                f"control: of random ones{among}",
                "" if value is not None else f"no two neighbours{among} have a {kind}",
            )


def _of_affinities(task: _Task) -> Iterator[Measure]:
    """What t-SNE makes small."""
    if task.patches.affinities is None:
        return
    points = np.asarray(task.patches.points, np.float64)
    rows = task.effort.draw(_SUM, max(1, task.effort.terms // task.total), task.total)
    found = (
        None if task.total < 2 else divergences(task.patches.affinities, (points, points[task.order]), rows)
    )
    value, control = found or (None, None)
    yield Measure(
        "KL divergence",
        "embedding",
        value,
        control,
        _sample(rows, task.total),
        "divergence of the embedding's affinities from the representation's, in nats, which t-SNE makes small; "
        "0 is perfect",
        "" if found else "no two patches have an affinity",
    )


# ------------------------------------------------------------------ planes


def _of_plane(task: _Task, name: str, plane: Plane) -> Iterator[Measure]:
    """What a plane shows, and how true it is to the distances; its control has other vectors in the same cells."""
    taken = plane[plane != EMPTY]
    shuffled = np.where(plane == EMPTY, EMPTY, task.order[plane])
    at_random = 1 - (1 - 1 / task.total) ** len(taken)
    yield Measure(
        "patches shown",
        name,
        share_shown(plane, task.total),
        at_random,
        None,
        "share of the patches that the plane shows; control: were the patch of each cell drawn at random",
    )
    yield from _of_adjacent(task, name, plane, shuffled)
    rows = task.effort.draw(_CELLS, task.effort.cells, len(taken))
    value = distance_preservation(task.vectors, plane, rows) if len(taken) else None
    yield Measure(
        "DPQ",
        name,
        value,
        None if value is None else distance_preservation(task.vectors, shuffled, rows),
        _sample(rows, len(taken)),
        "distance preservation quality: how near in the representation the nearest cells are, from 0 for no nearer "
        "than any to 1 for what no plane can better; a patch that repeats is near to itself",
        "" if value is not None else "no cell is nearer to one than to another",
    )


def _of_adjacent(task: _Task, name: str, plane: Plane, shuffled: Plane) -> Iterator[Measure]:
    """Of cells beside or below each other: how many repeat a patch, and how far their vectors are apart."""
    ends = adjacent(plane)
    repeats = np.bincount(plane[plane != EMPTY]).astype(float)
    cells = repeats.sum()
    yield Measure(
        "duplicate neighbours",
        name,
        share_repeated(plane) if len(ends) else None,
        float((repeats * (repeats - 1)).sum() / (cells * (cells - 1))) if len(ends) else None,
        None,
        "share of adjacent cells that show the same patch; control: of any two cells",
        "" if len(ends) else "no two cells are adjacent",
    )
    chosen = ends[task.effort.draw(_PAIRS, task.effort.pairs, len(ends))]
    pairs, other = plane.ravel()[chosen], shuffled.ravel()[chosen]
    differ = pairs[:, 0] != pairs[:, 1]
    sample = _sample(chosen, len(ends))
    yield _apart(task, ("neighbour distance", name), (pairs, other), sample)
    sample = None if sample is None else int(differ.sum())
    yield _apart(
        task, ("neighbour distance, different patches", name), (pairs[differ], other[differ]), sample
    )


def _apart(task: _Task, of: tuple[str, str], pairs: tuple[Whole, Whole], sample: int | None) -> Measure:
    """How far adjacent cells' vectors are apart, and those of the control, each against any two cells of the plane."""
    any_two = _any_two(task.patches.planes[of[1]], task.effort)
    planes = (any_two, task.order[any_two])
    typical = [task.vectors.mean_distance(ends) if len(ends) else 0.0 for ends in planes]
    missing = "" if min(typical) else "all cells show equal vectors"
    missing = missing if len(pairs[0]) else "no two cells of this kind are adjacent"
    value, control = (
        None if missing else task.vectors.mean_distance(ends) / whole
        for ends, whole in zip(pairs, typical, strict=True)
    )
    meaning = (
        "mean distance of the vectors of adjacent cells, over that of any two cells with different patches"
    )
    return Measure(*of, value, control, sample, meaning, missing)


def _any_two(plane: Plane, effort: Effort) -> Whole:
    """Different patches of pairs of cells drawn at random, (pairs, 2)."""
    taken = plane[plane != EMPTY]
    drawn = taken[
        effort.random(_RANDOM).integers(len(taken), size=(effort.pairs, 2) if len(taken) else (0, 2))
    ]
    differ: Whole = drawn[drawn[:, 0] != drawn[:, 1]]
    return differ


# ------------------------------------------------------------------ checks


def _check_shapes(patches: Embedded) -> None:
    total = len(patches.vectors)
    classes, affinities = patches.classes, patches.affinities
    shapes = {
        "points": (patches.points.shape, (total, 2)),
        "pictures": (patches.pictures.shape, (total,)),
        "classes": (None if classes is None else classes.shape, (total,)),
        "affinities (indptr)": (None if affinities is None else affinities.indptr.shape, (total + 1,)),
    }
    for name, (shape, wanted) in shapes.items():
        if shape not in (None, wanted):
            raise TruthError(f"{name} of shape {shape}: {total} patches need {wanted}")
