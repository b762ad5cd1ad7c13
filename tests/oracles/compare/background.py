"""Energy outside an object, pixel by pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def outside_share(signal: npt.NDArray[np.float64], inside: npt.NDArray[np.float64]) -> float:
    """Of one signal (colours, height, width): its share of energy outside over the share of area outside."""
    energy = outside = area = 0.0
    _, height, width = signal.shape
    for row in range(height):
        for column in range(width):
            here = sum(float(value) ** 2 for value in signal[:, row, column])
            energy += here
            outside += here * (1 - inside[row, column])
            area += (1 - inside[row, column]) / (height * width)
    return outside / energy / area
