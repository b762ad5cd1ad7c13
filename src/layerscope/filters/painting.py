"""What filters see and keep: the patches that excite each most, cut from the pictures, and their reconstructions.

Filters are taken in blocks, in the order given: as many as can wait in memory for the last of their pictures. Within a
block every picture is read once, and all units that look at it share what they can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from torch import Tensor

from layerscope.choices import PATCHES_ALONE
from layerscope.drawing.render import Pixels, Signal, as_rgb, is_norm, show_signal
from layerscope.drawing.sprites import draw_sprite
from layerscope.errors import StudyError
from layerscope.filters.top_filters import Filter
from layerscope.images.sets import ImageSet
from layerscope.network.layers import Layer
from layerscope.network.network import Network, Unit
from layerscope.network.views import View, view_of, within
from layerscope.reconstruction.rules import DECONVNET, Rule
from layerscope.reconstruction.units import UnitAt, UnitReconstruction, stream_units
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures, read_again

P = TypeVar("P")

BLOCK_BYTES = 512 << 20  # what the panels of unfinished filters may hold


@dataclass(frozen=True)
class Drawing:
    """How a portrait is made: the rule of the way back to pixels, and how a panel shows its values.

    ``rule``: None: patches alone, as of layers that no rule goes back from.
    """

    rule: Rule | None = DECONVNET
    display: str = "signed"

    @property
    def way(self) -> str:
        """The name of the rule, or "none"."""
        return PATCHES_ALONE if self.rule is None else self.rule.name


@dataclass(frozen=True)
class Sitting:
    """Whose filters are portrayed, and how."""

    study: Study = field(repr=False)
    network: Network = field(repr=False)
    drawing: Drawing = Drawing()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        height, width = self.network.input_shape[1:]
        return height, width

    def size(self, layer: Layer) -> tuple[int, int]:
        """Rows and columns of a panel: those of the receptive field, at most those of the picture."""
        own = self.shape if layer.field is None else layer.field.size
        return min(own[0], self.shape[0]), min(own[1], self.shape[1])

    def views(self, one: Filter) -> tuple[View, ...]:
        """What each panel of a filter shows, in the order of its patches."""
        return tuple(view_of(one.layer, patch.row, patch.column, self.shape) for patch in one.patches)

    def work(self, one: Filter) -> int:
        """How much there is to do for a filter: the pixels of its panels, which the time goes with."""
        height, width = self.size(one.layer)
        return len(one.patches) * height * width

    def blocks(self, missing: Sequence[Filter]) -> Iterator[list[Filter]]:
        """The filters in parts, in order, each of which memory can hold unfinished."""
        block: list[Filter] = []
        held = 0
        for one in missing:
            size = 2 * 3 * self.work(one)
            if block and held + size > BLOCK_BYTES:
                yield block
                block, held = [], 0
            block.append(one)
            held += size
        if block:
            yield block

    def sprite(self, one: Filter, panels: Sequence[Panel]) -> Pixels:
        """All panels of a filter as one picture."""
        return draw_sprite(self.size(one.layer), [(panel.part, *panel.shown) for panel in panels])


@dataclass(frozen=True)
class Panel:
    """A patch and its reconstruction, only where the filter sees the picture, and the values shown as extremes.

    ``kept``: None: nothing goes back to the pixels.
    """

    part: tuple[slice, slice]
    seen: Pixels
    kept: Pixels | None = None
    white: float = 0.0
    black: float = 0.0

    @property
    def shown(self) -> tuple[Pixels, ...]:
        """The patch, and the reconstruction if there is one."""
        return (self.seen,) if self.kept is None else (self.seen, self.kept)


def paint(
    sitting: Sitting, images: ImageSet, filters: Sequence[Filter], done: Callable[[Filter], object]
) -> Iterator[tuple[Filter, list[Panel]]]:
    """Each filter with its panels, as they are done; ``done`` is told of each unit.

    Raises StudyError for a picture that is not that of the study; what `stream_units` raises.
    """

    def draw(one: Filter, view: View, seen: Pixels, signal: Signal) -> Panel:
        part = within(view.frame, view.seen)
        if not signal.size:  # all of it lies outside the picture
            return Panel(part, seen, seen)
        kept = show_signal(signal, sitting.drawing.display)
        return Panel(part, seen, kept.pixels, kept.scale, kept.black)

    return paint_with(draw, sitting, images, filters, done)


def paint_with(
    draw: Callable[[Filter, View, Pixels, Signal], P],
    sitting: Sitting,
    images: ImageSet,
    filters: Sequence[Filter],
    done: Callable[[Filter], object],
) -> Iterator[tuple[Filter, list[P]]]:
    """As `paint`, with panels of your own: ``draw`` makes one of a filter, a view, and its patch and signal there."""
    places = find_pictures(sitting.study, images, (p.picture for one in filters for p in one.patches))
    rule = sitting.drawing.rule or DECONVNET
    for block in sitting.blocks(filters):
        with closing(_Pictures(sitting, images, places, block)) as pictures:
            unfinished: dict[int, dict[int, P]] = {}
            for place, found in stream_units(
                sitting.network, pictures.load, [at for _, _, at in pictures.units], rule=rule
            ):
                (number, rank, _), view = pictures.units[place], pictures.views[place]
                panels = unfinished.setdefault(number, {})
                signal = _signal(sitting, found, view)
                panels[rank] = draw(block[number], view, pictures.crops.pop(place), signal)
                if len(panels) == len(block[number].patches):
                    del unfinished[number]
                    yield block[number], [panels[rank] for rank in sorted(panels)]
                done(block[number])


def cut(
    sitting: Sitting, images: ImageSet, filters: Sequence[Filter], done: Callable[[Filter], object]
) -> Iterator[tuple[Filter, list[Panel]]]:
    """As `paint`, but with patches alone: where no rule is wanted, or it does not go back from a layer."""
    places = find_pictures(sitting.study, images, (p.picture for one in filters for p in one.patches))
    for block in sitting.blocks(filters):
        with closing(_Pictures(sitting, images, places, block)) as pictures:
            for picture in pictures.order:
                pictures.load(picture)
        for number, units in groupby(range(len(pictures.units)), lambda place: pictures.units[place][0]):
            panels = []
            for place in units:
                view = pictures.views[place]
                panels.append(Panel(within(view.frame, view.seen), pictures.crops.pop(place)))
                done(block[number])
            yield block[number], panels


def _signal(sitting: Sitting, found: UnitReconstruction, view: View) -> Signal:
    """What a unit keeps of the pixels that it sees, (height, width, channels shown)."""
    down, across = within(found.box, view.seen)
    signal: Signal = found.signal[:, down, across].permute(1, 2, 0).numpy()
    return signal if is_norm(sitting.drawing.display) else sitting.network.preprocessing.one(signal)


class _Pictures:
    """The pictures of a block, read ahead in their order; ``crops``: what each unit sees of them, until taken."""

    def __init__(
        self, sitting: Sitting, images: ImageSet, places: Mapping[int, int], block: Sequence[Filter]
    ) -> None:
        self.network = sitting.network
        self.units = [
            (number, rank, UnitAt(patch.picture, Unit(one.layer.name, one.channel, patch.row, patch.column)))
            for number, one in enumerate(block)
            for rank, patch in enumerate(one.patches)
        ]
        self.views = [view for one in block for view in sitting.views(one)]
        self.crops: dict[int, Pixels] = {}
        self._units_of: dict[int, list[int]] = {}
        for place, (_, _, at) in enumerate(self.units):
            self._units_of.setdefault(at.picture, []).append(place)
        self.order = sorted(self._units_of)
        self._ahead = read_again(sitting.study, images, places, self.order, self.network.preprocessing.apply)

    def load(self, picture: int) -> Tensor:
        """The next picture, preprocessed. Raises StudyError if it is not that of the study."""
        found, values = next(self._ahead)
        if found != picture:
            raise StudyError(f"picture {found} was read in place of {picture}; this is a fault of layerscope")
        preprocessing = self.network.preprocessing
        pixels = as_rgb(preprocessing.one(preprocessing.picture(values)))
        for place in self._units_of[picture]:
            inside = self.views[place].seen
            self.crops[place] = pixels[inside.top : inside.bottom, inside.left : inside.right].copy()
        return values

    def close(self) -> None:
        """Read no further."""
        self._ahead.close()
