"""How one axis of an operation reads its input, position by position. Integers and fractions only, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from layerscope.network.layout import TOKENS, Part


@dataclass(frozen=True)
class Window:
    """How one axis of an operation reads its input: output i reads ``kernel`` taps from ``i*stride - pad`` on.

    A stride of 0 means that every output reads the same taps (a linear layer, a global pool).
    """

    kernel: int = 1
    stride: int = 1
    pad: int = 0
    dilation: int = 1

    def taps(self, outputs: Sequence[int], length: int) -> Sequence[int]:
        """Input positions inside ``[0, length)`` that the given output positions (ascending) read, ascending."""
        if not outputs:
            return range(0)
        gapless = self.dilation == 1 and (self.stride <= self.kernel or len(outputs) == 1)
        if gapless and isinstance(outputs, range):
            first = outputs[0] * self.stride - self.pad
            last = outputs[-1] * self.stride - self.pad + self.kernel
            return range(max(0, first), max(0, min(length, last)))
        starts = (i * self.stride - self.pad for i in outputs)
        taps = {s + k * self.dilation for s in starts for k in range(self.kernel)}
        return tidy(sorted(t for t in taps if 0 <= t < length))


@dataclass(frozen=True)
class Hull:
    """Output i reads nothing outside ``[i*step + low, i*step + high)``: the smallest such range of one size."""

    step: Fraction
    low: Fraction
    high: Fraction


@dataclass(frozen=True)
class Uneven:
    """One axis of an operation whose windows differ: output i reads from ``starts[i]`` to before ``ends[i]``.

    ``step``: how far apart they are on the whole; None: they follow no order. ``nominal``: what they would read if the
    map went on beyond its edge, where they read what is inside instead.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    step: Fraction | None = None
    nominal: Hull | None = None

    def taps(self, outputs: Sequence[int], length: int) -> Sequence[int]:
        """Input positions that the given output positions read, ascending."""
        read = {t for i in outputs for t in range(self.starts[i], min(self.ends[i], length))}
        return tidy(sorted(read))

    @cached_property
    def hull(self) -> Hull | None:
        """What all of them read, as windows of one size; None if they follow no order, or read nothing."""
        if self.nominal is not None or self.step is None:
            return self.nominal
        read = [
            (s, e, i * self.step)
            for i, (s, e) in enumerate(zip(self.starts, self.ends, strict=True))
            if s < e
        ]
        if not read:
            return None
        return Hull(self.step, min(s - at for s, _, at in read), max(e - at for _, e, at in read))


Reader = Window | Uneven


def adaptive(length: int, outputs: int) -> Reader:
    """How an adaptive pool from ``length`` to ``outputs`` positions reads one axis."""
    starts = tuple(i * length // outputs for i in range(outputs))
    ends = tuple(-((i + 1) * length // -outputs) for i in range(outputs))
    kernels = {end - start for start, end in zip(starts, ends, strict=True)}
    strides = {b - a for a, b in pairwise(starts)}
    if outputs == 1:
        return Window(kernel=length, stride=0)
    if len(kernels) == len(strides) == 1:
        return Window(kernel=kernels.pop(), stride=strides.pop())
    return Uneven(starts, ends)


def transposed(window: Window, length: int, outputs: int) -> Reader:
    """How a transposed convolution reads one axis: output o each i with o = i*stride - pad + k*dilation."""
    if window.stride == 1:
        return Window(window.kernel, 1, (window.kernel - 1) * window.dilation - window.pad, window.dilation)
    taps: list[list[int]] = [[] for _ in range(outputs)]
    for i in range(length):
        for k in range(window.kernel):
            o = i * window.stride - window.pad + k * window.dilation
            if 0 <= o < outputs:
                taps[o].append(i)
    spans = [(min(own), max(own) + 1) if own else (0, 0) for own in taps]
    return Uneven(*_columns(spans), Fraction(1, window.stride))


def bordered(read: Sequence[int], before: int) -> Reader:
    """How padding by a map's own values reads one axis: each output one position; ``before``: how many are added there.

    A shift all around is one, too.
    """
    if list(read) == list(range(-before, len(read) - before)):
        return Window(pad=before)
    nominal = Hull(Fraction(1), Fraction(-before), Fraction(1 - before))
    return Uneven(tuple(read), tuple(place + 1 for place in read), Fraction(1), nominal)


def blocks(length: int, part: int, step: int) -> Reader:
    """How attention reads one axis, among ``part`` positions, ``step`` apart: those of one window."""
    firsts = [i - i // step % part * step for i in range(length)]
    return Uneven(tuple(firsts), tuple(first + (part - 1) * step + 1 for first in firsts), Fraction(1))


def whole(length: int) -> Window:
    """All positions, read by each."""
    return Window(length, stride=0)


def enlarged(length: int, factor: int) -> Reader:
    """How each position is read by as many as the factor says, side by side."""
    starts = tuple(i // factor for i in range(length * factor))
    return Uneven(starts, tuple(start + 1 for start in starts), Fraction(1, factor))


def repeated(length: int, outputs: int) -> Reader:
    """How fewer positions are read by more, which go through them again and again."""
    places = tuple(i % length for i in range(outputs))
    return Uneven(places, tuple(place + 1 for place in places), Fraction(0))


def mixed_along(mixed: Sequence[Part], length: int, outputs: int) -> Reader | None:
    """One axis of positions that differ in these parts of it: blocks, or the blocks or their places alone."""
    if not mixed:
        only = Window(stride=0) if length == 1 else None
        return Window() if length == outputs else only
    if len(mixed) > 1:
        return None
    (part,) = mixed
    if part.along == TOKENS or part.length == length:
        return whole(length)
    if length == outputs:
        return blocks(length, part.length, part.step)
    if part.step == 1 and part.length * outputs == length:
        return Window(part.length, part.length)
    return Window(part.length, dilation=part.step) if part.step == outputs else None


def _columns(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(start for start, _ in spans), tuple(end for _, end in spans)


@dataclass(frozen=True)
class Edge:
    """One input of an operation and how its rows and columns are read."""

    source: int
    rows: Reader
    columns: Reader


@dataclass(frozen=True)
class Node:
    """An operation as geometry sees it: output height and width, inputs; ``unknown`` says why nothing is known."""

    size: tuple[int, int]
    edges: tuple[Edge, ...] = ()
    unknown: str = ""


def tidy(positions: list[int]) -> Sequence[int]:
    """The same ascending positions, as a range where they have no gaps."""
    if positions and positions[-1] - positions[0] + 1 == len(positions):
        return range(positions[0], positions[-1] + 1)
    return positions


def _reflected(place: int, length: int) -> int:
    last = length - 1
    return last - abs(last - place % (2 * last)) if last else 0


BORDERS: Mapping[str, Callable[[int, int], int]] = {
    "reflect": _reflected,
    "replicate": lambda place, length: min(max(place, 0), length - 1),
    "circular": lambda place, length: place % length,
}  #: the position of a map of this length that a position beyond its edge is a copy of


def copied(mode: str, length: int, before: int, after: int) -> Reader:
    """Padding by copies of the map's own values: each position beyond its edge reads one inside."""
    return bordered([BORDERS[mode](place, length) for place in range(-before, length + after)], before)
