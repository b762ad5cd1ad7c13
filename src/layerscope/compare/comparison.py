"""A comparison: one study of all networks, to which each part adds what it found; then the report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from layerscope.compare.part import Made, Part
from layerscope.compare.parts import PARTS
from layerscope.compare.report import REPORT, report_page
from layerscope.compare.subject import CompareOptions, Subject
from layerscope.disk.locks import lock
from layerscope.disk.tables import Content, csv_bytes, json_bytes, read_json
from layerscope.disk.whole import written
from layerscope.drawing.canvas import figure_files
from layerscope.errors import ComparisonError
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.progress import Told
from layerscope.study.folder import Study
from layerscope.study.joined import join_studies

FORMAT = 1  #: of what the parts leave; raised when those of older comparisons are to be made anew
_SECTION = "section.json"


def compare_studies(
    studies: Study | str | Path | Sequence[Study | str | Path],
    out: str | Path,
    *,
    options: CompareOptions | None = None,
    networks: Sequence[Network] = (),
    images: ImageSet | None = None,
    device: str | torch.device = "cpu",
    progress: Told | None = None,
) -> Study:
    """Compare all networks of the studies, which are of the same pictures, in the folder ``out``.

    The folder is a study of all of them (see `join_studies`) with a step for each part: figures (PNG, PDF), tables
    (Parquet, CSV), and ``report.html``, which shows them with what was found. It goes on where it ended, to the same
    bytes; other options make their parts anew. ``networks``, ``images``: given where the studies do not say how
    they are loaded, or where they are. Raises StudyError and ComparisonError for what cannot be compared.
    """
    options = options or CompareOptions()
    given = [studies] if isinstance(studies, (Study, str, Path)) else list(studies)
    opened = [one if isinstance(one, Study) else Study.open(one) for one in given]
    if not opened:
        raise ComparisonError("there is nothing to compare; give a study")
    chosen = _chosen(options.parts)
    if len(opened) == len(opened[0].networks) == 1:
        raise ComparisonError(
            f"{opened[0].path} has one network; give another study of the same pictures, too"
        )
    study = join_studies(opened, out)
    named = {network.name: network for network in networks}
    if strange := named.keys() - set(study.networks):
        raise ComparisonError(
            f"{study.path} has no network {min(strange)!r}; it has {', '.join(study.networks)}"
        )
    subject = Subject(study, options, named, images, device, progress)
    with _held(subject):
        options_of = {part.name: _options(part, subject) for part in chosen}
        wanted = [part for part in chosen if study.steps.get(part.name) != options_of[part.name]]
        missing = {part.name: reason for part in wanted if (reason := part.why_not(subject))}
        if options.parts is not None and missing:
            raise ComparisonError("; ".join(f"no {name}: {reason}" for name, reason in missing.items()))
        for part in wanted:
            if part.name not in missing:
                made = part.make(subject)
                study = study.add(part.name, dict(_files(part, made)), options=options_of[part.name])
        subject.clear()
    return study.add("report", {REPORT: report_page(study, _sections(study), missing)})


def _chosen(names: tuple[str, ...] | None) -> tuple[Part, ...]:
    if unknown := set(names or ()) - PARTS.keys():
        raise ComparisonError(f"there is no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    return tuple(part for name, part in PARTS.items() if names is None or name in names)


@contextmanager
def _held(subject: Subject) -> Iterator[None]:
    """Keep other processes from the same comparison."""
    with written(subject.work_folder):
        subject.work_folder.mkdir(parents=True, exist_ok=True)
    with lock(subject.work_folder):
        yield


def _options(part: Part, subject: Subject) -> Any:
    """All that a part depends on besides the studies, as a study's manifest has it."""
    return json.loads(json.dumps({"format": FORMAT, **part.options(subject)}))


def _files(part: Part, made: Made) -> Iterator[tuple[str, Content]]:
    """All files of a part, by their places in the study; the last says what is in them, for the report."""
    figures, tables = [], []
    for name, shown in made.figures.items():
        files = list(figure_files(shown.pages, f"{part.name}/{name}", photographs=shown.photographs))
        pictures = [file for file, _ in files if file.endswith(".png")]
        figures.append({"name": name, "pictures": pictures, "caption": shown.caption})
        yield from files
    for name, (table, caption) in made.tables.items():
        tables.append({"name": name, "rows": table.num_rows, "caption": caption})
        yield f"{part.name}/{name}", table
        yield f"{part.name}/{name}.csv", csv_bytes(table)
    section = {
        "title": part.title,
        "findings": [finding.record() for finding in made.findings],
        "figures": figures,
        "tables": tables,
    }
    yield f"{part.name}/{_SECTION}", json_bytes(section)


def _sections(study: Study) -> dict[str, dict[str, Any]]:
    """What each part that is there found, in the order of the parts."""
    return {name: read_json(study.path / name / _SECTION) for name in PARTS if name in study.steps}
