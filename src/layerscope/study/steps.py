"""A step that adds many files to a finished study, over a long time: killed at any moment, the manifest stays true.

Files are put in place one by one; `study.json` lists them when the step is finished. What an interrupted step has
put in place is not listed, and the same step finds it there when it is started again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layerscope.disk.locks import lock
from layerscope.disk.tables import Content, measure, publish_json, read_json
from layerscope.disk.whole import remove_partials
from layerscope.errors import StudyError
from layerscope.study.folder import MANIFEST, Study, facts, join, publish_result, without_step

Facts = dict[str, Any]  # what the manifest says of one file


class OpenStep:
    """A step under way, in a study that this process holds. Names of files are below the network's folder."""

    def __init__(self, study: Study, step: str, network: str, options: Mapping[str, object]) -> None:
        self.path = study.path
        self.folder = study.network(network).folder
        self.step = join(self.folder, step)
        self.options = dict(options)
        self._put: dict[str, Facts] = {}
        before = read_json(self.path / MANIFEST)
        mine = before["steps"].get(self.step, {"files": [], "options": self.options})
        self._others = frozenset(without_step(before, self.step)["files"])
        self._listed: dict[str, Facts] = {file: before["files"][file] for file in mine["files"]}
        if mine["options"] != self.options:
            self.withdraw()
            for file in self._listed:
                (self.path / file).unlink(missing_ok=True)
            self._listed = {}

    def place(self, name: str) -> Path:
        """Where a file is or would be. Raises StudyError if the name is none, or another step's file has it."""
        file = join(self.folder, name)
        if file in self._others:
            raise StudyError(f"{self.path} has {file} already, from another step; use another name")
        return self.path / file

    def names(self) -> list[str]:
        """Names of the files that the manifest lists as this step's, from an earlier run."""
        return [file.removeprefix(f"{self.folder}/") for file in self._listed]

    def listed(self, name: str) -> bool:
        """Whether the manifest lists the file as this step's, from an earlier run."""
        return join(self.folder, name) in self._listed

    def whole(self, name: str) -> bool:
        """Whether the file is there, and of the size that the manifest lists, if it does."""
        path, known = self.place(name), self._listed.get(join(self.folder, name))
        return path.is_file() and (known is None or path.stat().st_size == known["bytes"])

    def put(self, name: str, content: Content) -> None:
        """Publish a file: a table or an array without suffix, bytes with it."""
        self.place(name)
        self._put |= publish_result(self.path, join(self.folder, name), content)

    def withdraw(self) -> None:
        """Take the step off the manifest, its files stay: from here on they may be replaced."""
        manifest = read_json(self.path / MANIFEST)
        if self.step in manifest["steps"]:
            publish_json(self.path / MANIFEST, without_step(manifest, self.step))

    def finish(self, kept: Iterable[str]) -> Study:
        """List all files put in place now, and those kept from before; remove what the step had besides."""
        files = dict(self._put)
        for name in kept:
            file = join(self.folder, name)
            files[file] = files.get(file) or self._listed.get(file) or self._measured(file)
        manifest = without_step(read_json(self.path / MANIFEST), self.step)
        manifest["steps"][self.step] = {"options": self.options, "files": sorted(files)}
        manifest["files"] = dict(sorted({**manifest["files"], **files}.items()))
        publish_json(self.path / MANIFEST, manifest)
        for file in self._listed.keys() - files.keys():
            (self.path / file).unlink(missing_ok=True)
        return Study.open(self.path)

    def _measured(self, file: str) -> Facts:
        return facts(self.path / file, measure(self.path / file))


@contextmanager
def open_step(study: Study, step: str, network: str, options: Mapping[str, object]) -> Iterator[OpenStep]:
    """Hold the study and work on a step of one of its networks; with other options than before it begins anew.

    Raises OutputError if another process holds the study.
    """
    with lock(study.path):
        remove_partials(study.path)
        yield OpenStep(study, step, network, options)
