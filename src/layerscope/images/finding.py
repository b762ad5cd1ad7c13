"""Picture files in folders."""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from layerscope.errors import ImageError, one_line, said, shown
from layerscope.images.band_files import band_names, expand_bands, fixed_folder
from layerscope.images.bands import SUFFIX

_LOG = logging.getLogger(__name__)

SUFFIXES = frozenset(
    ".apng .avif .avifs .bmp .gif .jfif .jpe .jpeg .jpg .mpo .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)
"""The endings, in lower case, of the files looked for in folders: those of the formats that are read."""

_KINDS = 5  # of files passed over that are named


def find_images(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """The picture files at the given places, each file once, in the order given and sorted within a folder.

    A named file is taken whatever its ending; a folder is searched to its bottom for SUFFIXES in any case, and, if it
    has none of those, for `.npy`. Bands in braces are one picture, ``*`` standing for any part of a name.
    Hidden entries of a folder and whole folders of results of ours are left out, the latter with a warning; links
    are followed, and no folder is entered twice.
    How many other files a folder has, and of which kinds, is logged as a warning.
    Raises ImageError for a place that is absent, a folder that may not be read, or one without any picture.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        for picture in _pictures_at(path):
            found.setdefault(os.path.realpath(picture), picture)
    return tuple(found.values())


def folder_of(place: Path) -> Path:
    """The folder that all pictures of a place lie in."""
    if band_names(place):
        return fixed_folder(place)
    return place if place.is_dir() else place.parent


def _pictures_at(path: Path) -> tuple[Path, ...]:
    if band_names(path):
        return expand_bands(path)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        raise ImageError(f"{shown(path)}: cannot be reached ({said(error)}); check the path") from error
    if not is_folder:
        return (path,)
    others: Counter[str] = Counter()
    found = tuple(_pictures_below(path, others))
    arrays = tuple(picture for picture in found if picture.suffix.lower() == SUFFIX)
    pictures = found if len(arrays) == len(found) else tuple(p for p in found if p not in {*arrays})
    if len(pictures) < len(found):
        others[SUFFIX] += len(arrays)
    if not pictures:
        looked_for = " ".join(sorted({*SUFFIXES, SUFFIX}))
        held = (
            "no picture of yours but results"
            if _results(path, _names(path))
            else f"no picture ({looked_for})"
        )
        raise ImageError(f"{shown(path)}: {held} in this folder; name the files")
    if others:
        _LOG.warning("%s: passed over %s", shown(path), _counted(others))
    return pictures


def _counted(endings: Counter[str]) -> str:
    """How many files, and of which kinds, the most frequent first: ``3 files: 2 .heic, 1 without an ending``."""
    kinds = sorted(endings.items(), key=lambda kind: (-kind[1], kind[0]))
    parts = [f"{count} {ending or 'without an ending'}" for ending, count in kinds[:_KINDS]]
    parts += [f"{len(kinds) - _KINDS} other kinds"] if len(kinds) > _KINDS else []
    files = "file" if endings.total() == 1 else "files"
    return one_line(f"{endings.total()} {files}: {', '.join(parts)}")


def _pictures_below(top: Path, others: Counter[str]) -> Iterator[Path]:
    """Depth first with a list instead of recursion, so that the depth of the tree does not matter."""
    entered: set[str] = set()
    waiting = [(top, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            if path.suffix.lower() in SUFFIXES or path.suffix.lower() == SUFFIX:
                yield path
            else:
                others[path.suffix.lower()] += 1
        elif (real := os.path.realpath(path)) not in entered:
            entered.add(real)
            inside = _entries(path)
            if _results(path, frozenset(entry.name for entry, _ in inside)):
                _LOG.warning("%s is left out: it holds results, no pictures of yours", shown(path))
            else:
                waiting += reversed(inside)


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path, _ in _entries(folder))


def _results(folder: Path, names: frozenset[str]) -> bool:
    """Whether a folder is a study or the results of `layerscope reconstruct`, finished or not."""
    gallery = "panels" in names and ("results.json" in names or "lock" in names)
    return "study.json" in names or gallery or ("work" in names and (folder / "work" / "begun.json").exists())


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """What is not hidden in a folder, sorted by name, and whether it is a folder itself."""
    try:
        with os.scandir(folder) as entries:
            seen = sorted((entry.name, _is_folder(entry)) for entry in entries if entry.name[0] != ".")
    except OSError as error:
        reason = f"folder cannot be read ({said(error)}); change its permissions or leave it out"
        raise ImageError(f"{shown(folder)}: {reason}") from error
    return [(folder / name, is_folder) for name, is_folder in seen]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Asks the file system about links alone; a link that leads nowhere, or to itself, is no folder."""
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()
