"""What each layer of each network keeps of each picture, as a folder that a run can be interrupted in and goes on.

The folder holds, for every picture and network, the input and one PNG per panel with the numbers beside them;
then one figure (PNG and PDF) and ``results.json``, which are made of those.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerscope._version import __version__
from layerscope.disk.locks import lock
from layerscope.disk.names import gallery_folders, numbered, panel_file, picture_names
from layerscope.disk.whole import folder_written_whole, remove_partials, written, written_whole
from layerscope.drawing.canvas import Page, save_figure
from layerscope.drawing.render import Panel, as_rgb, is_norm, is_whole_png, read_png, show_signal, write_png
from layerscope.errors import ImageError, NetworkError
from layerscope.gallery.figure import PictureRows, Row, reconstruction_figure
from layerscope.images.band_files import plain_name
from layerscope.images.bands import Decoded
from layerscope.images.decoding import BadImage, encoded_files, load_picture, read_images
from layerscope.network.network import Network, Unit
from layerscope.progress import Count, Told
from layerscope.reconstruction.descent import Class, Seed, reconstruct, reversible
from layerscope.reconstruction.rules import DECONVNET, Rule, places_lost

_ROWS_PER_PAGE = 10
_FIGURE_FILE = re.compile(r"reconstructions(-\d+)?\.(png|pdf)")
FIGURE_PICTURES = 60  #: the figure shows at most so many pictures; the panels of all are in the folder


Native = Callable[[tuple[int, int]], tuple[Network, ...]]


@dataclass(frozen=True)
class Look:
    """What to reconstruct and how to show it.

    ``layers``: "all", "even" (every second convolution and the last fully-connected layer), both without those that
    the rule does not go back from (`left_out`), or names; with several networks each takes the names it has.
    ``units`` and ``classes`` add panels of their own.
    """

    layers: str | tuple[str, ...] = "all"
    units: tuple[Unit, ...] = ()
    classes: tuple[int, ...] = ()
    rule: Rule = DECONVNET
    display: str = "signed"

    def seeds(self, network: Network) -> tuple[Seed, ...]:
        """The seeds this means for one network, from low to high."""
        if isinstance(self.layers, str):
            out = self.left_out(network)
            layers = tuple(layer for layer in network.select_layers(self.layers) if layer.name not in out)
        else:
            layers = network.select_layers(name for name in self.layers if network.find_layer(name))
        units = (unit for unit in self.units if network.find_layer(unit.layer))
        return tuple(dict.fromkeys((*(layer.name for layer in layers), *units, *map(Class, self.classes))))

    def left_out(self, network: Network) -> tuple[str, ...]:
        """Layers, of those that "all" or "even" mean, that the rule does not go back from; () if that is all of them:
        then the reason is worth an error."""
        if not isinstance(self.layers, str):
            return ()
        layers, kept = network.select_layers(self.layers), reversible(network.graph, self.rule)
        out = tuple(layer.name for layer in layers if layer.result not in kept)
        return out if len(out) < len(layers) else ()


@dataclass(frozen=True)
class Exhibit:
    """One row of a figure and the numbers behind it."""

    row: Row
    numbers: Mapping[str, Any]


def exhibit(network: Network, picture: Decoded, look: Look) -> Exhibit:
    """Reconstruct one picture through one network and draw it. Raises ImageError for one of other channels."""
    preprocessing = network.preprocessing
    values = preprocessing.apply(picture)
    seeds = look.seeds(network)
    found = reconstruct(network, values[None], seeds, rule=look.rule)
    panels = tuple((str(seed), _draw(network, found[seed][0], look.display)) for seed in seeds)
    why = network.why_no_predictions
    best = () if why else network.predict(values[None])[0]
    row = Row(
        title=network.name,
        input=as_rgb(preprocessing.each(preprocessing.picture(values))),
        panels=panels,
        predictions=None if why else tuple((p.name, p.probability) for p in best),
        note="; ".join(
            filter(None, (f"no predictions: {why}" if why else "", places_lost(network.graph, look.rule)))
        ),
    )
    numbers = {
        "predictions": [{"index": p.index, "name": p.name, "probability": p.probability} for p in best],
        "note": row.note,
        "panels": [
            {"file": panel_file(n, str(seed)), **_measure(network, seed, found[seed][0], panel)}
            for n, (seed, (_, panel)) in enumerate(zip(seeds, panels, strict=True))
        ],
    }
    return Exhibit(row, numbers)


def show_reconstructions(
    networks: Network | Sequence[Network],
    pictures: Sequence[str | Path | Decoded],
    look: Look | None = None,
) -> Page:
    """The figure of a few pictures, without writing anything; it shows itself in a notebook."""
    networks, look = [networks] if isinstance(networks, Network) else list(networks), look or Look()
    check_look(networks, look)
    titles = numbered([network.name for network in networks])
    images = [load_picture(p) if isinstance(p, (str, Path)) else p for p in pictures]
    paths = [Path(p if isinstance(p, (str, Path)) else f"picture {i + 1}") for i, p in enumerate(pictures)]
    blocks = [
        PictureRows(
            name,
            tuple(
                replace(exhibit(network, image, look).row, title=title)
                for title, network in zip(titles, networks, strict=True)
            ),
        )
        for name, image in zip(picture_names(_plain(paths)), images, strict=True)
    ]
    return _figure(blocks, networks, look)


def _plain(paths: Sequence[Path]) -> list[str]:
    return [plain_name(str(path)) for path in paths]


def _figure(blocks: Sequence[PictureRows], networks: Sequence[Network], look: Look) -> Page:
    """The figure with a caption that says what was done: the rule, the weights, what a pixel means."""
    weights = dict.fromkeys(f"{network.name}: {network.weights}" for network in networks if network.weights)
    meanings = dict.fromkeys(panel.rule for block in blocks for row in block.rows for _, panel in row.panels)
    missing = {network.name: ", ".join(look.left_out(network)) for network in networks}
    without = [
        f"{name} without {out}, which the rule does not go back from" for name, out in missing.items() if out
    ]
    shown = dict.fromkeys(filter(None, (network.preprocessing.words() for network in networks)))
    words = (look.rule.name, *weights, *meanings, *shown, *without)
    return reconstruction_figure(blocks, caption="; ".join(words))


def _draw(network: Network, signal: Tensor, display: str) -> Panel:
    whole = signal.permute(1, 2, 0).numpy()
    return show_signal(whole if is_norm(display) else network.preprocessing.each(whole), display)


def _measure(network: Network, seed: Seed, signal: Tensor, panel: Panel) -> dict[str, Any]:
    numbers: dict[str, Any] = {"seed": str(seed)}
    if not isinstance(seed, Class):
        layer = network.layer(seed.layer if isinstance(seed, Unit) else seed)
        numbers |= {
            "layer": layer.name,
            "operation": layer.operation,
            "channels": layer.channels or None,
            "size": list(layer.output) or None,
            "receptive_field": None if layer.field is None else list(layer.field.size),
        }
    return numbers | {
        "norm": float(signal.norm()),
        "largest": float(signal.abs().max()),
        "display": panel.display,
        "white": panel.scale,
        "black": panel.black,
        "rule": panel.rule,
    }


@dataclass(frozen=True)
class Gallery:
    """The folder, and what is to be in it. ``names``: the networks' own names, made different.

    ``native``: the networks for a picture of a height and width, which they see as it is; None: ``networks`` see all.
    """

    folder: Path
    networks: tuple[Network, ...]
    look: Look
    native: Native | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """A folder name for each network."""
        return gallery_folders([network.name for network in self.networks])

    def add(self, name: str, path: Path) -> BadImage | None:
        """Make what is missing of one picture. Returns what is wrong with the file, if anything is."""
        read = next(read_images([path]))
        if isinstance(read, BadImage):
            return read
        try:
            digest = hashlib.sha256(b"".join(encoded_files(path))).hexdigest()
            for network, called in zip(self._networks_for(read.image), self.names, strict=True):
                key = self._key(network, digest)
                if self._made(name, called).get("key") != key:
                    shown = exhibit(network, read.image, self.look)
                    facts = {"key": key, "picture": name, "sha256": digest}
                    self._write(self._place(name, called), shown, facts | _about(network, self.look))
        except ImageError as error:
            return BadImage(path, str(error))
        return None

    def _networks_for(self, picture: Decoded) -> Sequence[Network]:
        """The networks, read again for the picture's size if they see it as it is."""
        if self.native is None:
            return self.networks
        for network in self.networks:
            network.preprocessing.check(picture)
        return self.native((picture.height, picture.width))

    def finish(self, good: Mapping[str, Path], bad: Sequence[BadImage]) -> tuple[Path, ...]:
        """Write the figure and ``results.json`` from what the folder holds, and return their paths.

        ``good``: the names of the pictures to show, and their files.
        """
        made = {name: {called: self._made(name, called) for called in self.names} for name in good}
        results = {
            "layerscope": __version__,
            "pictures": [{"picture": n, "file": str(good[n]), "networks": m} for n, m in made.items()],
            "skipped": [{"file": str(b.path), "reason": b.reason} for b in bad],
        }
        where = self.folder / "results.json"
        _write_json(where, results)
        figures = self._save_figures(tuple(good)[:FIGURE_PICTURES])
        with written(self.folder):
            for path in {p for p in self.folder.iterdir() if _FIGURE_FILE.fullmatch(p.name)} - {*figures}:
                path.unlink()  # an earlier run's, of more pages
        return (*figures, where)

    def _save_figures(self, names: Sequence[str]) -> tuple[Path, ...]:
        per_page = max(1, _ROWS_PER_PAGE // len(self.networks))
        pages = [
            _figure([self._block(name) for name in names[i : i + per_page]], self.networks, self.look)
            for i in range(0, len(names), per_page)
        ]
        return save_figure(pages, self.folder / "reconstructions") if pages else ()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, keep other processes out, and remove what an interrupted run left half-written.

        Folders in it that are not the gallery's may be in use by others.
        """
        with written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder):
            remove_partials(self.folder, deep=False)
            remove_partials(self.folder / "panels")
            yield

    def _place(self, name: str, called: str) -> Path:
        return self.folder / "panels" / name / called

    def _made(self, name: str, called: str) -> dict[str, Any]:
        """The numbers of what is there already; empty if there is nothing whole."""
        place = self._place(name, called)
        try:
            numbers: dict[str, Any] = json.loads((place / "numbers.json").read_text("utf-8"))
            files = ["input.png", *(panel["file"] for panel in numbers["panels"])]
            whole = {"key", "predictions", "note"} <= numbers.keys() and all(
                is_whole_png(place / f) for f in files
            )
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return {}
        return numbers if whole else {}

    def _key(self, network: Network, digest: str) -> str:
        """What the result depends on; a different key is a different result."""
        seeds = [repr(seed) for seed in self.look.seeds(network)]
        parts = [
            __version__,
            digest,
            network.graph.digest,
            network.name,
            network.weights,
            network.trunk,
            network.preprocessing,
            network.classes,
            seeds,
            self.look,
        ]
        return hashlib.sha256(repr([str(part) for part in parts]).encode()).hexdigest()

    def _write(self, place: Path, shown: Exhibit, facts: Mapping[str, Any]) -> None:
        with folder_written_whole(place) as part:
            write_png(part / "input.png", shown.row.input)
            for numbers, (_, panel) in zip(shown.numbers["panels"], shown.row.panels, strict=True):
                write_png(part / numbers["file"], panel.pixels, panel.text)
            _write_json(part / "numbers.json", {**facts, **shown.numbers})

    def _block(self, name: str) -> PictureRows:
        """One picture's rows, read back from the folder."""
        return PictureRows(name, tuple(self._row(name, called) for called in self.names))

    def _row(self, name: str, called: str) -> Row:
        place, numbers = self._place(name, called), self._made(name, called)
        panels = []
        for panel in numbers["panels"]:
            pixels, _ = read_png(place / panel["file"])
            drawn = Panel(pixels, panel["white"], panel["display"], panel["black"], panel["rule"])
            panels.append((panel["seed"], drawn))
        best = tuple((p["name"], p["probability"]) for p in numbers["predictions"])
        return Row(called, read_png(place / "input.png")[0], tuple(panels), best or None, numbers["note"])


def _about(network: Network, look: Look) -> dict[str, Any]:
    preprocessing = network.preprocessing
    return {
        "network": network.name,
        "weights": network.weights,
        "precision": str(network.dtype).removeprefix("torch."),
        "method": look.rule.name,
        "overlapping_pools": look.rule.overlap,
        "input": {
            "height": preprocessing.height,
            "width": preprocessing.width,
            "resize": preprocessing.resize,
        },
    }


def check_look(networks: Sequence[Network], look: Look) -> None:
    """Refuse, before any work, a layer or unit that no network has, and what cannot be reconstructed or shown.

    Raises NetworkError or UnsupportedOperationError.
    """
    if not networks:
        raise NetworkError("there is no network to look into; give at least one")
    names = () if isinstance(look.layers, str) else look.layers
    for name in (*names, *(unit.layer for unit in look.units)):
        if not any(network.find_layer(name) for network in networks):
            networks[0].layer(name)  # raises, with what it has instead
    for network in networks:
        seeds = look.seeds(network)
        if not seeds:
            none = f"none of the layers {', '.join(names)}" if names else f"no layers for {look.layers!r}"
            raise NetworkError(f"{network.name} has {none}; name one of its own too")
        reconstruct(network, torch.empty(0, *network.input_shape), seeds, rule=look.rule)


def make_gallery(
    gallery: Gallery,
    files: Sequence[Path],
    *,
    progress: Told | None = None,
    report: Callable[[BadImage], object] = lambda _: None,
) -> tuple[tuple[Path, ...], tuple[BadImage, ...]]:
    """Fill a gallery from picture files; what is there already, made the same way, is kept.

    ``progress`` is told of each picture, ``report`` of each bad file. Returns the files that sum it all up, and the
    bad pictures. Raises OutputError if the folder cannot be written, or another process is at work on it.
    """
    check_look(gallery.networks, gallery.look)
    good: dict[str, Path] = {}
    bad: list[BadImage] = []
    done = Count(progress, "pictures", len(files))
    with gallery.held():
        for name, path in zip(picture_names(_plain(files)), files, strict=True):
            fault = gallery.add(name, path)
            if fault is None:
                good[name] = path
            else:
                bad.append(fault)
                report(fault)
            done()
        return gallery.finish(good, bad), tuple(bad)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_whole(path) as part:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        part.write_text(text, "utf-8", "backslashreplace")  # a file name may hold what only JSON can escape
