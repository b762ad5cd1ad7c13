"""How alike two pictures are to the eye."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_DEVIATION, _RADIUS = 1.5, 5  # of the Gaussian window, pixels
_FLAT = 0.01**2, 0.03**2  # K1 and K2 of values from 0 to 1


def structural_similarity(one: Tensor, other: Tensor) -> float:
    """The mean over all windows inside, and over colours, of two pictures (colours, height, width) in [0, 1].

    Windows are Gaussian, deviation 1.5, 11 pixels wide; NaN of pictures that are smaller. Source: Wang et al. 2004.
    """
    if min(one.shape[1:]) < 2 * _RADIUS + 1:
        return float("nan")
    x, y = one.double()[:, None], other.double()[:, None]
    means = [_windowed(values) for values in (x, y, x * x, y * y, x * y)]
    spread_x, spread_y, both = (
        means[2] - means[0] ** 2,
        means[3] - means[1] ** 2,
        means[4] - means[0] * means[1],
    )
    light = (2 * means[0] * means[1] + _FLAT[0]) / (means[0] ** 2 + means[1] ** 2 + _FLAT[0])
    return float((light * (2 * both + _FLAT[1]) / (spread_x + spread_y + _FLAT[1])).mean())


def _windowed(values: Tensor) -> Tensor:
    """The weighted mean in each window, rows, then columns."""
    places = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    weights = (-0.5 * (places / _DEVIATION) ** 2).exp()
    weights = weights / weights.sum()
    return F.conv2d(F.conv2d(values, weights[None, None, :, None]), weights[None, None, None])
