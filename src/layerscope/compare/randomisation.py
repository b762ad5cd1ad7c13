"""How alike two reconstructions are, as pictures, in the order of their pixels and in where their energy lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.compare.ranks import correlate_ranks
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.reconstruction.descent import reversible
from layerscope.reconstruction.rules import Rule

BINS = 100  #: of the histogram whose entropy is taken, from the least to the greatest value
_SHOWN = 99.5  # the percentile of the sizes of values at which a picture of a signal is white or black
_DEVIATION, _RADIUS = 1.5, 5  # of the Gaussian window, pixels
_FLAT = 0.01**2, 0.03**2  # K1 and K2 of values from 0 to 1
Array = npt.NDArray[np.float64]


def shown_layers(network: Network, rule: Rule, which: str | Sequence[str] | None = None) -> tuple[Layer, ...]:
    """Layers whose reconstructions are followed, of those that the rule goes back from; None: three convolutions, one
    at the end of each third."""
    if which is None:
        convolutions = network.select_layers("conv")
        count = len(convolutions)
        chosen = (
            tuple(dict.fromkeys(convolutions[max(0, count * n // 3 - 1)] for n in (1, 2, 3))) if count else ()
        )
    else:
        names = which if isinstance(which, str) else [name for name in which if network.find_layer(name)]
        chosen = network.select_layers(names)
    able = reversible(network.graph, rule)
    return tuple(layer for layer in chosen if layer.result in able)


def similarities(one: Tensor, other: Tensor) -> Mapping[str, float]:
    """Of two signals (colours, height, width).

    ``ssim``: structural similarity of both as they are shown; ``rank``: Spearman's correlation of all values;
    ``place``: that of the energy of each pixel; all at most 1, which identical signals have.
    """
    energies = [signal.double().square().sum(dim=0).numpy() for signal in (one, other)]
    return {
        "ssim": structural_similarity(as_shown(one), as_shown(other)),
        "rank": correlate_ranks(one.numpy(), other.numpy()),
        "place": correlate_ranks(*energies),
    }


def as_shown(signal: Tensor) -> Tensor:
    """The signal in [0, 1], as panels show it: .5 is 0, and it is clipped where they clip it. float64.

    The mean of a window is compared too, so that values around 0 would be alike with either sign.
    """
    values = signal.double()
    sizes = values[values != 0].abs().numpy()
    scale = float(np.percentile(sizes, _SHOWN)) if sizes.size else 1.0
    return (values / scale).clamp(-1, 1) / 2 + 0.5


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


def entropy(signal: Tensor) -> float:
    """Of the histogram of a signal's values in 100 bins from the least to the greatest, in nats; 0 of a constant one.

    Source: Hedström et al. 2024, arXiv 2401.06465.
    """
    counts = np.histogram(signal.double().numpy(), BINS)[0]
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
