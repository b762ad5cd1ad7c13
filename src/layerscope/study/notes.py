"""Notes of unfinished steps: which files a step may have put into a study, said on the disk before it puts them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from layerscope.disk.names import is_plain
from layerscope.disk.tables import publish
from layerscope.disk.whole import written
from layerscope.study.manifest import WORK

NOTES = f"{WORK}/steps"  #: the folder of notes, below the study's
_END = "~unfinished"  # no name of a step ends so


@dataclass(frozen=True)
class Note:
    """What the note of a step says; ``options`` are None, and there are no files, while there is none."""

    study: Path
    step: str
    options: Mapping[str, Any] | None = None
    files: frozenset[str] = frozenset()

    @classmethod
    def read(cls, study: Path, step: str) -> Note:
        """The note of a step. A line that a lost disk cut short is of a file that was not put in place yet."""
        try:
            lines = cls(study, step).path.read_bytes().split(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return cls(study, step)
        said = [line for line in map(_parsed, lines) if line is not None]
        options = said[0] if said and isinstance(said[0], dict) else {}
        return cls(study, step, options, frozenset(f for f in said if isinstance(f, str) and is_plain(f)))

    @property
    def path(self) -> Path:
        """Where the note is, or would be."""
        return self.study / NOTES / f"{self.step}{_END}"

    def with_files(self, files: Iterable[str], options: Mapping[str, Any]) -> Note:
        """The note with more files, on the disk when this returns; a new one says the step's options."""
        more = [file for file in dict.fromkeys(files) if file not in self.files]
        if not more:
            return self
        if self.options is None:
            publish(self.path, [json.dumps(options).encode()])
        with written(self.path), self.path.open("ab") as note:
            note.write("".join(f"\n{json.dumps(file)}" for file in more).encode())
            note.flush()
            os.fsync(note.fileno())
        return replace(self, options=self.options or options, files=self.files.union(more))

    def removed(self) -> Note:
        """No note; the folders that held only it go, too."""
        if self.options is not None:
            with written(self.path):
                self.path.unlink(missing_ok=True)
            with suppress(OSError):  # the first that holds something else ends it
                for folder in takewhile(lambda folder: folder != self.study, self.path.parents):
                    folder.rmdir()
        return Note(self.study, self.step)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def noted(study: Path) -> dict[str, str]:
    """The files that unfinished steps may have put in place, their notes among them, each with its step."""
    found: dict[str, str] = {}
    for path in sorted((study / NOTES).rglob(f"*{_END}")):
        step = path.relative_to(study / NOTES).as_posix().removesuffix(_END)
        found |= dict.fromkeys((*Note.read(study, step).files, path.relative_to(study).as_posix()), step)
    return found
