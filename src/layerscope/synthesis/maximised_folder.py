"""What excites channels and classes most, as a folder: each picture as a file, the numbers as a table, all on pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import pyarrow as pa

from layerscope.disk.names import folders
from layerscope.drawing.canvas import Page
from layerscope.drawing.picture_grid import Cell, picture_pages
from layerscope.errors import OutputError
from layerscope.network.network import Network, Unit
from layerscope.progress import Told
from layerscope.reconstruction.descent import Class
from layerscope.synthesis.maximising import (
    Maximised,
    MaximiseOptions,
    check_seeds,
    each_once,
    stream_maximised,
)
from layerscope.synthesis.shelf import Shelf, key_of, open_shelf
from layerscope.synthesis.stillness import dead_explained, still_word

_SIDE = 190  # pixels of a picture on a page
_ACROSS = 8  # pictures in a row
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), type(None): pa.float64()}


def columns_of(options: Any) -> dict[str, pa.DataType]:
    """The columns of a table in which options stand; what is None unless given is a number."""
    return {name: _TYPES[type(value)] for name, value in asdict(options).items()}


OPTIONS = columns_of(MaximiseOptions())
SCHEMA = pa.schema(
    [
        ("layer", pa.string()),
        ("channel", pa.int64()),
        ("class", pa.string()),
        *((name, pa.int64()) for name in ("row", "column", "number")),
        *((name, pa.float64()) for name in ("activation", "moved_least", "moved_mean")),
        ("file", pa.string()),
        *OPTIONS.items(),
    ]
)


def make_maximised(
    network: Network,
    seeds: Sequence[Unit | Class],
    out: str | Path,
    *,
    options: MaximiseOptions | None = None,
    progress: Told | None = None,
) -> pa.Table:
    """Make the pictures that excite channels or classes most, into the folder ``out``; goes on where it stopped.

    Writes a PNG for each, the table ``maximised`` (Parquet and CSV) and pages of all (PNG and PDF). Those of other
    channels that are there are kept and listed too; of these ones they are replaced if made with other options.
    Returns the table: a row for each picture, those of ``seeds`` first, each once, fields as of `Maximised` and
    `MaximiseOptions`. Raises what `maximise` does; OutputError, also of a folder with another network's pictures, or
    with a damaged one.
    """
    options = options or MaximiseOptions()
    check_seeds(network, seeds, options, None)
    seeds = each_once(network, seeds)
    with open_shelf(Path(out), "maximised") as shelf:
        made_of = key_of(network.graph.digest, network.preprocessing.about())
        before = _there(shelf, network, made_of)
        names = [names_of(network, seed, options.each) for seed in seeds]
        parts = [(made_of, astuple(options), several[0]) for several in names]
        found = {
            (place, number): about
            for place, several in enumerate(names)
            for number, name in enumerate(several)
            if (about := shelf.about(name, *parts[place])) is not None
        }
        have = [place for place in range(len(seeds)) if all((place, n) in found for n in range(options.each))]
        for place, one in stream_maximised(network, seeds, options=options, have=have, progress=progress):
            if (place, one.number) not in found:
                about = {**about_picture(network, one, options), "network": made_of}
                shown = network.preprocessing.each(one.pixels)
                found[place, one.number] = shelf.put(names[place][one.number], shown, about, *parts[place])
        now = {names[place][number]: found[place, number] for place, number in sorted(found)}
        rows = [*_listed(now), *_listed(_others(shelf, network, before, now))]
        pages = list(_pages(shelf, network, rows))
        table = pa.Table.from_pylist(rows, SCHEMA)
        shelf.finish("maximised", {"maximised": pages}, table)
        return table


def _there(shelf: Shelf, network: Network, made_of: str) -> dict[str, Mapping[str, Any]]:
    """What is there of earlier runs, by name. Raises OutputError where that is another network's, or damaged."""
    places = "|".join(map(re.escape, _folders(network).values()))
    found = shelf.there("*/*", rf"({places})/\d{{4,}}(-\d+)?")
    if any(about.get("network") != made_of for about in found.values()):
        raise OutputError(
            f"{shelf.folder} has pictures of another network, or of other --mean, --dtype and so on, or of an earlier "
            "version; name a new one"
        )
    return found


