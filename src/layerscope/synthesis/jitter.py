"""Small shifts and scalings, so that what excites a channel does so wherever it lies to the pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Move:
    """A shift down and across in pixels, and a factor of size about the middle."""

    down: float = 0.0
    across: float = 0.0
    factor: float = 1.0

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


def drawn_move(seed: int, step: int, shift: float, scaling: float) -> Move:
    """A move by up to ``shift`` pixels and a share ``scaling``: a pure function of seed and step."""
    down, across, factor = np.random.default_rng((seed, step)).uniform(-1, 1, 3)
    return Move(shift * down, shift * across, 1 + scaling * factor)


def neighbours(shift: float, scaling: float) -> tuple[Move, ...]:
    """Moves that what excites a channel should stand: in eight directions, smaller and larger."""
    steps = (-shift, 0.0, shift)
    shifts = [Move(down, across) for down in steps for across in steps if (down, across) != (0, 0)]
    return (*shifts, Move(factor=1 - scaling), Move(factor=1 + scaling))
