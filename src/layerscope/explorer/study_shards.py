"""What every page needs at once, and the pictures: the shards ``study`` and ``pictures/K``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa

from layerscope._version import __version__
from layerscope.disk.tables import read_json
from layerscope.explorer.contents import Made, shard
from layerscope.explorer.index_shard import picture_index, right_outputs
from layerscope.explorer.shards import number
from layerscope.explorer.subjects import Subject, blocks
from layerscope.study.folder import Study

FORMAT = 4  #: of the shards; raised when older ones are to be made anew
PICTURES = 1_000  #: of one shard
TOP = 5  #: predictions of a picture that are shown


@dataclass(frozen=True)
class Overview:
    """What the first shard is made of; ``findings``: of the comparison, ``pairs``: of its networks."""

    study: Study
    subjects: Sequence[Subject]
    pairs: Sequence[tuple[Subject, Subject]]
    findings: Sequence[Mapping[str, Any]]
    live: bool = False

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What the step of pages says of the pictures; empty if there is none."""
        path = "pages/pictures.json"
        return read_json(self.study.path / path) if path in self.study.manifest["files"] else {}

    @cached_property
    def views(self) -> list[dict[str, Any]]:
        """Different ways in which networks see pictures."""
        found: list[dict[str, Any]] = []
        for subject in self.subjects:
            if (view := _view(subject)) not in found:
                found.append(view)
        return found

    @property
    def command(self) -> str:
        """What adds the pictures of the pages."""
        return f"layerscope pages {self.study.path.resolve().name}"

    def contents(self) -> Iterator[tuple[str, Made]]:
        """All shards, by their places on the site."""
        yield shard("study", self.record)
        for start in range(0, max(1, self.study.pictures.num_rows), PICTURES):
            yield shard(f"pictures/{start // PICTURES}", partial(self.pictures, start))
        yield shard("pictures/index", partial(picture_index, self.study, self.subjects))

    def record(self) -> dict[str, Any]:
        """The shard of the study."""
        images, study = self.study.manifest["images"], self.study
        return {
            **{"format": FORMAT, "name": study.path.resolve().name, "digest": study.digest},
            **{"version": __version__, "live": self.live},
            "pictures": {
                **{"count": images["count"], "bad": images["bad"], "shard": PICTURES},
                **{"classes": self.classes, "sizes": self.sizes},
                "chosen": self.about.get("chosen", []),
                "thumbs": self.about.get("thumbs"),
                "command": self.command,
            },
            "views": [{side: view[side] for side in ("height", "width")} for view in self.views],
            "networks": [self._network(subject) for subject in self.subjects],
            "pairs": [{"one": one.name, "other": other.name} for one, other in self.pairs],
            "findings": list(self.findings),
        }

    @property
    def classes(self) -> list[str] | None:
        """Names of the labels' classes; None without labels."""
        if self.sizes is None:
            return None
        return [*self._named, *map(str, range(len(self._named), len(self.sizes)))]

    @cached_property
    def sizes(self) -> list[int] | None:
        """How many pictures each class has; None without labels."""
        labels = self.study.pictures["label"].drop_null()
        if not len(labels):
            return None
        sizes: list[int] = np.bincount(labels.to_numpy(), minlength=len(self._named)).tolist()
        return sizes

    @cached_property
    def _named(self) -> list[str]:
        """Names of classes: the set's; else of a network's outputs, if each label is the number of the right one."""
        if known := self.study.manifest["inputs"].get("images", {}).get("classes"):
            return list(known)
        labels = self.study.pictures["label"].fill_null(-1).to_numpy()
        for subject in self.subjects:
            names, right = subject.about.get("outputs", ()), right_outputs(subject, len(labels))
            told = right >= 0
            if told.any() and np.array_equal(right[told], labels[told]) and len(names) > labels.max():
                return list(names)
        return []

    def _network(self, subject: Subject) -> dict[str, Any]:
        about, drawn = subject.results.about, subject.about
        return {
            **{"name": subject.name, "title": subject.title, "folder": subject.place},
            **{"weights": about.get("weights") or "", "trunk": bool(about.get("trunk"))},
            "view": self.views.index(_view(subject)),
            **{"rule": drawn.get("rule", ""), "lost": drawn.get("lost", "")},
            "layers": list(_layers(subject)),
            "strip": drawn.get("strip"),
            "outputs": drawn.get("outputs", []),
            "errors": _errors(subject),
        }

    def pictures(self, start: int) -> dict[str, Any]:
        """The shard of the pictures from ``start`` on."""
        rows = self.study.pictures.slice(start, PICTURES)
        labels = rows["label"].fill_null(-1).to_pylist()
        reasons = enumerate(rows["reason"].to_pylist())
        answered = ((subject.name, _predictions(subject, start, len(rows))) for subject in self.subjects)
        return {
            "names": rows["name"].to_pylist(),
            "labels": None if self.classes is None else labels,
            "reasons": {str(place): reason for place, reason in reasons if reason is not None},
            "predictions": {name: rows for name, rows in answered if rows is not None},
        }


