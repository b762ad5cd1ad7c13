"""How often networks are wrong over labelled pictures: each class, what is taken for what, and who errs less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from layerscope.compare.outcomes import Outcomes, Share, read_outcomes
from layerscope.compare.part import Finding, Made
from layerscope.compare.parts.predictions import judge
from layerscope.disk.tables import Content, csv_bytes
from layerscope.drawing.canvas import Page, figure_files
from layerscope.drawing.heat import HeatMap, heat_page
from layerscope.errors import ComparisonError
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.network.suiting import check_apart
from layerscope.progress import Told
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.making import sweep_study
from layerscope.sweep.one_pass import SweepOptions
from layerscope.sweep.predictions import Predictions

_STEP = "evaluation"
_SHOWN = 40  #: classes of a figure at most
_CLASSES = pa.schema(
    [
        ("output", pa.int32()),
        ("name", pa.string()),
        *((name, pa.int64()) for name in ("pictures", "wrong", "named")),
        *((name, pa.float64()) for name in ("error", "low", "high")),
    ]
)
_CONFUSION = pa.schema(
    [
        *((name, pa.int32()) for name in ("output", "named_output")),
        *((name, pa.string()) for name in ("name", "named")),
        ("pictures", pa.int64()),
    ]
)


def evaluate_networks(
    networks: Sequence[Network],
    images: ImageSet,
    out: str | Path,
    *,
    settings: SweepOptions | None = None,
    progress: Told | None = None,
) -> tuple[Study, tuple[Finding, ...]]:
    """Measure the errors of networks over labelled pictures, each by its centre, into the study ``out``.

    The study gets, for all networks, their errors with Wilson's intervals and McNemar's test of each two; for each the
    error of every class, and what is taken for what, as tables and a figure. Goes on where it ended. Returns what was
    found, in sentences. Raises ComparisonError if no picture has a label that stands for an output, or if one has a
    number that is none; ImageError if ``out`` lies among the folders of the classes.
    """
    check_apart(images, Path(out))
    _check_labels(networks, images)
    study = sweep_study(networks, images, [Predictions()], out, settings=settings, progress=progress)
    study = remember_sources(study, networks, images)
    outcomes = {name: read_outcomes(study, name) for name in study.networks}
    if all(one.unjudged is not None for one in outcomes.values()):
        raise ComparisonError("; ".join(f"{name}: {one.unjudged}" for name, one in outcomes.items()))
    made = judge(study, list(outcomes.values()))
    if _STEP not in study.steps:
        files = dict(_files(made))
        for network in networks:
            if (one := outcomes[network.name]).unjudged is None:
                files |= _files_of(network, one, study.network(network.name).folder)
        study = study.add(_STEP, files)
    return study, tuple(made.findings)


def _check_labels(networks: Sequence[Network], images: ImageSet) -> None:
    """Raise ComparisonError for labels that are numbers, and one of them no output of a network that predicts."""
    highest = max(images.labels or (-1,)) if images.classes is None else -1
    for network in networks:
        if network.why_no_predictions is None:
            outputs = network.graph.operations[network.scores].shape[0]
            if highest >= outputs:
                raise ComparisonError(
                    f"{images.description}: label {highest} is no output of {network.name}, whose outputs are 0 to "
                    f"{outputs - 1}; correct the labels, or leave that network out"
                )


def _files(made: Made) -> Iterator[tuple[str, Content]]:
    for name, (table, _) in made.tables.items():
        yield from _both(f"{_STEP}/{name}", table)
    for name, shown in made.figures.items():
        yield from figure_files(shown.pages, f"{_STEP}/{name}")


def _both(stem: str, table: pa.Table) -> Iterator[tuple[str, Content]]:
    yield stem, table
    yield f"{stem}.csv", csv_bytes(table)


def _files_of(network: Network, one: Outcomes, folder: str) -> Mapping[str, Content]:
    place = f"{_STEP}/{folder}"
    names = network.classes or tuple(map(str, range(one.outputs)))
    files = dict(_both(f"{place}/classes", class_table(one, names)))
    files |= _both(f"{place}/confusion", confusion_table(one, names))
    return files | dict(figure_files(confusion_figure(one, names), f"{place}/confusion"))


def _named(names: Sequence[str], output: int) -> str:
    """The name of an output; its number, of what is no output of the network."""
    return names[output] if output < len(names) else str(output)


def class_table(one: Outcomes, names: Sequence[str]) -> pa.Table:
    """A row for each class that some picture has, or that is named: its error with Wilson's 95 % interval.

    ``named``: how many pictures the network takes for it; the error is null for a class without pictures.
    """
    answers, wrong, first = one.answers[one.known], one.wrong(1)[one.known], one.classes[one.known, 0]
    rows = []
    for output in np.union1d(answers, first):
        own = wrong[answers == output]
        row = {
            "output": int(output),
            "name": _named(names, output),
            "pictures": len(own),
            "wrong": int(own.sum()),
        }
        row["named"] = int((first == output).sum())
        if len(own):
            share = Share.counted(own)
            row |= {"error": share.share, "low": share.low, "high": share.high}
        rows.append(row)
    return pa.Table.from_pylist(rows, _CLASSES)


def confusion_table(one: Outcomes, names: Sequence[str]) -> pa.Table:
    """How many pictures of each class are taken for each; the pairs that occur."""
    pairs = np.stack([one.answers[one.known], one.classes[one.known, 0]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    columns = [
        found[:, 0].astype(np.int32),
        found[:, 1].astype(np.int32),
        [_named(names, output) for output in found[:, 0]],
        [_named(names, output) for output in found[:, 1]],
        counts,
    ]
    return pa.table(columns, schema=_CONFUSION)


def confusion_figure(one: Outcomes, names: Sequence[str]) -> Page:
    """What share of each class is taken for which; of many classes those with most wrong answers."""
    answers, first = one.answers[one.known], one.classes[one.known, 0]
    wrong = np.bincount(answers[one.wrong(1)[one.known]], minlength=one.outputs)
    present = np.unique(answers)
    rows = np.sort(present[np.argsort(-wrong[present], kind="stable")[:_SHOWN]])
    named = np.setdiff1d(first[np.isin(answers, rows)], rows)
    columns = np.union1d(rows, named[:_SHOWN])
    counts = np.array([[((answers == a) & (first == b)).sum() for b in columns] for a in rows], float)
    some = (
        f", of the {len(rows)} classes of {len(present)} with most wrong ones"
        if len(rows) < len(present)
        else ""
    )
    caption = (
        f"Of the pictures of each class (rows) the share that {one.network} takes for each (columns), {len(answers)} "
        f"pictures{some}."
    )
    return heat_page(
        HeatMap(
            f"{one.network}: what is taken for what",
            caption,
            tuple(_named(names, output) for output in rows),
            tuple(_named(names, output) for output in columns),
            ("right", "named"),
            counts / np.array([[(answers == a).sum()] for a in rows]),
            ridge=False,
        )
    )
