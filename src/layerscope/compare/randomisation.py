"""How alike two reconstructions are, as pictures, in the order of their pixels and in where their energy lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from layerscope.kernels.ranks import correlate_ranks
from layerscope.kernels.structural_similarity import structural_similarity
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.reconstruction.descent import reversible
from layerscope.reconstruction.rules import Rule

BINS = 100  #: of the histogram whose entropy is taken, from the least to the greatest value
_SHOWN = 99.5  # the percentile of the sizes of values at which a picture of a signal is white or black
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


def entropy(signal: Tensor) -> float:
    """Of the histogram of a signal's values in 100 bins from the least to the greatest, in nats; 0 of a constant one.

    Source: Hedström et al. 2024, arXiv 2401.06465.
    """
    counts = np.histogram(signal.double().numpy(), BINS)[0]
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
