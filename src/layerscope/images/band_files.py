"""Pictures kept as one file for each band: places with the bands in braces, ``scenes/*/{B04,B03,B02}.tif``."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from layerscope.errors import ImageError, shown

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def band_names(place: str | os.PathLike[str]) -> tuple[str, ...]:
    """The bands that a place names in braces, in their order; () if it names none, or is a file of that very name."""
    found = _BRACES.findall(os.fspath(place))
    if not found or Path(place).exists():
        return ()
    names = tuple(name.strip() for name in found[0].split(","))
    if len(found) > 1 or not all(names) or len(set(names)) < len(names):
        raise ImageError(
            f"{shown(os.fspath(place))}: names its bands once in braces, each once, such as {{B04,B03,B02}}; correct it"
        )
    return names


def band_files(place: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The file of each band of one picture, in order; the place itself where it names no bands."""
    text, names = os.fspath(place), band_names(place)
    return tuple(Path(_with(text, name)) for name in names) or (Path(place),)


def plain_name(place: str) -> str:
    """A place without the bands that it names: ``s1`` for ``s1/{B04,B03}.tif`` and for ``s1_{B04,B03}.tif``."""
    if not band_names(place):
        return place
    *folders, last = place.replace(os.sep, "/").split("/")
    named = Path(last).stem if "{" in last else last
    parts = [_BRACES.sub("", part).strip("_-. ") if "{" in part else part for part in (*folders, named)]
    top = "/" if parts[:1] == [""] and len(parts) > 1 and not folders[0] else ""
    return (top + "/".join(filter(None, parts))) if any(parts) else last


def fixed_folder(place: Path) -> Path:
    """The deepest folder that all pictures lie in which a place with braces stands for."""
    parts = place.parts
    varied = next((n for n, part in enumerate(parts) if "*" in part or "{" in part), len(parts))
    return Path(*parts[:varied])


def expand_bands(place: Path) -> tuple[Path, ...]:
    """The pictures that a place stands for, sorted: one for each way in which ``*`` is met by a band's file at least.

    ``*`` is any part of one name. Raises ImageError if there is none.
    """
    text = os.fspath(place)
    if "**" in text:
        raise ImageError(f"{shown(text)}: * is a part of one name; write a * for each folder in place of **")
    if "*" not in text:
        return (place,)
    found = {_whole(text, name, path) for name in band_names(place) for path in _matches(_with(text, name))}
    if not found:
        raise ImageError(
            f"{shown(text)}: no file of any of its bands is there; check the path, and put it in quotes, or the shell "
            "expands it"
        )
    return tuple(Path(path) for path in sorted(found))


def _with(text: str, name: str) -> str:
    return _BRACES.sub(lambda _: name, text)


def _matches(pattern: str) -> list[str]:
    return glob.glob("*".join(map(glob.escape, pattern.split("*"))))  # noqa: PTH207 - places as they are written


def _whole(text: str, name: str, path: str) -> str:
    """The place of the picture that a band's file belongs to: what ``*`` stands for there, and braces."""
    escaped = "([^/\\\\]*)".join(map(re.escape, _with(text, name).split("*")))
    match = re.fullmatch(escaped, path)
    assert match is not None
    pieces = iter(match.groups())
    return re.sub(r"\*", lambda _: next(pieces), text)
