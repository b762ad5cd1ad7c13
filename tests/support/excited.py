"""Small networks whose channels are excited."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from layerscope import Network, Preprocessing


def small(channels: int = 3, size: int = 40, seed: int = 0) -> Network:
    """Two convolutions, a pool, one more, and a fully-connected layer."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * (size // 2) ** 2, 4),
    )
    plain = Preprocessing(size, size, size, (0.5,) * channels, (0.25,) * channels)
    return Network.from_module(module, name="small", preprocessing=plain)


def filled(weights: Tensor) -> Network:
    """One convolution of such weights."""
    size = weights.shape[-1] + 8
    convolution = nn.Conv2d(weights.shape[1], len(weights), weights.shape[-1], bias=False)
    convolution.weight = nn.Parameter(weights)
    module = nn.Sequential(convolution)
    colours = (0.5,) * weights.shape[1]
    return Network.from_module(
        module, preprocessing=Preprocessing(size, size, size, colours, (1.0,) * len(colours))
    )
