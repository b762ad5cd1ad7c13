"""Which pictures of a study are shown: those that were named, or those on which the networks differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.compare.neighbours import MOST, Overlaps, compare_neighbours
from layerscope.compare.outcomes import divergences, read_outcomes, why_not_common
from layerscope.compare.part import Finding
from layerscope.compare.representations import Representations
from layerscope.compare.subject import Subject
from layerscope.errors import ComparisonError
from layerscope.study.folder import Study

_FEW = 4  #: pictures among which neighbours begin to say something
_NEIGHBOURS = 10


@dataclass(frozen=True)
class Choice:
    """The pictures shown, by their places in the study, in order. ``differences``: how far the networks differ on
    each that was measured, in [0, 1]."""

    pictures: tuple[int, ...]
    finding: Finding
    differences: Mapping[int, float] = field(default_factory=dict, repr=False)

    def table(self, study: Study) -> pa.Table:
        """A row per picture: its place and name, the difference (null: not measured), its place among those shown."""
        names = study.pictures["name"]
        shown = {picture: place for place, picture in enumerate(self.pictures)}
        every = range(len(names))
        return pa.table(
            {
                "picture": pa.array(every, pa.int64()),
                "name": names.combine_chunks(),
                "difference": pa.array([self.differences.get(p) for p in every], pa.float64()),
                "shown": pa.array([shown.get(p) for p in every], pa.int32()),
            }
        )


def choose_pictures(subject: Subject) -> Choice:
    """Those that were named, or so many on which the networks differ most, the greatest difference first.

    By their predictions if every network has some, of the same classes; else by the neighbours that pictures have in
    the last layer with maps of each network, unless the pictures are too few for that. Raises ComparisonError as
    `named_pictures` does.
    """
    wanted = subject.options.pictures
    if not isinstance(wanted, int):
        named = named_pictures(subject.study, wanted)
        return Choice(named, Finding.of("The {count} pictures shown were named.", count=len(named)))
    if not subject.good:
        raise ComparisonError("no picture of the study could be read")
    return _by_predictions(subject, wanted) or _by_neighbours(subject, wanted)


def named_pictures(study: Study, wanted: Sequence[str]) -> tuple[int, ...]:
    """Places of pictures by their names, or by endings that only one has. Raises ComparisonError for others."""
    names = study.pictures["name"].to_pylist()
    found = [_named(names, name) for name in dict.fromkeys(wanted)]
    for place in found:
        if reason := study.pictures["reason"][place].as_py():
            raise ComparisonError(f"{names[place]} could not be read: {reason}; name another picture")
    return tuple(dict.fromkeys(found))


def _named(names: Sequence[str], wanted: str) -> int:
    for ending in (f"/{wanted}", wanted):
        found = [i for i, name in enumerate(names) if name == wanted] or [
            i for i, name in enumerate(names) if name.endswith(ending)
        ]
        if len(found) > 1:
            raise ComparisonError(
                f"{len(found)} pictures end in {wanted!r}, {names[found[0]]} and {names[found[1]]} among them; "
                "say more of the name"
            )
        if found:
            return found[0]
    raise ComparisonError(f"no picture is called {wanted!r}, nor ends so; pictures.parquet has their names")


def _by_predictions(subject: Subject, wanted: int) -> Choice | None:
    """None if the networks' predictions cannot be compared."""
    study = subject.study
    if any("prediction_errors" not in study.network(name).results for name in subject.names):
        return None
    outcomes = [read_outcomes(study, name) for name in subject.names]
    if any(one.silent for one in outcomes) or why_not_common(study, outcomes):
        return None
    found = divergences(outcomes)
    order = np.argsort(-found, kind="stable")[:wanted]
    finding = Finding.of(
        "Shown are {count} of {of} pictures, on which the predictions differ most: divergence {most:.2f} to "
        "{least:.2f} (0: the same, 1: nothing in common); median of all {median:.2f}.",
        of=len(found),
        count=len(order),
        most=float(found[order[0]]),
        least=float(found[order[-1]]),
        median=float(np.median(found)),
    )
    places = outcomes[0].pictures
    return Choice(
        tuple(places[order].tolist()), finding, dict(zip(places.tolist(), found.tolist(), strict=True))
    )


def _by_neighbours(subject: Subject, wanted: int) -> Choice:
    few = len(subject.good)
    if few < _FEW:
        return _first(
            subject, wanted, "Among {of} pictures neighbours say nothing: the first {count} are shown."
        )
    sides = [_deepest(subject, name) for name in subject.names]
    k = min(_NEIGHBOURS, max(1, (min(few, MOST) - 1) // 3))
    overlaps = [compare_neighbours(one, other, k=k) for one, other in combinations(sides, 2)]
    same = _mean_overlap(overlaps)
    if same is None:
        reason = "The last layers are the same for all {of} pictures: the first {count} are shown."
        return _first(subject, wanted, reason)
    places = {name: place for place, name in enumerate(subject.study.pictures["name"].to_pylist())}
    sample = [places[sides[0].pictures[p]] for p in overlaps[0].pictures]
    order = np.argsort(same, kind="stable")[:wanted]
    finding = Finding.of(
        "Shown are {count} of {of} pictures, whose {k} nearest neighbours in {layers} differ most: overlap "
        "{least:.2f} to {most:.2f}; mean of all {mean:.2f}, of unrelated layers {chance:.2f}.",
        of=len(sample),
        count=len(order),
        k=k,
        layers=" and ".join(f"{next(iter(side.layers))} of {side.network}" for side in sides),
        least=float(same[order[0]]),
        most=float(same[order[-1]]),
        mean=float(same.mean()),
        chance=overlaps[0].chance,
    )
    differences = dict(zip(sample, (1 - same).tolist(), strict=True))
    return Choice(tuple(sample[p] for p in order), finding, differences)


def _first(subject: Subject, wanted: int, why: str) -> Choice:
    shown = subject.good[:wanted]
    return Choice(shown, Finding.of(why, of=len(subject.good), count=len(shown)))


def _deepest(subject: Subject, network: str) -> Representations:
    """The last layer of a network that still has maps, or its very last: what all networks have."""
    whole = subject.representations[network]
    columns = subject.study.network(network).layers.select(["layer", "rows", "columns"]).to_pylist()
    names = [row["layer"] for row in columns]
    with_maps = [row["layer"] for row in columns if row["rows"] * row["columns"] > 1]
    layer = (with_maps or names)[-1]
    return replace(whole, layers={layer: whole.layers[layer]})


def _mean_overlap(overlaps: Sequence[Overlaps]) -> npt.NDArray[np.float64] | None:
    """Of each picture over all pairs of networks; those with a constant layer are left out, None if that is all."""
    found = [pair.overlap[0, 0].astype(np.float64) for pair in overlaps if not np.isnan(pair.overlap).any()]
    return np.mean(found, axis=0).round(6) if found else None
