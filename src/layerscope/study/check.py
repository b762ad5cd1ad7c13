"""Whether a study is whole: every fault by the file it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.disk.locks import LOCK
from layerscope.disk.tables import measure, read_table, shape_of
from layerscope.disk.whole import PARTIAL
from layerscope.errors import StudyError, said
from layerscope.study.manifest import BEGUN, MANIFEST, PICTURES, WORK, digest_of_inputs, read_manifest
from layerscope.study.notes import noted


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a study; its path is below the study's folder."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def check_study(path: str | Path) -> tuple[Fault, ...]:
    """Every fault of the study, in the order of the files; none: it is whole. Reads every file."""
    folder = Path(path)
    if not (folder / MANIFEST).exists():
        return (Fault(MANIFEST, _why_no_manifest(folder)),)
    try:
        manifest = read_manifest(folder)
    except StudyError as error:
        return (Fault(MANIFEST, _without_path(error, folder / MANIFEST)),)
    if not _has_digest(manifest):
        return (Fault(MANIFEST, "was changed: its inputs do not have its digest"),)
    found = [*_listed(folder, manifest), *_counts(folder, manifest), *_unlisted(folder, manifest)]
    return tuple(sorted(found, key=lambda fault: fault.file))


def _why_no_manifest(folder: Path) -> str:
    if not folder.is_dir():
        return "missing, and so is the folder; name that of a study"
    if (folder / BEGUN).exists():
        return (
            f"missing, the study is unfinished: {count_finished(folder / WORK)} shards are done; run the command that "
            "began it again, it goes on from there"
        )
    return "missing; this is no study"


def _has_digest(manifest: Mapping[str, Any]) -> bool:
    try:
        return bool(digest_of_inputs(manifest["inputs"]) == manifest["digest"])
    except RecursionError:
        return False


def _listed(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Fault]:
    for file, about in {MANIFEST: None, **manifest["files"]}.items():
        if link := _link(folder, file):
            yield Fault(file, f"a link, by {link}, to what may change elsewhere; put a copy in its place")
        elif about is not None and (wrong := _wrong_file(folder / file, about)):
            yield Fault(file, wrong)


def _link(folder: Path, file: str) -> str:
    """The part of a file's path that is a symbolic link; "" if none is."""
    path = folder / file
    parts = (path, *path.parents[: len(file.split("/")) - 1])
    return next((part.relative_to(folder).as_posix() for part in reversed(parts) if part.is_symlink()), "")


def _wrong_file(path: Path, about: Mapping[str, Any]) -> str:
    """Why the file is not the one the manifest lists; "" if it is."""
    if not path.is_file():
        return "missing"
    try:
        found = measure(path)
    except OSError as error:
        return f"cannot be read: {said(error)}"
    if found.size != about["bytes"]:
        how = "truncated" if found.size < about["bytes"] else "longer than it was"
        return f"{how}: {found.size} bytes, not {about['bytes']}"
    if found.sha256 != about["sha256"]:
        return f"changed: its SHA-256 begins {found.sha256[:16]}, not {about['sha256'][:16]}"
    try:
        shape = shape_of(path)
    except StudyError as error:
        return _without_path(error, path)
    listed = {name: about.get(name) for name in shape}
    return "" if shape == listed else f"holds {shape}, and {MANIFEST} says {listed}"


def _counts(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Fault]:
    """Tables whose number of rows contradicts what the manifest says of pictures and layers."""
    expected = {PICTURES: manifest["images"]["count"]}
    for network in manifest["networks"].values():
        expected[f"{network['folder']}/layers.parquet"] = network["layers"]
    for file, rows in expected.items():
        about = manifest["files"].get(file)
        if about is None:
            yield Fault(file, f"not listed in {MANIFEST}")
        elif about.get("rows") != rows:
            yield Fault(file, f"has {about.get('rows')} rows, not {rows}")
    about = manifest["files"].get(PICTURES)
    if about is not None and not _wrong_file(folder / PICTURES, about):
        table = read_table(folder / PICTURES)
        if "reason" not in table.column_names:
            yield Fault(PICTURES, "has no column 'reason'")
            return
        bad = len(table) - table["reason"].null_count
        if bad != manifest["images"]["bad"]:
            yield Fault(PICTURES, f"has {bad} bad pictures, not {manifest['images']['bad']}")


def _unlisted(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Fault]:
    known, unfinished = {MANIFEST, LOCK, *manifest["files"]}, noted(folder)
    for path in sorted(folder.rglob("*")):
        file = path.relative_to(folder).as_posix()
        if file in known or (
            path.is_dir() and (not path.is_symlink() or any(_link(folder, f) == file for f in known))
        ):
            continue
        if file in unfinished:
            yield Fault(file, f"of step {unfinished[file]}, which was interrupted; run it again, it goes on")
        elif file.startswith(f"{WORK}/") or path.name.startswith(PARTIAL):
            yield Fault(
                file, "left over from the making; remove it, or run the command that made the study again"
            )
        else:
            yield Fault(
                file,
                f"unknown: {MANIFEST} does not list it; it is another's",
            )


def _without_path(error: StudyError, path: Path) -> str:
    return str(error).removeprefix(f"{path} ")


def count_finished(folder: Path) -> int:
    """How many shards, of all networks, are finished below a folder."""
    return sum(1 for _ in folder.glob("*/shard-*.npz"))
