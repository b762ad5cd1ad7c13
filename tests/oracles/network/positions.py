"""Which pixels a position reads, along one axis: sets of positions handed back one operation at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Taps = Callable[
    [int], set[int]
]  #: from an output position to the input positions it reads, in the input or not


@dataclass(frozen=True)
class Step:
    """An operation: its number of positions, and for each input its index among the steps and what it reads."""

    length: int
    reads: tuple[tuple[int, Taps], ...] = ()


def window_taps(kernel: int, stride: int, pad: int, dilation: int) -> Taps:
    return lambda i: {i * stride - pad + k * dilation for k in range(kernel)}


def adaptive_taps(length: int, outputs: int) -> Taps:
    """Torch's rule: window i goes from floor(i*length/outputs) to ceil((i+1)*length/outputs)."""
    return lambda i: {
        t for t in range(length) if (t + 1) * outputs > i * length and t * outputs < (i + 1) * length
    }


def all_taps(length: int) -> Taps:
    return lambda i: set(range(length))


def pixels(steps: Sequence[Step], step: int, positions: set[int]) -> tuple[set[int], bool]:
    """Pixels that the positions of a step see, and whether all that they read on the way was there."""
    needed: list[set[int]] = [set() for _ in steps]
    needed[step] = positions
    whole = True
    for index in range(step, 0, -1):
        for source, taps in steps[index].reads:
            read = {tap for position in needed[index] for tap in taps(position)}
            there = {tap for tap in read if 0 <= tap < steps[source].length}
            needed[source] |= there
            whole = whole and read == there
    return needed[0], whole
