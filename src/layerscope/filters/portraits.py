"""The portraits of a study's filters: the top patches of each, and what the filter keeps of them (Fig. 7).

Filters are taken in blocks, in the order of the layers: as many as can wait in memory for the last of their
pictures. Within a block every picture is read once, and all units that look at it share what they can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from layerscope.drawing.render import Pixels, as_rgb, show_signal
from layerscope.drawing.sprites import draw_sprite, encode_sprite, read_about, suffix
from layerscope.errors import StudyError
from layerscope.filters.sheets import STEP, Portrait, dead_before, finish_portraits
from layerscope.filters.top_filters import Filter, top_filters
from layerscope.images.sets import ImageSet
from layerscope.network.layers import Layer
from layerscope.network.network import Network, Unit
from layerscope.network.views import View, view_of, within
from layerscope.progress import Told, tell
from layerscope.reconstruction.rules import DECONVNET, RULES, Rule
from layerscope.reconstruction.units import UnitAt, UnitReconstruction, check_rule, covers, stream_units
from layerscope.study.folder import Study
from layerscope.study.names import folders
from layerscope.study.pictures import find_pictures, read_again
from layerscope.study.sources import check_network
from layerscope.study.steps import OpenStep

_FORMAT = 1  # of what a portrait shows; raised when older ones are to be made anew
BLOCK_BYTES = 512 << 20  # what the panels of unfinished filters may hold


@dataclass(frozen=True)
class Drawing:
    """How a portrait is made: the rule of the way back to pixels, and how a panel shows its values."""

    rule: Rule = DECONVNET
    display: str = "signed"


@dataclass(frozen=True)
class FilterOptions:
    """Which filters are portrayed, and how: ``layers`` and ``channels`` as `make_portraits` takes them.

    ``drawing``: None: as the portraits that are there, else by the deconvnet.
    """

    layers: str | Sequence[str] = "conv"
    channels: Sequence[int] | None = None
    drawing: Drawing | None = None


def drawing_of(
    study: Study, network_name: str, *, rule: str | None = None, display: str | None = None
) -> Drawing:
    """How the portraits of a network are drawn in a study, or would be; but by this rule, or with this display.

    Raises StudyError if that was by a rule of the user's own, which a study knows by name only.
    """
    if rule is not None and display is not None:
        return Drawing(RULES[rule], display)
    there = _drawn(study, network_name)
    other = there.rule if rule in (None, there.rule.name) else RULES[str(rule)]
    return Drawing(other, display or there.display)


def _drawn(study: Study, network_name: str) -> Drawing:
    made = study.steps.get(f"{study.network(network_name).folder}/{STEP}")
    if made is None:
        return Drawing()
    if made["rule"] not in RULES:
        raise StudyError(
            f"the portraits of {network_name} are drawn by a rule of your own, {made['rule']!r}; draw them by "
            f"{' or '.join(RULES)}: `layerscope filters` with --rule and --display"
        )
    return Drawing(replace(RULES[made["rule"]], overlap=made["overlap"]), made["display"])


def precision_of(study: Study, network_name: str) -> torch.dtype:
    """The precision of a network's portraits in a study, or that of the study itself while there are none."""
    made = study.steps.get(f"{study.network(network_name).folder}/{STEP}")
    known = study.manifest["inputs"]["networks"][network_name] if made is None else made
    found: torch.dtype = getattr(torch, known["dtype"])
    return found


def rules_for(network: Network) -> tuple[str, ...]:
    """The rules that cover all convolutions of a network, by name."""
    layers = [layer.name for layer in network.select_layers("conv")]
    return tuple(name for name, rule in RULES.items() if covers(network, layers, rule))


