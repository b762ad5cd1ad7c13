"""What excites channels and classes most, as a folder: each picture as a file, the numbers as a table, all on pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pyarrow as pa

from layerscope.disk.names import folders
from layerscope.drawing.picture_grid import Cell, picture_pages
from layerscope.network.network import Network, Unit
from layerscope.progress import Told
from layerscope.reconstruction.descent import Class
from layerscope.synthesis.maximising import Maximised, MaximiseOptions, check_seeds, stream_maximised
from layerscope.synthesis.shelf import key_of, open_shelf

_SIDE = 190  # pixels of a picture on a page
_ACROSS = 8  # pictures in a row
SCHEMA = pa.schema(
    [
        ("layer", pa.string()),
        ("channel", pa.int64()),
        ("class", pa.string()),
        *((name, pa.int64()) for name in ("row", "column", "number")),
        *((name, pa.float64()) for name in ("activation", "moved_least", "moved_mean")),
        ("file", pa.string()),
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

    Writes a PNG for each, the table ``maximised`` (Parquet and CSV) and pages of all (PNG and PDF). Returns the
    table: a row for each picture, fields as of `Maximised`. Raises what `maximise` does, and OutputError.
    """
    options = options or MaximiseOptions()
    check_seeds(network, seeds, options, None)
    with open_shelf(Path(out)) as shelf:
        names = [names_of(network, seed, options.each) for seed in seeds]
        shared = key_of(network.graph.digest, astuple(options), seeds)
        parts = [(shared, place) for place in range(len(seeds))]
        found = {
            (place, number): about
            for place, several in enumerate(names)
            for number, name in enumerate(several)
            if (about := shelf.about(name, *parts[place])) is not None
        }
        have = [place for place in range(len(seeds)) if all((place, n) in found for n in range(options.each))]
        for place, one in stream_maximised(network, seeds, options=options, have=have, progress=progress):
            name = names[place][one.number]
            shown = network.preprocessing.each(one.pixels)
            found[place, one.number] = shelf.put(name, shown, about_picture(network, one), *parts[place])
        rows = [
            {**found[place, number], "file": f"{name}.png"}
            for place, several in enumerate(names)
            for number, name in enumerate(several)
        ]
        cells = [Cell(shelf.read(row["file"][:-4]), _title(row), f"{row['activation']:.4g}") for row in rows]
        grid = [cells[start : start + _ACROSS] for start in range(0, len(cells), _ACROSS)]
        pages = list(picture_pages(f"{network.name}: what excites it most", _caption(options), grid, _SIDE))
        table = pa.Table.from_pylist(rows, SCHEMA)
        shelf.finish("maximised", {"maximised": pages}, table)
        return table


def names_of(network: Network, seed: Unit | Class, each: int) -> list[str]:
    """Of the pictures of one seed, below the folder, without ending."""
    if isinstance(seed, Class):
        layer, channel = "classes", seed.index
    else:
        layer, channel = network.layer(seed.layer).name, seed.channel
    folder = folders(["classes", *(one.name for one in network.layers)])[layer]
    return [f"{folder}/{channel:04d}" + (f"-{number + 1}" if each > 1 else "") for number in range(each)]


def about_picture(network: Network, one: Maximised) -> dict[str, Any]:
    """What a picture says of itself: a row of the table, without its file."""
    seed, (least, mean) = one.seed, one.moved or (None, None)
    told = {"number": one.number, "activation": one.activation, "moved_least": least, "moved_mean": mean}
    if isinstance(seed, Class):
        named = network.classes[seed.index] if network.classes else None
        return {"layer": None, "channel": seed.index, "row": None, "column": None, "class": named, **told}
    place = {"layer": seed.layer, "channel": seed.channel, "row": seed.row, "column": seed.column}
    return {**place, "class": None, **told}


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['layer']}:{row['channel']}" if row["layer"] else row["class"] or f"class {row['channel']}"


def _caption(options: MaximiseOptions) -> str:
    return (
        f"What the pixels became in {options.steps} steps that raise a unit of the channel, or the score of the class. "
        "Beneath: the activation of the picture as it is written, in 8 bits."
    )
