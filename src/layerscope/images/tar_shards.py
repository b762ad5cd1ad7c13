"""WebDataset shards: where each picture lies in plain tar files, found from their headers and read by place."""

from __future__ import annotations

import importlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from layerscope.errors import ImageError, one_line, said, shown
from layerscope.images.bands import SUFFIX
from layerscope.images.decoding import check_bytes
from layerscope.images.finding import SUFFIXES

__all__ = ["Sample", "Span", "expand_shards", "read_span", "shard_samples"]

_META = re.compile(r"__[^/]*__($|/)")  # members that WebDataset keeps for itself

_RANGE = re.compile(r"\{(-?\d{1,99})\.\.(-?\d{1,99})(?:\.\.(-?\d{1,99}))?\}")
MAX_SHARDS = 1_000_000  #: that one pattern may stand for


@dataclass(frozen=True, slots=True)
class Span:
    """Where the bytes of one member lie in its tar file."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a shard: WebDataset's key, its bytes' place, and what its .cls says, if it has one."""

    key: str
    picture: Span
    label: str | None


def expand_shards(pattern: str) -> list[Path]:
    """The shards that a pattern with braces stands for, as WebDataset expands it; an existing file is itself.

    Raises ImageError for addresses: pictures are read in any order, which only a disk gives.
    """
    if Path(pattern).exists():
        return [Path.cwd() / pattern]
    if "://" in pattern or pattern.startswith("pipe:"):
        raise ImageError(
            f"{shown(pattern)}: pictures are read in any order, so from disk; copy the shards here"
        )
    ranges = [
        max(1, abs(int(last) - int(first)) // max(1, abs(int(step or 1))))
        for first, last, step in _RANGE.findall(pattern)
    ]
    if (count := prod(ranges)) > MAX_SHARDS:
        raise ImageError(
            f"{shown(pattern)}: stands for some {count} shards, over {MAX_SHARDS}; correct the braces"
        )
    try:
        return [Path.cwd() / place for place in _webdataset("shardlists").expand_urls(pattern)]
    except (AssertionError, ValueError) as error:  # a variable that is not set; braces that do not close
        raise ImageError(f"{shown(pattern)}: cannot be expanded ({said(error)}); correct it") from error


def shard_samples(shard: Path) -> list[Sample]:
    """The samples with a picture, in the shard's order, grouped as WebDataset groups them; no picture is read.

    The picture of a sample is its only field that ends in one of SUFFIXES, or of several the one named by the
    ending alone: 7.jpg, beside 7.mask.png. A sample without any may have one in `.npy`.
    Raises ImageError for a shard that cannot be read or is compressed, and for a sample with two pictures.
    """
    group = _webdataset("tariterators").group_by_keys
    try:
        with shard.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            samples = [_sample(fields, file) for fields in group(_members(tar))]
            _check_end(file, tar)
            return [sample for sample in samples if sample is not None]
    except ImageError as error:
        raise ImageError(f"{shown(str(shard))}: {error}") from error
    except ValueError as error:  # of WebDataset's grouping, beginning with the member's name
        member = shown(str(error.args[0]).partition(": ")[0])
        raise ImageError(f"{shown(str(shard))}: {member} is there twice; make the shard anew") from error
    except (OSError, tarfile.TarError) as error:
        remedy = "copy it again if it is cut off, unpack it to .tar if it is compressed"
        raise ImageError(f"{shown(str(shard))}: cannot be read ({said(error)}); {remedy}") from error


def _check_end(file: BinaryIO, tar: tarfile.TarFile) -> None:
    """The archive ends in zeros; tarfile also takes the end of the file for it, or a header it cannot read."""
    if _bytes(file, Span(tar.offset, tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        raise ImageError(
            f"no end of the archive at byte {tar.offset}: it is cut off or damaged; copy it again"
        )


def read_span(shard: Path, span: Span) -> bytes:
    """The bytes of one member; raises ImageError, with the reason alone, if they are no longer there."""
    check_bytes(span.size)
    try:
        with shard.open("rb") as file:
            encoded = _bytes(file, span)
    except OSError as error:
        raise ImageError(f"its shard cannot be read ({said(error)}); put it back") from error
    if len(encoded) < span.size:
        raise ImageError("its shard is shorter than it was; copy the shard again")
    return encoded


def _bytes(file: BinaryIO, span: Span) -> bytes:
    file.seek(span.start)
    return file.read(span.size)


def _members(tar: tarfile.TarFile) -> Iterator[dict[str, object]]:
    """The files in a shard as WebDataset's grouping takes them, with the place of the contents for them."""
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined] # or it keeps every header
        if member.issparse():
            raise ImageError(
                f"{shown(member.name)} is stored with holes; make the shard anew without --sparse"
            )
        if member.isreg() and not _META.match(member.name):
            yield {"fname": member.name, "data": Span(member.offset_data, member.size), "__url__": ""}


def _sample(fields: dict[str, Any], file: BinaryIO) -> Sample | None:
    key = fields["__key__"]
    named = {e: f".{e.rpartition('.')[2]}" for e in fields if not e.startswith("__")}
    endings = [e for e, kind in named.items() if kind in SUFFIXES]
    endings = endings or [e for e, kind in named.items() if kind == SUFFIX]
    pictures = [e for e in endings if "." not in e] if len(endings) > 1 else endings
    if not endings:
        return None
    if len(pictures) != 1:
        raise ImageError(
            f"sample {shown(key)} has several pictures ({one_line(', '.join(endings)):.60}); keep one of each, and "
            "bands in one file, .npy or TIFF of a page per band"
        )
    label = _bytes(file, fields["cls"]).decode(errors="replace").strip() if "cls" in fields else None
    return Sample(key, fields[pictures[0]], label)


def _webdataset(part: str) -> Any:
    try:
        return importlib.import_module(f"webdataset.{part}")
    except ModuleNotFoundError as error:
        raise ImageError("tar shards need another library: pip install 'layerscope[tar]'") from error