def _others(
    shelf: Shelf,
    network: Network,
    before: Mapping[str, Mapping[str, Any]],
    now: Mapping[str, Mapping[str, Any]],
) -> dict[str, Mapping[str, Any]]:
    """Of what was there, the pictures of what is not made now, by layers; others of what is made now go."""
    layers = [*(layer.name for layer in network.layers), None]
    anew = {_seed_of(about) for about in now.values()}
    for name in [name for name, about in before.items() if name not in now and _seed_of(about) in anew]:
        shelf.remove(name)
    kept = [name for name, about in before.items() if _seed_of(about) not in anew]

    def place(name: str) -> tuple[int, int, int]:
        about = before[name]
        return layers.index(about["layer"]), about["channel"], about["number"]

    return {name: before[name] for name in sorted(kept, key=place)}


def _seed_of(about: Mapping[str, Any]) -> tuple[str | None, int]:
    return about["layer"], about["channel"]


def _listed(pictures: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of the table."""
    yield from ({**about, "file": f"{name}.png"} for name, about in pictures.items())


def _folders(network: Network) -> Mapping[str, str]:
    """The folder of each layer's pictures, and of the classes'."""
    return folders(["classes", *(one.name for one in network.layers)])


def names_of(network: Network, seed: Unit | Class, each: int) -> list[str]:
    """Of the pictures of one seed, below the folder, without ending."""
    if isinstance(seed, Class):
        layer, channel = "classes", seed.index
    else:
        layer, channel = network.layer(seed.layer).name, seed.channel
    folder = _folders(network)[layer]
    return [f"{folder}/{channel:04d}" + (f"-{number + 1}" if each > 1 else "") for number in range(each)]


def about_picture(network: Network, one: Maximised, options: MaximiseOptions) -> dict[str, Any]:
    """What a picture says of itself: a row of the table, without its file."""
    seed, (least, mean) = one.seed, one.moved or (None, None)
    told = {
        "number": one.number,
        "activation": one.activation,
        "moved_least": least,
        "moved_mean": mean,
        **asdict(options),
    }
    if isinstance(seed, Class):
        named = network.classes[seed.index] if network.classes else None
        return {"layer": None, "channel": seed.index, "row": None, "column": None, "class": named, **told}
    place = {"layer": seed.layer, "channel": seed.channel, "row": seed.row, "column": seed.column}
    return {**place, "class": None, **told}


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['layer']}:{row['channel']}" if row["layer"] else row["class"] or f"class {row['channel']}"


def _pages(shelf: Shelf, network: Network, rows: Sequence[Mapping[str, Any]]) -> Iterator[Page]:
    apart = differing(rows)
    cells = [Cell(shelf.read(row["file"][:-4]), _title(row), said(row, apart)) for row in rows]
    grid = [cells[start : start + _ACROSS] for start in range(0, len(cells), _ACROSS)]
    return picture_pages(f"{network.name}: what excites it most", _caption(rows), grid, _SIDE)


def _caption(rows: Sequence[Mapping[str, Any]]) -> str:
    return (
        f"What the pixels became in {steps_of(rows)} that raise a unit of the channel, or the score of the class. "
        f"Beneath: the activation of the picture as it is written, in 8 bits.{dead_explained(rows)}"
    )


def differing(rows: Sequence[Mapping[str, Any]], options: Iterable[str] = tuple(OPTIONS)) -> list[str]:
    """Options that not all of the pictures were made with alike."""
    return [name for name in options if len({row[name] for row in rows}) > 1]


def steps_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many steps pictures were made in, in words."""
    counts = sorted({row["steps"] for row in rows})
    return f"{' or '.join(map(str, counts))} step{'s'[: counts != [1]]}"


def said(row: Mapping[str, Any], apart: Iterable[str], more: str = "") -> str:
    """What stands beneath a picture: its activation, ``more``, and options that tell it from others."""
    return (still_word(row) or f"{row['activation']:.4g}{more}") + options_said(row, apart)


def options_said(row: Mapping[str, Any], apart: Iterable[str]) -> str:
    """Options of a picture that tell it from others."""
    return "".join(f"; {name} {row[name]}" for name in apart)
