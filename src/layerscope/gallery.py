"""What each layer of each network keeps of each picture, as a folder that a run can be interrupted in and goes on.

The folder holds, for every picture and network, the input and one PNG per panel with the numbers beside them;
then one figure (PNG and PDF) and ``results.json``, which are made of those.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from layerscope._version import __version__
from layerscope.canvas import save_figure
from layerscope.errors import ImageError, NetworkError
from layerscope.figures import PictureRows, Row, reconstruction_figure
from layerscope.images import BadImage, load_image, picture_names
from layerscope.network import Network, Unit
from layerscope.reconstruction import Class, Seed, reconstruct
from layerscope.render import Panel, read_png, show_signal, write_png, written_whole
from layerscope.rules import DECONVNET, Rule

_PARTIAL = ".partial-"
_ROWS_PER_PAGE = 10
FIGURE_PICTURES = 60  #: the figure shows at most so many pictures; the panels of all are in the folder


@dataclass(frozen=True)
class Look:
    """What to reconstruct and how to show it.

    ``layers``: "all", "even" (every second convolution and the last fully-connected layer), or names; with
    several networks each takes the names it has. ``units`` and ``classes`` add panels of their own.
    """

    layers: str | tuple[str, ...] = "all"
    units: tuple[Unit, ...] = ()
    classes: tuple[int, ...] = ()
    rule: Rule = DECONVNET
    display: str = "signed"

    def seeds(self, network: Network) -> tuple[Seed, ...]:
        """The seeds this means for one network, from low to high."""
        if isinstance(self.layers, str):
            layers = network.select_layers(self.layers)
        else:
            layers = network.select_layers(name for name in self.layers if network.find_layer(name))
        units = (unit for unit in self.units if network.find_layer(unit.layer))
        return (*(layer.name for layer in layers), *units, *map(Class, self.classes))


@dataclass(frozen=True)
class Exhibit:
    """One row of a figure and the numbers behind it."""

    row: Row
    numbers: Mapping[str, Any]


def exhibit(network: Network, picture: Image.Image, look: Look) -> Exhibit:
    """Reconstruct one picture through one network and draw it."""
    values = network.preprocessing.apply(picture)
    seeds = look.seeds(network)
    found = reconstruct(network, values[None], seeds, rule=look.rule)
    panels = tuple((str(seed), _draw(found[seed][0], look.display)) for seed in seeds)
    why = network.why_no_predictions
    best = () if why else network.predict(values[None])[0]
    row = Row(
        title=network.name,
        input=network.preprocessing.picture(values),
        panels=panels,
        predictions=None if why else tuple((p.name, p.probability) for p in best),
        note=f"no predictions: {why}" if why else "",
    )
    numbers = {
        "predictions": [{"index": p.index, "name": p.name, "probability": p.probability} for p in best],
        "note": row.note,
        "panels": [
            _measure(network, seed, found[seed][0], panel)
            for seed, (_, panel) in zip(seeds, panels, strict=True)
        ],
    }
    return Exhibit(row, numbers)


def show_reconstructions(
    networks: Network | Sequence[Network],
    pictures: Sequence[str | Path | Image.Image],
    look: Look | None = None,
) -> Any:
    """The figure of a few pictures, without writing anything; it shows itself in a notebook."""
    networks = [networks] if isinstance(networks, Network) else list(networks)
    images = [p if isinstance(p, Image.Image) else load_image(p) for p in pictures]
    paths = [
        Path(f"picture {i + 1}") if isinstance(p, Image.Image) else Path(p) for i, p in enumerate(pictures)
    ]
    blocks = [
        PictureRows(name, tuple(exhibit(network, image, look or Look()).row for network in networks))
        for name, image in zip(picture_names(paths), images, strict=True)
    ]
    return reconstruction_figure(blocks)


def _draw(signal: Tensor, display: str) -> Panel:
    return show_signal(signal.permute(1, 2, 0).numpy(), display)


def _measure(network: Network, seed: Seed, signal: Tensor, panel: Panel) -> dict[str, Any]:
    numbers: dict[str, Any] = {"seed": str(seed)}
    if not isinstance(seed, Class):
        layer = network.layer(seed.layer if isinstance(seed, Unit) else seed)
        numbers |= {
            "layer": layer.name,
            "operation": layer.operation,
            "channels": layer.channels,
            "size": list(layer.size),
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
    """The folder, and what is to be in it. ``names``: the networks' own names, made different."""

    folder: Path
    networks: tuple[Network, ...]
    look: Look

    @property
    def names(self) -> tuple[str, ...]:
        """A folder name for each network."""
        plain = [re.sub(r"[^\w.-]+", "_", network.name) for network in self.networks]
        return tuple(n if plain.count(n) == 1 else f"{n}-{i + 1}" for i, n in enumerate(plain))

    def add(self, name: str, path: Path) -> BadImage | None:
        """Make what is missing of one picture. Returns what is wrong with the file, if anything is."""
        try:
            image = load_image(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except (ImageError, OSError) as error:
            return BadImage(path, str(error).removeprefix(f"{path}: "))
        for network, called in zip(self.networks, self.names, strict=True):
            key = self._key(network, digest)
            if self._made(name, called).get("key") != key:
                shown = exhibit(network, image, self.look)
                facts = {"key": key, "picture": name, "file": str(path), "sha256": digest}
                self._write(self._place(name, called), shown, facts | _about(network, self.look))
        return None

    def finish(self, names: Sequence[str], bad: Sequence[BadImage]) -> tuple[Path, ...]:
        """Write the figure and ``results.json`` from what the folder holds, and return their paths."""
        made = [{called: self._made(name, called) for called in self.names} for name in names]
        results = {
            "layerscope": __version__,
            "pictures": [{"picture": n, "networks": m} for n, m in zip(names, made, strict=True)],
            "skipped": [{"file": str(b.path), "reason": b.reason} for b in bad],
        }
        where = self.folder / "results.json"
        _write_json(where, results)
        if not names:
            return (where,)
        per_page = max(1, _ROWS_PER_PAGE // len(self.networks))
        shown = names[:FIGURE_PICTURES]
        pages = [
            reconstruction_figure([self._block(name) for name in shown[i : i + per_page]])
            for i in range(0, len(shown), per_page)
        ]
        return (*save_figure(pages, self.folder / "reconstructions"), where)

    def tidy(self) -> None:
        """Make the folder, and remove what an interrupted run left half-written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in (self.folder / "panels").glob(f"*/{_PARTIAL}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _place(self, name: str, called: str) -> Path:
        return self.folder / "panels" / name / called

    def _made(self, name: str, called: str) -> dict[str, Any]:
        """The numbers of what is there already; empty if there is nothing whole."""
        try:
            numbers: dict[str, Any] = json.loads(
                (self._place(name, called) / "numbers.json").read_text("utf-8")
            )
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return {}
        return numbers

    def _key(self, network: Network, digest: str) -> str:
        """What the result depends on; a different key is a different result."""
        seeds = [repr(seed) for seed in self.look.seeds(network)]
        parts = [
            __version__,
            digest,
            network.graph.digest,
            network.preprocessing,
            network.classes,
            seeds,
            self.look,
        ]
        return hashlib.sha256(repr([str(part) for part in parts]).encode()).hexdigest()

    def _write(self, place: Path, shown: Exhibit, facts: Mapping[str, Any]) -> None:
        with _folder_written_whole(place) as part:
            write_png(part / "input.png", shown.row.input)
            for number, (_, panel) in enumerate(shown.row.panels):
                write_png(part / _panel_file(number), panel.pixels, panel.text)
            _write_json(part / "numbers.json", {**facts, **shown.numbers})

    def _block(self, name: str) -> PictureRows:
        """One picture's rows, read back from the folder."""
        return PictureRows(name, tuple(self._row(name, called) for called in self.names))

    def _row(self, name: str, called: str) -> Row:
        place, numbers = self._place(name, called), self._made(name, called)
        panels = []
        for number, panel in enumerate(numbers["panels"]):
            pixels, _ = read_png(place / _panel_file(number))
            drawn = Panel(pixels, panel["white"], panel["display"], panel["black"], panel["rule"])
            panels.append((panel["seed"], drawn))
        best = tuple((p["name"], p["probability"]) for p in numbers["predictions"])
        return Row(called, read_png(place / "input.png")[0], tuple(panels), best or None, numbers["note"])


def _panel_file(number: int) -> str:
    return f"{number + 1:03d}.png"


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
    """Refuse, before any work, a layer or unit that no network has, and what cannot be reconstructed.

    Raises NetworkError or UnsupportedOperationError.
    """
    names = () if isinstance(look.layers, str) else look.layers
    for name in (*names, *(unit.layer for unit in look.units)):
        if not any(network.find_layer(name) for network in networks):
            networks[0].layer(name)  # raises, with what it has instead
    for network in networks:
        seeds = look.seeds(network)
        if not seeds:
            raise NetworkError(
                f"{network.name} has none of the layers {', '.join(names)}; name one of its own too"
            )
        reconstruct(network, torch.empty(0, *network.input_shape), seeds, rule=look.rule)


def make_gallery(
    gallery: Gallery,
    files: Sequence[Path],
    *,
    strict: bool = False,
    progress: Callable[[int], object] = lambda _: None,
    report: Callable[[BadImage], object] = lambda _: None,
) -> tuple[tuple[Path, ...], tuple[BadImage, ...]]:
    """Fill a gallery from picture files; what is there already, made the same way, is kept.

    ``progress`` is called with 1 after each picture, ``report`` for each bad file; ``strict`` stops at the first
    with ImageError. Returns the files that sum it all up, and the bad pictures.
    """
    check_look(gallery.networks, gallery.look)
    gallery.tidy()
    good, bad = [], []
    for name, path in zip(picture_names(files), files, strict=True):
        fault = gallery.add(name, path)
        if fault is None:
            good.append(name)
        elif strict:
            raise ImageError(f"{fault.path}: {fault.reason}")
        else:
            bad.append(fault)
            report(fault)
        progress(1)
    return gallery.finish(good, bad), tuple(bad)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_whole(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _folder_written_whole(place: Path) -> Iterator[Path]:
    """Give a folder to write to; it becomes ``place`` at the end, or is removed if anything is raised."""
    part = place.with_name(f"{_PARTIAL}{secrets.token_hex(8)}")
    try:
        part.mkdir(parents=True)
        yield part
        if place.exists():
            shutil.rmtree(place)
        os.rename(part, place)  # noqa: PTH104 - says that nothing is replaced
    except OSError as error:
        raise ImageError(
            f"cannot write {place}: {error.strerror or error}; free some room or choose --out"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
