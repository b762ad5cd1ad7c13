"""The study: the folder that holds all results of one run, and what is read from it without computing anything.

``study.json``, the manifest, is written last and lists every other file; a folder without it is unfinished. Files
are described in docs/study-format.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from layerscope.disk.locks import LOCK, lock
from layerscope.disk.tables import (
    Array,
    Content,
    Written,
    publish_content,
    publish_json,
    read_array,
    read_json,
    read_table,
    shape_of,
)
from layerscope.disk.whole import remove_partials
from layerscope.errors import StudyError

FORMAT = 1  #: of the folder; raised when a reader of the old one could not read the new one
MANIFEST = "study.json"
PICTURES = "pictures.parquet"
WORK = "work"
BEGUN = f"{WORK}/begun.json"  #: what an unfinished study is of

RESERVED = frozenset({MANIFEST, PICTURES, LOCK, WORK})
_PARTS = {
    "digest": str,
    "inputs": dict,
    "made_with": dict,
    "threads": int,
    "images": dict,
    "networks": dict,
    "steps": dict,
    "files": dict,
}  # of the manifest
_INNER = {
    "networks": ("folder",),
    "steps": ("options", "files"),
    "files": ("bytes", "sha256"),
}  # of each one in them
_PART = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9_@+.-]*")


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
        manifest = read_json(folder / MANIFEST)
        if manifest.get("format") != FORMAT:
            raise StudyError(
                f"{folder} has format {manifest.get('format')}, this layerscope reads format {FORMAT}; "
                "use the layerscope that made it, or make it anew"
            )
        if lacks := lacking(manifest):
            raise StudyError(f"{folder / MANIFEST} is damaged: it has no {lacks!r}; make the study anew")
        if outside := [file for file in manifest.get("files", ()) if not is_plain(file)]:
            raise StudyError(
                f"{folder / MANIFEST} was changed: {outside[0]!r} is no file of a study; make it anew"
            )
        return cls(folder, manifest)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the results depend on: networks, weights, pictures, options."""
        return str(self.manifest["digest"])

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
        the step is absent. Raises StudyError if a name is another step's; OutputError if another process
        is at work here, or the disk is full.
        """
        folder = self.network(network).folder if network is not None else ""
        named = {join(folder, name): content for name, content in results.items()}
        whole = join(folder, step)
        with lock(self.path):
            remove_partials(self.path)
            before = read_json(self.path / MANIFEST)
            kept = without_step(before, whole)
            _refuse_others(self.path, named, kept["files"])
            publish_json(self.path / MANIFEST, kept)
            for file in before["files"].keys() - kept["files"].keys():
                (self.path / file).unlink(missing_ok=True)
            files: dict[str, Any] = {}
            for stem, content in named.items():
                files |= publish_result(self.path, stem, content)
            kept["steps"][whole] = {"options": dict(options or {}), "files": sorted(files)}
            kept["files"] = dict(sorted({**kept["files"], **files}.items()))
            publish_json(self.path / MANIFEST, kept)
        return Study.open(self.path)


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


# ------------------------------------------------------------------ writing, for those who make or add


def publish_result(folder: Path, stem: str, content: Content) -> dict[str, dict[str, Any]]:
    """Write one result; what the manifest says of it, by its path below the study's folder."""
    path, written = publish_content(folder / stem, content)
    return {path.relative_to(folder).as_posix(): facts(path, written)}


def facts(path: Path, written: Written) -> dict[str, Any]:
    """What the manifest says of a file."""
    return {"bytes": written.size, "sha256": written.sha256, **shape_of(path)}


def join(folder: str, name: str) -> str:
    """The path of a result below the study's folder. Raises StudyError if it cannot name a file everywhere."""
    path = f"{folder}/{name}" if folder else name
    if not is_plain(path) or path.split("/")[0] in RESERVED:
        raise StudyError(
            f"{name!r} cannot name a result; use letters, digits, _ @ + . - and / between folders, and not "
            + ", ".join(sorted(RESERVED))
        )
    return path


def lacking(manifest: Mapping[str, Any], parts: Iterable[str] = tuple(_PARTS)) -> str:
    """The first part that a manifest must have and has not, or has as something else; "" if there is none."""
    for name in parts:
        if not isinstance(manifest.get(name), _PARTS[name]):
            return name
        for inner in _INNER.get(name, ()):
            for key, about in manifest[name].items():
                if not isinstance(about, dict) or inner not in about:
                    return f"{name}.{key}.{inner}"
    return ""


def is_plain(path: str) -> bool:
    """Whether a path stays below the folder and can be written on every system."""
    return all(_PART.fullmatch(part) for part in path.split("/"))


def without_step(manifest: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The manifest without a step and its files; the same if it has no such step."""
    gone = set(manifest["steps"].get(step, {"files": []})["files"])
    steps = {name: about for name, about in manifest["steps"].items() if name != step}
    files = {name: about for name, about in manifest["files"].items() if name not in gone}
    return {**manifest, "steps": steps, "files": files}


def _refuse_others(folder: Path, stems: Iterable[str], files: Iterable[str]) -> None:
    held = set(files)
    for stem in stems:
        if same := held & {stem, f"{stem}.parquet", f"{stem}.npy"}:
            raise StudyError(f"{folder} has {min(same)} already, from another step; use another name")
