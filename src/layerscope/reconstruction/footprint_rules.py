"""Operations on the footprint that a unit sees: forward, what the way back needs of it, and back.

An operation is cut down to its footprint by changing its shapes and its padding; how a signal goes back through it
stays the business of the rules. The batch axis holds units, each with what its own picture left behind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from math import inf, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.network.axes import MAP, POINTWISE
from layerscope.network.convolution import Prepared
from layerscope.network.geometry import Geometry
from layerscope.network.graph import OWN_MEMORY, Graph, Operation, Parameter, fill, in_precision
from layerscope.network.positions import map_size
from layerscope.network.readers import Window
from layerscope.network.receptive_fields import windows
from layerscope.reconstruction.footprints import Path, Track
from layerscope.reconstruction.rules import Reversible, Rule, remember, reverse, sources
from layerscope.reconstruction.switches import Switches, apart, taps

_LOCAL = POINTWISE | {"conv2d", "max_pool2d", "avg_pool2d", "narrow"}
_BY_CHANNEL = frozenset({"conv2d", "batch_norm", "prelu"})  # their tensors say nothing of rows and columns

Margins = tuple[
    int, int, int, int
]  #: positions to add left, right, at the top and bottom; negative: to cut off


def taken_whole(graph: Graph, geometry: Geometry, rule: Rule) -> dict[int, tuple[int, ...]]:
    """The operations that cannot be cut down to a footprint, and their inputs that carry a signal.

    Where the last of overlapping pool windows wins, that may be one with no signal, from outside any footprint.
    """
    return {
        operation.index: sources(graph, operation, rule)
        for operation in graph.operations[1:]
        if operation.carries
        and not (_has_footprint(graph, geometry, operation, rule) and not _wins(graph, operation, rule))
    }


def _wins(graph: Graph, operation: Operation, rule: Rule) -> bool:
    overwrites = rule.overlap == "overwrite" and operation.kind == "max_pool2d"
    return overwrites and not apart(*windows(graph, operation))


def _has_footprint(graph: Graph, geometry: Geometry, operation: Operation, rule: Rule) -> bool:
    edges, inputs = geometry.nodes[operation.index].edges, [graph.operations[i] for i in operation.inputs]
    readers = [reader for edge in edges for reader in (edge.rows, edge.columns)]
    return (
        operation.kind in _LOCAL
        and set(sources(graph, operation, rule)) == set(operation.inputs)
        and all(isinstance(reader, Window) and reader.stride > 0 for reader in readers)
        and {edge.source for edge in edges} == set(operation.inputs)
        and all(o.carries and o.axes == MAP for o in (operation, *inputs))
        and (operation.kind in _BY_CHANNEL or not _varies_over_the_map(graph, operation.arguments.values()))
        and (operation.kind != "narrow" or operation.arguments["dim"] in (1, -3))
        and (operation.kind != "avg_pool2d" or _divisor(graph, operation) is not None)
    )


def _varies_over_the_map(graph: Graph, arguments: Collection[Any]) -> bool:
    """Whether one of them is a tensor with values of its own for rows or columns."""
    names = (a.name for a in arguments if isinstance(a, Parameter))
    return any(n > 1 for name in names for n in graph.tensors[name].shape[-2:]) or any(
        _varies_over_the_map(graph, a) for a in arguments if isinstance(a, list)
    )


def _divisor(graph: Graph, operation: Operation) -> int | None:
    """What an average pool divides by, where that is the same at every position."""
    arguments = operation.arguments
    if arguments["divisor_override"]:
        return int(arguments["divisor_override"])
    axes = windows(graph, operation)
    sizes = zip(operation.shape[1:], graph.operations[operation.inputs[0]].shape[1:], axes, strict=True)
    within = all((n - 1) * w.stride - w.pad + w.kernel <= length + w.pad for n, length, w in sizes)
    padded = any(w.pad for w in axes) and not arguments["count_include_pad"]
    return prod(w.kernel for w in axes) if within and not padded else None


def _narrowed_arguments(reversible: Reversible, graph: Graph, pads: tuple[int, int]) -> dict[str, Any]:
    arguments, operation = dict(reversible.arguments), reversible.operation
    if operation.kind in ("conv2d", "max_pool2d", "avg_pool2d"):
        arguments["padding"] = list(pads)
    if operation.kind in ("max_pool2d", "avg_pool2d"):
        arguments["ceil_mode"] = False
    if operation.kind == "avg_pool2d":
        arguments["divisor_override"] = _divisor(graph, operation)
    return arguments


@dataclass(frozen=True, eq=False)
class Narrow:
    """An operation cut down to a footprint. ``margins``: what to add to each input's footprint before it reads it."""

    reversible: Reversible
    margins: tuple[Margins, ...]
    whole: bool = False
    prepared: Prepared | None = None  #: a quicker way forward

    @cached_property
    def fill(self) -> float:
        """What padding is: nothing a maximum would choose, or zero."""
        return -inf if self.reversible.operation.kind == "max_pool2d" else 0.0

    def forward(self, inputs: Sequence[Tensor], *, in_place: bool) -> Tensor:
        """The result for fitted inputs; ``in_place``: the first one is needed no more."""
        operation = self.reversible.operation
        if in_place and operation.kind == "relu":
            return torch.relu_(inputs[0])
        if self.prepared is not None:
            return self.prepared(inputs[0])
        given = iter(inputs)
        arguments = {n: fill(a, lambda _: next(given)) for n, a in self.reversible.arguments.items()}
        result: Tensor = operation.target(*in_precision(arguments))
        return result

    def back(self, signal: Tensor, memory: Any, rule: Rule) -> list[tuple[int, Tensor]]:
        """The signal at the footprint of each input that carries one."""
        parts = reverse(self.reversible, signal, memory, rule)
        carriers = compress(
            zip(self.reversible.operation.inputs, self.margins, strict=True), self.reversible.carries
        )
        return [(source, fit(part, _negative(m))) for (source, m), part in zip(carriers, parts, strict=True)]

    def cut(self, memory: Any, rows: Path, columns: Path) -> Any:
        """A unit's part of what a pass over its whole picture left behind, in memory of its own."""
        index = self.reversible.operation.index
        if isinstance(memory, Mapping):
            return {i: self._cut_input(value, i, rows, columns) for i, value in memory.items()}
        values = memory.found if isinstance(memory, Switches) else memory
        return values if values is None else self._cut_map(values, index, rows, columns).clone()

    def join(self, parts: Sequence[Any], dtype: torch.dtype) -> Any:
        """What the units of a batch left behind, as one."""
        first = parts[0]
        if isinstance(first, Mapping):
            carriers = set(compress(self.reversible.operation.inputs, self.reversible.carries))
            return {
                i: torch.cat([p[i] for p in parts]) if i in carriers else value for i, value in first.items()
            }
        if first is None:
            return None
        layout = torch.channels_last if first.ndim == 4 else torch.contiguous_format
        joined = torch.cat([part.contiguous(memory_format=layout) for part in parts])
        return self._switches(joined, dtype) if self.reversible.operation.kind == "max_pool2d" else joined

    def _switches(self, found: Tensor, dtype: torch.dtype) -> Switches:
        assert self.reversible.windows is not None
        masks = tuple((found == tap).to(dtype) for tap in range(len(taps(*self.reversible.windows))))
        return Switches(masks, *self.reversible.windows, map_size(self.reversible.sources[0]))

    def _cut_map(self, values: Tensor, index: int, rows: Path, columns: Path) -> Tensor:
        return values if self.whole else values[..., rows.span(index), columns.span(index)]

    def _cut_input(self, value: Any, index: int, rows: Path, columns: Path) -> Any:
        if not isinstance(value, Tensor) or index not in rows.starts:
            return value  # a constant
        margins = self.margins[self.reversible.operation.inputs.index(index)]
        return fit(self._cut_map(value, index, rows, columns), margins, self.fill).clone()


