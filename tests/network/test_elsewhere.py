"""What depends on other pictures, or on chance, is said when a network is read; what does not is read in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.errors import NetworkWarning
from layerscope.network.capture import capture
from layerscope.network.elsewhere import what_else_counts
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from tests.support.small_networks import Written, conv


def windows(x: Tensor) -> Tensor:
    """Four windows of each picture of 8x8, among the pictures."""
    cut = x.view(x.shape[0], x.shape[1], 2, 4, 2, 4)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, x.shape[1], 4, 4)


TOGETHER: dict[
    str, tuple[str, Callable[[Tensor], Tensor]]
] = {  #: operation to be named, what is made of maps
    "less the mean of all": ("mean", lambda x: x - x.mean()),
    "a mean over pictures": ("mean", lambda x: x - x.mean((0, 2, 3), keepdim=True)),
    "over the deviation": ("std", lambda x: x / (x.std() + 1)),
    "over the largest": ("max", lambda x: x / x.abs().max()),
    "variances": ("var_mean", lambda x: x - torch.var_mean(x)[1]),
    "less the first picture": ("slice", lambda x: x - x[:1]),
    "correlated": ("matmul", lambda x: x.flatten(1) @ (x.flatten(1).T @ x.flatten(1))),
    "windows normalised by the batch": (
        "batch_norm",
        lambda x: F.batch_norm(windows(x), None, None, training=True),
    ),
    "normalised by the batch": ("batch_norm", lambda x: F.batch_norm(x, None, None, training=True)),
}
APART: dict[str, Callable[[Tensor], Tensor]] = {
    "a mean of each": lambda x: x - x.mean((1, 2, 3), keepdim=True),
    "groups among the pictures": lambda x: F.conv2d(x.reshape(-1, 2, 8, 8), torch.ones(2, 2, 1, 1)).reshape(
        x.shape
    ),
    "pictures as channels": lambda x: F.conv2d(
        x.reshape(1, -1, 8, 8), torch.ones(1, 1, 1, 1).expand(x.shape[0] * 4, 1, 1, 1), groups=x.shape[0] * 4
    ).reshape(x.shape),
    "normalised one by one": F.instance_norm,
    "normalised one by one, as channels of one": lambda x: F.batch_norm(
        x.reshape(1, -1, 8, 8), None, None, training=True
    ).reshape(x.shape),
    "how many there are": lambda x: x * torch.ones(x.shape[0], 1, 1, 1),
    "rounded by chance no more": lambda x: F.rrelu(F.alpha_dropout(x, training=False)),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
}


def read(function: Callable[[Tensor], Tensor]) -> list[str]:
    def forward(s: Any, x: Tensor) -> Tensor:
        return function(s.c(x))

    graph = capture(nn.Sequential(Written(forward, c=conv())), (3, 8, 8))
    return list(what_else_counts(graph))


@pytest.mark.parametrize("name", TOGETHER)
def test_what_takes_pictures_together_is_named(name: str) -> None:
    kind, function = TOGETHER[name]
    (line,) = read(function)
    assert line.startswith(f"{kind} in '0' takes the pictures of a batch together")
    assert "\n" not in line


@pytest.mark.parametrize("name", APART)
def test_what_leaves_pictures_apart_is_read_in_silence(name: str) -> None:
    assert read(APART[name]) == []


def test_chance_is_named_when_a_network_is_read() -> None:
    noisy = Written(lambda s, x: s.c(x) + torch.randn_like(x[:, :1]), c=conv())
    with pytest.warns(NetworkWarning, match="^randn_like in the network's own forward is random") as said:
        Network.from_module(noisy, preprocessing=Preprocessing(resize=None, height=8, width=8))
    assert len(said) == 1
