"""A site as a folder that any file host serves, and that opens by double-click.

``export.json`` lists every file that the export put there, so that a second one writes only what has changed, and
removes only what is its own. Killed at any moment, each file is whole or not there, and the same export goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerscope.disk.locks import LOCK, lock
from layerscope.disk.tables import digest_of, publish, read_json
from layerscope.disk.whole import PARTIAL, flush_all, remove_partials, written, written_whole
from layerscope.errors import OutputError
from layerscope.explorer.contents import Content, Contents, Copied
from layerscope.explorer.site import INDEX, Site
from layerscope.progress import Count, Told
from layerscope.study.folder import Study

FORMAT = 1  #: of export.json
RECORD = "export.json"
_OFTEN = 15.0  # seconds after which what is done is put on record


@dataclass(frozen=True)
class Exported:
    """What an export left: where, how many files and bytes there are, and how many files it wrote."""

    folder: Path
    files: int
    size: int
    written: int

    @property
    def address(self) -> str:
        """What opens it in a browser."""
        return (self.folder.resolve() / INDEX).as_uri()


def export_study(
    study: Study | str | Path,
    out: str | Path,
    *,
    comparison: Study | str | Path | None = None,
    progress: Told | None = None,
) -> Exported:
    """Write the pages of a study to the folder ``out``: what differs from what an earlier export left there.

    ``comparison``: the folder of one that is of this study; ``study`` can be a comparison itself. Raises StudyError
    if it is of another study, or the page is not built; OutputError if ``out`` holds other files, or the export of
    another study, or cannot be written.
    """
    site = Site.open(study, comparison)
    site.check_page()
    folder = Path(out)
    _refuse_within(folder, site)
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
    known = _read_record(folder, site)
    with lock(folder):
        remove_partials(folder)
        return _Export(folder, site, known).run(progress)


def _refuse_within(folder: Path, site: Site) -> None:
    for study in filter(None, (site.study, site.comparison)):
        if folder.resolve().is_relative_to(study.path.resolve()):
            raise OutputError(f"{folder} is within {study.path}; name a folder outside it")


def _read_record(folder: Path, site: Site) -> dict[str, Any]:
    """What an earlier export of the study has put on record; nothing in a new folder."""
    with written(folder):
        held = sorted(path.name for path in folder.iterdir())
    if RECORD not in held:
        if others := [name for name in held if name != LOCK and not name.startswith(PARTIAL)]:
            raise OutputError(f"{folder} holds other files ({others[0]}); name a new folder, or an empty one")
        return {}
    record = read_json(folder / RECORD)
    if record.get("format") != FORMAT or not isinstance(record.get("files"), dict):
        raise OutputError(f"{folder / RECORD} is of another layerscope or damaged; name a new folder")
    if record.get("digest") != site.study.digest:
        raise OutputError(f"{folder} is the export of another study; name a new folder")
    files: dict[str, Any] = record["files"]
    return files


@dataclass(eq=False)
class _Export:
    """An export under way. ``known``: by path [bytes, digest, what it was made of]; None while it is being written."""

    folder: Path
    site: Site
    known: dict[str, Any]
    written: int = 0
    last: float = field(default_factory=time.monotonic)

    def run(self, progress: Told | None) -> Exported:
        """Write what differs, remove what is no longer part of the site."""
        contents = self.site.contents
        self._refuse_strangers(contents)
        self._remove(self.known.keys() - contents.keys())
        self.known = {path: self.known.get(path) for path in contents}
        todo = [path for path in contents if not self._current(path, contents[path])]
        if todo:
            self._record()
        told = Count(progress, "pages", len(contents), "files", before=len(contents) - len(todo))
        for path in todo:
            self._write(path, contents[path])
            told()
        if todo or not (self.folder / RECORD).exists():
            self._record()
        size = sum(about[0] for about in self.known.values())
        return Exported(self.folder, len(contents), size, self.written)

    def _refuse_strangers(self, contents: Contents) -> None:
        """Files that are in the way and not ours."""
        for path in contents:
            if path not in self.known and os.path.lexists(self.folder / path):
                raise OutputError(
                    f"{self.folder / path} is in the way; move it elsewhere and run the same again"
                )

    def _current(self, path: str, content: Content) -> bool:
        about, file = self.known[path], self.folder / path
        if about is None or about[2] != self._made_of(content):
            return False
        return file.is_file() and not file.is_symlink() and file.stat().st_size == about[0]

    def _made_of(self, content: Content) -> str:
        return content.sha256 if isinstance(content, Copied) else self.site.key

    def _write(self, path: str, content: Content) -> None:
        """Write a file unless these bytes are there."""
        data, before, file = content.read(), self.known[path], self.folder / path
        found = digest_of([data])
        same = before is not None and before[:2] == [found.size, found.sha256]
        if not (same and file.is_file() and file.stat().st_size == found.size):
            with written_whole(file, lasting=False) as partial:
                partial.write_bytes(data)
            self.written += 1
        self.known[path] = [found.size, found.sha256, self._made_of(content)]
        if time.monotonic() - self.last > _OFTEN:
            self._record()

    def _record(self) -> None:
        """Put on record what is on the disk."""
        flush_all()
        record = {"format": FORMAT, "digest": self.site.study.digest, "files": self.known}
        publish(self.folder / RECORD, [json.dumps(record, separators=(",\n", ":")).encode()])
        self.last = time.monotonic()

    def _remove(self, paths: Iterable[str]) -> None:
        """Remove files of ours, and the folders that held nothing else."""
        for path in sorted(paths):
            file = self.folder / path
            with written(file):
                file.unlink(missing_ok=True)
            with suppress(OSError):  # the first that holds something else ends it
                for parent in file.parents:
                    if parent == self.folder:
                        break
                    parent.rmdir()
