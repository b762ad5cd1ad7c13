"""What layers keep of pictures, by inversion, as a folder: beside the deconvnet's; errors as a chart and a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from layerscope.disk.names import folders, gallery_folders, picture_names
from layerscope.drawing.canvas import Page
from layerscope.drawing.charts import Curve
from layerscope.drawing.depth_charts import Chart, Scale, depth_charts
from layerscope.drawing.picture_grid import Cell, Row, picture_pages
from layerscope.drawing.render import Pixels, as_rgb, show_signal
from layerscope.drawing.sprites import hatched
from layerscope.errors import ImageError, NetworkError
from layerscope.images.band_files import plain_name
from layerscope.images.bands import Decoded
from layerscope.images.decoding import BadImage, read_images
from layerscope.network.network import Network
from layerscope.progress import Told, of
from layerscope.reconstruction.descent import reconstruct, reversible
from layerscope.reconstruction.rules import DECONVNET
from layerscope.synthesis.inverting import InvertOptions, invert, silent_layers
from layerscope.synthesis.maximising import check_ways
from layerscope.synthesis.shelf import Shelf, key_of, open_shelf

_SIDE = 190  # pixels of a picture on a page
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("picture", "network", "layer")),
        ("start", pa.int64()),
        *((name, pa.float64()) for name in ("error", "psnr", "ssim")),
        ("file", pa.string()),
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

    ``layers``: "even", "conv", "all" or names, of which each network takes those it has. Writes a PNG for each, rows
    of all beside the deconvnet's, the errors by depth as a chart, and the table ``inverted``: a row for each picture,
    network, layer and start, fields as of `Inverted`; null where the layer is zero for the picture. Returns the table,
    and pictures that cannot be read. Raises what `invert` does, NetworkError if all layers are zero for all pictures,
    ImageError if no picture can be read, OutputError.
    """
    options = options or InvertOptions()
    rows, grid, bad = list[dict[str, Any]](), list[Row](), list[BadImage]()
    chosen = _layers(networks, layers)
    for network, own in zip(networks, chosen, strict=True):
        check_ways(network, (network.layer(name).result for name in own))
    sides = list(zip(networks, chosen, gallery_folders([n.name for n in networks]), strict=True))
    names = picture_names([plain_name(str(path)) for path in pictures])
    with open_shelf(Path(out), "inverted", "inversion-errors") as shelf:
        for name, read in zip(names, read_images(pictures), strict=True):
            if isinstance(read, BadImage):
                bad.append(read)
                continue
            try:
                for found, part in _invert_one(shelf, name, read.image, sides, options, progress):
                    rows.extend(found)
                    grid.extend(part)
            except ImageError as error:
                bad.append(BadImage(read.path, str(error)))
        if not rows:
            raise ImageError(f"none of {len(bad)} pictures can be read; {bad[0].path}: {bad[0].reason}")
        _check_any(rows)
        title = f"What layers of {', '.join(n.name for n in networks)} keep, by inversion"
        figures = {
            "inverted": list(picture_pages(title, _caption(options), grid, _SIDE)),
            "inversion-errors": [_charts(networks, chosen, rows)],
        }
        table = pa.Table.from_pylist(rows, _SCHEMA)
        shelf.finish("inverted", figures, table)
        return table, tuple(bad)


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


def _invert_one(
    shelf: Shelf,
    name: str,
    image: Decoded,
    sides: Sequence[tuple[Network, Sequence[str], str]],
    options: InvertOptions,
    progress: Told | None,
) -> Iterator[tuple[list[dict[str, Any]], list[Row]]]:
    """One picture by each network, its layers and its folder: rows of the table, and of the page."""
    for network, layers, folder in sides:
        told = of(f"{name}, {network.name}", progress)
        found, part = _invert_by(shelf, f"{name}/{folder}", network, layers, image, options, told)
        yield [{"picture": name, "network": network.name, **row} for row in found], part