def _view(subject: Subject) -> dict[str, Any]:
    known = subject.input["preprocessing"]
    return {name: known.get(name) for name in ("height", "width", "resize")}


def _errors(subject: Subject) -> dict[str, Any] | None:
    if "prediction_errors" not in subject.results.results:
        return None
    (row,) = subject.results.table("prediction_errors").to_pylist()
    rates = {"top1": number(row["top1_error"]), "top5": number(row["top5_error"])}
    return {"pictures": row["pictures"], "labelled": row["labelled"], **rates, "reason": row["reason"]}


def _layers(subject: Subject) -> Iterator[dict[str, Any]]:
    sparsity: dict[str, dict[str, Any]] = {}
    if "sparsity" in subject.results.results:
        sparsity = {row["layer"]: row for row in subject.results.table("sparsity").to_pylist()}
    drawn = subject.about.get("reconstructions", ())
    for row, block in zip(subject.rows, blocks(subject.layers), strict=True):
        name = row["layer"]
        zeros = sparsity.get(name, {})
        yield {
            **{"name": name, "folder": subject.folders[name]},
            **{key: row[key] for key in ("kind", "operation", "channels", "rows", "columns")},
            **{"field": _field(row), "block": block},
            **{"sparsity": number(zeros.get("sparsity")), "dead": zeros.get("dead_channels")},
            **{"filters": name in subject.filters, "space": name in subject.spaces},
            "reconstructions": name in drawn,
        }


def _field(row: Mapping[str, Any]) -> dict[str, Any] | None:
    found = {
        part: [row[f"field_{part}_{axis}"] for axis in ("rows", "columns")]
        for part in ("size", "stride", "start")
    }
    return None if any(value is None for values in found.values() for value in values) else found


def _predictions(subject: Subject, start: int, count: int) -> dict[str, Any] | None:
    """The first five of each of these pictures; None if the network predicts nothing."""
    if "predictions" not in subject.results.results or not len(table := subject.results.table("predictions")):
        return None
    rows = _between(table, start, count).sort_by([("picture", "ascending"), ("rank", "ascending")])
    outputs: list[list[int]] = [[] for _ in range(count)]
    shares: list[list[float | None]] = [[] for _ in range(count)]
    for row in rows.to_pylist():
        if row["rank"] < TOP:
            outputs[row["picture"] - start].append(row["class"])
            shares[row["picture"] - start].append(number(row["probability"]))
    answers: list[int | None] = [None] * count
    if "prediction_ranks" in subject.results.results:
        for row in _between(subject.results.table("prediction_ranks"), start, count).to_pylist():
            answers[row["picture"] - start] = row["answer"]
    return {"outputs": outputs, "probabilities": shares, "answers": answers}


def _between(table: pa.Table, start: int, count: int) -> pa.Table:
    numbers = table["picture"].to_numpy()
    return table.filter(pa.array((numbers >= start) & (numbers < start + count)))
