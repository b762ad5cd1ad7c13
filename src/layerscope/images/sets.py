"""Image sets: pictures in a fixed order with their names and labels, whatever they are kept in."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from layerscope.errors import ImageError, said, shown
from layerscope.images.band_files import band_files, band_names, plain_name
from layerscope.images.bands import Decoded
from layerscope.images.datasets import ItemLabels, item_labels, read_item
from layerscope.images.decoding import decode_files, encoded_files
from layerscope.images.finding import find_images, folder_of
from layerscope.images.tar_shards import Span, expand_shards, read_span, shard_samples

__all__ = ["ImageSet", "Loaded", "open_images"]

Labels = ItemLabels | Literal["folders"]

_Labelled = tuple[tuple[int, ...] | None, tuple[str, ...] | None]  # labels and classes
_NO_LABELS: _Labelled = None, None


@dataclass(frozen=True)
class Loaded:
    """A decoded picture, upright; 16 hex digits (blake2b) of its encoded bytes, "" where it has none."""

    image: Decoded
    digest: str


@dataclass(frozen=True, eq=False)
class ImageSet(ABC):
    """Pictures in a fixed order; the index of one is its place in it. Threads may share a set; it pickles.

    Names are unique and do not depend on where the set is kept; a label is an index into the classes, or -1
    where unknown. The digest (sha256) covers what is known without decoding: names, sizes in bytes, labels.
    Raises ImageError for a set that is empty, has a name twice, or labels that do not fit.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    classes: tuple[str, ...] | None
    description: str
    digest: str
    sources: tuple[str, ...] = field(default=(), kw_only=True)  #: whole paths that open it again; (): none do

    def __post_init__(self) -> None:
        if not self.names:
            raise ImageError(f"{self.description}: no picture here; name a place that has some")
        if len(set(self.names)) < len(self.names):
            name = next(name for name, uses in Counter(self.names).items() if uses > 1)
            raise ImageError(f"{self.description}: {shown(name)} is there twice; leave one out")
        _check_labels(self)

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def load(self, index: int) -> Loaded:
        """The picture at a place; raises ImageError, with the reason alone, if it is no usable picture."""


def open_images(source: Any, *, labels: Labels | None = None) -> ImageSet:
    """The image set at a place or a list of places; what the source is says how it is read.

    - folders and files: searched as `find_images` does; with labels="folders", DIR/class/... of one DIR
    - files of one band each, in braces: ``DIR/*/{B04,B03,B02}.tif`` is a picture for each folder of DIR
    - a list file: .txt, one path a line, a tab and its label may follow; .csv, columns path and perhaps label.
      Paths are relative to the list; labels are all integers or all names of classes, -1 where unknown
    - WebDataset shards: .tar files, braces expand (train-{000..146}.tar); labels from .cls
    - an indexed data set as torch's: items RGB or grey PIL pictures or arrays (height, width, channels), or pairs
      (picture, label); labels are its targets, or those given, or with "items" found by reading every item once
    - an ImageSet: itself. "none" leaves labels out.
    Raises ImageError for what is absent, empty, unreadable or contradicts itself.
    """
    if isinstance(source, ImageSet):
        return source
    places = [source] if isinstance(source, (str, os.PathLike)) else source
    if not isinstance(places, (list, tuple)) or not all(isinstance(p, (str, os.PathLike)) for p in places):
        return _dataset_images(source, labels)
    if not places:
        raise ImageError("no picture: the list of places is empty; name a folder, files, a list or shards")
    if labels is not None and (not isinstance(labels, str) or labels not in {"folders", "none"}):
        raise ImageError(f"labels={labels!r:.60} does not go with files; put the labels into a list file")
    named = [os.fspath(place) for place in places]
    whole = tuple(str(Path(place).absolute()) for place in named)
    return replace(_images_at(named, labels), sources=whole)


