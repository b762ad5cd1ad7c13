"""What every layer keeps of the chosen pictures: as large as the input, and all side by side in a strip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from torch import Tensor

from layerscope.disk.names import folders
from layerscope.disk.tables import json_bytes
from layerscope.drawing.encoding import encode_jpeg
from layerscope.drawing.panels import reduced
from layerscope.drawing.render import Panel, Pixels, Signal, show_signal
from layerscope.drawing.sprites import encode_sprite, read_about
from layerscope.images.sets import ImageSet
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.pages.filters import step_options
from layerscope.pages.panels import SIDE
from layerscope.pages.pictures import quality_of
from layerscope.pages.views import ZERO
from layerscope.progress import Count, Told
from layerscope.reconstruction.descent import reconstruct, reversible
from layerscope.reconstruction.rules import Rule, places_lost
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures, read_again
from layerscope.study.steps import OpenStep

STEP = "pages/reconstructions"
ABOUT = "pages/about.json"

_ACROSS = 64  # squares in a row of a strip, at most: a JPEG has an end
_STRIP_QUALITY = 75  # of many squares that are seen at two thirds of their size
_BYTES = 256 << 20  # what the signals of a picture may hold at once


def add_reconstructions(
    study: Study,
    network: Network,
    images: ImageSet,
    chosen: Sequence[int],
    rule: Rule,
    progress: Told | None = None,
) -> Study:
    """The study with the reconstructions of chosen pictures from every layer that the rule goes back from.

    Those that are there, made the same way, are kept; those of pictures that are no longer chosen go. Raises
    StudyError for a picture that is not that of the study.
    """
    drawer = _Drawer(network, rule)
    with study.open_step(STEP, network=network.name, options=step_options(network, rule)) as step:
        wanted = chosen if drawer.layers else ()
        missing = [picture for picture in wanted if not drawer.found(step, picture)]
        done = Count(progress, "reconstructions", len(wanted), before=len(wanted) - len(missing))
        places = find_pictures(study, images, missing)
        with closing(read_again(study, images, places, missing, network.preprocessing.apply)) as read:
            for picture, values in read:
                step.put_all(drawer.draw(picture, values))
                done()
        step.put(ABOUT, json_bytes(drawer.about))
        step.put(STEP, drawer.table({picture: drawer.found(step, picture) for picture in wanted}))
        step.finish(name for picture in wanted for name in drawer.files(picture))
    return Study.open(study.path)


_Whites = Mapping[
    str, list[float]
]  # what is white in each layer's reconstruction, and in its square of the strip


@dataclass(frozen=True)
class _Drawer:
    """Draws pictures' reconstructions through one network."""

    network: Network
    rule: Rule

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Those that the rule goes back from."""
        kept = reversible(self.network.graph, self.rule)
        return tuple(layer for layer in self.network.layers if layer.result in kept)

    @property
    def columns(self) -> int:
        """Squares in a row of a strip."""
        return min(_ACROSS, len(self.layers))

    @property
    def about(self) -> dict[str, Any]:
        """What pages need to know of the network besides its tables."""
        names = [layer.name for layer in self.layers]
        return {
            "rule": self.rule.name,
            "lost": places_lost(self.network.graph, self.rule),
            "outputs": list(self.network.classes or ()),
            "reconstructions": names,
            "strip": {"side": SIDE, "columns": self.columns, "layers": names} if names else None,
        }

    @cached_property
    def folders(self) -> Mapping[str, str]:
        return folders(layer.name for layer in self.network.layers)

    def files(self, picture: int) -> list[str]:
        """A picture's reconstructions and its strip, which is put in place last."""
        each = [f"{STEP}/{self.folders[layer.name]}/{picture}.jpg" for layer in self.layers]
        return [*each, f"pages/strips/{picture}.jpg"]

    def found(self, step: OpenStep, picture: int) -> _Whites:
        """What a picture's strip says, if all is there; else nothing."""
        files = self.files(picture)
        about = read_about(step.place(files[-1])) if all(map(step.holds, files)) else {}
        return about if len(about.get("white", ())) == len(self.layers) else {}

    def draw(self, picture: int, values: Tensor) -> Iterator[tuple[str, bytes]]:
        """The files of a picture, preprocessed."""
        files, squares = self.files(picture), []
        whites: dict[str, list[float]] = {"white": [], "square": []}
        for file, signal in zip(files, self._signals(values), strict=False):
            panel, square = show_signal(signal), in_square(signal, SIDE)
            for name, drawn in zip(whites, (panel, square), strict=True):
                whites[name].append(float(f"{drawn.scale:.7g}"))
            squares.append(square.pixels)
            yield file, encode_jpeg(Image.fromarray(panel.pixels), quality_of(panel.pixels), fine=True)
        yield files[-1], encode_sprite(self._strip(squares), ".jpg", whites, quality=_STRIP_QUALITY)

    def _signals(self, values: Tensor) -> Iterator[Signal]:
        """Of each layer, (height, width, channels shown)."""
        names, shown = [layer.name for layer in self.layers], self.network.preprocessing.one
        room = max(1, _BYTES // (8 * prod(values.shape)))
        for some in (names[i : i + room] for i in range(0, len(names), room)):
            found = reconstruct(self.network, values[None], some, rule=self.rule)
            yield from (shown(found[name][0].permute(1, 2, 0).numpy()) for name in some)

    def _strip(self, squares: Sequence[Pixels]) -> Pixels:
        rows = -(-len(squares) // self.columns)
        strip = np.full((rows * SIDE, self.columns * SIDE, 3), ZERO, np.uint8)
        for number, square in enumerate(squares):
            y, x = (SIDE * place for place in divmod(number, self.columns))
            strip[y : y + SIDE, x : x + SIDE] = square
        return strip

    def table(self, whites: Mapping[int, _Whites]) -> pa.Table:
        """A row per picture and layer."""
        rows = [
            (picture, layer.name, white, -white, square)
            for picture, values in whites.items()
            for layer, white, square in zip(
                self.layers, values.get("white", ()), values.get("square", ()), strict=True
            )
        ]
        schema = {"picture": pa.int64(), "layer": pa.string(), "white": pa.float64(), "black": pa.float64()}
        columns = zip(*rows, strict=True) if rows else [()] * 5
        types = {**schema, "square": pa.float64()}
        return pa.table({name: pa.array(c, t) for (name, t), c in zip(types.items(), columns, strict=True)})


def in_square(signal: Signal, side: int) -> Panel:
    """A signal (height, width, channels) in the middle of a square, as large as fits in, zero beside it.

    It is reduced as values about zero, enlarged without smoothing, and then stretched to its own percentile.
    """
    scale = side / max(signal.shape[:2])
    height, width = (max(1, round(edge * scale)) for edge in signal.shape[:2])
    square = np.zeros((side, side, signal.shape[2]))
    top, left = (side - height) // 2, (side - width) // 2
    rows, columns = (
        np.arange(many) * edge // many for many, edge in zip((height, width), signal.shape[:2], strict=True)
    )
    fitted = signal[rows][:, columns] if scale > 1 else reduced(signal, (height, width))
    square[top : top + height, left : left + width] = fitted
    return show_signal(square)
