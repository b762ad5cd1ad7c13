"""Whole layers, feature maps, single units and classes back to pixels.

One forward pass per picture; then the signals of all seeds go down together, as the rows of one batch. A batch
that would outgrow the chunk size is split, and each piece goes all the way down before the next: tensors stay
small enough for the caches and for memory that is already at hand, which fresh memory is not (page faults cost
more than the arithmetic on it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from math import prod
from typing import Any

import torch
from torch import Tensor

from layerscope.errors import NetworkError, one_line
from layerscope.network.convolution import prepare_forward
from layerscope.network.graph import Graph, Operation
from layerscope.network.links import before_link
from layerscope.network.network import Network, Unit
from layerscope.network.positions import index_of
from layerscope.network.tracing import computing
from layerscope.progress import Count, Told
from layerscope.reconstruction.rules import (
    DECONVNET,
    Reversible,
    Rule,
    check,
    kept,
    make_reversibles,
    overwrites,
    remember,
    reverse,
    sources,
    supports,
)

CHUNK_BYTES = {"cpu": 16 << 20}  #: largest piece of signal in flight; measured, see docs/benchmarks.md
_CHUNK_BYTES_ELSEWHERE = 1 << 30


@dataclass(frozen=True)
class Class:
    """A class of the network, by the index of its output: the seed is 1 at its score, before any softmax."""

    index: int

    def __str__(self) -> str:
        return f"class {self.index}"


Seed = str | Unit | Class  #: a layer's whole representation, one unit's activation, or a class


@dataclass(frozen=True)
class Reconstructions:
    """The signals at the pixels, in units of the network's preprocessed input, signed.

    ``signals``: for each seed a tensor (batch, channels, height, width) on the CPU, float32 (or float64).
    """

    network: str
    rule: Rule
    signals: Mapping[Seed, Tensor]

    def __getitem__(self, seed: Seed) -> Tensor:
        return self.signals[seed]


def reconstruct(
    network: Network,
    pictures: Tensor,
    seeds: Seed | Sequence[Seed],
    *,
    rule: Rule = DECONVNET,
    chunk_bytes: int | None = None,
    progress: Told | None = None,
) -> Reconstructions:
    """Project what the seeds hold of each picture back to pixels.

    ``pictures``: preprocessed, (batch, channels, height, width); an empty batch gives empty signals.
    ``progress`` is told of each picture. Raises NetworkError for an unknown seed and for values that
    are not finite, and UnsupportedOperationError, before any work, for an operation on the way that the rule does
    not cover.
    Source: arXiv 1412.6631, section 4.2.
    """
    pictures = network.prepare(pictures)
    if not pictures.isfinite().all():
        raise NetworkError("pictures hold values that are not finite; preprocess them from whole pictures")
    seeds = _each_seed(seeds)
    tops = [top_of(network, seed) for seed in seeds]
    precision = torch.promote_types(network.dtype, torch.float32)
    layout = torch.channels_last
    signals = [torch.empty(pictures.shape, dtype=precision, memory_format=layout) for _ in seeds]
    if seeds:
        budget = chunk_bytes or default_chunk_bytes(network)
        way = way_of(network.graph, tops, rule, network.dtype.itemsize)
        _keep_freed_memory()
        done = Count(progress, "pictures", len(pictures))
        with computing():
            for i in range(len(pictures)):
                pixels = _one_picture(network, pictures[i : i + 1], seeds, tops, way, rule, budget)
                for row, values in pixels.items():
                    signals[row][i] = values
                done()
    return Reconstructions(network.name, rule, dict(zip(seeds, signals, strict=True)))


def _each_seed(seeds: Seed | Iterable[Seed]) -> tuple[Seed, ...]:
    """The seeds, each once, in the order given; raises NetworkError for what is none."""
    several: tuple[Any, ...] = (
        tuple(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else (seeds,)
    )
    for seed in several:
        if not isinstance(seed, (str, Unit, Class)):
            raise NetworkError(
                f"{one_line(repr(seed)):.60} is no seed; give the name of a layer, a Unit or a Class, or several"
            )
    return tuple(dict.fromkeys(several))


def default_chunk_bytes(network: Network) -> int:
    """The largest piece of signal in flight, where the network is, unless told otherwise."""
    return CHUNK_BYTES.get(network.device.type, _CHUNK_BYTES_ELSEWHERE)


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed, since fresh memory costs more than the arithmetic on it.

    glibc keeps up to twice the largest block that it has ever given back, if that is below 32 MB.
    """
    torch.empty((32 << 20) - (64 << 10), dtype=torch.uint8)


