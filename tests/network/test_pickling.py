"""Networks pickle by themselves: the same operations, tensors and results at the other end, and nothing besides."""

from __future__ import annotations

import pickle
from types import MappingProxyType

import pytest
import torch
import torchvision.models as tv
from torch import nn

from layerscope.errors import NetworkError
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from tests.support.small_networks import SMALL

FAMILIES = ["vgg11_bn", "resnet18", "googlenet", "densenet121", "mobilenet_v2", "convnext_tiny"]


def read(module: nn.Module, size: int) -> Network:
    return Network.from_module(module, preprocessing=Preprocessing(resize=None, height=size, width=size))


def outputs(network: Network) -> torch.Tensor:
    pictures = torch.randn(2, *network.input_shape, generator=torch.Generator().manual_seed(0))
    output = network.graph.output
    with torch.inference_mode():
        return network.graph.run(network.prepare(pictures), output, frozenset({output}))[output]


def returned(network: Network) -> Network:
    back = pickle.loads(pickle.dumps(network))
    assert isinstance(back, Network)
    return back


def assert_the_same(one: Network, other: Network) -> None:
    assert other.graph.digest == one.graph.digest
    assert [layer.name for layer in other.layers] == [layer.name for layer in one.layers]
    assert torch.equal(outputs(other), outputs(one))


@pytest.mark.parametrize("name", SMALL)
def test_every_operation_comes_back(name: str) -> None:
    network = read(SMALL[name], 8)
    assert_the_same(network, returned(network))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_families_come_back_no_larger_than_their_tensors(name: str) -> None:
    torch.manual_seed(0)
    network = read(
        tv.get_model(name, weights=None, **({"init_weights": False} if name == "googlenet" else {})), 64
    )
    assert_the_same(network, returned(network))
    size = sum(tensor.nbytes for tensor in network.graph.tensors.values())
    assert size < len(pickle.dumps(network)) < 1.05 * size + 200_000


def test_what_is_worked_out_stays_behind() -> None:
    network = read(nn.Conv2d(3, 4, 3), 8)
    before = len(pickle.dumps(network))
    _ = (network.layers, network.geometry, network.graph.digest, network.graph.users)
    assert len(pickle.dumps(network)) == before
    assert set(vars(returned(network))) == set(vars(read(nn.Conv2d(3, 4, 3), 8)))


def test_a_view_comes_without_the_rest() -> None:
    module = nn.Conv2d(3, 4, 3, bias=False)
    module.weight = nn.Parameter(torch.randn(1000, 3, 3, 3)[:4])
    network = read(module, 8)
    assert len(pickle.dumps(network)) < 10_000
    assert_the_same(network, returned(network))


def test_it_stays_immutable() -> None:
    back = returned(read(nn.Conv2d(3, 4, 3), 8))
    assert isinstance(back.graph.modules, MappingProxyType)
    assert all(isinstance(op.arguments, MappingProxyType) for op in back.graph.operations[1:])


def test_a_rounded_network_keeps_its_exact_tensors() -> None:
    network = read(nn.Conv2d(3, 4, 3), 8)
    back = returned(network.to(dtype=torch.bfloat16))
    assert back.dtype == torch.bfloat16
    assert back.to(dtype=torch.float32).graph.digest == network.to(dtype=torch.float32).graph.digest


def test_an_operation_of_a_library_that_is_not_there() -> None:
    data = pickle.dumps(read(nn.ReLU(), 8)).replace(b"aten", b"atem")
    with pytest.raises(NetworkError, match="uses atem::relu, which is not known here; import the library"):
        pickle.loads(data)
