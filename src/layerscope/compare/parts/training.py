"""What changes through a training: filters beside what they become, zeros, and how far layers are from the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from layerscope.compare.likenesses import Likenesses
from layerscope.compare.match_pages import match_pages
from layerscope.compare.matched import MATCHED
from layerscope.compare.part import Finding, Made, Part, Shown, nulls
from layerscope.compare.parts.filters import panels_of, why_not_matched
from layerscope.compare.parts.similarity import IN_ORDER
from layerscope.compare.subject import Subject
from layerscope.compare.training import Course, State, states_of
from layerscope.drawing.step_charts import Lines, StepChart, step_charts
from layerscope.errors import LayerscopeError
from layerscope.kernels.ranks import rank_correlation


def _why_not(subject: Subject) -> str | None:
    lacking = [n for n in subject.names if "sparsity" not in subject.study.network(n).results]
    if lacking:
        return f"the study of {lacking[0]} did not count zeros"
    if reason := why_not_matched(subject):
        return reason
    try:
        states_of(subject)
    except LayerscopeError as error:
        return str(error)
    return None


def _options(subject: Subject) -> Mapping[str, object]:
    options = subject.options
    return {**subject.rule_options, "grid": options.grid, "filters": options.filters}


def _make(subject: Subject) -> Made:
    course = Course(subject, states_of(subject))
    rows = [row for state in course.states for row in _rows(course, state)]
    figures = {"steps": Shown(_charts(course, rows), _caption(course))}
    if chosen := course.chosen(subject.options.filters):
        figures["features"] = _features(course, chosen)
    tables = {
        "steps": (nulls(pa.Table.from_pylist(rows)), _STEPS),
        "filters": (
            _filters(course),
            "Every filter and unit at every step: Pearson's r with itself in the end.",
        ),
    }
    return Made(list(find(course, rows)), figures, tables)


# ------------------------------------------------------------------ numbers


_STEPS = (
    "Each convolution and fully-connected layer at each step: the share of exact zeros, debiased linear CKA with "
    "itself in the end, each with its interval, and the share of its channels that correlate with what they become."
)


def _rows(course: Course, state: State) -> Iterator[dict[str, Any]]:
    """One of each layer; the last state is what it becomes, by definition."""
    shares = course.zeros[state.network].shares
    last = state.network == course.last
    for layer in course.layers:
        zeros, like = shares[layer], {} if last else course.likeness[state.network][layer]
        yield {
            **{"network": state.network, "step": state.step, "epoch": state.epoch, "layer": layer},
            "zeros": zeros.value,
            "zeros_low": max(0.0, zeros.value - zeros.half),
            "zeros_high": min(1.0, zeros.value + zeros.half),
            **{name: None if last else like[name] for name in ("low", "high", "shuffled")},
            "cka": 1.0 if last else like["cka"],
            "settled": course.settled(state.network, layer, MATCHED),
        }


def _filters(course: Course) -> pa.Table:
    parts = []
    for state in course.states[:-1]:
        for layer, own in course.correlations[state.network].items():
            count = len(own)
            parts.append(
                pa.table(
                    {
                        "network": pa.array([state.network] * count, pa.string()),
                        "step": pa.array([state.step] * count, pa.int64()),
                        "layer": pa.array([layer] * count, pa.string()),
                        "channel": pa.array(np.arange(count, dtype=np.int32)),
                        "correlation": pa.array(own, pa.float32(), mask=np.isnan(own)),
                    }
                )
            )
    return pa.concat_tables(parts)


# ------------------------------------------------------------------ figures


def _charts(course: Course, rows: list[dict[str, Any]]) -> Any:
    def lines(column: str) -> Lines:
        found = {layer: [row[column] for row in rows if row["layer"] == layer] for layer in course.layers}
        return {
            layer: [np.nan if value is None else float(value) for value in line]
            for layer, line in found.items()
        }

    names = [f"{state.step:,}\n{round(state.epoch, 2):g} epochs" for state in course.states]
    charts = [
        StepChart("CKA with the end", lines("cka"), lines("low"), lines("high")),
        StepChart(f"filters with r ≥ {MATCHED:g}", lines("settled")),
        StepChart("zeros", lines("zeros"), lines("zeros_low"), lines("zeros_high")),
    ]
    return step_charts(charts, names)


def _caption(course: Course) -> str:
    return (
        f"States of one training after so many steps, over {len(course.subject.good):,} pictures. Above: debiased "
        f"linear CKA of each layer with itself after the last of them ({course.last}). Middle: the share of its "
        f"channels that correlate with what they become, Pearson's r {MATCHED:g} or more, of those that change in the "
        "end. Below: the share of exact zeros. Bars: 95 % intervals over pictures. At the last step the first two are "
        "1 by definition."
    )


def _features(course: Course, chosen: list[tuple[str, int]]) -> Shown:
    drawn = {state.network: Likenesses(course.subject, state.network, chosen) for state in course.states}
    for likenesses in drawn.values():
        likenesses.make()
    rows = [
        [
            replace(
                drawn[state.network].portrayed(layer, channel, _said(course, state, layer, channel)),
                whose=f"{layer}, {channel}",
            )
            for state in course.states
        ]
        for layer, channel in chosen
    ]
    caption = (
        f"{len(chosen)} filters after {_steps(course)} steps of one training, from left to right; r: Pearson's "
        f"correlation of a filter's means over each picture with what it becomes. {_which(course, chosen)} A pale one "
        "answers to no picture. "
        f"{panels_of(course.subject, *drawn.values())}"
    )
    return Shown(list(match_pages("Filters through training", caption, rows)), caption, photographs=True)


def _which(course: Course, chosen: list[tuple[str, int]]) -> str:
    """Which filters are shown, as `Course.chosen` chooses."""
    counts = Counter(layer for layer, _ in chosen)
    few, all_ = len(counts), len(course.convolutions)
    layers = "each convolution" if few == all_ else f"{few} of {all_} convolutions"
    if max(counts.values()) == 1:
        return f"Of {layers} one, in the middle between the one that settles first and the one that settles last."
    return f"Of {layers} as many, from the one that settles first to the one that settles last."


def _said(course: Course, state: State, layer: str, channel: int) -> str:
    if state.network == course.last:
        return f"step {state.step:,}: the end"
    value = course.correlations[state.network][layer][channel]
    return f"step {state.step:,}: " + ("no r" if np.isnan(value) else f"r {value:.2f}")


def _steps(course: Course) -> str:
    names = [f"{state.step:,}" for state in course.states]
    return f"{', '.join(names[:-1])} and {names[-1]}"


# ------------------------------------------------------------------ findings


def find(course: Course, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    """Whether lower layers settle first, how many filters are what they become from the start, what zeros do."""
    yield from _order(course, rows)
    yield _appearing(course, rows)
    yield _zeros(course)


def _order(course: Course, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    """By the mean CKA with the end over all earlier states, and in each of them alone."""
    found = {
        layer: [row["cka"] for row in rows if row["layer"] == layer and row["network"] != course.last]
        for layer in course.layers
    }
    lines = {
        layer: line for layer, line in found.items() if line and None not in line
    }  # None: it is constant
    if len(lines) < 3:
        return
    known = {layer: float(np.mean(line)) for layer, line in lines.items()}
    rho, *each = (
        rank_correlation([-value for value in values])
        for values in (known.values(), *zip(*lines.values(), strict=True))
    )
    (first, most), *_, (last, least) = sorted(known.items(), key=lambda item: -item[1])
    yield Finding.of(
        "Lower layers {do} nearer to what they become than higher ones in the mean over {states} earlier states: "
        "Spearman's correlation of depth with distance {rho:.2f} over {count} layers, where {bar} or more counts as an "
        "order, as in {ordered} of these states alone; nearest {first}, with a CKA of {most:.2f} in the mean, farthest "
        "{last}, {least:.2f}.",
        holds=rho >= IN_ORDER,
        do="are" if rho >= IN_ORDER else "are not",
        rho=rho,
        count=len(known),
        bar=IN_ORDER,
        first=first,
        most=most,
        last=last,
        least=least,
        states=len(each),
        ordered=sum(one >= IN_ORDER for one in each),
    )


def _appearing(course: Course, rows: list[dict[str, Any]]) -> Finding:
    counts = {layer: int(course.live(layer).sum()) for layer in course.layers}
    shares = [
        sum(
            row["settled"] * counts[row["layer"]]
            for row in rows
            if row["network"] == s.network and counts[row["layer"]]
        )
        / max(1, sum(counts.values()))
        for s in course.states[:-1]
    ]
    first, later = course.states[0], course.states[-2]
    return Finding.of(
        "{share:.0%} of the channels that change in the end answer like what they become (r {bar} or more) after "
        "{step:,} steps, and {more:.0%} after {after:,} of {all:,}.",
        share=shares[0],
        bar=MATCHED,
        step=first.step,
        more=shares[-1],
        after=later.step,
        all=course.states[-1].step,
    )


def _zeros(course: Course) -> Finding:
    first, last = (course.zeros[course.states[place].network].shares for place in (0, -1))
    rises = {layer: last[layer] - first[layer] for layer in course.layers}
    most = max(rises, key=lambda layer: abs(rises[layer].value))
    return Finding.of(
        "From step {start:,} to {end:,} zeros become more in {more} of {count} layers beyond their intervals, fewer in "
        "{fewer}; most change in {layer}, from {before:.0%} to {after:.0%}.",
        start=course.states[0].step,
        end=course.states[-1].step,
        more=sum(rise.positive is True for rise in rises.values()),
        fewer=sum(rise.positive is False for rise in rises.values()),
        count=len(rises),
        layer=most,
        before=first[most].value,
        after=last[most].value,
    )


TRAINING = Part("training", "Through training", _why_not, _options, _make)