def top_of(network: Network, seed: Seed) -> int:
    """The operation where a seed's signal starts. Raises NetworkError for a seed that the network does not have."""
    if isinstance(seed, Class):
        count = network.graph.operations[network.scores].shape[0]
        if not 0 <= seed.index < count:
            raise NetworkError(f"{network.name} has classes 0 to {count - 1}, not {seed.index}")
        return before_link(network.graph, network.scores)
    layer = network.check_unit(seed) if isinstance(seed, Unit) else network.layer(seed)
    return before_link(network.graph, layer.result)


def seed_signal(seed: Seed, result: Tensor, operation: Operation) -> Tensor:
    """The signal that a seed starts with, of the result (1, ...) of its operation; may be that result."""
    if isinstance(seed, str):
        return result
    signal = torch.zeros_like(result)
    if isinstance(seed, Class):
        signal[:, seed.index] = 1
    else:
        place = (slice(None), *index_of(operation, seed.channel, seed.row, seed.column))
        signal[place] = result[place]
    return signal


@dataclass(frozen=True)
class Segment:
    """Operations, from the top down, between two points where the whole signal is the result of one of them."""

    operations: tuple[int, ...]
    row_bytes: int  #: the most that one row of signal takes anywhere in it

    @property
    def top(self) -> int:
        """The operation whose result the signal comes in at."""
        return self.operations[0]


@dataclass(frozen=True)
class Way:
    """All the ways down from the seeds: operations made ready, and the segments they fall into, from the top."""

    reversibles: Mapping[int, Reversible]
    segments: tuple[Segment, ...]
    prepared: Mapping[int, Callable[[Tensor], Tensor]]  #: for the forward pass
    kept: frozenset[int]  #: results that the forward pass must hold


@dataclass(frozen=True)
class Piece:
    """Rows of signal at one operation: whose they are (indices of seeds) and their values (rows, ...).

    ``borrowed``: the values are the forward pass's, to be read only.
    """

    rows: tuple[int, ...]
    values: Tensor
    borrowed: bool = False


def way_of(graph: Graph, tops: Sequence[int], rule: Rule, itemsize: int) -> Way:
    """What lies between the seeds' operations and the pixels. Raises UnsupportedOperationError."""
    reached = way_down(graph, tops, rule)
    wanted = frozenset(tops) | kept(graph, reached)
    reversibles = make_reversibles(graph, reached, rule)
    return Way(
        reversibles,
        tuple(_segments(graph, reversibles, itemsize)),
        prepare_forward(graph, max(tops), wanted),
        wanted,
    )


def way_down(graph: Graph, tops: Iterable[int], rule: Rule) -> set[int]:
    """Operations from some of them down to the pixels. Raises UnsupportedOperationError where the rule has nothing."""
    if not isinstance(rule, Rule):
        raise NetworkError(f"rule={one_line(repr(rule)):.60} is no rule; give DECONVNET, GUIDED or GRADIENT")
    reached = set(tops)
    for operation in reversed(graph.operations):
        if operation.index in reached:
            reached.update(sources(graph, operation, rule))
    reached.discard(0)
    check(rule, graph, sorted(reached))
    return reached


def reversible(graph: Graph, rule: Rule) -> frozenset[int]:
    """The operations that the rule goes back from, all the way to the pixels, or from what a signal starts with."""
    found = {0}
    for operation in graph.operations[1:]:
        if supports(rule, graph, operation) and found.issuperset(sources(graph, operation, rule)):
            found.add(operation.index)
    return frozenset(o.index for o in graph.operations if before_link(graph, o.index) in found)


def _segments(graph: Graph, reversibles: Mapping[int, Reversible], itemsize: int) -> list[Segment]:
    """Cut the way down wherever nothing but one operation's signal is alive."""
    segments: list[Segment] = []
    part: list[int] = []
    alive: set[int] = set()
    most = 0
    for index in (*sorted(reversibles, reverse=True), 0):
        if not alive - {index} and part:
            segments.append(Segment(tuple(part), most * itemsize))
            part, most = [], 0
        part.append(index)
        here = reversibles.get(index)
        alive |= {index, *(compress(here.operation.inputs, here.carries) if here is not None else ())}
        most = max(most, sum(prod(graph.operations[i].shape) for i in alive))
        alive.discard(index)
    segments.append(Segment(tuple(part), most * itemsize))
    return segments


