"""The one writer of a finished study: adds a step, file by file, over a long time if need be.

Killed at any moment, the manifest is true, and the same step started again ends with the same bytes. Its files are
listed when it is finished. Before one is written, a note says that it is the step's, so that those of an interrupted
run are found again; nothing is removed or replaced but what the manifest or a note has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from layerscope.disk.locks import lock
from layerscope.disk.tables import Buffer, Content, Written, digest_of, measure, pieces_of, publish
from layerscope.disk.whole import remove_partials, written
from layerscope.errors import StudyError
from layerscope.study.manifest import (
    MANIFEST,
    Facts,
    facts,
    join,
    read_manifest,
    same_place,
    with_step,
    without_step,
    write_manifest,
)
from layerscope.study.notes import Note

_AT_ONCE = 32  # files noted together


class OpenStep:
    """A step under way, in a study that this process holds. Names of files are below ``folder``.

    What the study has of a step of this name with other options goes before the first file is put in place.
    """

    def __init__(self, path: Path, folder: str, step: str, options: Mapping[str, Any], note: Note) -> None:
        self.path, self.folder, self.step, self.options = path, folder, step, options
        self._note = note
        self._manifest = read_manifest(path)
        before = self._manifest["steps"].get(step, {"files": [], "options": note.options})
        self._had: dict[str, Facts] = {file: self._manifest["files"][file] for file in before["files"]}
        self._others = frozenset(self._manifest["files"].keys() - self._had.keys())
        known = [one for one in (before["options"], note.options) if one is not None]
        self._stale = any(one != options for one in known)
        self._listed = {} if self._stale else self._had
        self._put: dict[str, Facts] = {}

    def place(self, name: str) -> Path:
        """Where a file is or would be. Raises StudyError if the name is none, or another step's file has it."""
        file = join(self.folder, name)
        if same := same_place(file, self._others):
            raise StudyError(f"{self.path} has {same} already, from another step; use another name")
        return self.path / file

    def folders(self) -> set[Path]:
        """Where an interrupted run of it may have left unfinished files."""
        files = {*self._had, *self._note.files, MANIFEST}
        return {self._note.path.parent, *((self.path / file).parent for file in files)}

    def names(self) -> list[str]:
        """Names of the files that the manifest lists as this step's, from an earlier run."""
        return [file.removeprefix(f"{self.folder}/") for file in self._listed]

    def holds(self, name: str) -> bool:
        """Whether the file is there and this step's, from this run or an earlier one, be it an interrupted one."""
        file = join(self.folder, name)
        ours = not self._stale and (file in self._listed or file in self._note.files)
        return ours and self.whole(name)

    def held(self) -> list[str]:
        """Names of all files that it `holds`."""
        files = sorted({*self._listed, *self._note.files})
        return [name for name in (file.removeprefix(f"{self.folder}/") for file in files) if self.holds(name)]

    def whole(self, name: str) -> bool:
        """Whether the file is there, of the size that it was put in place with now, or that the manifest lists."""
        file = join(self.folder, name)
        path, known = self.place(name), self._put.get(file) or self._listed.get(file)
        return path.is_file() and (known is None or path.stat().st_size == known["bytes"])

    def expect(self, names: Iterable[str]) -> None:
        """Note many files, which are to be put in place, at once: each by itself takes longer.

        Raises StudyError if one is there that is neither this step's nor of an interrupted run of it.
        """
        self._begin()
        self._expect(self._file(self.place(name)) for name in names)

    def put(self, name: str, content: Content) -> None:
        """Put a file in place: a table or an array, whose name has no suffix, or bytes.

        One that is there with the same content stays, and what lists it. Raises StudyError as `expect` does.
        """
        self.put_all([(name, content)])

    def put_all(self, results: Iterable[tuple[str, Content]]) -> None:
        """Put files in place as they come, named as `put` takes them, a few at once."""
        self._begin()
        coming = iter(results)
        while some := [pieces_of(self.place(name), content) for name, content in islice(coming, _AT_ONCE)]:
            self._expect(self._file(path) for path, _ in some)
            for path, pieces in some:
                self._publish(path, pieces)

    def clear(self) -> None:
        """Take away all that the study has of this step."""
        self._withdraw()
        self._remove(self._note.files)
        self._note = self._note.removed()
        self._had, self._listed, self._put, self._stale = {}, {}, {}, False

    def finish(self, kept: Iterable[str] = ()) -> None:
        """List all files put in place now, and those kept from before; what the step had besides goes."""
        self._begin()
        files = dict(self._put)
        for path in map(self.place, kept):
            file = self._file(path)
            files[file] = files.get(file) or self._listed.get(file) or facts(path, measure(path))
        after = with_step(self._manifest, self.step, self.options, files)
        if after != self._manifest:
            self._note = self._note.with_files(self._had.keys() - files.keys(), self.options)
            self._write(after)
        self._remove(self._note.files - files.keys())
        self._note = self._note.removed()

    # ------------------------------------------------------------------ in steps that a kill may part

    def _begin(self) -> None:
        if self._stale:
            self.clear()

    def _withdraw(self) -> None:
        """Take the step off the manifest, its files stay: from here on they may be replaced."""
        if self.step in self._manifest["steps"]:
            options = self._manifest["steps"][self.step]["options"]
            self._note = self._note.with_files(self._had, options)
            self._write(without_step(self._manifest, self.step))

    def _expect(self, files: Iterable[str]) -> None:
        new = [file for file in files if file not in self._had and file not in self._note.files]
        for path in (self.path / file for file in new):
            if os.path.lexists(path):
                raise StudyError(
                    f"{path} is in the way: no step of the study has it; move it elsewhere and run the same again"
                )
        self._note = self._note.with_files(new, self.options)

    def _publish(self, path: Path, pieces: Sequence[Buffer]) -> None:
        file = self._file(path)
        known = self._listed.get(file)
        if known is None or not _holds(path, pieces, Written(known["bytes"], known["sha256"])):
            if file in self._had:
                self._withdraw()
            known = facts(path, publish(path, pieces))
        self._put[file] = known

    def _write(self, manifest: dict[str, Any]) -> None:
        write_manifest(self.path, manifest)
        self._manifest = manifest

    def _remove(self, files: Iterable[str]) -> None:
        for file in sorted(set(files) - self._others):
            with written(self.path / file):
                (self.path / file).unlink(missing_ok=True)

    def _file(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()


def _holds(path: Path, pieces: Sequence[Buffer], known: Written) -> bool:
    """Whether a file that is ``known`` by its size and digest is there, undamaged, and these are its bytes."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != known.size:
        return False
    return known == digest_of(pieces) == measure(path)


@contextmanager
def open_step(path: Path, folder: str, step: str, options: Mapping[str, object]) -> Iterator[OpenStep]:
    """Hold the study at ``path`` and work on a step, whose files are below ``folder``; "" is the study itself.

    Raises OutputError if another process holds the study.
    """
    plain = json.loads(json.dumps(dict(options)))
    with lock(path):
        name = join(folder, step)
        opened = OpenStep(path, folder, name, plain, Note.read(path, name))
        for place in opened.folders():
            remove_partials(place, deep=False)
        yield opened
