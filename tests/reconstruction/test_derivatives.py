"""What goes back by torch's own derivative, against finite differences: for one signal and for several at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.errors import UnsupportedOperationError
from layerscope.network.capture import capture
from layerscope.network.network import Network, Unit
from layerscope.network.preprocessing import Preprocessing
from layerscope.reconstruction.descent import reconstruct, way_down
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED, check_moved
from tests.support.descent import Function
from tests.support.small_networks import Written

SIDE, STEP = 7, 1e-6

OPERATIONS: dict[str, nn.Module | Callable[[Tensor], Tensor]] = {
    "instance norm": nn.InstanceNorm2d(4),
    "instance norm with weights": nn.InstanceNorm2d(4, affine=True),
    "instance norm of running statistics": nn.InstanceNorm2d(4, track_running_stats=True),
    "group norm": nn.GroupNorm(2, 4),
    "layer norm over all": nn.LayerNorm((4, SIDE, SIDE)),
    "layer norm over channels": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2),
    "local response norm": nn.LocalResponseNorm(3),
    "normalize": lambda x: F.normalize(x, dim=1),
    "batch norm": nn.BatchNorm2d(4),
    "softmax": nn.Softmax(1),
    "log-softmax": nn.LogSoftmax(1),
    "glu": lambda x: F.glu(torch.cat([x, x * x], 1), 1),
    "gate": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "mish": nn.Mish(),
    "elu": nn.ELU(),
    "softplus": nn.Softplus(),
    "tanh": nn.Tanh(),
    "prelu": nn.PReLU(4),
    "leaky relu": nn.LeakyReLU(0.2),
    "hard-swish": nn.Hardswish(),
    "cumulative sum": lambda x: x.cumsum(1),
    "product": lambda x: x * x.flip(1),
    "quotient": lambda x: x / (1 + x * x),
    "reflect": nn.ReflectionPad2d(2),
    "replicate": nn.ReplicationPad2d(2),
    "circular": nn.CircularPad2d(2),
    "average pool": nn.AvgPool2d(3, 2, 1),
    "average pool, borders not counted": nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True),
    "max pool": nn.MaxPool2d(3, 2, 1),
    "adaptive pool": nn.AdaptiveAvgPool2d(3),
    "power pool": lambda x: F.lp_pool2d(x.abs() + 1, 2.0, 2),
    "nearest": nn.Upsample(scale_factor=2),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "pixel shuffle": nn.PixelShuffle(2),
    "channel shuffle": nn.ChannelShuffle(2),
    "transposed convolution": nn.ConvTranspose2d(4, 4, 2, 2),
    "mean over rows": lambda x: x - x.mean(2, keepdim=True),
    "standard deviation": lambda x: x / (x.std((2, 3), keepdim=True) + 1),
    "unpooling": lambda x: F.max_unpool2d(
        *F.max_pool2d(x, 2, return_indices=True), (2, 2), output_size=(SIDE, SIDE)
    ),
    "gather": lambda x: x.gather(1, x.argsort(1)),
    "grid sample": lambda x: F.grid_sample(x, x.new_ones(x.shape[0], 7, 7, 2).cumsum(2) / 9),
    "bmm": lambda x: torch.bmm((x[:, :, 0, :4] > 0).to(x.dtype), x.flatten(2)).view(-1, 4, SIDE, SIDE),
}


def network_of(name: str, channels_last: bool) -> Network:
    """``channels_last``: as `Network.to` lays out weights, and so the signals that come back through them."""
    torch.manual_seed(3)
    middle = OPERATIONS[name]
    channels = 1 if name == "pixel shuffle" else 4
    parts: dict[str, nn.Module] = {"a": nn.Conv2d(3, 4, 3, padding=1), "b": nn.Conv2d(channels, 3, 3)}
    if isinstance(middle, nn.Module):
        parts["middle"] = middle
        module: nn.Module = Written(lambda s, x: s.b(s.middle(s.a(x))), **parts)
    else:
        module = Written(lambda s, x: s.b(middle(s.a(x))), **parts)
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._NormBase) and norm.running_mean is not None:
            nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    preprocessing = Preprocessing(None, SIDE, SIDE)
    network = Network.from_module(module.double().eval(), preprocessing=preprocessing)
    return network.to(dtype=torch.float64) if channels_last else network


def slopes(network: Network, picture: Tensor, unit: Unit) -> Tensor:
    """The unit's activation times its derivative by each pixel, from two passes a pixel."""
    pixels = picture.numel()
    steps = STEP * torch.eye(pixels, dtype=torch.float64).view(pixels, *picture.shape[1:])
    place = (slice(None), unit.channel, unit.row, unit.column)

    def activation(pictures: Tensor) -> Tensor:
        return network.representations(pictures, [unit.layer])[unit.layer][place]

    found = (activation(picture + steps) - activation(picture - steps)) / (2 * STEP)
    return found.view(picture.shape[1:]) * activation(picture)


@pytest.mark.parametrize("channels_last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_gradient_is_that_of_finite_differences(name: str, channels_last: bool) -> None:
    network = network_of(name, channels_last)
    torch.manual_seed(5)
    picture = torch.randn(1, 3, SIDE, SIDE, dtype=torch.float64)
    layer = network.layers[-1]
    corner = layer.size[0] - 1, layer.size[1] - 1
    units = [Unit(layer.name, 0, 0, 0), Unit(layer.name, 1, *corner), Unit(layer.name, 1, 0, corner[1])]
    try:
        together = reconstruct(network, picture, units, rule=GRADIENT)
    except UnsupportedOperationError:
        pytest.fail(f"{name} is refused by the gradient")
    for unit in units:
        expected = slopes(network, picture, unit)
        assert expected.norm() > 0
        for found in (together, reconstruct(network, picture, unit, rule=GRADIENT)):
            torch.testing.assert_close(found[unit][0], expected, rtol=1e-5, atol=1e-7)


def _rounded(x: Tensor) -> Tensor:
    return torch.div(x, 0.1, rounding_mode="floor")


FLAT = [
    torch.round,
    torch.floor,
    torch.ceil,
    torch.trunc,
    torch.fix,
    torch.sign,
    _rounded,
    lambda x: x // 0.1,
]


@pytest.mark.parametrize("function", FLAT)
def test_what_no_change_of_the_pixels_changes_is_named(function: Callable[[Tensor], Tensor]) -> None:
    graph = capture(Function(lambda x: function(x + 1) * 2).eval(), (4, 8, 8))
    with pytest.raises(UnsupportedOperationError, match=r"the derivative of .* is zero; ask only for layers"):
        check_moved(graph, [graph.output])
    for rule in (DECONVNET, GUIDED):
        with pytest.raises(UnsupportedOperationError, match=f"^{rule.name} has no rule for "):
            way_down(graph, [graph.output], rule)


def test_a_sign_beside_a_way_that_has_a_derivative() -> None:
    """The signed square root, which bilinear networks take."""
    module = Function(lambda x: x.sign() * (x.abs() + 1e-3).sqrt()).eval()
    picture = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    graph = capture(module, (4, 5, 5))
    check_moved(graph, [graph.output])
    network = Network.from_module(
        module, preprocessing=Preprocessing(5, 5, 5, mean=(0.0,) * 4, deviation=(1.0,) * 4)
    )
    (layer,) = {network.layers[-1].name}
    seen = picture.clone().requires_grad_()
    (expected,) = torch.autograd.grad((module(seen) * module(picture)).sum(), seen)
    made = reconstruct(network, picture, [layer], rule=GRADIENT)[layer]
    torch.testing.assert_close(made[0], expected[0])
