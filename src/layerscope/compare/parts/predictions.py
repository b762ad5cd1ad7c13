"""How often each network is wrong, whether one errs less than another, and how often two say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import combinations
from typing import Any

import pyarrow as pa

from layerscope.compare.outcomes import (
    Difference,
    Outcomes,
    Share,
    compare_errors,
    holm,
    read_outcomes,
    same_first,
    why_not_common,
)
from layerscope.compare.part import Finding, Made, Part, Shown
from layerscope.compare.subject import Subject
from layerscope.drawing.canvas import Page
from layerscope.drawing.intervals import Interval, interval_chart
from layerscope.study.folder import Study

_TOPS = (1, 5)
_NAMED = 3  #: pairs that are named, of many
_LEVEL = 0.05  #: of p, below which a difference is said
_Errors = Mapping[str, Mapping[int, Share]]  #: of each network, top-1 and top-5


@dataclass(frozen=True, eq=False)
class _Compared:
    """Two networks' errors; ``p``: raised for as many questions as there are pairs."""

    top: int
    one: Outcomes
    other: Outcomes
    found: Difference
    p: float
    pairs: int


@dataclass(frozen=True, eq=False)
class _Agreement:
    one: Outcomes
    other: Outcomes
    same: Share
    chance: float


def _why_not(subject: Subject) -> str | None:
    lacking = [n for n in subject.names if "prediction_errors" not in subject.study.network(n).results]
    if lacking:
        return f"the study of {lacking[0]} kept no predictions; make it with the reducer Predictions"
    if find_spec("scipy") is None:
        return "intervals of errors need SciPy; install layerscope[compare]"
    silent = [one.silent for one in _outcomes(subject)]
    return "; ".join(filter(None, silent)) if all(silent) else None


def _outcomes(subject: Subject) -> list[Outcomes]:
    return [read_outcomes(subject.study, name) for name in subject.names]


def _make(subject: Subject) -> Made:
    return judge(subject.study, _outcomes(subject))


def judge(study: Study, every: Sequence[Outcomes]) -> Made:
    """Errors of all networks of a study, whether they differ, and how often networks agree."""
    judged = [one for one in every if one.unjudged is None]
    errors = {one.network: _errors(one) for one in judged}
    compared = [pair for top in _TOPS for pair in _compared(judged, top)]
    agreed = _agreements(study, [one for one in every if one.silent is None])
    figures = (
        {"errors": Shown(_chart(errors), "Errors of each network, with 95 % intervals.")} if errors else {}
    )
    tables = {
        "errors": (_error_table(errors), "Errors of each network, with Wilson's 95 % intervals."),
        "error_differences": (
            _difference_table(compared),
            "Errors of every two networks over the same pictures, and McNemar's exact test.",
        ),
        "agreement": (_agreement_table(agreed), "How often two networks name the same class first."),
    }
    findings = [
        *(_of_errors(network, own) for network, own in errors.items()),
        *(_of_none(one) for one in every if one.unjudged is not None),
        *(finding for top in _TOPS for finding in _of_differences([p for p in compared if p.top == top])),
        *_of_agreements(agreed),
        *_of_other_classes(study, every),
    ]
    return Made(findings, figures, tables)


def _errors(one: Outcomes) -> dict[int, Share]:
    """Among more classes than the first five, or the error is none."""
    return {top: Share.counted(one.wrong(top)[one.known]) for top in _TOPS if top < one.outputs}


def _compared(judged: Sequence[Outcomes], top: int) -> list[_Compared]:
    pairs = [
        (one, other)
        for one, other in combinations(judged, 2)
        if top < min(one.outputs, other.outputs) and (one.known & other.known).any()
    ]
    found = [compare_errors(one, other, top) for one, other in pairs]
    raised = holm([difference.p for difference in found])
    return [
        _Compared(top, one, other, difference, p, len(pairs))
        for (one, other), difference, p in zip(pairs, found, raised, strict=True)
    ]


def _agreements(study: Study, speaking: Sequence[Outcomes]) -> list[_Agreement]:
    found = []
    for one, other in combinations(speaking, 2):
        if why_not_common(study, [one, other]) is None:
            same, chance = same_first(one, other)
            found.append(_Agreement(one, other, Share.counted(same), chance))
    return found


# ------------------------------------------------------------------ what is said of it


def _of_errors(network: str, errors: Mapping[int, Share]) -> Finding:
    sentence = "{network}: top-1 error {error:.1%} (95 % interval {low:.1%} to {high:.1%})"
    first, five = errors[1], errors.get(5)
    numbers: dict[str, Any] = {}
    if five is not None:
        sentence += ", top-5 error {error5:.1%} ({low5:.1%} to {high5:.1%})"
        numbers = {"error5": five.share, "low5": five.low, "high5": five.high}
    return Finding.of(
        sentence + ", of {pictures} labelled pictures.",
        network=network,
        error=first.share,
        low=first.low,
        high=first.high,
        pictures=first.of,
        **numbers,
    )


def _of_none(one: Outcomes) -> Finding:
    return Finding.of(
        "No errors of {network} over {pictures} pictures: {reason}.",
        network=one.network,
        pictures=len(one.pictures),
        reason=str(one.unjudged),
    )


