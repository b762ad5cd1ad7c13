"""study.json, the manifest: what a study is of and every file it holds, under a checksum of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from layerscope.disk.locks import LOCK
from layerscope.disk.names import is_plain
from layerscope.disk.tables import (
    Content,
    Written,
    json_bytes,
    parse_json,
    publish,
    publish_content,
    read_bytes,
    shape_of,
)
from layerscope.errors import StudyError

FORMAT = 1  #: of the folder; raised when a reader of the old one could not read the new one
MANIFEST = "study.json"
PICTURES = "pictures.parquet"
WORK = "work"
SOURCES = "sources"  #: the step that says where pictures and networks are
BEGUN = f"{WORK}/begun.json"  #: what an unfinished study is of

RESERVED = frozenset({MANIFEST, PICTURES, LOCK, WORK})
Facts = dict[str, Any]  #: what the manifest says of one file

_CHECKSUM = "checksum"
_SEAL = b',\n "checksum": "%s"\n}\n'  # how a manifest ends
_EACH = "*"  # in place of a name that can be any
PARTS: Mapping[str, Any] = {
    "format": int,
    "digest": str,
    "inputs": {"networks": {_EACH: {"digest": str, "dtype": str, "preprocessing": {}}}},
    "made_with": {},
    "threads": int,
    "images": {"count": int, "bad": int},
    "networks": {_EACH: {"folder": str, "layers": int}},
    "steps": {_EACH: {"options": {}, "files": list}},
    "files": {_EACH: {"bytes": int, "sha256": str}},
}  #: what a manifest must have, and of which kind


# ------------------------------------------------------------------ the file


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Publish the manifest, as `sealed` says."""
    publish(folder / MANIFEST, [sealed(manifest)])


def sealed(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as JSON that ends with its checksum: the SHA-256 of all bytes that stand before it."""
    content = {name: part for name, part in manifest.items() if name != _CHECKSUM}
    head = json_bytes(content).removesuffix(b"\n}\n")
    return head + _SEAL % hashlib.sha256(head).hexdigest().encode()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the study in a folder. Raises StudyError unless it is whole, of this format, and plain."""
    path = folder / MANIFEST
    data = read_bytes(path)
    manifest = parse_json(path, data)
    if wrong := _wrong_format(manifest):
        raise StudyError(f"{path} {wrong}; use the layerscope that made it, or make the study anew")
    if wrong := next(_wrong_parts(data, manifest), ""):
        raise StudyError(f"{path} {wrong}; put back the one that was written, or make the study anew")
    return manifest


def digest_of_inputs(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of all that results depend on. Raises RecursionError for what is nested deeper than any of ours."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def has_checksum(manifest: Mapping[str, Any]) -> bool:
    """Whether the manifest was written with a checksum, as all are by now."""
    return _CHECKSUM in manifest


def _wrong_format(manifest: Mapping[str, Any]) -> str:
    given = manifest.get("format", FORMAT)
    if type(given) is int:
        return "" if given == FORMAT else f"has format {given}, and this layerscope reads format {FORMAT}"
    kind = "text" if isinstance(given, str) else "no whole number"
    return f"has format {json.dumps(given):.40}, which is {kind}, and this layerscope reads format {FORMAT}"


def _wrong_parts(data: bytes, manifest: Mapping[str, Any]) -> Iterator[str]:
    """All that is wrong with a manifest."""
    if has_checksum(manifest):
        head, _, _ = data.rpartition(_SEAL.partition(b"%s")[0])
        if data != head + _SEAL % hashlib.sha256(head).hexdigest().encode():
            yield "was changed or is damaged: it does not have its checksum"
    elif unknown := [name for name in manifest if name not in PARTS]:
        yield f"is damaged: {unknown[0]!r} is no part of a manifest"
    if lacks := lacking(manifest, PARTS):
        yield f"is damaged: it has no {lacks!r}"
        return
    folders = {f"networks.{name}.folder": about["folder"] for name, about in manifest["networks"].items()}
    for place, name in (*folders.items(), *((file, file) for file in manifest["files"])):
        if not is_plain(name) or (name != PICTURES and name.split("/")[0] in RESERVED):
            yield f"was changed: {place!r} is no {'file' if place == name else 'folder'} of a study"
    for step, about in manifest["steps"].items():
        if odd := [
            file for file in about["files"] if not isinstance(file, str) or file not in manifest["files"]
        ]:
            yield f"was changed: step {step!r} has {odd[0]!r:.80}, which is not among the files"
    if strange := manifest["networks"].keys() ^ manifest["inputs"]["networks"].keys():
        yield f"was changed: {min(strange)!r} is a network of its results or its inputs only"


def lacking(content: Mapping[str, Any], parts: Mapping[str, Any], place: str = "") -> str:
    """The first part that should be there and is not, or is of another kind; "" if there is none."""
    for name, kind in parts.items():
        for key in content if name == _EACH else (name,):
            here, value = f"{place}{key}", content.get(key)
            if type(value) is not (dict if isinstance(kind, Mapping) else kind):
                return here
            if isinstance(value, dict) and (inner := lacking(value, kind, f"{here}.")):
                return inner
    return ""


# ------------------------------------------------------------------ what is in it


def without_step(manifest: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The manifest without a step and its files; the same if it has no such step."""
    gone = set(manifest["steps"].get(step, {"files": []})["files"])
    steps = {name: about for name, about in manifest["steps"].items() if name != step}
    files = {name: about for name, about in manifest["files"].items() if name not in gone}
    return {**manifest, "steps": steps, "files": files}


def with_step(
    manifest: Mapping[str, Any], step: str, options: Mapping[str, Any], files: Mapping[str, Facts]
) -> dict[str, Any]:
    """The manifest with a step in place of the one of that name; its place does not depend on when it was done."""
    others = without_step(manifest, step)
    steps = {**others["steps"], step: {"options": options, "files": sorted(files)}}
    return {
        **others,
        **{"steps": dict(sorted(steps.items())), "files": dict(sorted({**others["files"], **files}.items()))},
    }


def facts(path: Path, written: Written) -> Facts:
    """What the manifest says of a file."""
    return {"bytes": written.size, "sha256": written.sha256, **shape_of(path)}


def publish_result(folder: Path, stem: str, content: Content) -> dict[str, Facts]:
    """Write one result; what the manifest says of it, by its path below the study's folder."""
    path, written = publish_content(folder / stem, content)
    return {path.relative_to(folder).as_posix(): facts(path, written)}


def join(folder: str, name: str) -> str:
    """The path of a result below the study's folder. Raises StudyError if it cannot name a file everywhere."""
    path = f"{folder}/{name}" if folder else name
    if not is_plain(path) or path.split("/")[0] in RESERVED:
        raise StudyError(
            f"{name!r} cannot name a result; use letters, digits, _ @ + . - ~ and / between folders, and not "
            + ", ".join(sorted(RESERVED))
        )
    return path


def same_place(stem: str, files: Iterable[str]) -> str:
    """The first of the files that a result called ``stem`` would be taken for; "" if there is none."""
    return min({stem, f"{stem}.parquet", f"{stem}.npy"}.intersection(files), default="")