def make_portraits(
    study: Study,
    network: Network,
    images: ImageSet,
    *,
    layers: str | Sequence[str] = "conv",
    channels: Sequence[int] | None = None,
    drawing: Drawing | None = None,
    progress: Told | None = None,
) -> Study:
    """Add the portraits of filters to a study: a picture for each, pages for each layer, the table ``filters``.

    ``layers``: "conv", "all", "even" or names; ``channels``: those to show, all by default. What is there already,
    drawn the same way, is kept and stays beside what is new; what was drawn in another way is replaced. Raises
    StudyError if the network or a picture is not that of the study, OutputError if another process is at work on it,
    UnsupportedOperationError as `stream_units`, before anything is touched.
    """
    check_network(study, network)
    chosen = top_filters(study, network, layers, channels)
    alive = [one for one in chosen if one.patches]
    drawing = drawing or Drawing()
    check_rule(network, dict.fromkeys(one.layer.name for one in alive), drawing.rule)
    options = {
        "rule": drawing.rule.name,
        "overlap": drawing.rule.overlap,
        "display": drawing.display,
        "dtype": str(network.dtype).removeprefix("torch."),
        "format": _FORMAT,
    }
    places = find_pictures(study, images, (p.picture for one in chosen for p in one.patches))
    with study.open_step(STEP, network=network.name, options=options) as step:
        easel = _Easel(study, network, drawing, step)
        missing = [one for one in alive if easel.found(one) is None]
        step.expect(map(easel.file, missing))
        units = _Units(easel, alive, missing, progress)
        for block in easel.blocks(missing):
            with closing(_Pictures(easel, images, places, block)) as pictures:
                _draw(easel, block, pictures, units)
        finish_portraits(step, study, network, easel.every(chosen), {one.layer.name for one in missing})
    return Study.open(study.path)