def _of_differences(compared: Sequence[_Compared]) -> Iterator[Finding]:
    """Each pair that differs; those that do not together, if they are several."""
    yield from (_of_difference(pair) for pair in compared if pair.p < _LEVEL)
    alike = [pair for pair in compared if pair.p >= _LEVEL]
    if len(alike) == 1:
        yield _of_difference(alike[0])
    elif alike:
        yield Finding.of(
            "No difference in top-{top} error shown between {count} of {pairs} pairs of networks: {names}; least exact "
            "McNemar p = {p:.2g} after Holm.",
            top=alike[0].top,
            count=len(alike),
            pairs=len(compared),
            names=_some([f"{pair.one.network} and {pair.other.network}" for pair in alike]),
            p=min(pair.p for pair in alike),
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _of_difference(pair: _Compared) -> Finding:
    """Which errs less, if the test says so; and whether that is the deeper one."""
    found, swap = pair.found, pair.found.wrong > pair.found.other_wrong
    less, more = (pair.other, pair.one) if swap else (pair.one, pair.other)
    shown = pair.p < _LEVEL
    sentence = "{less} errs less than {more}" if shown else "No difference shown between {less} and {more}"
    sentence += (
        ": top-{top} error {error:.1%} and {other_error:.1%} of {pictures} pictures, {alone} wrong in {less} alone "
        "and {other_alone} in {more} alone, exact McNemar p = {p:.2g}"
    )
    sentence += f" after Holm for {pair.pairs} pairs" if pair.pairs > 1 else ""
    holds, depths = None, dict[str, Any]()
    if shown and less.depth != more.depth:
        holds = less.depth > more.depth
        sentence += "; the deeper of them is " + ("{less}" if holds else "{more}")
        sentence += ", by {depth} to {other_depth} layers with weights"
        depths = {"depth": max(less.depth, more.depth), "other_depth": min(less.depth, more.depth)}
    wrong, alone = (found.wrong, found.other_wrong), (found.alone, found.other_alone)
    return Finding.of(
        sentence + ".",
        holds=holds,
        less=less.network,
        more=more.network,
        top=pair.top,
        error=wrong[swap] / found.pictures,
        other_error=wrong[not swap] / found.pictures,
        pictures=found.pictures,
        alone=alone[swap],
        other_alone=alone[not swap],
        p=pair.p,
        **depths,
    )


def _of_agreements(agreed: Sequence[_Agreement]) -> Iterator[Finding]:
    """Each pair; of many the one that agrees most, and the one that agrees least."""
    ordered = sorted(agreed, key=lambda pair: -pair.same.share)
    yield from map(_of_agreement, agreed if len(agreed) <= _NAMED else (ordered[0], ordered[-1]))


def _of_agreement(pair: _Agreement) -> Finding:
    return Finding.of(
        "{one} and {other} name the same class first for {same} of {pictures} pictures, {share:.1%} ({low:.1%} to "
        "{high:.1%}); {chance:.1%} if their classes were dealt out by lot.",
        one=pair.one.network,
        other=pair.other.network,
        same=pair.same.count,
        pictures=pair.same.of,
        share=pair.same.share,
        low=pair.same.low,
        high=pair.same.high,
        chance=pair.chance,
    )


def _of_other_classes(study: Study, every: Sequence[Outcomes]) -> Iterator[Finding]:
    for one, other in combinations([one for one in every if one.silent is None], 2):
        if reason := why_not_common(study, [one, other]):
            yield Finding.of(
                "What {one} and {other} name for {pictures} pictures is not compared: {reason}.",
                one=one.network,
                other=other.network,
                pictures=len(one.pictures),
                reason=reason,
            )


# ------------------------------------------------------------------ as a figure, as tables


def _chart(errors: _Errors) -> Page:
    groups = {network: [_interval(own.get(top)) for top in _TOPS] for network, own in errors.items()}
    return interval_chart(groups, [f"top-{top}" for top in _TOPS], "error, with 95 % interval")


def _interval(share: Share | None) -> Interval | None:
    if share is None:
        return None
    words = f"{share.share:.1%} ({share.low:.1%} to {share.high:.1%})"
    return Interval(share.share, share.low, share.high, words)


_ERRORS = pa.schema(
    [
        ("network", pa.string()),
        ("top", pa.int32()),
        ("wrong", pa.int64()),
        ("pictures", pa.int64()),
        *((name, pa.float64()) for name in ("error", "low", "high")),
    ]
)
_DIFFERENCES = pa.schema(
    [
        *((name, pa.string()) for name in ("network", "other_network")),
        ("top", pa.int32()),
        *((n, pa.int64()) for n in ("pictures", "wrong", "other_wrong", "alone", "other_alone")),
        *((name, pa.float64()) for name in ("p", "p_holm")),
    ]
)
_AGREEMENT = pa.schema(
    [
        *((name, pa.string()) for name in ("network", "other_network")),
        *((name, pa.int64()) for name in ("same", "pictures")),
        *((name, pa.float64()) for name in ("share", "low", "high", "chance")),
    ]
)


def _error_table(errors: _Errors) -> pa.Table:
    rows = [
        {"network": network, "top": top, "wrong": one.count, "pictures": one.of, "error": one.share}
        | {"low": one.low, "high": one.high}
        for network, own in errors.items()
        for top, one in own.items()
    ]
    return pa.Table.from_pylist(rows, _ERRORS)


def _difference_table(compared: Sequence[_Compared]) -> pa.Table:
    rows = [
        {"network": pair.one.network, "other_network": pair.other.network, "top": pair.top}
        | asdict(pair.found)
        | {"p_holm": pair.p}
        for pair in compared
    ]
    return pa.Table.from_pylist(rows, _DIFFERENCES)


def _agreement_table(agreed: Sequence[_Agreement]) -> pa.Table:
    rows = [
        {"network": pair.one.network, "other_network": pair.other.network, "chance": pair.chance}
        | {"same": pair.same.count, "pictures": pair.same.of, "share": pair.same.share}
        | {"low": pair.same.low, "high": pair.same.high}
        for pair in agreed
    ]
    return pa.Table.from_pylist(rows, _AGREEMENT)


PREDICTIONS = Part("predictions", "Predictions", _why_not, lambda subject: {}, _make)
