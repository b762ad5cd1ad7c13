"""Rules: every operation reversed as the paper, or the mathematics, says; the rest refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from layerscope.errors import UnsupportedOperationError
from layerscope.network.convolution import rectify_
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED, RULES, Rule
from tests.support.descent import (
    Function,
    assert_adjoint,
    autograd,
    captured,
    down,
    lively,
    noise,
    small_network,
)
from tests.support.marks import slow_but

CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_size": 3},
    "strided, with rows and columns to spare": {"kernel_size": 3, "stride": 4},
    "padded": {"kernel_size": 5, "padding": 2},
    "strided and padded": {"kernel_size": 3, "stride": 2, "padding": 1},
    "rectangular": {"kernel_size": (1, 4), "stride": (2, 3), "padding": (0, 2)},
    "dilated": {"kernel_size": 3, "dilation": (2, 3), "padding": 2, "stride": 2},
    "grouped": {"kernel_size": 3, "groups": 2, "padding": 1},
    "depthwise": {"kernel_size": 3, "groups": 4, "padding": 1, "stride": 2},
    "without bias": {"kernel_size": 2, "bias": False},
    "pointwise": {"kernel_size": 1},
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("size", [(11, 9), (12, 13)])
def test_reverse_convolution_is_the_transposed_one(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, **CONVOLUTIONS[name]).double()
    picture = noise(1, 4, *size)
    graph = captured(layer, picture)
    signal = noise(3, *graph.operations[1].shape, seed=1)
    assert not isinstance(layer.padding, str)
    expected = conv2d_input(  # type: ignore[no-untyped-call]
        [3, 4, *size], layer.weight, signal, layer.stride, layer.padding, layer.dilation, layer.groups
    )
    torch.testing.assert_close(down(graph, picture, signal, DECONVNET), expected)


def test_reverse_convolution_spreads_each_value_over_the_flipped_window() -> None:
    layer = nn.Conv2d(1, 1, 2).double()
    layer.weight.data = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], dtype=torch.float64)
    signal = torch.tensor([[[[10.0, 0.0], [0.0, 0.0]]]], dtype=torch.float64)
    picture = noise(1, 1, 3, 3)
    back = down(captured(layer, picture), picture, signal, DECONVNET)
    assert back[0, 0].tolist() == [[10, 20, 0], [30, 40, 0], [0, 0, 0]]  # and the bias is nowhere


@pytest.mark.parametrize("kernel", [2, 4, (2, 3), (3, 4), 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_padding_same_is_reversed_for_even_kernels_too(kernel: int | tuple[int, int], dilation: int) -> None:
    assert_adjoint(nn.Conv2d(2, 3, kernel, padding="same", dilation=dilation), 2, 9, 8)


def _batch_norm(channels: int, *, affine: bool = True, one: bool = False) -> nn.Module:
    norm = (nn.BatchNorm1d if one else nn.BatchNorm2d)(channels, affine=affine)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(noise(channels))
    norm.running_var.copy_(noise(channels, seed=1).abs() + 0.1)
    if affine:
        norm.weight.data.copy_(noise(channels, seed=2))
        norm.bias.data.copy_(noise(channels, seed=3))
    return norm


def _vector(x: Tensor) -> Tensor:
    return x.mean((2, 3))


EXACT: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(4 * 63, 5)),
    "linear on the last axis": lambda: nn.Linear(7, 5),
    "batch norm": lambda: _batch_norm(4),
    "batch norm without weights": lambda: _batch_norm(4, affine=False),
    "batch norm of a vector": lambda: Function(lambda x, n: n(_vector(x)), _batch_norm(4, one=True)),
    "x + x": lambda: Function(lambda x: x + x),
    "x + number": lambda: Function(lambda x: x + 3),
    "add, broadcast": lambda: Function(lambda x: x + x.mean((2, 3), keepdim=True)),
    "add, broadcast both ways": lambda: Function(lambda x: x.mean(2, keepdim=True) + x.mean(3, keepdim=True)),
    "add, alpha": lambda: Function(lambda x: torch.add(x, F.avg_pool2d(x, 3, 1, 1), alpha=-2)),
    "add in place": lambda: Function(lambda x, c: c(x).add_(x), nn.Conv2d(4, 4, 1)),
    "add a constant": lambda: Function(lambda x: x + torch.ones(4, 1, 1, dtype=torch.float64)),
    "sub": lambda: Function(lambda x: x - 2 * x.mean(1, keepdim=True)),
    "neg": lambda: Function(lambda x: -x),
    "mul, div by numbers": lambda: Function(lambda x: x * 3 / 7),
    "div by a parameter": lambda: Function(lambda x, n: x / n.weight.view(-1, 1, 1), _batch_norm(4)),
    "cat": lambda: Function(lambda x: torch.cat([x, x[:, 1:3], x], 1)),
    "cat of rows": lambda: Function(lambda x: torch.cat([x, x * 2], -2)),
    "cat with a constant": lambda: Function(lambda x: torch.cat([torch.ones(x.shape[0], 4, 1, 7), x], 2)),
    "flatten": nn.Flatten,
    "reshape": lambda: Function(lambda x: x.view(x.shape[0], 2, -1)),
    "channel shuffle": lambda: nn.ChannelShuffle(2),
    "permute": lambda: Function(lambda x: x.permute(0, 2, 3, 1)),
    "chunk": lambda: Function(lambda x: x.chunk(2, 1)[1]),
    "split": lambda: Function(lambda x: torch.split(x, [1, 3], 1)[1] - torch.split(x, [1, 3], 1)[0]),
    "slice": lambda: Function(lambda x: x[:, 1:, ::2, 1:5:3]),
    "pad": lambda: Function(lambda x: F.pad(x, (1, 2, 0, 3), value=4)),
    "reflecting pad": lambda: nn.ReflectionPad2d(2),
    "average pool": lambda: nn.AvgPool2d(3, 2, 1),
    "average pool, borders counted out": lambda: nn.AvgPool2d(
        3, 2, 1, ceil_mode=True, count_include_pad=False
    ),
    "average pool, rectangular": lambda: nn.AvgPool2d((2, 3), (1, 2)),
    "adaptive average pool, global": lambda: nn.AdaptiveAvgPool2d(1),
    "adaptive average pool, even": lambda: nn.AdaptiveAvgPool2d((3, 7)),
    "adaptive average pool, uneven": lambda: nn.AdaptiveAvgPool2d((4, 3)),
    "adaptive average pool, growing": lambda: nn.AdaptiveAvgPool2d((12, 9)),
    "mean": lambda: Function(_vector),
    "sum": lambda: Function(lambda x: x.sum((2, 3))),
    "select, unsqueeze": lambda: Function(lambda x: x[:, 2].unsqueeze(1)),
    "squeeze": lambda: Function(lambda x: x[:, :, :1].squeeze(2)),
    "part set": lambda: Function(lambda x: torch.slice_scatter(x, 2 * x[:, 1:3], 1, 2)),
    "channel set": lambda: Function(lambda x: torch.select_scatter(x, -x[:, 2], 1, 0)),
    "part set in place": lambda: Function(
        lambda x, c: (y := c(x), y[:, :2].copy_(x[:, 2:] * 3), y + 0)[2], nn.Conv2d(4, 4, 1, bias=False)
    ),
    "expand": lambda: Function(lambda x: x[:, 1:2].expand(-1, 5, -1, -1)),
    "dropout at inference": lambda: nn.Dropout(0.5),
}  #: of a picture 4x9x7


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", EXACT)
def test_linear_operations_go_back_as_their_adjoint_under_every_rule(name: str, rule: Rule) -> None:
    torch.manual_seed(0)
    assert_adjoint(EXACT[name](), 4, 9, 7, rule=rule)


# --- rectification --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rectify_sets_negative_values_to_zero_and_touches_nothing_else(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    values = torch.tensor([-math.inf, -3.5, -tiny, -0.0, 0.0, tiny, 2.25, math.inf], dtype=dtype)
    result = rectify_(values)
    assert result is values
    assert values.tolist() == [0, 0, 0, 0, 0, tiny, 2.25, math.inf]
    assert rectify_(torch.tensor([math.nan], dtype=dtype)).isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rectify_of_every_layout_is_relu(dtype: torch.dtype) -> None:
    values = noise(3, 4, 5, 6).to(dtype)
    for view in (values, values.contiguous(memory_format=torch.channels_last), values[:, ::2], values.mT):
        expected = F.relu(view)
        assert torch.equal(rectify_(view.clone()), expected)
        assert torch.equal(rectify_(view[1:]), expected[1:])


RECTIFIERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "relu": (F.relu, math.inf),
    "relu in place": (lambda x: F.relu_(x + 0), math.inf),
    "relu6": (F.relu6, 6),
    "relu6 in place": (lambda x: nn.ReLU6(inplace=True)(x + 0), 6),
    "hardtanh": (lambda x: F.hardtanh(x, 0, 2), 2),
    "torch.relu6 of ATen": (torch.ops.aten.relu6, 6),
}


@pytest.mark.parametrize("name", RECTIFIERS)
def test_each_rule_at_a_rectifier(name: str) -> None:
    function, top = RECTIFIERS[name]
    picture = (
        torch.tensor([-1.0, 0.0, 0.5, 6.0, 7.0], dtype=torch.float64).view(1, 1, 1, 5).expand(1, 1, 2, 5)
    )
    signal = torch.tensor([[4.0], [-4.0]], dtype=torch.float64).expand(1, 1, 2, 5)
    passed = [float(0 < x < top) for x in picture[0, 0, 0].tolist()]
    graph = captured(Function(function), picture)
    expected = {
        DECONVNET: [[4.0] * 5, [0.0] * 5],
        GUIDED: [[4 * p for p in passed], [0.0] * 5],
        GRADIENT: [[4 * p for p in passed], [-4 * p for p in passed]],
    }
    for rule, values in expected.items():
        assert down(graph, picture, signal, rule)[0, 0].tolist() == values, rule.name


# --- what has no rule -----------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "a sigmoid": (lambda: nn.Sequential(nn.Sigmoid(), nn.Conv2d(4, 4, 1)), "sigmoid", "use rule gradient"),
    "a variance": (lambda: Function(lambda x: x + x.var((2, 3), keepdim=True)), "var", "use rule gradient"),
    "masked by the picture": (
        lambda: Function(lambda x: x.masked_fill(x < 1, 0)),  # below 0 alone it would be a ReLU
        "masked_fill",
        "use rule gradient",
    ),
    "a filter made of the picture": (
        lambda: Function(lambda x: x @ x.mean((2, 3), True).expand(-1, -1, 7, 3)),
        "matmul",
        "use rule gradient",
    ),
    "hardtanh that goes below zero": (nn.Hardtanh, "hardtanh", "use rule gradient"),
    "gate": (lambda: Function(lambda x: x * x.mean((2, 3), keepdim=True)), "mul", "use rule gradient"),
    "square": (lambda: Function(lambda x: x * x), "mul", "use rule gradient"),
    "number over picture": (
        lambda: Function(lambda x, p: p.weight / x, nn.PReLU()),
        "div",
        "use rule gradient",
    ),
    "rounded quotient": (
        lambda: Function(lambda x: torch.div(x, 2, rounding_mode="floor")),
        "div",
        "use rule gradient",
    ),
    "pictures mixed": (lambda: Function(lambda x: x.transpose(0, 1) + 1), "transpose", "ask only"),
    "dropout left on": (lambda: Function(lambda x: F.dropout(x, training=True)), "dropout", "ask only"),
    "noise": (lambda: Function(lambda x: x + 0.1 * torch.randn_like(x)), "randn_like", "ask only"),
    "noise as a gate": (
        lambda: Function(lambda x: x * torch.sigmoid(x.mean(1, True) + torch.rand(4, 1, 1))),
        "rand",
        "ask only",
    ),
    "maps by chance": (
        lambda: Function(lambda x: x * torch.bernoulli(torch.full_like(x, 0.5))),
        "bernoulli",
        "ask only",
    ),
    "batch statistics": (
        lambda: nn.BatchNorm2d(4, track_running_stats=False),
        "batch_norm",
        "track_running_stats=True",
    ),
}  #: of a picture 4x9x7: the network, the operation to be named, the remedy


@pytest.mark.filterwarnings("ignore::layerscope.errors.NetworkWarning")  # as is said when it is read
@pytest.mark.parametrize("rule", [DECONVNET, GUIDED], ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_name_and_place(name: str, rule: Rule) -> None:
    build, kind, remedy = REFUSED[name]
    network = small_network(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), build()))
    with pytest.raises(UnsupportedOperationError) as caught:
        reconstruct(network, noise(1, 4, 9, 7), [network.layers[-1].name], rule=rule)
    message = str(caught.value)
    assert kind in message
    assert "in '2" in message
    assert remedy in message
    assert ("use rule" in message) == (remedy == "use rule gradient")
    assert ("nor has any other rule" in message) == (remedy == "ask only")
    assert "\n" not in message


def test_a_rule_is_named_only_if_it_goes_all_the_way() -> None:
    mixed = Function(lambda x: x.transpose(0, 1) + 1)
    network = small_network(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Hardtanh(), mixed))
    with pytest.raises(UnsupportedOperationError) as caught:
        reconstruct(network, noise(1, 4, 9, 7), [network.layers[-1].name])
    assert str(caught.value) == (
        "deconvnet has no rule for hardtanh in '1', and no other goes all the way: gradient has none for transpose "
        "in '2'; ask only for layers that come before it"
    )
    with pytest.raises(
        UnsupportedOperationError, match=r"^gradient has no rule for transpose in '2'; ask only"
    ):
        reconstruct(network, noise(1, 4, 9, 7), [network.layers[-1].name], rule=GRADIENT)
    with pytest.raises(UnsupportedOperationError, match=r"hardtanh in '1'; use rule gradient, or ask only"):
        reconstruct(network, noise(1, 4, 9, 7), [network.layers[0].name])


@pytest.mark.parametrize(
    "name", [n for n, (_, _, remedy) in REFUSED.items() if remedy == "use rule gradient"]
)
def test_the_gradient_takes_what_the_others_refuse(name: str) -> None:
    torch.manual_seed(0)
    assert_adjoint(nn.Sequential(nn.Conv2d(4, 4, 1), REFUSED[name][0]()), 4, 9, 7)


@pytest.mark.filterwarnings("ignore::layerscope.errors.NetworkWarning")  # as is said when it is read
@pytest.mark.parametrize(
    "name", [n for n, (_, _, remedy) in REFUSED.items() if remedy != "use rule gradient"]
)
def test_even_the_gradient_refuses_what_has_none(name: str) -> None:
    network = small_network(nn.Sequential(nn.Conv2d(4, 4, 1), REFUSED[name][0]()))
    with pytest.raises(UnsupportedOperationError, match=REFUSED[name][1]):
        reconstruct(network, noise(1, 4, 9, 7), [network.layers[-1].name], rule=GRADIENT)


def test_layers_before_a_refused_operation_are_served() -> None:
    network = small_network(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Hardtanh()))
    first, last = (layer.name for layer in network.layers)
    assert reconstruct(network, noise(1, 4, 9, 7), [first])[first].any()
    with pytest.raises(UnsupportedOperationError, match="hardtanh in '3'"):
        reconstruct(network, noise(1, 4, 9, 7), [first, last])


# --- the gradient of whole networks ---------------------------------------------------------------------------

SHARED: dict[str, Callable[..., Tensor]] = {
    "silu and relu of the same": lambda x, c: F.silu(y := c(x)) + F.relu(y),
    "gate and relu of the same": lambda x, c: torch.sigmoid(y := c(x)) * y + F.relu(y),
    "part and relu of the same": lambda x, c: F.pad((y := c(x))[:, :2], (0, 0, 0, 0, 0, 2)) + F.relu(y),
    "view and relu of the same": lambda x, c: (y := c(x)).flatten(1) * F.relu(y).flatten(1),
    "scaled by the number of pictures": lambda x, c: c(x) * x.shape[0] / x.shape[0],
    "squeeze and excite, expanded": lambda x, c: (
        x * c(x).mean((2, 3), keepdim=True).expand(x.shape[0], -1, 9, 7)
    ),
    "where": lambda x, c: torch.where((y := c(x)) > 0, y, y.exp()),
    "constant factor": lambda x, c: c(x).exp() * torch.tensor(2.0, dtype=torch.float64),
}


@pytest.mark.parametrize("name", SHARED)
def test_nothing_remembered_for_the_gradient_is_overwritten(name: str) -> None:
    torch.manual_seed(0)
    module = Function(SHARED[name], nn.Conv2d(4, 4, 3, padding=1))
    picture = noise(1, 4, 9, 7)
    graph = captured(module, picture)
    kept = graph.run(picture, graph.output, frozenset({graph.output}))
    torch.testing.assert_close(kept[graph.output], module(picture))
    assert_adjoint(module, 4, 9, 7)


@pytest.mark.parametrize(
    "name",
    slow_but(
        ["regnet_y_400mf"], ["efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "shufflenet_v2_x1_0"]
    ),
)
def test_the_gradient_of_networks_with_gates_equals_autograd(name: str) -> None:
    module = lively(torchvision.models.get_model(name))
    network = small_network(module, (64, 48))
    pictures = noise(2, 3, 64, 48)
    last = network.layers[-1]
    assert last.result == network.graph.output
    scores = module(pictures).detach()
    ours = reconstruct(network, pictures, [last.name], rule=GRADIENT)[last.name]
    expected = torch.cat([autograd(module, p[None], s[None]) for p, s in zip(pictures, scores, strict=True)])
    assert ours.any()
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=float(expected.abs().max()) * 1e-11)