def take_whole(reversible: Reversible) -> Narrow:
    """An operation that is not cut down."""
    nothing = (0, 0, 0, 0)
    return Narrow(reversible, tuple(nothing for _ in reversible.operation.inputs), whole=True)


def narrow(graph: Graph, reversible: Reversible, prepared: object, rows: Track, columns: Track) -> Narrow:
    """Cut an operation down to the footprints of two tracks. ``prepared``: what is known to be quicker forward."""
    operation = reversible.operation
    index = operation.index
    reaches = [(rows.reach[index, i], columns.reach[index, i]) for i in operation.inputs]
    pads = (0, 0)
    if operation.kind == "conv2d":  # pads both ends alike by itself
        pads = tuple(max(0, min(r.before, r.after)) for r in reaches[0])  # type: ignore[assignment]
    margins = tuple(
        (c.before - pads[1], c.after - pads[1], r.before - pads[0], r.after - pads[0]) for r, c in reaches
    )
    sources = tuple(
        (*shape[:-2], rows.length[i] + m[2] + m[3], columns.length[i] + m[0] + m[1])
        for shape, i, m in zip(reversible.sources, operation.inputs, margins, strict=True)
    )
    shape = (*operation.shape[:-2], rows.length[index], columns.length[index])
    target = torch.ops.aten.conv2d.default if operation.kind == "conv2d" else operation.target
    arguments = _narrowed_arguments(reversible, graph, pads)
    made = replace(
        reversible,
        operation=replace(operation, shape=shape, target=target),
        arguments=arguments,
        sources=sources,
    )
    made = _with_pads(made, pads)
    quick = replace(prepared, axes=made.windows) if isinstance(prepared, Prepared) and made.windows else None
    return Narrow(made, margins, prepared=quick)


