"""A ReLU, or a leaky one, by any other words is read as what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import RULES
from tests.support.descent import Function, noise, small_network
from tests.support.small_networks import conv

Activation = Callable[[Tensor], Tensor]
RELUS: dict[str, Activation] = {
    "times whether it is positive": lambda x: x * (x > 0),
    "whether it is at least 0, as a number": lambda x: (x >= 0).to(x.dtype) * x,
    "where it is positive": lambda x: torch.where(x > 0, x, 0.0),
    "where, beside zeros": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "filled where it is negative": lambda x: x.masked_fill(x < 0, 0),
    "clipped": lambda x: torch.clip(x, 0),
    "clamped by a tensor": lambda x: x.clamp(min=torch.tensor(0.0)),
    "a maximum": lambda x: torch.maximum(torch.tensor(0.0), x),
}
LEAKY: dict[str, Activation] = {
    "the larger of it and a share": lambda x: torch.maximum(x, 0.1 * x),
    "a share where it is not positive": lambda x: torch.where(x > 0, x, x * 0.1),
}
NONE: dict[str, Activation] = {
    "times whether it is above 1": lambda x: x * (x > 1),
    "times whether another is positive": lambda x: x * (x.roll(1, 1) > 0),
    "filled above zero": lambda x: x.masked_fill(x > 0, 0),
    "the larger of it and twice it": lambda x: torch.maximum(x, 2.0 * x),
    "where it is positive, else 1": lambda x: torch.where(x > 0, x, 1.0),
    "a mask of another": lambda x: (x > 0) * (x - 1),
    "two maps": lambda x: torch.maximum(x, x.roll(1, 1)),
}


def module_of(activation: Activation) -> Function:
    torch.manual_seed(0)
    return Function(lambda x, one, two: two(activation(one(x))), conv(3, 4), conv(4, 5))


@pytest.mark.parametrize(("forms", "plain"), [(RELUS, F.relu), (LEAKY, lambda x: F.leaky_relu(x, 0.1))])
def test_it_goes_back_as_the_plain_one_by_every_rule(forms: dict[str, Activation], plain: Activation) -> None:
    picture = noise(1, 3, 9, 7)
    expected = small_network(module_of(plain))
    for words, activation in forms.items():
        module = module_of(activation)
        network = small_network(module)
        last = network.layers[-1].name
        assert_close(network.representations(picture, [last])[last], module(picture), msg=words)
        for rule in RULES.values():
            found = reconstruct(network, picture, last, rule=rule)[last]
            wanted = reconstruct(expected, picture, expected.layers[-1].name, rule=rule)
            assert_close(found, wanted[expected.layers[-1].name], msg=f"{words}, {rule.name}")


@pytest.mark.parametrize("words", NONE)
def test_what_only_looks_like_one_is_none(words: str) -> None:
    module = module_of(NONE[words])
    network = small_network(module)
    assert not {"relu", "leaky_relu"} & {operation.kind for operation in network.graph.operations}
    picture = noise(2, 3, 9, 7)
    last = network.layers[-1].name
    assert_close(network.representations(picture, [last])[last], module(picture))


def changed_since(x: Tensor) -> Tensor:
    y = x * 1.0
    mask = y > 0
    y.sub_(1)
    return y * mask


def share_of_what_it_was(x: Tensor) -> Tensor:
    y = x * 1.0
    share = y * 0.1
    y.sub_(1)
    return torch.maximum(y, share)


@pytest.mark.parametrize(
    "activation",
    [
        changed_since,
        share_of_what_it_was,
        lambda x: torch.maximum(x[:, :1], torch.zeros_like(x)),
        lambda x: torch.where(x[:, :1] > 0, x[:, :1], torch.zeros_like(x)),
    ],
)
def test_what_was_changed_since_or_is_broadcast_is_none(activation: Activation) -> None:
    module = module_of(activation)
    network = small_network(module)
    assert not {"relu", "leaky_relu"} & {operation.kind for operation in network.graph.operations}
    picture = noise(2, 3, 9, 7)
    last = network.layers[-1].name
    assert_close(network.representations(picture, [last])[last], module(picture))


def test_it_belongs_to_the_layer_that_it_rectifies() -> None:
    for words in ("times whether it is positive", "filled where it is negative"):
        network = small_network(module_of(RELUS[words]))
        assert [layer.operation for layer in network.layers] == ["conv 3x3 + relu", "conv 3x3"]
