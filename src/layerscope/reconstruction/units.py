"""Single units back to pixels, in the footprint they see.

Units whose footprints are alike go down as one batch, whichever pictures they are of. What the way back needs of the
forward pass is either cut out of one pass over the unit's picture, which all its units share, or comes from a pass
over nothing but the unit's patch of it: for each picture the one that multiplies less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from layerscope.errors import NetworkError, UnsupportedOperationError
from layerscope.network.convolution import Rectified
from layerscope.network.geometry import Box
from layerscope.network.graph import Operation
from layerscope.network.links import before_link
from layerscope.network.network import Network, Unit
from layerscope.network.positions import index_of
from layerscope.network.tracing import computing
from layerscope.network.views import box_at
from layerscope.reconstruction.descent import Way, default_chunk_bytes, way_down, way_of
from layerscope.reconstruction.footprint_rules import (
    FootprintWay,
    Narrow,
    fit,
    multiplications,
    narrow,
    take_whole,
    taken_whole,
)
from layerscope.reconstruction.footprints import Path, Track, trace
from layerscope.reconstruction.rules import DECONVNET, Rule, remember

_WAITING_BYTES = 512 << 20  # what units that wait for others like them may hold

Pictures = (
    Tensor | Callable[[int], Tensor]
)  #: preprocessed: (pictures, channels, height, width), or one by index
ForwardOver = Literal["auto", "picture", "patch"]


@dataclass(frozen=True)
class UnitAt:
    """A unit, with row and column where its layer has them, of a picture: its index, counted from 0."""

    picture: int
    unit: Unit


@dataclass(frozen=True, eq=False)
class UnitReconstruction:
    """What a unit keeps of its picture: ``signal`` (channels, height, width) over the pixels of ``box``.

    Signed, in units of the network's preprocessed input, float32 (or float64) on the CPU; zero where the box, the
    unit's receptive field, sticks out of the picture. Where the layer has no field of one size, the whole picture.
    """

    at: UnitAt
    box: Box
    signal: Tensor


def reconstruct_units(
    network: Network,
    pictures: Pictures,
    units: Iterable[UnitAt],
    *,
    rule: Rule = DECONVNET,
    forward: ForwardOver = "auto",
    chunk_bytes: int | None = None,
) -> tuple[UnitReconstruction, ...]:
    """Project single units back to the pixels they see, each from its own activation; in the order given.

    Equal to the crop of what `reconstruct` gives for the unit. For more than memory holds: `stream_units`.
    Raises NetworkError for an unknown unit or picture, UnsupportedOperationError for an operation on the way that
    the rule does not cover, both before any work.
    """
    found = dict(stream_units(network, pictures, units, rule=rule, forward=forward, chunk_bytes=chunk_bytes))
    return tuple(found[place] for place in sorted(found))


def stream_units(
    network: Network,
    pictures: Pictures,
    units: Iterable[UnitAt],
    *,
    rule: Rule = DECONVNET,
    forward: ForwardOver = "auto",
    chunk_bytes: int | None = None,
) -> Iterator[tuple[int, UnitReconstruction]]:
    """As `reconstruct_units`, one by one: the place of a unit in what was given, and its reconstruction.

    They come as they are done, not in order. Each picture is asked for once, in the order of their indices; give
    all layers in one call, so that they share it. ``forward``: where the switches come from, a pass over the
    ``picture``, over the unit's ``patch`` of it, or whichever is less work; they agree but for rounding.
    """
    wanted = tuple(units)
    for at in wanted:
        _check(network, pictures, at)
    if not wanted:
        return iter(())
    tops = {at.unit.layer: before_link(network.graph, network.layer(at.unit.layer).result) for at in wanted}
    if forward not in get_args(ForwardOver):
        raise NetworkError(
            f"a forward pass is over one of {', '.join(get_args(ForwardOver))}, not {forward!r}"
        )
    budget = chunk_bytes or default_chunk_bytes(network)
    way = way_of(network.graph, sorted(set(tops.values())), rule, network.dtype.itemsize)
    ways = _Ways(network, rule, way)
    spots = [ways.spot(place, at, tops[at.unit.layer]) for place, at in enumerate(wanted)]
    return _Batches(ways, pictures, forward, budget).run(spots)


def check_rule(network: Network, layers: Iterable[str], rule: Rule) -> None:
    """Raise UnsupportedOperationError unless the rule covers every operation from the layers down to the pixels."""
    graph = network.graph
    way_down(graph, [before_link(graph, network.layer(name).result) for name in layers], rule)


def covers(network: Network, layers: Iterable[str], rule: Rule) -> bool:
    """Whether `check_rule` has nothing against the rule."""
    try:
        check_rule(network, layers, rule)
    except UnsupportedOperationError:
        return False
    return True


def _check(network: Network, pictures: Pictures, at: UnitAt) -> None:
    layer = network.check_unit(at.unit)
    if at.unit.row is None and layer.has_positions:
        raise NetworkError(f"unit {at.unit} is a whole feature map; give it a row and a column")
    count = len(pictures) if isinstance(pictures, Tensor) else at.picture + 1
    if not 0 <= at.picture < count:
        raise NetworkError(f"there is no picture {at.picture} for unit {at.unit}; there are {count}")


@dataclass(frozen=True, eq=False)
class _Spot:
    """A unit and the footprints it sees. ``seed``: where it is in the footprint of its own operation, ``top``."""

    place: int
    at: UnitAt
    top: int
    rows: Path
    columns: Path
    seed: tuple[int | slice, ...]


class _Ways:
    """The ways down that units need, each made once."""

    def __init__(self, network: Network, rule: Rule, way: Way) -> None:
        self.network, self.rule, self.way = network, rule, way
        self.whole = taken_whole(network.graph, network.geometry, rule)
        self.paths: dict[tuple[int, int, int], Path] = {}
        self.made: dict[tuple[int, Track, Track], FootprintWay] = {}

    def spot(self, place: int, at: UnitAt, top: int) -> _Spot:
        """A unit with its footprints."""
        row, column = at.unit.row or 0, at.unit.column or 0
        rows, columns = (self._path(top, axis, position) for axis, position in enumerate((row, column)))
        within = row - rows.starts[top], column - columns.starts[top]
        seed = index_of(self.network.graph.operations[top], at.unit.channel, *within)
        return _Spot(place, at, top, rows, columns, seed)

    def below(self, spot: _Spot) -> FootprintWay:
        """The way down from a unit."""
        key = spot.top, spot.rows.track, spot.columns.track
        if key not in self.made:
            self.made[key] = FootprintWay(
                spot.top, {i: self._narrow(i, *key[1:]) for i in key[1].length if i}
            )
        return self.made[key]

    def box(self, spot: _Spot) -> Box:
        """The receptive field of a unit; the whole picture where its layer has none of one size."""
        unit = spot.at.unit
        size = self.network.input_shape[1:]
        return box_at(self.network.layer(unit.layer), unit.row or 0, unit.column or 0, size)

    def picture_cost(self, last: int) -> int:
        """Multiplications of a pass over a whole picture."""
        return sum(
            multiplications(reversible) for index, reversible in self.way.reversibles.items() if index <= last
        )

    def patch_cost(self, spot: _Spot) -> float:
        """Multiplications of a pass over a unit's patch; infinite where there can be none."""
        way = self.below(spot)
        return inf if way.goes_alone else way.multiplications

    def _path(self, top: int, axis: int, position: int) -> Path:
        key = top, axis, position
        if key not in self.paths:
            self.paths[key] = trace(self.network.geometry, self.whole, *key)
        return self.paths[key]

    def _narrow(self, index: int, rows: Track, columns: Track) -> Narrow:
        reversible = self.way.reversibles[index]
        if index in self.whole:
            return take_whole(reversible)
        return narrow(self.network.graph, reversible, self.prepared.get(index), rows, columns)

    @cached_property
    def prepared(self) -> Mapping[int, object]:
        """The convolutions of passes over pictures, without the rectification that some of those do: for footprints."""
        ways = self.way.prepared
        return {index: way.made if isinstance(way, Rectified) else way for index, way in ways.items()}


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A unit ready to go down: its patch of the picture, or its activation and what a pass left behind."""

    spot: _Spot
    pixels: Tensor | None = None
    activation: Tensor | None = None
    memory: Mapping[int, Any] = field(default_factory=dict)

    @cached_property
    def bytes(self) -> int:
        """What it holds."""
        return _size(self.pixels) + _size(self.memory)


_Key = tuple[int, Track, Track, bool]  # top, rows, columns, whether the pass is over the patch


class _Batches:
    """One call: pictures one by one, units waiting until a batch of them with like footprints is full."""

    def __init__(self, ways: _Ways, pictures: Pictures, forward: ForwardOver, budget: int) -> None:
        self.ways, self.pictures, self.forward, self.budget = ways, pictures, forward, budget
        self.network, self.rule = ways.network, ways.rule
        self.waiting: dict[_Key, list[_Waiting]] = {}
        self.held = 0

    def run(self, spots: Iterable[_Spot]) -> Iterator[tuple[int, UnitReconstruction]]:
        """All of them, picture by picture."""
        by_picture = attrgetter("at.picture")
        for index, group in groupby(sorted(spots, key=by_picture), key=by_picture):
            for unit in self._look(index, list(group)):
                yield from self._enter(unit)
            while self.held > _WAITING_BYTES:
                yield from self._finish(max(self.waiting, key=lambda key: _bytes(self.waiting[key])))
        for key in list(self.waiting):
            yield from self._finish(key)

    @computing()
    def _look(self, index: int, spots: Sequence[_Spot]) -> list[_Waiting]:
        """Take from a picture what its units need."""
        picture = self.pictures[index] if isinstance(self.pictures, Tensor) else self.pictures(index)
        picture = self.network.prepare(picture[None])
        last = self._last_shared(spots)
        shared, alone = ([s for s in spots if (s.top <= last) is wanted] for wanted in (True, False))
        units = [_Waiting(s, picture[..., s.rows.span(0), s.columns.span(0)].clone()) for s in alone]
        return units + (self._pass_over(picture, shared, last) if shared else [])

    def _last_shared(self, spots: Sequence[_Spot]) -> int:
        """How far a pass over their whole picture should go: units above it pass over their patch."""
        tops = sorted({spot.top for spot in spots})
        if self.forward == "picture":
            return tops[-1]
        patches = {top: sum(self.ways.patch_cost(s) for s in spots if s.top == top) for top in tops}
        if self.forward == "patch":
            if inf in patches.values():
                name = next(s.at.unit.layer for s in spots if patches[s.top] == inf)
                raise NetworkError(
                    f"{name} cannot be computed from its patch alone; use forward='picture' or 'auto'"
                )
            return -1

        def cost(last: int) -> float:
            return self.ways.picture_cost(last) + sum(patches[top] for top in tops if top > last)

        return min((*reversed(tops), -1), key=cost)

    def _pass_over(self, picture: Tensor, spots: Sequence[_Spot], last: int) -> list[_Waiting]:
        """One pass over a picture, and each unit's part of what it leaves behind."""
        reversibles, memory = self.ways.way.reversibles, dict[int, Any]()

        def observe(operation: Operation, values: Mapping[int, Any]) -> None:
            if operation.index in reversibles:
                memory[operation.index] = remember(reversibles[operation.index], values, self.rule)

        keep = frozenset(spot.top for spot in spots) | self.ways.way.kept
        results = self.network.graph.run(picture, last, keep, observe, self.ways.way.prepared)
        return [self._cut(spot, memory, results[spot.top]) for spot in spots]

    def _cut(self, spot: _Spot, memory: Mapping[int, Any], result: Tensor) -> _Waiting:
        unit = spot.at.unit
        operation = self.network.graph.operations[spot.top]
        place = index_of(operation, unit.channel, unit.row or 0, unit.column or 0)
        narrows = self.ways.below(spot).narrows
        cut = {index: here.cut(memory[index], spot.rows, spot.columns) for index, here in narrows.items()}
        return _Waiting(spot, None, result[(0, *place)].clone(), cut)

    def _enter(self, unit: _Waiting) -> list[tuple[int, UnitReconstruction]]:
        """Let a unit wait; what its batch gives if that is full now."""
        spot = unit.spot
        way = self.ways.below(spot)
        room = 1 if way.goes_alone else self.budget // (way.row_numbers * self.network.dtype.itemsize)
        key = spot.top, spot.rows.track, spot.columns.track, unit.pixels is not None
        self.waiting.setdefault(key, []).append(unit)
        self.held += unit.bytes
        return self._finish(key) if len(self.waiting[key]) >= room else []

    @computing()
    def _finish(self, key: _Key) -> list[tuple[int, UnitReconstruction]]:
        """Take a batch down."""
        units = self.waiting.pop(key)
        self.held -= _bytes(units)
        way = self.ways.below(units[0].spot)
        seeds = torch.tensor([unit.spot.seed for unit in units], device=self.network.device).unbind(1)
        rows = torch.arange(len(units), device=self.network.device)
        pixels = [unit.pixels for unit in units if unit.pixels is not None]
        if pixels:
            result, memory = way.forward(torch.cat(pixels), self.rule)
            activations = result[(rows, *seeds)]
        else:
            activations = torch.stack([unit.activation for unit in units if unit.activation is not None])
            memory = {
                index: here.join([unit.memory[index] for unit in units], self.network.dtype)
                for index, here in way.narrows.items()
            }
        signal = activations.new_zeros((len(units), *way.shape))
        signal = signal.contiguous(memory_format=torch.channels_last) if signal.ndim == 4 else signal
        signal[(rows, *seeds)] = activations
        return self._crop(units, way.back(signal, memory, self.rule))

    def _crop(self, units: Sequence[_Waiting], signals: Tensor) -> list[tuple[int, UnitReconstruction]]:
        signals = signals.to("cpu", torch.promote_types(signals.dtype, torch.float32)).contiguous()
        return [
            (unit.spot.place, UnitReconstruction(unit.spot.at, box, _over(box, unit.spot, signal)))
            for unit, signal in zip(units, signals, strict=True)
            for box in (self.ways.box(unit.spot),)
        ]


def _over(box: Box, spot: _Spot, signal: Tensor) -> Tensor:
    """A signal over a unit's patch of the picture, over its box."""
    rows, columns = spot.rows.span(0), spot.columns.span(0)
    margins = columns.start - box.left, box.right - columns.stop, rows.start - box.top, box.bottom - rows.stop
    return fit(signal, margins)


def _bytes(units: Iterable[_Waiting]) -> int:
    return sum(unit.bytes for unit in units)


def _size(value: Any) -> int:
    """Bytes of what a pass left behind for one operation."""
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return value.nbytes if isinstance(value, Tensor) else 0
