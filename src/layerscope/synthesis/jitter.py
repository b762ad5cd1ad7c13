"""Small shifts and scalings, so that what excites a channel does so wherever it lies to the pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

_BEYOND = 1.5  # of the way of a move, that is gone at most


@dataclass(frozen=True)
class Move:
    """A shift down and across in pixels, and a factor of size about the middle."""

    down: float = 0.0
    across: float = 0.0
    factor: float = 1.0

    def part(self, way: float) -> Move:
        """So much of it."""
        return Move(self.down * way, self.across * way, 1 + (self.factor - 1) * way)

    def of(self, pictures: Tensor) -> Tensor:
        """The pictures (rows, channels, height, width) moved, bilinear; mirrored where they end."""
        if self == Move():
            return pictures
        height, width = pictures.shape[2:]
        matrix = pictures.new_tensor(
            [
                [1 / self.factor, 0, -2 * self.across / width],
                [0, 1 / self.factor, -2 * self.down / height],
            ]
        )
        places = F.affine_grid(matrix.expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False)
        return F.grid_sample(pictures, places, padding_mode="reflection", align_corners=False)


def drawn_moves(
    seed: int, step: int, shift: float, scaling: float, count: int, *, late: bool = False
) -> dict[int, Move]:
    """So many of the `neighbours`, by their place, each but a random part of its way, up to half beyond it.

    A pure function of seed and step. So what stands them all stands the moves on the way too: a pattern that repeats
    itself after ``shift`` pixels does not. ``late``: half of them all of their way. They take turns, in random order;
    all that there are where ``count`` is more; the picture itself where nothing moves.
    """
    every = neighbours(shift, scaling)
    if not every:
        return {0: Move()}
    drawn, turns = np.random.default_rng((seed, step)), np.random.default_rng(seed)
    parts, whole = drawn.uniform(0, _BEYOND, len(every)), drawn.permutation(len(every)) % 2 == 0
    order = turns.permutation(len(every))
    places = [int(order[(step * count + place) % len(every)]) for place in range(min(count, len(every)))]
    ways = {place: 1.0 if late and whole[place] else float(parts[place]) for place in places}
    return {place: every[place].part(way) for place, way in ways.items()}


def neighbours(shift: float, scaling: float) -> tuple[Move, ...]:
    """Moves that what excites a channel should stand: in eight directions, smaller and larger; of what is 0 none."""
    steps = (-shift, 0.0, shift)
    shifts = [Move(down, across) for down in steps for across in steps if (down, across) != (0, 0)]
    scales = [Move(factor=1 - scaling), Move(factor=1 + scaling)]
    return (*shifts, *(scales if scaling else ()))