def _one_picture(
    network: Network,
    picture: Tensor,
    seeds: Sequence[Seed],
    tops: Sequence[int],
    way: Way,
    rule: Rule,
    budget: int,
) -> dict[int, Tensor]:
    memory: dict[int, Any] = {}

    def observe(operation: Operation, values: Mapping[int, Any]) -> None:
        if operation.index in way.reversibles:
            memory[operation.index] = remember(way.reversibles[operation.index], values, rule)

    results = network.graph.run(picture, max(tops), way.kept, observe, way.prepared)

    def start(row: int) -> Piece:
        top = network.graph.operations[tops[row]]
        return Piece((row,), seed_signal(seeds[row], results[top.index], top), borrowed=True)

    return _Descent(way, rule, memory, tops, start, budget).run()


class _Descent:
    """The way down for one picture: rows join at their operation, pieces split where they outgrow the budget."""

    def __init__(
        self,
        way: Way,
        rule: Rule,
        memory: Mapping[int, Any],
        tops: Sequence[int],
        start: Callable[[int], Piece],
        budget: int,
    ) -> None:
        self.way, self.rule, self.memory, self.tops, self.start = way, rule, memory, tops, start
        self.room = [max(1, budget // max(1, segment.row_bytes)) for segment in way.segments]
        segment_of = {index: i for i, segment in enumerate(way.segments) for index in segment.operations}
        self.waiting: list[list[int]] = [[] for _ in way.segments]
        for row in range(len(tops)):
            self.waiting[segment_of[tops[row]]].append(row)

    def run(self) -> dict[int, Tensor]:
        """The pixels (channels, height, width) of each row."""
        pixels: dict[int, Tensor] = {}
        for first in range(len(self.way.segments)):
            while self.waiting[first]:
                pieces: list[tuple[int, Piece | None]] = [(first, None)]
                while pieces:
                    number, piece = pieces.pop()
                    piece = self._through(number, piece)
                    if number + 1 == len(self.way.segments):
                        pixels.update(zip(piece.rows, piece.values, strict=True))
                    else:
                        pieces.extend((number + 1, part) for part in _split(piece, self.room[number + 1]))
        return pixels

    def _through(self, number: int, piece: Piece | None) -> Piece:
        """Take a piece, and the rows that wait in this segment as far as there is room, to the segment's end."""
        segment = self.way.segments[number]
        alive: dict[int, list[Piece]] = {}
        free = self.room[number]
        if piece is not None:
            alive[segment.top] = [piece]
            free -= len(piece.rows)
        for row in self.waiting[number][: max(0, free)]:
            alive.setdefault(self.tops[row], []).append(self.start(row))
        del self.waiting[number][: max(0, free)]
        for index in segment.operations:
            parts = alive.pop(index, [])
            if not parts:
                continue
            here = _join(parts)
            if index == 0:
                return here
            for source, part in self._back(index, here):
                alive.setdefault(source, []).append(part)
        (parts,) = alive.values()
        return _join(parts)

    def _back(self, index: int, here: Piece) -> Iterator[tuple[int, Piece]]:
        """The signal of an operation at each of its inputs."""
        reversible = self.way.reversibles[index]
        given = here.values.clone() if here.borrowed and overwrites(reversible, self.rule) else here.values
        back = reverse(reversible, given, self.memory[index], self.rule)
        for source, values in zip(
            compress(reversible.operation.inputs, reversible.carries), back, strict=True
        ):
            same = values.untyped_storage().data_ptr() == here.values.untyped_storage().data_ptr()
            yield source, Piece(here.rows, values, here.borrowed and same)


def _split(piece: Piece, most: int) -> list[Piece]:
    """Pieces of at most so many rows, the last first."""
    starts = range(0, len(piece.rows), most)
    return [
        replace(piece, rows=piece.rows[i : i + most], values=piece.values[i : i + most])
        for i in reversed(starts)
    ]


def _join(parts: Sequence[Piece]) -> Piece:
    """One signal of several that meet: rows with the same owner are added, the others stand side by side."""
    joined = parts[0]
    for part in parts[1:]:
        if part.rows == joined.rows:
            joined = Piece(joined.rows, joined.values + part.values)
        elif not set(part.rows) & set(joined.rows):
            joined = Piece(joined.rows + part.rows, torch.cat([joined.values, part.values]))
        else:
            joined = _add_rows(joined, part)
    return joined


def _add_rows(one: Piece, other: Piece) -> Piece:
    rows = tuple(dict.fromkeys(one.rows + other.rows))
    precision = torch.promote_types(one.values.dtype, other.values.dtype)
    values = one.values.new_zeros((len(rows), *one.values.shape[1:]), dtype=precision)
    for part in (one, other):
        places = torch.tensor([rows.index(row) for row in part.rows], device=values.device)
        values.index_add_(0, places, part.values.to(precision))
    return Piece(rows, values)