def _invert_by(
    shelf: Shelf,
    place: str,
    network: Network,
    layers: Sequence[str],
    image: Decoded,
    options: InvertOptions,
    progress: Told | None,
) -> tuple[list[dict[str, Any]], list[Row]]:
    """All layers of one picture: rows of the table, and of the page."""
    values = network.preprocessing.apply(image)
    pixels = network.preprocessing.picture(values)
    picture = as_rgb(network.preprocessing.each(pixels))
    files = folders(layer.name for layer in network.layers)
    every = [(layer, n) for layer in layers for n in range(options.starts)]
    silent = silent_layers(network, values, layers)
    names = {(layer, n): f"{place}/{files[layer]}-{n + 1}" for layer, n in every if layer not in silent}
    made_of = network.graph.digest, network.preprocessing.about()
    shared = key_of(*made_of, astuple(options), pixels.tobytes())
    found = {key: shelf.about(name, shared, key) for key, name in names.items()}
    missing = dict.fromkeys(layer for (layer, _), about in found.items() if about is None)
    for layer in missing:
        for one in invert(network, values, [layer], options=options, progress=of(layer, progress)):
            key = (layer, one.start)
            about = {
                "layer": layer,
                "start": one.start,
                "error": one.error,
                "psnr": one.psnr,
                "ssim": one.ssim,
            }
            found[key] = shelf.put(names[key], network.preprocessing.each(one.pixels), about, shared, key)
    rows = [
        {**(found[key] or {}), "file": f"{names[key]}.png"}
        if key in names
        else {"layer": key[0], "start": key[1], "error": None, "psnr": None, "ssim": None, "file": None}
        for key in every
    ]
    inverted = {key: shelf.read(name) for key, name in names.items()}
    return rows, list(_rows(network, layers, values, picture, rows, inverted, options.starts))


def _rows(
    network: Network,
    layers: Sequence[str],
    values: Any,
    picture: Pixels,
    rows: Sequence[Mapping[str, Any]],
    inverted: Mapping[tuple[str, int], Pixels],
    starts: int,
) -> Iterator[Row]:
    """The input and the deconvnet's reconstructions, and beneath a row for each start."""
    able, shown = reversible(network.graph, DECONVNET), network.preprocessing.each
    kept = [layer for layer in layers if network.layer(layer).result in able]
    signals = reconstruct(network, values[None], kept)
    deconvnet: list[Cell | None] = [
        Cell(show_signal(shown(signals[layer][0].permute(1, 2, 0).numpy())).pixels, layer, "deconvnet")
        if layer in kept
        else None
        for layer in layers
    ]
    yield [Cell(picture, network.name, "input"), *deconvnet]
    errors = {(row["layer"], row["start"]): row["error"] for row in rows}
    for start in range(starts):
        yield [
            None,
            *(
                Cell(inverted[layer, start], layer, f"start {start + 1}, error {errors[layer, start]:.1%}")
                if (layer, start) in inverted
                else Cell(hatched(*picture.shape[:2]), layer, "zero for the picture")
                for layer in layers
            ),
        ]


def _caption(options: InvertOptions) -> str:
    return (
        "Above: what comes back by the deconvnet, through the switches of the picture. Beneath: pictures that "
        f"{options.steps} steps from noise have made the layer find like the input; what differs between starts, the "
        "layer does not keep. Error: squared distance of the representations over the squared norm of the input's."
    )


def _charts(
    networks: Sequence[Network], chosen: Sequence[Sequence[str]], rows: Sequence[Mapping[str, Any]]
) -> Page:
    """Errors and likeness over depth: the mean over pictures and starts; bars from the least to the greatest."""
    panels = []
    for measure, words in _MEASURES.items():
        curves = tuple(
            _curve(network, layers, measure, rows) for network, layers in zip(networks, chosen, strict=True)
        )
        panels.append(Chart(curves, words, Scale.around(curves, 0.0)))
    return depth_charts(panels, columns=1)


def _curve(network: Network, layers: Sequence[str], measure: str, rows: Sequence[Mapping[str, Any]]) -> Curve:
    made = [row for row in rows if row["network"] == network.name and row["file"] is not None]
    values = [
        np.array([row[measure] for row in made if row["layer"] == layer] or [np.nan]) for layer in layers
    ]
    pools = tuple("pool" in network.layer(layer).kind for layer in layers)
    mean, low, high = (tuple(float(take(v)) for v in values) for take in (np.mean, np.min, np.max))
    return Curve(network.name, tuple(layers), pools, mean, low, high)
