"""How a result lies in memory: what each of its axes, that of the pictures too, goes along, part by part.

An axis is a run of parts, the slowest first: flattened maps have one axis of rows and columns, windows of 7x7 have rows
within them apart from rows of windows. So whatever is reshaped and moved can be put back. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

PICTURES, CHANNELS, ROWS, COLUMNS = "pictures", "channels", "rows", "columns"
TOKENS = "tokens"  #: rows and columns as one axis, with class tokens before or after them
POSITIONS = "positions"  #: in a summary: rows and columns as one axis, or in another order; tokens
ONE = ""  #: in a summary: an axis of length 1 that goes along nothing
MANY = 1_000_003  #: stands for the number of pictures, which is not known: a prime that divides nothing else


@dataclass(frozen=True)
class Part:
    """So many of the pictures, channels, rows, columns or tokens. ``step``: how many rows lie between two of it.

    Tokens have a ``grid`` of rows and columns, and ``before`` it those that stand for no place. ``read``: these are
    positions that attention reads, not those of the result.
    """

    along: str
    length: int
    step: int = 1
    grid: tuple[int, int] = (1, 1)
    before: int = 0
    read: bool = False

    @property
    def places(self) -> int:
        """How many positions of the map it has."""
        return prod(self.grid) if self.along == TOKENS else self.length

    def digit(self, place: int) -> int:
        """Which of this part a row or column of the whole map is in."""
        return place // self.step % self.length


Axis = tuple[Part, ...]  #: no part: of length 1
Axes = tuple[str, ...]  #: what each axis of a result goes along, in a word, without the pictures


@dataclass(frozen=True)
class Layout:
    """The axes of a result."""

    axes: tuple[Axis, ...]

    def __getstate__(self) -> dict[str, tuple[Axis, ...]]:
        """The axes, without what is worked out from them."""
        return {"axes": self.axes}

    @property
    def lengths(self) -> tuple[int, ...]:
        """How long each axis is."""
        return tuple(length_of(axis) for axis in self.axes)

    @cached_property
    def parts(self) -> Axis:
        """All parts, the slowest first."""
        return tuple(part for axis in self.axes for part in axis)

    @cached_property
    def is_whole(self) -> bool:
        """Whether the pictures are the first axis, and it is known where each channel and position is."""
        first, rest = self.axes[:1], self.axes[1:]
        pure = all({p.along == CHANNELS for p in axis} != {True, False} for axis in rest)
        known = pure and not any(p.read for p in self.parts)
        return known and first == ((Part(PICTURES, MANY),),) and self.is_sound

    @cached_property
    def is_sound(self) -> bool:
        """Whether it has all parts of its rows and columns, each once."""
        return self._tiles(ROWS) and self._tiles(COLUMNS)

    def _tiles(self, along: str) -> bool:
        own = (p for p in self.parts if p.along == along and not p.read)
        parts = sorted(own, key=lambda p: (p.step, p.length))
        return all(p.step == prod(q.length for q in parts[:n]) for n, p in enumerate(parts))

    @cached_property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the map; (1, 1) for a vector."""
        tokens = self.tokens
        if tokens is not None:
            return tokens.grid
        own = [p for p in self.parts if not p.read]
        rows, columns = (prod(p.length for p in own if p.along == name) for name in (ROWS, COLUMNS))
        return rows, columns

    @cached_property
    def channels(self) -> int:
        """How many channels it has."""
        return prod(p.length for p in self.parts if p.along == CHANNELS)

    @property
    def tokens(self) -> Part | None:
        """The tokens, if some stand for no place."""
        return next((p for p in self.parts if p.along == TOKENS and not p.read), None)

    @cached_property
    def has_positions(self) -> bool:
        """Whether it has rows, columns or tokens, be it one of each."""
        return any(p.along in (ROWS, COLUMNS, TOKENS) and not p.read for p in self.parts)

    def along(self, axis: int) -> frozenset[str]:
        """What an axis goes along."""
        return frozenset(p.along for p in self.axes[axis])

    def without(self, gone: Iterable[int], *, kept: bool = False) -> Layout:
        """Axes left out, or left with a length of one."""
        left = {axis % len(self.axes) for axis in gone}
        ones = [
            tuple(replace(part, length=1) for part in axis if len(axis) == 1 and part.along != TOKENS)
            for axis in self.axes
        ]
        pairs = enumerate(zip(self.axes, ones, strict=True))
        return Layout(tuple(one if n in left else axis for n, (axis, one) in pairs if kept or n not in left))

    def changed(self, axis: int, new: Axis) -> Layout:
        """Another axis in its place."""
        place = axis % len(self.axes)
        return Layout((*self.axes[:place], new, *self.axes[place + 1 :]))