def _with_pads(reversible: Reversible, pads: tuple[int, int]) -> Reversible:
    if reversible.windows is None:
        return reversible
    rows, columns = (replace(window, pad=pad) for window, pad in zip(reversible.windows, pads, strict=True))
    if reversible.transposed is None:
        return replace(reversible, windows=(rows, columns))
    flipped = reversible.transposed.flipped
    if flipped is not None:
        flipped = replace(flipped, axes=(_flipped(rows), _flipped(columns)))
    transposed = replace(
        reversible.transposed, axes=(rows, columns), size=map_size(reversible.sources[0]), flipped=flipped
    )
    return replace(reversible, windows=(rows, columns), transposed=transposed)


def _flipped(window: Window) -> Window:
    """How a convolution of stride 1 with the flipped filters reads, to give the way back through this one."""
    return replace(window, pad=window.dilation * (window.kernel - 1) - window.pad)


@dataclass(frozen=True, eq=False)
class FootprintWay:
    """The way down of units whose footprints are alike: its operations from the top, each cut down."""

    top: int
    narrows: dict[int, Narrow]  #: by operation, the top first, the picture left out

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the top's footprint: where a signal starts."""
        return self.narrows[self.top].reversible.operation.shape

    @cached_property
    def multiplications(self) -> int:
        """What one unit costs, forward; about as much again on the way down."""
        return sum(multiplications(narrow.reversible) for narrow in self.narrows.values())

    @cached_property
    def goes_alone(self) -> bool:
        """Whether units go one by one, after a pass over their picture: what is read may hold its number, one.

        So may what no signal goes back to, and a stretch, of which only the whole is known.
        """
        reversibles = (narrow.reversible for narrow in self.narrows.values())
        return any(made.stretch or not all(made.carries) for made in reversibles)

    @cached_property
    def row_numbers(self) -> int:
        """The most numbers that one unit holds in any one operation: what it reads and writes."""
        reversibles = (narrow.reversible for narrow in self.narrows.values())
        return max((prod(s.operation.shape) + sum(map(prod, s.sources)) for s in reversibles), default=1)

    def forward(self, pictures: Tensor, rule: Rule) -> tuple[Tensor, dict[int, Any]]:
        """The top's result for footprints of pictures, and what the way back needs of all below it."""
        values: dict[int, Tensor] = {0: pictures}
        memory: dict[int, Any] = {}
        for index in reversed(self.narrows):
            here = self.narrows[index]
            inputs = here.reversible.operation.inputs
            fitted = [fit(values[i], m, here.fill) for i, m in zip(inputs, here.margins, strict=True)]
            result = here.forward(fitted, in_place=self._may_overwrite(index))
            memory[index] = remember(
                here.reversible, {**dict(zip(inputs, fitted, strict=True)), index: result}, rule
            )
            values[index] = result
            for i in set(inputs):
                if self._last_reader[i] == index:
                    del values[i]
        return values[self.top], memory

    @cached_property
    def _last_reader(self) -> Mapping[int, int]:
        return {
            i: max(n for n in self.narrows if i in self.narrows[n].reversible.operation.inputs)
            for narrow in self.narrows.values()
            for i in narrow.reversible.operation.inputs
        }

    def _may_overwrite(self, index: int) -> bool:
        inputs = self.narrows[index].reversible.operation.inputs
        below = self.narrows.get(inputs[0])
        readers = [n for n in self.narrows if inputs[0] in self.narrows[n].reversible.operation.inputs]
        return below is not None and readers == [index] and below.reversible.operation.kind in OWN_MEMORY

    def back(self, signal: Tensor, memory: Mapping[int, Any], rule: Rule) -> Tensor:
        """A signal (units, ...) at the top's footprint, at the footprint of the pictures; may overwrite it."""
        alive = {self.top: signal}
        for index, here in self.narrows.items():
            if index in alive:
                for source, part in here.back(alive.pop(index), memory[index], rule):
                    alive[source] = alive[source] + part if source in alive else part
        return alive[0]


def multiplications(reversible: Reversible) -> int:
    """What a convolution or linear operation multiplies for one picture; nothing else counts."""
    operation = reversible.operation
    if operation.kind not in ("conv2d", "linear") or not isinstance(reversible.arguments["weight"], Tensor):
        return 0
    positions = prod(operation.shape[-2:]) if operation.kind == "conv2d" else prod(operation.shape[:-1])
    return int(reversible.arguments["weight"].numel()) * positions


def fit(values: Tensor, margins: Margins, fill: float = 0.0) -> Tensor:
    """The values with positions added at the ends of rows and columns, or cut off (then a view of them)."""
    if not any(margins):
        return values
    left, right, top, bottom = margins
    height, width = values.shape[-2:]
    cut = values[..., max(0, -top) : height - max(0, -bottom), max(0, -left) : width - max(0, -right)]
    added = [max(0, n) for n in margins]
    return F.pad(cut, added, value=fill) if any(added) else cut


def _negative(margins: Margins) -> Margins:
    left, right, top, bottom = margins
    return -left, -right, -top, -bottom
