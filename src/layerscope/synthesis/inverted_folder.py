"""What layers keep of pictures, by inversion, as a folder: beside the deconvnet's; errors as a chart and a table."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from layerscope.disk.names import folders, gallery_folders, picture_names
from layerscope.drawing.canvas import Page
from layerscope.drawing.charts import Curve
from layerscope.drawing.depth_charts import Chart, Scale, depth_charts
from layerscope.drawing.picture_grid import Cell, Row, picture_pages
from layerscope.drawing.render import as_rgb, show_signal
from layerscope.drawing.sprites import hatched
from layerscope.errors import ImageError, NetworkError, OutputError
from layerscope.images.band_files import plain_name
from layerscope.images.bands import Decoded
from layerscope.images.decoding import BadImage, read_images
from layerscope.network.network import Network
from layerscope.progress import Told, of
from layerscope.reconstruction.descent import reconstruct, reversible
from layerscope.reconstruction.rules import DECONVNET
from layerscope.synthesis.inverting import InvertOptions, invert, silent_layers
from layerscope.synthesis.maximised_folder import columns_of, differing, options_said, steps_of
from layerscope.synthesis.maximising import check_ways
from layerscope.synthesis.shelf import Shelf, key_of, open_shelf

_SIDE = 190  # pixels of a picture on a page
_OPTIONS = columns_of(InvertOptions())
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("picture", "network", "layer")),
        ("start", pa.int64()),
        *((name, pa.float64()) for name in ("error", "psnr", "ssim")),
        ("file", pa.string()),
        *_OPTIONS.items(),
    ]
)
_MEASURES = {"error": "relative squared error", "psnr": "PSNR to the input, dB", "ssim": "SSIM to the input"}


def make_inverted(
    networks: Sequence[Network],
    pictures: Sequence[Path],
    out: str | Path,
    *,
    layers: str | Sequence[str] = "even",
    options: InvertOptions | None = None,
    progress: Told | None = None,
) -> tuple[pa.Table, tuple[BadImage, ...]]:
    """Invert what layers of networks make of picture files, into the folder ``out``; goes on where it stopped.

    Those of other pictures and layers that are there are kept and listed too; of these ones they are replaced if made
    with other options.

    ``layers``: "even", "conv", "all" or names, of which each network takes those it has. Writes a PNG for each, rows
    of all beside the deconvnet's, the errors by depth as a chart, and the table ``inverted``: a row for each picture,
    network, layer and start, fields as of `Inverted` and `InvertOptions`; null where the layer is zero for the picture.
    Returns the table, and pictures that cannot be read. Raises what `invert` does, NetworkError if all layers are zero
    for all pictures, ImageError if no picture can be read; OutputError, also of a folder with pictures of a network
    that is not among these, or of another picture of the same name.
    """
    options = options or InvertOptions()
    parts, bad = list[_Part](), list[BadImage]()
    chosen = _layers(networks, layers)
    for network, own in zip(networks, chosen, strict=True):
        check_ways(network, (network.layer(name).result for name in own))
    sides = list(map(_Side, networks, chosen, gallery_folders([n.name for n in networks])))
    names = picture_names([plain_name(str(path)) for path in pictures])
    with open_shelf(Path(out), "inverted", "inversion-errors") as shelf:
        before = _there(shelf, sides)
        for name, read in zip(names, read_images(pictures), strict=True):
            if isinstance(read, BadImage):
                bad.append(read)
                continue
            try:
                for side in sides:
                    told = of(f"{name}, {side.network.name}", progress)
                    parts.append(_invert_by(shelf, side, name, read.image, options, before, told))
            except ImageError as error:
                bad.append(BadImage(read.path, str(error)))
        if not parts:
            raise ImageError(f"none of {len(bad)} pictures can be read; {bad[0].path}: {bad[0].reason}")
        _check_any([row for part in parts for row in part.rows])
        parts.extend(_others(sides, before, {part.picture for part in parts}))
        rows = [row for part in parts for row in part.rows]
        table = pa.Table.from_pylist(rows, _SCHEMA)
        shelf.finish("inverted", _figures(shelf, sides, parts, rows), table)
        return table, tuple(bad)


@dataclass(frozen=True)
class _Side:
    """A network, the layers of it that are inverted now, and its folder below a picture's."""

    network: Network
    layers: Sequence[str]
    folder: str

    @cached_property
    def made_of(self) -> str:
        """The network and how its pictures are prepared, in one word."""
        return key_of(self.network.graph.digest, self.network.preprocessing.about())

    def listed(self, picture: str, pictures: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Rows of the table, by what pictures say of themselves."""
        for name, about in pictures.items():
            yield {**about, "picture": picture, "network": self.network.name, "file": f"{name}.png"}

    def by_depth(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows by layers from low to high, then by starts."""
        layers = [layer.name for layer in self.network.layers]
        return sorted(rows, key=lambda row: (layers.index(row["layer"]), row["start"]))


@dataclass(frozen=True)
class _Part:
    """Of one picture by one network: rows of the table; ``above``: its row of the page with the input and the
    deconvnet's, where the picture is given."""

    side: _Side
    picture: str
    rows: Sequence[dict[str, Any]]
    above: Row | None = None


def _there(shelf: Shelf, sides: Sequence[_Side]) -> dict[str, Mapping[str, Any]]:
    """What is there of earlier runs, by name. Raises OutputError where that is of none of the networks, or damaged."""
    own = {side.folder: side.made_of for side in sides}
    places = "|".join(map(re.escape, own))
    found = shelf.there("*/*/*", rf"[^/]+/({places})/[^/]+-\d+")
    found = {name: about for name, about in found.items() if "start" in about}
    if any(about.get("network") != own.get(name.split("/")[1], "") for name, about in found.items()):
        raise OutputError(
            f"{shelf.folder} has pictures of a network that is not among these, or of other --mean, --dtype and so on, "
            "or of an earlier version; name that network too, or a new folder"
        )
    return found


def _others(
    sides: Sequence[_Side], before: Mapping[str, Mapping[str, Any]], now: Collection[str]
) -> Iterator[_Part]:
    """What is there of pictures that are not given now."""
    for picture in dict.fromkeys(name.split("/")[0] for name in before):
        for side in sides if picture not in now else ():
            place = f"{picture}/{side.folder}/"
            kept = {name: about for name, about in before.items() if name.startswith(place)}
            if kept:
                yield _Part(side, picture, side.by_depth(side.listed(picture, kept)))


def _check_any(rows: Sequence[Mapping[str, Any]]) -> None:
    if all(row["file"] is None for row in rows):
        raise NetworkError(
            f"{'; '.join(zeros(rows))}: any picture that leaves it so is like it; give other layers or pictures"
        )


def zeros(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which layers are zero for which pictures, of rows of the table, in words."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row["file"] is None:
            found.setdefault((row["network"], row["picture"]), {})[row["layer"]] = None
    return [
        f"{network}: {', '.join(layers)} {'are' if len(layers) > 1 else 'is'} zero for {picture}"
        for (network, picture), layers in found.items()
    ]


def _layers(networks: Sequence[Network], which: str | Sequence[str]) -> list[list[str]]:
    """Of each network the layers meant. Raises NetworkError for a name that none has, and a network without any."""
    for name in () if isinstance(which, str) else which:
        if not any(network.find_layer(name) for network in networks):
            networks[0].layer(name)  # raises, with what it has instead
    found = []
    for network in networks:
        wanted = which if isinstance(which, str) else [name for name in which if network.find_layer(name)]
        found.append([layer.name for layer in network.select_layers(wanted)])
        if not found[-1]:
            words = which if isinstance(which, str) else ", ".join(which)
            raise NetworkError(f"{network.name} has none of the layers {words}; name one of its own too")
    return found


def _invert_by(
    shelf: Shelf,
    side: _Side,
    name: str,
    image: Decoded,
    options: InvertOptions,
    before: Mapping[str, Mapping[str, Any]],
    progress: Told | None,
) -> _Part:
    """All layers of one picture that are inverted now or were before."""
    network, layers, place = side.network, side.layers, f"{name}/{side.folder}"
    values = network.preprocessing.apply(image)
    given = key_of(network.preprocessing.picture(values).tobytes())
    there = _of_picture(shelf, before, place, given)
    files = folders(layer.name for layer in network.layers)
    every = [(layer, n) for layer in layers for n in range(options.starts)]
    silent = silent_layers(network, values, layers)
    names = {(layer, n): f"{place}/{files[layer]}-{n + 1}" for layer, n in every if layer not in silent}
    shared = {**asdict(options), "network": side.made_of, "input": given}
    found = {key: shelf.about(path, shared, key) for key, path in names.items()}
    for layer in dict.fromkeys(layer for (layer, _), about in found.items() if about is None):
        for one in invert(network, values, [layer], options=options, progress=of(layer, progress)):
            key = (layer, one.start)
            about = {**shared, **{field: getattr(one, field) for field in ("layer", "start", *_MEASURES)}}
            found[key] = shelf.put(names[key], network.preprocessing.each(one.pixels), about, shared, key)
    for old in there:
        if there[old]["layer"] in layers and old not in names.values():
            shelf.remove(old)
    kept = {old: about for old, about in there.items() if about["layer"] not in layers}
    kept |= {path: own for key, path in names.items() if (own := found[key]) is not None}
    zero = {
        "picture": name,
        "network": network.name,
        **dict.fromkeys((*_MEASURES, "file")),
        **asdict(options),
    }
    rows = [{**zero, "layer": layer, "start": n} for layer, n in every if layer in silent]
    rows = side.by_depth([*side.listed(name, kept), *rows])
    return _Part(side, name, rows, _above(network, dict.fromkeys(row["layer"] for row in rows), values))


def _of_picture(
    shelf: Shelf, before: Mapping[str, Mapping[str, Any]], place: str, given: str
) -> dict[str, Mapping[str, Any]]:
    """What there is of a picture by a network. Raises OutputError where it is of another one of that name."""
    there = {name: about for name, about in before.items() if name.startswith(f"{place}/")}
    if any(about["input"] != given for about in there.values()):
        name = place.split("/", maxsplit=1)[0]
        raise OutputError(
            f"{shelf.folder} has inversions of another picture called {name}; name a new folder"
        )
    return there


def _above(network: Network, layers: Iterable[str], values: Tensor) -> Row:
    """The input and the deconvnet's reconstructions."""
    able, shown = reversible(network.graph, DECONVNET), network.preprocessing.each
    kept = [layer for layer in layers if network.layer(layer).result in able]
    signals = reconstruct(network, values[None], kept)
    deconvnet: list[Cell | None] = [
        Cell(show_signal(shown(signals[layer][0].permute(1, 2, 0).numpy())).pixels, layer, "deconvnet")
        if layer in kept
        else None
        for layer in layers
    ]
    picture = as_rgb(shown(network.preprocessing.picture(values)))
    return [Cell(picture, network.name, "input"), *deconvnet]


def _figures(
    shelf: Shelf, sides: Sequence[_Side], parts: Sequence[_Part], rows: Sequence[Mapping[str, Any]]
) -> dict[str, list[Page]]:
    apart = differing(rows, [name for name in _OPTIONS if name != "starts"])  # which are seen
    grid = [row for part in parts for row in _rows(shelf, part, apart)]
    title = f"What layers of {', '.join(side.network.name for side in sides)} keep, by inversion"
    return {
        "inverted": list(picture_pages(title, _caption(rows), grid, _SIDE)),
        "inversion-errors": [_charts(sides, rows)],
    }


def _rows(shelf: Shelf, part: _Part, apart: Sequence[str]) -> Iterator[Row]:
    """Of the page: the input and the deconvnet's, and beneath a row for each start."""
    layers = dict.fromkeys(row["layer"] for row in part.rows)
    cells = {(row["layer"], row["start"]): _cell(shelf, part, row, apart) for row in part.rows}
    if part.above is not None:
        yield part.above
    for start in range(1 + max(row["start"] for row in part.rows)):
        yield [None, *(cells.get((layer, start)) for layer in layers)]


def _cell(shelf: Shelf, part: _Part, row: Mapping[str, Any], apart: Sequence[str]) -> Cell:
    """An inversion; with the names of its picture and network, where the input does not stand above."""
    alone = f"{row['layer']} of {row['picture']}, {row['network']}"
    above = row["layer"] if part.above is not None else alone
    if row["file"] is None:
        return Cell(hatched(*part.side.network.input_shape[1:]), above, "zero for the picture")
    words = f"start {row['start'] + 1}, error {row['error']:.1%}"
    return Cell(shelf.read(row["file"][:-4]), above, words + options_said(row, apart))


def _caption(rows: Sequence[Mapping[str, Any]]) -> str:
    return (
        "Above: what comes back by the deconvnet, through the switches of the picture. Beneath: pictures that "
        f"{steps_of(rows)} from noise have made the layer find like the input; what differs between starts, the "
        "layer does not keep. Error: squared distance of the representations over the squared norm of the input's."
    )


def _charts(sides: Sequence[_Side], rows: Sequence[Mapping[str, Any]]) -> Page:
    """Errors and likeness over depth: the mean over pictures and starts; bars from the least to the greatest."""
    panels = []
    for measure, words in _MEASURES.items():
        curves = tuple(_curve(side.network, measure, rows) for side in sides)
        panels.append(Chart(curves, words, Scale.around(curves, 0.0)))
    return depth_charts(panels, columns=1)


def _curve(network: Network, measure: str, rows: Sequence[Mapping[str, Any]]) -> Curve:
    own = [row for row in rows if row["network"] == network.name]
    layers = [layer.name for layer in network.layers if any(row["layer"] == layer.name for row in own)]
    made = [row for row in own if row["file"] is not None]
    values = [
        np.array([row[measure] for row in made if row["layer"] == layer] or [np.nan]) for layer in layers
    ]
    pools = tuple("pool" in network.layer(layer).kind for layer in layers)
    mean, low, high = (tuple(float(take(v)) for v in values) for take in (np.mean, np.min, np.max))
    return Curve(network.name, tuple(layers), pools, mean, low, high)
