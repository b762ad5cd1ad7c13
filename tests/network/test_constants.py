"""What does not see the picture is computed once, when a network is read; its tensors are never written to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from layerscope.network.capture import capture
from layerscope.network.graph import Graph
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from tests.support.descent import Function, noise


def _pruned() -> nn.Module:
    if torch.__version__.startswith("2.9."):
        pytest.skip("torch 2.9 does not export what the hook of a pruning sets")
    conv = nn.Conv2d(3, 4, 3)
    prune.random_unstructured(conv, "weight", amount=0.5)  # type: ignore[no-untyped-call]
    return conv


def _standardised(x: Tensor, conv: nn.Conv2d) -> Tensor:
    weight = F.batch_norm(conv.weight.reshape(1, 4, -1), None, None, training=True, momentum=0.0)
    made: Tensor = F.conv2d(x, weight.reshape_as(conv.weight), conv.bias)
    return made


def _masked(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """As Swin masks windows: zeros, filled part by part with numbers, then compared with each other."""
    mask = x.new_zeros((8, 8))
    for number, rows in enumerate((slice(0, -4), slice(-4, -2), slice(-2, None))):
        mask[rows, 2:] = number
    apart = mask.view(1, 64, 1) - mask.view(1, 1, 64)
    made: Tensor = conv(x) + apart.masked_fill(apart != 0, -100.0)[:, :8, :8].amax(1)
    return made


def _seen_before_and_after(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A constant that is read, changed, and read again."""
    weight = conv.weight * 2
    before = F.conv2d(x, weight)
    weight[0] = 7.0
    made: Tensor = before + F.conv2d(x, weight)
    return made


def _own_memory(x: Tensor, norm: nn.BatchNorm2d, conv: nn.Conv2d) -> Tensor:
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    made: Tensor = conv(x) * (norm.num_batches_tracked * 2)
    return made


CONSTANT: dict[str, Callable[[], nn.Module]] = {
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)),
    "pruning mask": _pruned,
    "standardised weights": lambda: Function(_standardised, nn.Conv2d(3, 4, 3)),
    "scaled weights": lambda: Function(lambda x, c: F.conv2d(x, c.weight * 0.5, c.bias), nn.Conv2d(3, 4, 3)),
    "a mask filled in place": lambda: Function(_masked, nn.Conv2d(3, 4, 3)),
    "numbers of Python": lambda: Function(
        lambda x, c: c(x) + torch.arange(8) * torch.linspace(0, 1, 8).unbind()[2], nn.Conv2d(3, 4, 3)
    ),
    "a constant through dropout": lambda: Function(
        lambda x, c: c(x) + F.dropout(c.bias * 2, 0.5, False)[:, None, None].relu(), nn.Conv2d(3, 4, 3)
    ),
    "read, changed, read again": lambda: Function(_seen_before_and_after, nn.Conv2d(3, 4, 3)),
}


def result(graph: Graph, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        return graph.run(pictures, graph.output, frozenset({graph.output}))[graph.output]


@pytest.mark.parametrize("name", CONSTANT)
def test_constants_are_tensors_of_the_network(name: str) -> None:
    torch.manual_seed(0)
    module = CONSTANT[name]().double().eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    graph = capture(module, (3, 10, 10))
    assert all(operation.carries for operation in graph.operations)
    assert any(name.startswith("~") for name in graph.tensors)
    pictures = noise(3, 3, 10, 10)
    with torch.no_grad():
        torch.testing.assert_close(result(graph, pictures), module(pictures), rtol=1e-12, atol=1e-12)
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_the_networks_own_memory_is_not_written_to() -> None:
    module = Function(_own_memory, nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)).double().eval()
    graph = capture(module, (3, 10, 10))
    picture = noise(1, 3, 10, 10)
    with torch.no_grad():
        expected = module.parts[1](picture) * 2
    for _ in range(2):
        torch.testing.assert_close(result(graph, picture), expected)


def test_what_depends_on_how_many_pictures_there_are_is_no_constant() -> None:
    module = Function(lambda x, c: c(x) + torch.ones(x.shape[0], 4, 1, 1) * x.shape[0], nn.Conv2d(3, 4, 3))
    graph = capture(module.double().eval(), (3, 10, 10))
    for count in (1, 3):
        pictures = noise(count, 3, 10, 10)
        with torch.no_grad():
            torch.testing.assert_close(result(graph, pictures), module(pictures))


def test_what_differs_each_time_is_no_constant() -> None:
    graph = capture(Function(lambda x, c: c(x) + torch.rand(8), nn.Conv2d(3, 4, 3)).eval(), (3, 10, 10))
    picture = torch.zeros(1, 3, 10, 10)
    assert not torch.equal(result(graph, picture), result(graph, picture))


def test_a_made_weight_has_windows_and_moves_with_the_network() -> None:
    module = parametrizations.weight_norm(nn.Conv2d(3, 4, 3)).eval()
    shown = Preprocessing(height=10, width=10, resize=None)
    network = Network.from_module(module, preprocessing=shown)
    assert network.layers[0].operation == "conv 3x3"
    double = network.to(dtype=torch.float64)
    assert {tensor.dtype for tensor in double.graph.tensors.values()} == {torch.float64}