class _Easel:
    """What all portraits of one run share: where they go, how large they are, what they depend on."""

    def __init__(self, study: Study, network: Network, drawing: Drawing, step: OpenStep) -> None:
        self.study, self.network, self.drawing, self.step = study, network, drawing, step
        self.shape = network.input_shape[1:]
        self.folders = folders(layer.name for layer in network.layers)

    def size(self, layer: Layer) -> tuple[int, int]:
        """Rows and columns of a panel: those of the receptive field, at most those of the picture."""
        field = self.shape if layer.field is None else layer.field.size
        return min(field[0], self.shape[0]), min(field[1], self.shape[1])

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

    def file(self, one: Filter) -> str:
        """The name of the portrait, below the network's folder."""
        ending = suffix(self.size(one.layer), len(one.patches))
        return f"{STEP}/{self.folders[one.layer.name]}/{one.channel:04d}{ending}"

    def key(self, one: Filter) -> str:
        """What the portrait depends on, all of it in one word."""
        parts = (
            self.study.digest,
            self.network.name,
            one.layer.name,
            one.channel,
            one.patches,
            self.step.options,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def found(self, one: Filter) -> Portrait | None:
        """The portrait that is in place already, if it is the one that would be made."""
        name = self.file(one)
        about = read_about(self.step.place(name)) if self.step.whole(name) else {}
        if about.get("key") != self.key(one):
            return None
        white, black = tuple(about["white"]), tuple(about["black"])
        return Portrait(one, self.size(one.layer), name, self.views(one), white, black)

    def every(self, chosen: Sequence[Filter]) -> list[Portrait]:
        """All portraits there are, from this run and earlier ones, with the dead among those asked for."""
        asked = {(one.layer.name, one.channel) for one in chosen} | dead_before(self.step)
        filters = top_filters(self.study, self.network, "swept")
        found = [
            self.found(one) if one.patches else Portrait(one, self.size(one.layer))
            for one in filters
            if one.patches or (one.layer.name, one.channel) in asked
        ]
        return [portrait for portrait in found if portrait is not None]


class _Units:
    """Tells of progress, unit by unit."""

    def __init__(
        self, easel: _Easel, alive: Sequence[Filter], missing: Sequence[Filter], progress: Told | None
    ) -> None:
        self.progress, self.easel = progress, easel
        self.of, self.all = sum(len(one.patches) for one in alive), sum(map(easel.work, alive))
        self.left, self.ahead = sum(len(one.patches) for one in missing), sum(map(easel.work, missing))
        self._tell()

    def one_more(self, of: Filter) -> None:
        """A unit of this filter is done."""
        self.left -= 1
        self.ahead -= self.easel.work(of) // len(of.patches)
        self._tell()

    def _tell(self) -> None:
        share = 1 - self.ahead / self.all if self.all else 1.0
        tell(self.progress, "portraits", share, f"{self.of - self.left:,} of {self.of:,} units")


@dataclass(frozen=True)
class _Panel:
    """A patch and its reconstruction, only where the filter sees the picture, and the values shown as extremes."""

    part: tuple[slice, slice]
    seen: Pixels
    kept: Pixels
    white: float
    black: float


def _draw(easel: _Easel, block: Sequence[Filter], pictures: _Pictures, units: _Units) -> None:
    """Make the portraits of a block; each is published with its last unit."""
    unfinished: dict[int, dict[int, _Panel]] = {}
    for place, found in stream_units(
        easel.network, pictures.load, [at for _, _, at in pictures.units], rule=easel.drawing.rule
    ):
        number, rank, _ = pictures.units[place]
        panels = unfinished.setdefault(number, {})
        panels[rank] = _panel(easel, found, pictures.views[place], pictures.crops.pop(place))
        if len(panels) == len(block[number].patches):
            del unfinished[number]
            _publish(easel, block[number], [panels[rank] for rank in sorted(panels)])
        units.one_more(block[number])


def _panel(easel: _Easel, found: UnitReconstruction, view: View, seen: Pixels) -> _Panel:
    down, across = within(found.box, view.seen)
    panel = show_signal(found.signal[:, down, across].permute(1, 2, 0).numpy(), easel.drawing.display)
    return _Panel(within(view.frame, view.seen), seen, panel.pixels, panel.scale, panel.black)


def _publish(easel: _Easel, one: Filter, panels: Sequence[_Panel]) -> None:
    name = easel.file(one)
    about = {"key": easel.key(one), "white": [p.white for p in panels], "black": [p.black for p in panels]}
    sprite = draw_sprite(easel.size(one.layer), [(p.part, p.seen, p.kept) for p in panels])
    easel.step.put(name, encode_sprite(sprite, Path(name).suffix, about))


class _Pictures:
    """The pictures of a block, read ahead in their order; ``crops``: what each unit sees of them, until taken."""

    def __init__(
        self, easel: _Easel, images: ImageSet, places: Mapping[int, int], block: Sequence[Filter]
    ) -> None:
        self.network = easel.network
        self.units = [
            (number, rank, UnitAt(patch.picture, Unit(one.layer.name, one.channel, patch.row, patch.column)))
            for number, one in enumerate(block)
            for rank, patch in enumerate(one.patches)
        ]
        self.views = [view for one in block for view in easel.views(one)]
        self.crops: dict[int, Pixels] = {}
        self._units_of: dict[int, list[int]] = {}
        for place, (_, _, at) in enumerate(self.units):
            self._units_of.setdefault(at.picture, []).append(place)
        self._ahead = read_again(
            easel.study, images, places, sorted(self._units_of), self.network.preprocessing.apply
        )

    def load(self, picture: int) -> Tensor:
        """The next picture, preprocessed. Raises StudyError if it is not that of the study."""
        found, values = next(self._ahead)
        if found != picture:
            raise StudyError(f"picture {found} was read in place of {picture}; this is a fault of layerscope")
        pixels = as_rgb(self.network.preprocessing.picture(values))
        for place in self._units_of[picture]:
            inside = self.views[place].seen
            self.crops[place] = pixels[inside.top : inside.bottom, inside.left : inside.right].copy()
        return values

    def close(self) -> None:
        """Read no further."""
        self._ahead.close()