def length_of(axis: Axis) -> int:
    """How long an axis of these parts is."""
    return prod(part.length for part in axis)


def map_layout(shape: Sequence[int]) -> Layout:
    """Of maps in torch's order; ``shape``: channels, height, width. Each is a part, be it of length 1."""
    names = zip((CHANNELS, ROWS, COLUMNS), shape, strict=True)
    return Layout(((Part(PICTURES, MANY),), *((Part(name, length),) for name, length in names)))


def vector_layout(length: int) -> Layout:
    """Of one number per channel."""
    return Layout(((Part(PICTURES, MANY),), (Part(CHANNELS, length),)))


def summary(layout: Layout) -> Axes | None:
    """What each axis goes along, without the pictures; None where that is not known, or those are not the first."""
    if not layout.is_whole:
        return None
    return tuple(_word(axis) for axis in layout.axes[1:])


def _word(axis: Axis) -> str:
    names = {part.along for part in axis}
    if names <= {CHANNELS} or (len(axis) == 1 and names != {TOKENS}):
        return names.pop() if names else ONE
    return POSITIONS


def folded(layout: Layout) -> Layout:
    """With the pixels of each block as channels, where the finest rows or columns share an axis with channels.

    So is what space-to-depth makes: positions are blocks then. As it is, where those are not the finest, or no other
    rows and columns are left.
    """
    mixed = [
        n for n, axis in enumerate(layout.axes) if n and CHANNELS in (a := layout.along(n)) and len(a) > 1
    ]
    taken = [part for n in mixed for part in layout.axes[n] if part.along != CHANNELS]
    factors = {name: prod(p.length for p in taken if p.along == name) for name in (ROWS, COLUMNS)}
    left = [part for n, axis in enumerate(layout.axes) if n not in mixed for part in axis]
    whole = all(part.along in factors and not part.read for part in taken) and layout.is_sound
    coarse = all(part.step >= factors[part.along] for part in left if part.along in factors)
    if not (taken and whole and coarse and {p.along for p in left} >= {ROWS, COLUMNS}):
        return layout
    return Layout(
        tuple(
            (Part(CHANNELS, length_of(axis)),)
            if n in mixed
            else tuple(replace(p, step=p.step // factors.get(p.along, 1)) for p in axis)
            for n, axis in enumerate(layout.axes)
        )
    )


def runs(parts: Iterable[Part]) -> list[Part]:
    """Parts, those of rows or of columns that are one run of positions together as one."""
    found: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.along, part.step)):
        before = found[-1] if found else None
        if before is not None and before.along == part.along and part.step == before.step * before.length:
            found[-1] = replace(before, length=before.length * part.length)
        else:
            found.append(part)
    return found


# ------------------------------------------------------------------ reshaped


def regrouped(layout: Layout, lengths: Sequence[int]) -> Layout | None:
    """The layout with axes of other lengths over the same memory; None where one part would be torn.

    What has one axis besides the pictures is a vector of channels.
    """
    if tuple(lengths) == layout.lengths:
        return layout
    left = _joined([part for part in layout.parts if part.length > 1])
    axes: list[Axis] = []
    for wanted in lengths:
        axis = _take(left, wanted)
        if axis is None:
            return None
        axes.append(axis)
    long = [axis for axis in axes[1:] if axis]
    if len(long) == 1 and len({part.along for part in long[0]}) > 1 and axes[0] == (Part(PICTURES, MANY),):
        vector = (Part(CHANNELS, length_of(long[0])),)
        axes[1:] = [vector if axis else axis for axis in axes[1:]]
    return None if left else Layout(tuple(axes))


def _take(left: list[Part], wanted: int) -> Axis | None:
    """Take parts off the front that make up a length, the last one cut if it has to be."""
    axis: list[Part] = []
    while wanted > 1:
        if not left:
            return None
        part = left.pop(0)
        if part.length > wanted:
            if part.length % wanted or part.along in (PICTURES, TOKENS):
                return None
            rest = part.length // wanted
            left.insert(0, replace(part, length=rest))
            part = replace(part, length=wanted, step=part.step * (1 if part.along == CHANNELS else rest))
        elif wanted % part.length:
            return None
        wanted //= part.length
        axis.append(part)
    return tuple(axis)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Neighbours that are parts of one thing as one."""
    found: list[Part] = []
    for part in parts:
        before = found[-1] if found else None
        if before is not None and _continues(before, part):
            found[-1] = replace(part, length=before.length * part.length)
        else:
            found.append(part)
    return found


def _continues(before: Part, part: Part) -> bool:
    """Whether both together are one part, as they stand."""
    same = (before.along, before.read) == (part.along, part.read)
    return same and (part.along == CHANNELS or before.step == part.length * part.step)
