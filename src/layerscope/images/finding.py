"""Picture files in folders."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from layerscope.errors import ImageError, said, shown

_LOG = logging.getLogger(__name__)

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""The endings, in lower case, of the files looked for in folders."""


def find_images(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """The picture files at the given places, each file once, in the order given and sorted within a folder.

    A named file is taken whatever its ending; a folder is searched to its bottom for SUFFIXES in any case.
    Hidden entries of a folder and whole folders of results of ours are left out, the latter with a warning; links
    are followed, and no folder is entered twice.
    Raises ImageError for a place that is absent, a folder that may not be read, or one without any picture.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        for picture in _pictures_at(path):
            found.setdefault(os.path.realpath(picture), picture)
    return tuple(found.values())


def _pictures_at(path: Path) -> tuple[Path, ...]:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        raise ImageError(f"{shown(path)}: cannot be reached ({said(error)}); check the path") from error
    if not is_folder:
        return (path,)
    pictures = tuple(_pictures_below(path))
    if not pictures:
        looked_for = " ".join(sorted(SUFFIXES))
        held = (
            "no picture of yours but results"
            if _results(path, _names(path))
            else f"no picture ({looked_for})"
        )
        raise ImageError(f"{shown(path)}: {held} in this folder; name the files")
    return pictures


def _pictures_below(top: Path) -> Iterator[Path]:
    """Depth first with a list instead of recursion, so that the depth of the tree does not matter."""
    entered: set[str] = set()
    waiting = [(top, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            if path.suffix.lower() in SUFFIXES:
                yield path
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
