"""What inversion lowers and measures, number by number."""

from __future__ import annotations

from math import log10
from typing import Any

import numpy as np
import numpy.typing as npt


def relative_error(found: npt.NDArray[Any], aim: npt.NDArray[Any]) -> float:
    """The squared distance over the squared norm of the aim."""
    distance = norm = 0.0
    for one, other in zip(found.flat, aim.flat, strict=True):
        distance += (float(one) - float(other)) ** 2
        norm += float(other) ** 2
    return distance / norm


def variation(picture: npt.NDArray[Any]) -> float:
    """The mean square of differences down, and that of differences across, of (channels, height, width)."""
    channels, height, width = picture.shape
    down = [
        (picture[c, y + 1, x] - picture[c, y, x]) ** 2
        for c in range(channels)
        for y in range(height - 1)
        for x in range(width)
    ]
    across = [
        (picture[c, y, x + 1] - picture[c, y, x]) ** 2
        for c in range(channels)
        for y in range(height)
        for x in range(width - 1)
    ]
    return float(sum(down) / len(down) + sum(across) / len(across))


def psnr(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Of two pictures in 0..255, in dB."""
    squares = [(int(a) - int(b)) ** 2 for a, b in zip(one.flat, other.flat, strict=True)]
    return 10 * log10(255**2 * len(squares) / sum(squares))
