"""Whether a study is whole: every fault by the file it is in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.disk.locks import LOCK
from layerscope.disk.tables import measure, read_json, read_table, shape_of
from layerscope.disk.whole import PARTIAL
from layerscope.errors import StudyError
from layerscope.study.folder import BEGUN, FORMAT, MANIFEST, PICTURES, WORK, is_plain, lacking


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
        manifest = read_json(folder / MANIFEST)
    except StudyError as error:
        return (Fault(MANIFEST, _without_path(error, folder / MANIFEST)),)
    if wrong := _wrong_manifest(manifest):
        return (Fault(MANIFEST, wrong),)
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


def _wrong_manifest(manifest: Mapping[str, Any]) -> str:
    """Why the manifest cannot be trusted; "" if it can."""
    if manifest.get("format") != FORMAT:
        return f"has format {manifest.get('format')}, and this layerscope reads format {FORMAT}"
    if lacks := lacking(manifest):
        return f"is damaged: it has no {lacks!r}"
    inputs = json.dumps(manifest["inputs"], sort_keys=True)
    if hashlib.sha256(inputs.encode()).hexdigest() != manifest["digest"]:
        return "was changed: its inputs do not have its digest"
    outside = next((file for file in manifest["files"] if not is_plain(file)), None)
    return "" if outside is None else f"was changed: {outside!r} is no file of a study"


def _listed(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Fault]:
    for file, about in manifest["files"].items():
        if wrong := _wrong_file(folder / file, about):
            yield Fault(file, wrong)


def _wrong_file(path: Path, about: Mapping[str, Any]) -> str:
    """Why the file is not the one the manifest lists; "" if it is."""
    if not path.is_file():
        return "missing"
    try:
        found = measure(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if found.size != about["bytes"]:
        how = "truncated" if found.size < about["bytes"] else "longer than it was"
        return f"{how}: {found.size} bytes, not {about['bytes']}"
    if found.sha256 != about["sha256"]:
        return f"changed: its SHA-256 begins {found.sha256[:16]}, not {about['sha256'][:16]}"
    try:
        shape = shape_of(path)
    except StudyError as error:
        return _without_path(error, path)
    said = {name: about.get(name) for name in shape}
    return "" if shape == said else f"holds {shape}, and {MANIFEST} says {said}"


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
    if not _wrong_file(folder / PICTURES, manifest["files"].get(PICTURES, {"bytes": -1})):
        reasons = read_table(folder / PICTURES)["reason"]
        bad = len(reasons) - reasons.null_count
        if bad != manifest["images"]["bad"]:
            yield Fault(PICTURES, f"has {bad} bad pictures, not {manifest['images']['bad']}")


def _unlisted(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Fault]:
    known = {MANIFEST, LOCK, *manifest["files"]}
    for path in sorted(folder.rglob("*")):
        file = path.relative_to(folder).as_posix()
        if path.is_dir() or file in known:
            continue
        if file.startswith(f"{WORK}/") or path.name.startswith(PARTIAL):
            yield Fault(
                file, "left over from the making; remove it, or run the command that made the study again"
            )
        else:
            yield Fault(
                file,
                f"unknown: {MANIFEST} does not list it; it is another's, or of a step that was interrupted",
            )


def _without_path(error: StudyError, path: Path) -> str:
    return str(error).removeprefix(f"{path} ")


def count_finished(folder: Path) -> int:
    """How many shards, of all networks, are finished below a folder."""
    return sum(1 for _ in folder.glob("*/shard-*.npz"))