def _images_at(places: Sequence[str], labels: object) -> ImageSet:
    kinds = {_kind(place) for place in places}
    if kinds == {"shard"} and labels != "folders":
        return _shard_images(places, labelled=labels is None)
    if kinds == {"list"} and labels != "folders" and len(places) == 1:
        return _list_images(Path(places[0]), labelled=labels is None)
    one = len(places) == 1 and kinds <= {"folder", "bands"}
    if kinds <= {"file", "folder", "bands"} and (labels != "folders" or one):
        return _found_images(places, by_folder=labels == "folders")
    if labels == "folders":
        held = "is no folder" if Path(places[0]).exists() else "there is no such folder"
        why = f"{_described(places)}: {held if len(places) == 1 else 'several places'}"
        raise ImageError(f"{why}; labelling by folders needs one folder that holds a folder for each class")
    raise ImageError("several list files, or shards or a list among pictures; name one kind, and one list")


def _kind(place: str) -> str:
    if Path(place).is_dir():
        return "folder"
    name = place.lower()
    if name.endswith((".tar", ".tar.gz", ".tgz")):
        return "shard"
    if band_names(place):
        return "bands"
    return "list" if name.endswith((".txt", ".csv")) else "file"


# ------------------------------------------------------------------ what every set needs


def _digest(names: Sequence[str], sizes: Iterable[int], labelled: _Labelled, kind: str = "") -> str:
    """Of names, sizes and labels, in order; a name holds no zero byte, so nothing runs together."""
    labels, classes = labelled
    known = hashlib.sha256(repr((kind, labels is not None, classes)).encode())
    for name, size, label in zip(names, sizes, labels or (-1,) * len(names), strict=True):
        known.update(f"{name}\0{size}\0{label}\0".encode())
    return known.hexdigest()


def _check_labels(images: ImageSet) -> None:
    if images.labels is None:
        return
    if len(images.labels) != len(images):
        raise ImageError(
            f"{images.description}: {len(images.labels)} labels for {len(images)} pictures; give each one"
        )
    highest = len(images.classes) if images.classes is not None else max(images.labels) + 1
    if not -1 <= min(images.labels) <= max(images.labels) < highest:
        raise ImageError(
            f"{images.description}: labels from {min(images.labels)} to {max(images.labels)}; "
            f"they are indices of {highest} classes, or -1"
        )


def _labels_from(texts: Sequence[str | None], places: Sequence[str]) -> _Labelled:
    """Labels and classes from what is written, all integers or all names; the places are for the error."""
    if all(text is None for text in texts):
        return None, None
    gap = next((place for text, place in zip(texts, places, strict=True) if text is None), None)
    if gap is not None:
        raise ImageError(
            f"{shown(gap)}: no label, though others have one; give each its label, or -1 if unknown"
        )
    written = [str(text) for text in texts]
    if all(re.fullmatch(r"-1|[0-9]+", text) for text in set(written)):
        return tuple(map(int, written)), None
    classes = tuple(sorted(set(written) - {"-1"}))
    index = {name: number for number, name in enumerate(classes)} | {"-1": -1}
    return tuple(index[text] for text in written), classes


def _loaded(encoded: Sequence[bytes], path: Path) -> Loaded:
    known = hashlib.blake2b(digest_size=8)
    for part in encoded:
        known.update(part)
    return Loaded(decode_files(encoded, path), known.hexdigest())


