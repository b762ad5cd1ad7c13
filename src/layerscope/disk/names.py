"""File names for pictures, layers and networks, fit for every system; names once given to results stay."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, zip_longest
from pathlib import Path

_LONGEST = 200  # bytes: file systems take 255, and endings and folders follow
_PICTURE = 64  # bytes of a picture's stem, suffix or folder
_PART = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9_@+.~-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³]) *(\..*)?", re.IGNORECASE)


def is_plain(path: str) -> bool:
    """Whether a path stays below its folder and can be written on every system."""
    return all(_PART.fullmatch(part) for part in path.split("/"))


# ------------------------------------------------------------------ in a study


def folders(layers: Iterable[str]) -> Mapping[str, str]:
    """A name for the folder of each layer, whatever its own; different even where case does not count."""
    return _different({layer: re.sub(r"[^A-Za-z0-9_@+.]|^\.", "_", layer) for layer in layers})


def file_names(layers: Iterable[str]) -> Mapping[str, str]:
    """A path for a file of each layer: its own name where that can be one; different as `folders` are."""

    def cleaned(layer: str) -> str:
        return layer if is_plain(layer) else re.sub(r"[^A-Za-z0-9_@+.-]|^\.", "_", layer)

    return _different({layer: cleaned(layer) for layer in layers})


def network_folder(network: str) -> str:
    """The folder of a network's results, below the study's; two networks can have the same."""
    return re.sub(r"[^A-Za-z0-9_@+.-]", "_", network)[:_LONGEST] or "_"


def names_of_files(files: Sequence[Path]) -> list[str]:
    """The stem of each file; where several have the same, the nearest folders that tell these apart."""
    names = [file.stem for file in files]
    shared = [place for place, name in enumerate(names) if names.count(name) > 1]
    for place, name in zip(shared, _told_apart([files[place] for place in shared]), strict=True):
        names[place] = name
    return names if len({*names}) == len(names) else _told_apart(files)


def _told_apart(files: Sequence[Path]) -> list[str]:
    """So many last parts of each path that no two are the same, without those that all share; stems if none do."""
    parts = [(file.stem, *file.parent.relative_to(file.anchor).parts[::-1]) for file in files]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        tails = [own[:depth] for own in parts]
        if len({*tails}) == len(tails):
            differ = [part for part in zip_longest(*tails, fillvalue="") if len({*part}) > 1]
            told = ("-".join(filter(None, own[::-1])) for own in zip(*differ, strict=True))
            return [name or file.stem for name, file in zip(told, files, strict=True)]
    return [file.stem for file in files]


def _different(names: Mapping[str, str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    taken: set[str] = set()
    for layer, wanted in names.items():
        name = plain = wanted[:_LONGEST] or "_"
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.lower())
        found[layer] = name
    return found


# ------------------------------------------------------------------ in a gallery


def gallery_folders(networks: Sequence[str]) -> tuple[str, ...]:
    """A name for the folder of each network's panels."""
    return numbered([re.sub(r"[^\w.-]+", "_", network) for network in networks])


def numbered(names: Sequence[str]) -> tuple[str, ...]:
    """The names, all with a number if two of them are the same but for case."""
    if len({name.casefold() for name in names}) == len(names):
        return tuple(names)
    return tuple(f"{name}-{number}" for number, name in enumerate(names, start=1))


def panel_file(number: int, seed: str) -> str:
    """The file of a panel: its place among the others, from 0, and what it shows."""
    words = re.sub(r"[^\w.,@-]+", "_", seed)[:80]
    return f"{number + 1:03d}-{words}.png"


# ------------------------------------------------------------------ of pictures


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
    """Without what some file system forbids, at most _PICTURE bytes long, no dot or space at its ends."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in composed)
    return kept.strip(" .").encode()[:_PICTURE].decode(errors="ignore").strip(" .")


def _unreserved(name: str) -> str:
    """Windows keeps names such as CON and COM1.txt for devices."""
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def _key(name: str) -> str:
    """Equal for names that some file system holds to be the same."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
