"""The folder of the paper: figures under its numbers, tables, and what the parts of a comparison found."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from section import File

from layerscope import Study
from layerscope.compare.part import Finding
from layerscope.disk.whole import written_whole
from layerscope.drawing.canvas import save_figure


def saved(folder: Path, name: str, page: Figure | Sequence[Figure], caption: str) -> File:
    """A figure of ours, as PNG and PDF."""
    save_figure(page, folder / "figures" / name)
    return File(f"figures/{name}", caption)


def copied(folder: Path, picture: Path, name: str, caption: str) -> File:
    """A figure that is there already, a PNG, under a name of the paper."""
    with written_whole(folder / "figures" / f"{name}.png") as partial:
        shutil.copyfile(picture, partial)
    return File(f"figures/{name}", caption)


def saved_table(
    folder: Path, name: str, head: Sequence[str], rows: Iterable[Sequence[object]], caption: str
) -> File:
    """A table as CSV and as Markdown."""
    kept = list(rows)
    for ending, content in (("csv", as_csv(head, kept)), ("md", as_markdown(head, kept))):
        save_text(folder / "tables" / f"{name}.{ending}", content)
    return File(f"tables/{name}", caption)


def save_text(path: Path, content: str) -> None:
    """A file that appears whole."""
    with written_whole(path) as partial:
        partial.write_text(content, "utf-8")


def as_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()


def as_markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |\n" for line in lines)


def findings_of(compared: Study, part: str) -> list[Finding]:
    """What a part of a comparison found."""
    return [Finding(**finding) for finding in _read(compared, part)["findings"]]


def figures_of(folder: Path, compared: Study, part: str, name: str) -> list[File]:
    """The figures of a part of a comparison, copied."""
    return [
        copied(folder, compared.path / picture, f"{name}-{Path(picture).stem}", figure["caption"])
        for figure in _read(compared, part)["figures"]
        for picture in figure["pictures"]
    ]


def _read(compared: Study, part: str) -> dict[str, Any]:
    section: dict[str, Any] = json.loads((compared.path / part / "section.json").read_text("utf-8"))
    return section