def _printable(name: str) -> str:
    """A name as UTF-8 can hold it: bytes of a file's name that are none are written as escapes."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode("utf-8")


def _name(place: str) -> str:
    """A place below the root with slashes; the very same string where it has them, which saves a copy of each."""
    return _printable(place if os.sep == "/" else place.replace(os.sep, "/"))


def _described(places: Sequence[str]) -> str:
    return shown(places[0]) if len(places) == 1 else f"{shown(places[0])} and {len(places) - 1} more"


# ------------------------------------------------------------------ files


@dataclass(frozen=True, eq=False)
class _Files(ImageSet):
    root: str
    places: tuple[str, ...]  # below the root, as the system spells them

    def load(self, index: int) -> Loaded:
        path = Path(self.root, self.places[index])
        return _loaded(encoded_files(path), path)


def _found_images(places: Sequence[str], *, by_folder: bool) -> ImageSet:
    """Named below the deepest folder that all places share, so that a new picture renames no other."""
    anchored = [Path.cwd() / place for place in places]
    root = _common_root([folder_of(place) for place in anchored])
    found = find_images(anchored)
    below = tuple(str(path)[len(root) :] for path in found)
    labels = _folder_labels(folder_of(anchored[0]), below) if by_folder else _NO_LABELS
    return _files(root, below, [_size(path) for path in found], labels, _described(places))


def _files(
    root: str, places: tuple[str, ...], sizes: Sequence[int], labels: _Labelled, description: str
) -> ImageSet:
    names = tuple(_name(plain_name(place)) for place in places)
    return _Files(names, *labels, description, _digest(names, sizes, labels), root, places)


def _common_root(folders: Iterable[Path]) -> str:
    """The deepest folder above all of these, ending in a separator; "" where they are on different drives."""
    spelled = [os.path.join(folder, "") for folder in folders]  # noqa: PTH118 - a Path ends in no separator
    try:
        return os.path.join(os.path.commonpath([min(spelled), max(spelled)]), "")  # noqa: PTH118
    except ValueError:
        return ""


def _size(path: Path) -> int:
    """In bytes, of all bands; -1 if a file is gone or out of reach, of which loading it will say the reason."""
    try:
        return sum(file.stat().st_size for file in band_files(path))
    except (OSError, ValueError):
        return -1


def _folder_labels(top: Path, below: Sequence[str]) -> _Labelled:
    """The class of a picture is the folder of ``top`` that it lies in; classes are sorted by name."""
    stray = next((place for place in below if os.sep not in place), None)
    if stray is not None:
        raise ImageError(f"{shown(str(top / stray))}: lies in no class's folder; move it into one, or away")
    classes = tuple(sorted(entry.name for entry in top.iterdir() if entry.is_dir() and entry.name[0] != "."))
    written = [place.partition(os.sep)[0] for place in below]
    empty = sorted(set(classes) - set(written))
    if empty:
        raise ImageError(f"{shown(str(top / empty[0]))}: a class without pictures; fill or remove the folder")
    index = {name: number for number, name in enumerate(classes)}
    return tuple(index[name] for name in written), tuple(map(_printable, classes))


# ------------------------------------------------------------------ list files


@dataclass(frozen=True)
class _Line:
    number: int
    place: str
    label: str | None


def _list_images(path: Path, *, labelled: bool) -> ImageSet:
    """Named as in the list, or below the deepest common folder where the list has absolute paths."""
    listed, folder = shown(str(path)), Path.cwd() / path.parent
    lines = _lines(path)
    files = [folder / line.place for line in lines]
    absolute = any(Path(line.place).is_absolute() for line in lines)
    root = _common_root({file.parent for file in files} if absolute else {folder})
    sizes = [_size(file) for file in files]
    if -1 in sizes:
        line = lines[sizes.index(-1)]
        raise ImageError(
            f"{listed}: line {line.number}: {shown(line.place)} cannot be reached (of {len(sizes)}, "
            f"{sizes.count(-1)} cannot); paths are relative to the list, and a tab stands before a label"
        )
    where = [f"{listed}: line {line.number}" for line in lines]
    labels = _labels_from([line.label for line in lines], where) if labelled else _NO_LABELS
    return _files(root, tuple(str(file)[len(root) :] for file in files), sizes, labels, listed)


def _lines(path: Path) -> list[_Line]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_table(file) if path.suffix.lower() == ".csv" else _plain(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(
            f"{shown(str(path))}: cannot be read ({said(error)}); check that it is there, and UTF-8"
        ) from error
    except ImageError as error:
        raise ImageError(f"{shown(str(path))}: {error}") from error


def _plain(file: Iterable[str]) -> Iterator[_Line]:
    for number, line in enumerate(file, 1):
        place, *labels = line.rstrip("\r\n").split("\t")
        if len(labels) > 1 or (labels and not place):
            raise ImageError(f"line {number}: not a path, nor a path, a tab and a label; correct it")
        if place:
            yield _Line(number, place, (labels[0].strip() or None) if labels else None)


def _table(file: Iterable[str]) -> Iterator[_Line]:
    rows = csv.DictReader(file, strict=True)
    if "path" not in (rows.fieldnames or ()):
        raise ImageError("line 1: names no column path; begin with the line path, or path,label")
    for row in rows:
        if not row["path"]:
            raise ImageError(f"line {rows.line_num}: no path; give one, or remove the line")
        yield _Line(rows.line_num, row["path"], (row.get("label") or "").strip() or None)


# ------------------------------------------------------------------ WebDataset shards


@dataclass(frozen=True, eq=False)
class _TarShards(ImageSet):
    shards: tuple[Path, ...]
    spans: npt.NDArray[np.int64]  # (pictures, 3): shard, first byte, number of bytes

    def load(self, index: int) -> Loaded:
        shard, start, size = self.spans[index].tolist()
        return _loaded([read_span(self.shards[shard], Span(start, size))], self.shards[shard])


def _shard_images(places: Sequence[str], *, labelled: bool) -> ImageSet:
    """Named SHARD/KEY, the shard below the deepest folder that all of them share."""
    shards = tuple(shard for place in places for shard in expand_shards(place))
    root = _common_root({shard.parent for shard in shards})
    names: list[str] = []
    texts: list[str | None] = []
    spans: list[tuple[int, int, int]] = []
    for number, shard in enumerate(shards):
        name = _name(str(shard)[len(root) :])
        samples = shard_samples(shard)
        names += [f"{name}/{_printable(sample.key)}" for sample in samples]
        texts += [sample.label for sample in samples]
        spans += [(number, sample.picture.start, sample.picture.size) for sample in samples]
    labels = _labels_from(texts, names) if labelled else _NO_LABELS
    digest = _digest(names, (size for _, _, size in spans), labels)
    placed = np.array(spans, np.int64).reshape(-1, 3)
    return _TarShards(tuple(names), *labels, _described(places), digest, shards, placed)


# ------------------------------------------------------------------ data sets in Python


@dataclass(frozen=True, eq=False)
class _Dataset(ImageSet):
    items: Any

    def load(self, index: int) -> Loaded:
        return Loaded(read_item(self.items, index), "")


def _dataset_images(items: Any, labels: Labels | None) -> ImageSet:
    """Named by index; the digest covers the type of the data set, its length and its labels."""
    kind = f"{type(items).__module__}.{type(items).__qualname__}"
    if not hasattr(items, "__getitem__") or not hasattr(items, "__len__"):
        raise ImageError(f"{kind}: neither paths nor a data set with a length and items by index; give one")
    if isinstance(labels, str) and labels not in {"items", "none"}:
        raise ImageError(
            f'{kind}: labels={labels!r} does not go with a data set; use "items", or give the labels'
        )
    names = tuple(map(str, range(len(items))))
    try:
        known = item_labels(items, labels)
    except ImageError as error:
        raise ImageError(f"{kind}: {error}") from error
    return _Dataset(names, *known, kind, _digest(names, (-1,) * len(names), known, kind), items)


# ------------------------------------------------------------------ a part of another


@dataclass(frozen=True, eq=False)
class _Chosen(ImageSet):
    images: ImageSet
    places: tuple[int, ...]

    def load(self, index: int) -> Loaded:
        return self.images.load(self.places[index])


def file_of(images: ImageSet, index: int) -> Path | None:
    """The file of a picture; None: it has none of its own."""
    if isinstance(images, _Chosen):
        return file_of(images.images, images.places[index])
    return Path(images.root, images.places[index]) if isinstance(images, _Files) else None


def choose_images(images: ImageSet, places: Sequence[int]) -> ImageSet:
    """Some pictures of a set, in the order given; their names and labels stay. Raises ImageError for none."""
    names = tuple(images.names[place] for place in places)
    labels = None if images.labels is None else tuple(images.labels[place] for place in places)
    digest = _digest(names, (-1,) * len(names), (labels, images.classes), images.digest)
    return _Chosen(names, labels, images.classes, images.description, digest, images, tuple(places))
