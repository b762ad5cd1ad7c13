"""What a part leaves: a section of the page, kept as JSON beside its figures, so that parts can be made one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verdicts import Verdict
from words import About

from layerscope.compare.part import Finding
from layerscope.disk.whole import written_whole


@dataclass(frozen=True)
class File:
    """A figure or a table, by its place below the folder, without suffix, and what it shows."""

    place: str
    caption: str


@dataclass(frozen=True)
class Made:
    """What a part found, and its files."""

    findings: Sequence[Finding] = ()
    verdicts: Sequence[Verdict] = ()
    figures: Sequence[File] = ()
    tables: Sequence[File] = ()


@dataclass(frozen=True)
class Section:
    """One part, with what is said about it; ``about.here`` names its pictures and their number."""

    name: str
    about: About
    made: Made

    def save(self, folder: Path) -> None:
        """Keep it in the folder."""
        with written_whole(_place(folder, self.name)) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path, name: str) -> Section | None:
        """What was kept; None if that part was not made."""
        path = _place(folder, name)
        return cls._of(json.loads(path.read_text("utf-8"))) if path.exists() else None

    @classmethod
    def _of(cls, known: Mapping[str, Any]) -> Section:
        kinds = {"findings": Finding, "verdicts": Verdict, "figures": File, "tables": File}
        made = {name: tuple(kinds[name](**one) for one in each) for name, each in known["made"].items()}
        return cls(known["name"], About(**known["about"]), Made(**made))


def _place(folder: Path, name: str) -> Path:
    return folder / "sections" / f"{name}.json"
