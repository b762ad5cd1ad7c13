"""Two networks side by side: the shard ``compare/ONE/OTHER/pair``, its figures, and what a comparison found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from layerscope.choices import PARTS
from layerscope.disk.tables import read_json, read_table
from layerscope.explorer.contents import Copied, Made, copied, shard
from layerscope.explorer.shards import number, numbers
from layerscope.explorer.subjects import Subject
from layerscope.study.folder import Study

_DRAWN_ANEW = ("rows", "similarity", "filters")  # parts whose figures the pages draw themselves
_GOOD = 0.5  # the correlation from which a filter counts as matched
_VALUES = ("cka", "low", "high", "shuffled", "share", "procrustes", "procrustes_shuffled")


@dataclass(frozen=True, eq=False)
class Compared:
    """A comparison and its networks."""

    study: Study
    subjects: Sequence[Subject]

    @cached_property
    def sections(self) -> dict[str, dict[str, Any]]:
        """What each part that was made says of itself."""
        files = self.study.manifest["files"]
        made = [part for part in PARTS if f"{part}/section.json" in files]
        return {part: read_json(self.study.path / part / "section.json") for part in made}

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The sentences of each part."""
        kept = ("text", "holds", "warns")
        return [
            {
                **{"part": part, "title": section["title"]},
                "sentences": [{name: one[name] for name in kept} for one in section["findings"]],
            }
            for part, section in self.sections.items()
        ]

    @property
    def pairs(self) -> list[tuple[Subject, Subject]]:
        """Networks that were compared, in their order."""
        there = [subject for subject in self.subjects if subject.called is not None]
        if "similarity" not in self.sections:
            return []
        return [pair for pair in combinations(there, 2) if len(self._between("similarity", *pair))]

    def contents(self) -> Iterator[tuple[str, Made | Copied]]:
        """All shards and figures, by their places on the site."""
        for one, other in self.pairs:
            place = f"compare/{one.place}/{other.place}/pair"
            yield shard(place, partial(self.record, one, other))
        for file in dict.fromkeys(file for figure in self._figures for file in figure["files"]):
            yield f"compare/{file}", copied(self.study, file)

    def record(self, one: Subject, other: Subject) -> dict[str, Any]:
        """The shard of a pair."""
        table = self._between("similarity", one, other)
        return {
            **{"one": one.name, "other": other.name, "pictures": table["pictures"][0].as_py()},
            "rows": table["layer"].unique().to_pylist(),
            "columns": table["other_layer"].unique().to_pylist(),
            **{name: numbers(table[name].to_pylist()) for name in _VALUES},
            "neighbours": self._neighbours(one, other),
            "matched": self._matched(one, other),
            "unmatched": {"one": self._alone(one, other), "other": self._alone(other, one, turned=True)},
            "differing": self._differing,
            "figures": self._figures,
        }

    def matches(self, subject: Subject, layer: str) -> dict[str, list[dict[str, Any] | None]]:
        """By the other network's name, the best match of each filter of a layer."""
        found: dict[str, list[dict[str, Any] | None]] = {}
        if subject.called is None or "filters" not in self.sections:
            return found
        for other in self.subjects:
            if other is subject or other.called is None:
                continue
            table = self._best(subject, other)
            rows = table.filter(pc.equal(table["layer"], layer)).sort_by("channel").to_pylist()
            if rows:
                found[other.name] = [_match_of(row) for row in rows]
        return found

    # -------------------------------------------------------------- tables

    def _table(self, name: str) -> pa.Table:
        if name not in self._tables:
            self._tables[name] = read_table(self.study.path / f"{name}.parquet")
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        return {}

    def _rows(self, name: str, one: Subject, other: Subject) -> pa.Table:
        table = self._table(name)
        wanted = pc.and_(
            pc.equal(table["network"], one.called), pc.equal(table["other_network"], other.called)
        )
        return table.filter(wanted)

    def _between(self, name: str, one: Subject, other: Subject) -> pa.Table:
        """Rows of a table of pairs of layers."""
        return self._rows(f"similarity/{name}", one, other)

    def _best(self, one: Subject, other: Subject) -> pa.Table:
        return self._rows("filters/best", one, other)

    def _neighbours(self, one: Subject, other: Subject) -> dict[str, Any] | None:
        table = self._between("neighbours", one, other)
        if not len(table):
            return None
        about = {"k": table["k"][0].as_py(), "chance": number(table["chance"][0].as_py())}
        return {**about, "overlap": numbers(table["overlap"].to_pylist())}

    def _matched(self, one: Subject, other: Subject) -> list[list[Any]]:
        """All best matches both ways; mutual first, strongest first."""
        if "filters" not in self.sections:
            return []
        there = [_match(row) for row in self._best(one, other).to_pylist() if row["other_layer"] is not None]
        back = [
            _match(row, turned=True)
            for row in self._best(other, one).to_pylist()
            if row["other_layer"] is not None and not row["mutual"]
        ]
        return sorted([*there, *back], key=lambda match: (not match[5], -match[4]))

    def _alone(self, one: Subject, other: Subject, *, turned: bool = False) -> list[list[Any]]:
        """Filters of the one whose best match is no good one, least first; those that never change have none."""
        if "filters" not in self.sections:
            return []
        rows = self._best(one, other).to_pylist()
        weak = [row for row in rows if row["correlation"] is None or row["correlation"] < _GOOD]
        found = sorted(weak, key=lambda row: -2.0 if row["correlation"] is None else row["correlation"])
        return [_match(row, turned=turned) for row in found]

    @property
    def _differing(self) -> list[dict[str, Any]]:
        if "rows" not in self.sections:
            return []
        rows = self._table("rows/pictures_chosen").select(["picture", "difference"]).to_pylist()
        known = [row for row in rows if row["difference"] is not None]
        return sorted(known, key=lambda row: -float(row["difference"]))

    @cached_property
    def _figures(self) -> list[dict[str, Any]]:
        return [
            {
                **{"part": part, "title": section["title"], "caption": figure["caption"]},
                "files": figure["pictures"],
            }
            for part, section in self.sections.items()
            for figure in section["figures"]
            if part not in _DRAWN_ANEW
        ]


def _match(row: Mapping[str, Any], *, turned: bool = False) -> list[Any]:
    """Layer and channel of either, correlation, mutual; "" and -1 for a filter that has no match."""
    own, its = (row["layer"], row["channel"]), (row["other_layer"] or "", row["other_channel"])
    its = (its[0], -1 if its[1] is None else its[1])
    pair = (*its, *own) if turned else (*own, *its)
    return [*pair, number(row["correlation"]) or 0.0, row["mutual"]]


def _match_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["other_layer"] is None:
        return None
    place = {"layer": row["other_layer"], "channel": row["other_channel"]}
    return {**place, "correlation": number(row["correlation"]), "mutual": row["mutual"]}
