"""How much of a reconstruction lies outside the object that a picture shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.compare.resampling import Means, bootstrap_means
from layerscope.compare.sparsity import POOLS
from layerscope.network.layers import Layer
from layerscope.network.network import Network
from layerscope.reconstruction.descent import reconstruct, reversible
from layerscope.reconstruction.rules import Rule

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Of one network by one rule: by kind (pictures, layers), as `outside_shares`; ``depth``: layers with weights."""

    network: str
    rule: Rule
    layers: tuple[Layer, ...]
    depth: int
    pictures: tuple[int, ...]
    shares: Mapping[str, Array]

    @cached_property
    def means(self) -> Mapping[str, Means]:
        """Over pictures, for each kind."""
        return {kind: bootstrap_means(values) for kind, values in self.shares.items()}

    @cached_property
    def alive(self) -> tuple[int, ...]:
        """Places of the layers whose reconstruction is not zero in every picture."""
        return tuple(np.flatnonzero(np.isfinite(self.means["trained"].values)).tolist())

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last convolution that is alive, or else layer."""
        places = [place for place in self.alive if self.layers[place].kind == "conv2d"] or self.alive
        return places[0], places[-1]

    @property
    def last(self) -> Array:
        """Of the last convolution, picture by picture."""
        values: Array = self.shares["trained"][:, self.ends[1]]
        return values

    def mean(self, place: int, kind: str = "trained") -> float:
        """Over pictures, of a layer."""
        return float(self.means[kind].values[place])

    def change(self, kind: str) -> Array:
        """From the first to the last convolution, picture by picture."""
        first, last = self.ends
        change: Array = self.shares[kind][:, last] - self.shares[kind][:, first]
        return change


def measured_layers(
    network: Network, rule: Rule, which: str | Sequence[str] | None = None
) -> tuple[Layer, ...]:
    """Layers of a network that the rule goes back from, in their order; None: those of "even" (every second
    convolution, the last fully-connected layer), the last convolution, and every pool."""
    if which is None:
        even = {layer.name for layer in network.select_layers("even")}
        last = [layer.name for layer in network.select_layers("conv")][-1:]
        chosen = [layer for layer in network.layers if layer.name in {*even, *last} or layer.kind in POOLS]
    else:
        names = which if isinstance(which, str) else [name for name in which if network.find_layer(name)]
        chosen = list(network.select_layers(names))
    able = reversible(network.graph, rule)
    return tuple(layer for layer in chosen if layer.result in able)


def outside_shares(signals: Tensor, inside: Tensor) -> Tensor:
    """For each signal (signals, colours, height, width) its energy outside the object over the area outside it.

    ``inside``: (height, width), the share of each pixel that shows the object, in [0, 1]; some of it must lie outside.
    Energy is the sum of squares, as a share of all; so is the area: 1 is the value of a signal that does not know the
    object, 0 that of one that is zero around it. NaN of a signal that is zero everywhere. (signals,), float64.
    """
    outside = 1 - inside.double()
    energy = signals.double().square().sum(dim=1)
    return (energy * outside).sum(dim=(1, 2)) / energy.sum(dim=(1, 2)) / outside.mean()


def shares_of(
    network: Network, layers: Sequence[Layer], picture: Tensor, insides: Sequence[Tensor], rule: Rule
) -> Array:
    """Of the reconstructions of each layer of one preprocessed picture: (masks, layers), as `outside_shares`."""
    names = [layer.name for layer in layers]
    found = reconstruct(network, picture[None], names, rule=rule)
    signals = torch.cat([found[name] for name in names])
    shares: Array = torch.stack([outside_shares(signals, inside) for inside in insides]).numpy()
    return shares
