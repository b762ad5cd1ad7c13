"""The study: the folder that holds all results of one run, and what is read from it without computing anything.

``study.json``, the manifest, is written last and lists every other file; a folder without it is unfinished. Files
are described in docs/study-format.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from layerscope.disk.tables import Array, Content, read_array, read_table
from layerscope.errors import StudyError
from layerscope.study.manifest import BEGUN, MANIFEST, PICTURES, has_checksum, read_manifest
from layerscope.study.steps import OpenStep, open_step

if TYPE_CHECKING:
    from layerscope.explorer.notebook import Explorer


@dataclass(frozen=True)
class Study:
    """A finished study. Tables are read when asked for, arrays are mapped into memory."""

    path: Path
    manifest: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Study:
        """The study in a folder. Raises StudyError if there is none, it is unfinished or of another format."""
        folder = Path(path)
        if not (folder / MANIFEST).exists():
            begun = (folder / BEGUN).exists()
            raise StudyError(
                f"{folder} is an unfinished study; run the command that began it again, it goes on from there"
                if begun
                else f"{folder} is no study: it has no {MANIFEST}; `layerscope study IMAGES --out DIR` makes one"
            )
        return cls(folder, read_manifest(folder))

    @property
    def digest(self) -> str:
        """SHA-256 of all that the results depend on: networks, weights, pictures, options."""
        return str(self.manifest["digest"])

    @property
    def has_checksum(self) -> bool:
        """Whether the manifest is guarded by a checksum; those of older studies are not until a step is added."""
        return has_checksum(self.manifest)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks."""
        return tuple(self.manifest["networks"])

    @cached_property
    def pictures(self) -> pa.Table:
        """A row per picture of the image set, in order; `bad` ones have a reason."""
        return read_table(self.path / PICTURES)

    @cached_property
    def bad(self) -> pa.Table:
        """The pictures that were skipped, with the reasons."""
        return self.pictures.filter(pc.is_valid(self.pictures["reason"]))

    @property
    def steps(self) -> Mapping[str, Any]:
        """What was added to the study since: the options of each step, by its name (``network/step`` if of one)."""
        return {name: step["options"] for name, step in self.manifest["steps"].items()}

    def network(self, name: str) -> NetworkResults:
        """The results of one network. Raises StudyError if the study has none of that name."""
        if name not in self.networks:
            raise StudyError(f"{self.path} has no network {name!r}; it has {', '.join(self.networks)}")
        return NetworkResults(self, name, self.manifest["networks"][name])

    def explore(self, comparison: Study | str | Path | None = None) -> Explorer:
        """Its pages, served to this machine, which a notebook shows in a frame; as `layerscope.explore` says."""
        from layerscope.explorer.notebook import (
            explore,
        )  # the one import upwards: a method of what is at hand

        return explore(self, comparison)

    def add(
        self,
        step: str,
        results: Mapping[str, Content],
        *,
        network: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> Study:
        """The study with the results of a later step, which replace those that the same step had before.

        ``results``: name of the file, which may hold "/", without suffix for tables and arrays -> content.
        ``network``: whose they are; None: the study's own. At every moment the manifest is true: killed midway,
        the step is absent. If all is there already, nothing is written. Raises StudyError if a name is another
        step's, or nobody's file is in the way; OutputError if another process is at work here, or the disk is full.
        """
        with self.open_step(step, network=network, options=options) as opened:
            for name in results:
                opened.place(name)  # refuses, before anything is touched
            opened.put_all(results.items())
            opened.finish()
        return Study.open(self.path)

    def open_step(
        self, step: str, *, network: str | None = None, options: Mapping[str, object] | None = None
    ) -> AbstractContextManager[OpenStep]:
        """Hold the study and work on a step, file by file; for all at once there is `add`, which says more.

        The study itself stays as it was read: open it again afterwards.
        """
        folder = self.network(network).folder if network is not None else ""
        return open_step(self.path, folder, step, options or {})


@dataclass(frozen=True)
class NetworkResults:
    """The results of one network of a study."""

    study: Study = field(repr=False)
    name: str
    about: Mapping[str, Any] = field(repr=False)  #: what the manifest says of it

    @property
    def folder(self) -> str:
        """Where its results are, below the study's folder."""
        return str(self.about["folder"])

    @property
    def results(self) -> tuple[str, ...]:
        """Names of all its results, tables and arrays."""
        start = f"{self.folder}/"
        files = (file.removeprefix(start) for file in self.study.manifest["files"] if file.startswith(start))
        return tuple(file.removesuffix(".parquet").removesuffix(".npy") for file in files)

    @cached_property
    def layers(self) -> pa.Table:
        """The table of its layers, in the order they run."""
        return self.table("layers")

    def table(self, name: str) -> pa.Table:
        """The table of that name. Raises StudyError if there is none."""
        return read_table(self._file(f"{name}.parquet"))

    def array(self, name: str) -> Array:
        """The array of that name, mapped into memory, read-only. Raises StudyError if there is none."""
        return read_array(self._file(f"{name}.npy"))

    def file(self, name: str) -> Path:
        """Where the file of that name is, suffix included. Raises StudyError if there is none."""
        return self._file(name)

    def _file(self, name: str) -> Path:
        if f"{self.folder}/{name}" not in self.study.manifest["files"]:
            held = ", ".join(self.results[:8]) + (", ..." if len(self.results) > 8 else "")
            raise StudyError(f"{self.study.path} has no {name} of {self.name}; it has {held}")
        return self.study.path / self.folder / name
