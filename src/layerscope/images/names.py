"""Readable names for pictures, fit for a file on any system."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

_NAME_BYTES = 64


_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³]) *(\..*)?", re.IGNORECASE)


def picture_names(paths: Sequence[str | Path]) -> tuple[str, ...]:
    """A readable name for each picture, in order, all different, each fit for a folder on any system.

    It is the file's stem; where stems clash, the suffix is added, else the folder, else both, else a number.
    Names differ by more than case and Unicode form and have at most some 200 bytes.
    """
    spellings = [_spellings(Path(path)) for path in paths]
    names = [choices[0] for choices in spellings]
    for level in range(1, 4):
        uses = Counter(map(_key, names))
        clashing = [uses[_key(name)] > 1 for name in names]
        names = [s[level] if clash else n for n, s, clash in zip(names, spellings, clashing, strict=True)]
    return _numbered(names)


def _spellings(path: Path) -> list[str]:
    stem, suffix, parent = map(_cleaned, (path.stem, path.suffix, path.parent.name))
    choices = (stem,), (stem, suffix), (parent, stem), (parent, stem, suffix)
    return [_unreserved("-".join(filter(None, parts)) or "picture") for parts in choices]


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """The first of equal names keeps it, the next become NAME-2, NAME-3, passing over names in use."""
    taken = {_key(name) for name in names}
    numbers: dict[str, Iterator[int]] = {}
    unique = []
    for name in names:
        chosen = name
        if _key(name) in numbers:
            numbered = (f"{name}-{number}" for number in numbers[_key(name)])
            chosen = next(candidate for candidate in numbered if _key(candidate) not in taken)
        numbers.setdefault(_key(name), count(2))
        unique.append(chosen)
    return tuple(unique)


def _cleaned(text: str) -> str:
    """Without what some file system forbids, at most _NAME_BYTES long, no dot or space at its ends."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in composed)
    return kept.strip(" .").encode()[:_NAME_BYTES].decode(errors="ignore").strip(" .")


def _unreserved(name: str) -> str:
    """Windows keeps names such as CON and COM1.txt for devices."""
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def _key(name: str) -> str:
    """Equal for names that some file system holds to be the same."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
