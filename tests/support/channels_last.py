"""One network written twice: its middle with the channels as the last axis, and in torch's order."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.network.network import Network
from tests.support.descent import small_network
from tests.support.small_networks import Written, conv

SIZE = (10, 14)


def _last(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.stem(x)
    z = F.pad(s.norm(y.permute(0, 2, 3, 1)), (0, 0, 1, 2, 0, 1))
    z = s.more(F.relu(s.wide(z)))[:, :-1, 1:-2]
    return F.relu(s.end(y + s.factor * z.permute(0, 3, 1, 2)))


def _first(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.stem(x)
    apart = y - y.mean(1, keepdim=True)
    z = apart / (apart.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()
    z = z * s.norm.weight.view(-1, 1, 1) + s.norm.bias.view(-1, 1, 1)
    z = F.pad(z, (1, 2, 0, 1))
    z = s.more(F.relu(s.wide(z)))[:, :, :-1, 1:-2]
    return F.relu(s.end(y + s.factor * z))


def twins() -> tuple[Network, Network]:
    """One function, its middle written channels-last and in torch's order."""
    torch.manual_seed(0)
    stem, end = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 3, 3)
    norm, wide, more = nn.LayerNorm(4), nn.Linear(4, 8), nn.Linear(8, 4)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    both = []
    for written, made in ((_last, lambda one: one), (_first, _convolution)):
        module = Written(written, stem=stem, norm=norm, wide=made(wide), more=made(more), end=end)
        module.factor = nn.Parameter(torch.full((4, 1, 1), 0.5))
        both.append(small_network(module, SIZE))
    return both[0], both[1]


def _convolution(linear: nn.Linear) -> nn.Conv2d:
    made = nn.Conv2d(linear.in_features, linear.out_features, 1)
    made.weight.data, made.bias.data = linear.weight.data[:, :, None, None], linear.bias.data  # type: ignore[union-attr]
    return made


def summing() -> Network:
    """Of sums over all positions before, which nobody follows: ``o`` has axes that nobody knows, ``f``, after it, has.

    Positions and channels, that is.
    """

    def forward(s: Any, x: Tensor) -> Tensor:
        tokens = s.c(x).flatten(2).transpose(1, 2)
        seen: Tensor = s.o(tokens.cumsum(1))
        given: Tensor = s.f(tokens + seen)
        return given

    parts = {name: nn.Linear(4, 4) for name in "of"}
    return small_network(Written(forward, c=conv(), **parts), SIZE)
