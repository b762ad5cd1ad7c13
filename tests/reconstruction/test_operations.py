"""The way back through rectifiers, gates, norms, attention and what is linear, against naive twins."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.errors import UnsupportedOperationError
from layerscope.reconstruction.descent import reconstruct, way_down
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED, Rule
from tests.oracles.reconstruction.operations import (
    by_columns,
    channel_scales,
    group_scales,
    rectified,
    scale,
)
from tests.support.descent import Function, assert_adjoint, captured, down, noise, small_network

CLAMPING = pytest.mark.parametrize("rule", [DECONVNET, GUIDED], ids=lambda rule: rule.name)
SHAPE = (4, 6, 5)


def _lively(module: nn.Module) -> nn.Module:
    for seed, parameter in enumerate(module.double().parameters()):
        parameter.data.copy_(noise(*parameter.shape, seed=seed + 7))
    return module.eval()


# --- rectifiers -----------------------------------------------------------------------------------------------

RECTIFIERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "clamp": (lambda x: x.clamp(min=0), math.inf),
    "clamp in place": (lambda x: (x + 0).clamp_(min=0), math.inf),
    "clamp from both sides": (lambda x: x.clamp(0, 0.7), 0.7),
    "threshold": (lambda x: F.threshold(x, 0, 0), math.inf),
    "maximum with zero": (lambda x: torch.maximum(x, torch.zeros(())), math.inf),
    "maximum with zeros like it": (lambda x: torch.maximum(x, torch.zeros_like(x)), math.inf),
    "max of two tensors": (lambda x: torch.max(x, torch.zeros(1)), math.inf),
    "relu6": (F.relu6, 6.0),
    "hardtanh from zero": (lambda x: F.hardtanh(x, 0, 0.7), 0.7),
    "silu": (F.silu, math.inf),
    "gelu": (F.gelu, math.inf),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), math.inf),
    "hard-swish": (F.hardswish, math.inf),
    "mish": (F.mish, math.inf),
    "elu": (F.elu, math.inf),
    "selu": (F.selu, math.inf),
    "celu": (F.celu, math.inf),
    "leaky relu": (lambda x: F.leaky_relu(x, 0.2), math.inf),
    "leaky relu in place": (lambda x: F.leaky_relu_(x + 0, 0.2), math.inf),
    "prelu": (nn.PReLU(init=0.3).double().requires_grad_(False), math.inf),
    "softplus": (F.softplus, math.inf),
    "SiLU written out": (lambda x: x * x.sigmoid(), math.inf),
    "GELU written out": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), math.inf),
    "GELU written out, halved last": (lambda x: x * (1 + torch.erf(x / math.sqrt(2))) * 0.5, math.inf),
    "quick GELU": (lambda x: x * torch.sigmoid(1.702 * x), math.inf),
    "hard-swish written out": (lambda x: x * F.relu6(x + 3) / 6, math.inf),
    "Mish written out": (lambda x: x * torch.tanh(F.softplus(x)), math.inf),
    "squared ReLU": (lambda x: F.relu(x) ** 2, math.inf),
    "squared ReLU, by square": (lambda x: F.relu(x).square(), math.inf),
    "a ReLU to a power": (lambda x: x.clamp(min=0) ** 1.5, math.inf),
}


@CLAMPING
@pytest.mark.parametrize("name", RECTIFIERS)
def test_rectifiers_clamp_the_signal(name: str, rule: Rule) -> None:
    function, top = RECTIFIERS[name]
    picture = noise(1, *SHAPE)
    graph = captured(Function(function), picture)
    signal = noise(3, *SHAPE, seed=1)
    expected = rectified(function(picture), signal, guided=rule.mask, top=top)
    torch.testing.assert_close(down(graph, picture, signal, rule), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in RECTIFIERS if "max" not in name])
def test_the_gradient_of_rectifiers_is_the_derivative(name: str) -> None:
    assert_adjoint(Function(RECTIFIERS[name][0]), *SHAPE)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: F.hardtanh(x, -1, 1), "hardtanh"),
        (lambda x: x.clamp(-1, 1), "clamp"),
        (lambda x: x.clamp(max=0), "clamp"),
        (lambda x: F.threshold(x, 0.1, 0), "threshold"),
        (lambda x: F.threshold(x, 0, -1), "threshold"),
        (lambda x: x**2, "pow"),
        (lambda x: x * x, "mul"),
        (lambda x: F.silu(x) ** 2, "pow"),
        (lambda x: (F.relu(x) + 1) ** -1, "pow"),
        (torch.sigmoid, "sigmoid"),
        (torch.tanh, "tanh"),
    ],
)
def test_what_is_no_rectifier_is_refused(function: Callable[[Tensor], Tensor], kind: str) -> None:
    graph = captured(Function(function), noise(1, *SHAPE))
    with pytest.raises(UnsupportedOperationError, match=f"^deconvnet has no rule for {kind} in"):
        way_down(graph, [graph.output], DECONVNET)


# --- what is linear once something is held constant -------------------------------------------------------------

Twin = Callable[..., Tensor]  #: of a picture, and of the one at which all is held constant


def _one() -> nn.Conv2d:
    return nn.Conv2d(4, 4, 1)


def _squeezed(x: Tensor, a: nn.Module) -> Tensor:
    made: Tensor = a(x.mean((2, 3), True)).sigmoid()
    return made


def _selective(x: Tensor, x0: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    shares = torch.stack([a(x0), b(x0)], 1).mean((3, 4), True).softmax(1)
    return (torch.stack([a(x), b(x)], 1) * shares).sum(1)


def _cbam(x: Tensor, x0: Tensor, a: nn.Module) -> Tensor:
    gate = (a(x0.mean((2, 3), True)) + a(x0.amax((2, 3), True))).sigmoid()
    x, x0 = x * gate, x0 * gate
    return x * torch.cat([x0.mean(1, True), x0.amax(1, True)], 1).mean(1, True).sigmoid()


def _grn(x: Tensor, x0: Tensor, a: nn.Conv2d) -> Tensor:
    size = x0.norm(p=2, dim=(2, 3), keepdim=True)
    made: Tensor = x + a.weight[:, :1].view(1, 4, 1, 1) * (x * (size / (size.mean(1, keepdim=True) + 1e-6)))
    return made


def _layer_norm_written_out(x: Tensor, x0: Tensor) -> Tensor:
    """As ConvNeXt's; the twin holds the mean."""
    mean = x0.mean(1, keepdim=True)
    spread = (x0 - mean).pow(2).mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(spread + 1e-6)


def _rms_written_out(x: Tensor, x0: Tensor) -> Tensor:
    return x * torch.rsqrt(x0.square().mean(1, keepdim=True) + 1e-6)


def _lrn(x: Tensor, x0: Tensor) -> Tensor:
    padded = F.pad(x0.square(), (0, 0, 0, 0, 1, 1))
    total = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return x / (1 + 1e-1 * total / 3) ** 0.75


def _mixed_kernel(x: Tensor, r: nn.Module, e: nn.Embedding) -> Tensor:
    """As CondConv: the pictures are groups, each with a kernel of its own."""
    count = x.shape[0]
    kernels = (r(x.mean((2, 3))).sigmoid() @ e.weight).view(count * 2, 4, 3, 3)
    made = F.conv2d(x.reshape(1, count * 4, 6, 5), kernels, padding=1, groups=count)
    return made.permute(1, 0, 2, 3).reshape(count, 2, 6, 5)


def _one_kernel(x: Tensor, x0: Tensor, r: nn.Module, e: nn.Embedding) -> Tensor:
    shares = r(x0.mean((2, 3))).sigmoid()[0]
    kernel = sum(share * own.view(2, 4, 3, 3) for share, own in zip(shares, e.weight, strict=True))
    assert isinstance(kernel, Tensor)
    return F.conv2d(x, kernel, padding=1)


def _both(function: Twin) -> Callable[..., Tensor]:
    return lambda x, *parts: function(x, x, *parts)


#: the parts of a network, the network, and its twin
HELD: dict[str, tuple[Callable[[], list[nn.Module]], Callable[..., Tensor], Twin]] = {
    "squeeze and excitation": (lambda: [_one()], lambda x, a: x * _squeezed(x, a),
        lambda x, x0, a: x * _squeezed(x0, a)),
    "gate first": (lambda: [_one()], lambda x, a: _squeezed(x, a) * x, lambda x, x0, a: x * _squeezed(x0, a)),
    "gate by einsum": (lambda: [_one()],
        lambda x, a: torch.einsum("b c, b c h w -> b h w c", _squeezed(x, a).flatten(1), x),
        lambda x, x0, a: (x * _squeezed(x0, a)).permute(0, 2, 3, 1)),
    "gate by einsum, of many axes": (lambda: [_one()],
        lambda x, a: torch.einsum("b...,b...->b...", a(x).softmax(1), x), lambda x, x0, a: x * a(x0).softmax(1)),
    "two gates by einsum": (lambda: [_one()],
        lambda x, a: torch.einsum("bchw,bhw,bc->bchw", x, a(x)[:, 0].sigmoid(), _squeezed(x, a).flatten(1)),
        lambda x, x0, a: x * a(x0)[:, :1].sigmoid() * _squeezed(x0, a)),
    "gate by addcmul": (lambda: [_one()], lambda x, a: torch.addcmul(a(x), 2 * x, _squeezed(x, a)),
        lambda x, x0, a: a(x) + 2 * x * _squeezed(x0, a)),
    "less of itself, by addcmul in place": (lambda: [_one()],
        lambda x, a: (y := a(x)).clone().addcmul_(_squeezed(x, a), y, value=-0.5),
        lambda x, x0, a: (y := a(x)) - 0.5 * y * _squeezed(x0, a)),
    "hard-sigmoid written out": (lambda: [_one()], lambda x, a: x * (F.relu6(a(x) + 3) / 6),
        lambda x, x0, a: x * (F.relu6(a(x0) + 3) / 6)),
    "sigmoid times tanh": (lambda: [_one()], lambda x, a: (2 * x) * a(x).tanh(),
        lambda x, x0, a: (2 * x) * a(x0).tanh()),
    "selective kernels": (lambda: [_one(), _one()], _both(_selective), _selective),
    "a kernel mixed for each picture": (lambda: [nn.Linear(4, 3), nn.Embedding(3, 2 * 4 * 9)], _mixed_kernel,
        _one_kernel),
    "CBAM": (lambda: [_one()], _both(_cbam), _cbam),
    "a share that falls": (
        lambda: [],
        lambda x: x * torch.sigmoid(-x),
        lambda x, x0: x * torch.sigmoid(-x0),
    ),
    "what a sigmoid leaves": (
        lambda: [],
        lambda x: x * (1 - torch.sigmoid(x)),
        lambda x, x0: x * (1 - torch.sigmoid(x0)),
    ),
    "GLU": (lambda: [], lambda x: F.glu(x, 1), lambda x, x0: x[:, :2] * x0[:, 2:].sigmoid()),
    "GLU of GELU": (lambda: [_one()], lambda x, a: F.gelu((y := a(x))[:, 2:]) * y[:, :2],
        lambda x, x0, a: F.gelu(a(x0)[:, 2:]) * a(x)[:, :2]),
    "layer norm over all": (lambda: [nn.LayerNorm(SHAPE)], lambda x, n: n(x),
        lambda x, x0, n: x * scale(x0, n.eps) * n.weight),
    "layer norm over channels": (lambda: [nn.LayerNorm(4)],
        lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        lambda x, x0, n: x * channel_scales(x0, n.eps) * n.weight.view(1, 4, 1, 1)),
    "layer norm without weights": (lambda: [], lambda x: F.layer_norm(x, SHAPE),
        lambda x, x0: x * scale(x0, 1e-5)),
    "group norm": (lambda: [nn.GroupNorm(2, 4)], lambda x, n: n(x),
        lambda x, x0, n: x * group_scales(x0, 2, n.eps) * n.weight.view(1, 4, 1, 1)),
    "instance norm": (lambda: [nn.InstanceNorm2d(4, affine=True)], lambda x, n: n(x),
        lambda x, x0, n: x * group_scales(x0, 4, n.eps) * n.weight.view(1, 4, 1, 1)),
    "RMS norm": (lambda: [nn.RMSNorm(4, eps=1e-6)],
        lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        lambda x, x0, n: x * channel_scales(x0, 1e-6, squares=True) * n.weight.view(1, 4, 1, 1)),
    "layer norm written out": (lambda: [], _both(_layer_norm_written_out), _layer_norm_written_out),
    "RMS norm written out": (lambda: [], _both(_rms_written_out), _rms_written_out),
    "global response norm": (lambda: [_one()], _both(_grn), _grn),
    "normalize": (lambda: [], lambda x: F.normalize(x, dim=1), lambda x, x0: x / x0.norm(dim=1, keepdim=True)),
    "local response norm": (lambda: [], lambda x: F.local_response_norm(x, 3, alpha=1e-1), _lrn),
}  # fmt: skip


@CLAMPING
@pytest.mark.parametrize("name", HELD)
def test_gates_and_scales_are_constants_of_the_picture(name: str, rule: Rule) -> None:
    build, function, twin = HELD[name]
    torch.manual_seed(0)
    module = _lively(Function(function, *build()))
    picture = noise(1, *SHAPE)
    graph = captured(module, picture)
    signal = noise(3, *graph.operations[graph.output].shape, seed=1)
    parts = next(part for part in module.children() if isinstance(part, nn.ModuleList))
    with torch.no_grad():
        expected = by_columns(lambda x: twin(x, picture, *parts), picture, signal)
    torch.testing.assert_close(down(graph, picture, signal, rule), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", HELD)
def test_the_gradient_holds_nothing(name: str) -> None:
    build, function, _ = HELD[name]
    torch.manual_seed(0)
    assert_adjoint(_lively(Function(function, *build())), *SHAPE)


# --- linear after all -----------------------------------------------------------------------------------------


def _rows(x: Tensor) -> Tensor:
    return x.flatten(2)


LINEAR: dict[str, tuple[Callable[[], list[nn.Module]], Callable[..., Tensor]]] = {
    "transposed convolution": (lambda: [nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1)],
        lambda x, c: c(x)),
    "grouped transposed convolution": (lambda: [nn.ConvTranspose2d(4, 4, 2, groups=2)], lambda x, c: c(x)),
    "convolution along one axis": (lambda: [nn.Conv1d(4, 3, 3, stride=2)], lambda x, c: c(_rows(x))),
    "nearest": (lambda: [], lambda x: F.interpolate(x, scale_factor=2)),
    "nearest, exact": (lambda: [], lambda x: F.interpolate(x, size=(7, 8), mode="nearest-exact")),
    "bilinear": (lambda: [], lambda x: F.interpolate(x, size=(9, 8), mode="bilinear")),
    "bilinear, corners aligned": (
        lambda: [], lambda x: F.interpolate(x, size=(9, 8), mode="bilinear", align_corners=True)),
    "bilinear, antialiased": (
        lambda: [], lambda x: F.interpolate(x, size=(3, 3), mode="bilinear", antialias=True)),
    "bicubic": (lambda: [], lambda x: F.interpolate(x, size=(9, 8), mode="bicubic")),
    "area": (lambda: [], lambda x: F.interpolate(x, size=(3, 2), mode="area")),
    "pixel shuffle": (lambda: [nn.PixelShuffle(2)], lambda x, c: c(x)),
    "pixel unshuffle": (lambda: [nn.PixelUnshuffle(2)], lambda x, c: c(x[..., :4])),
    "channel shuffle": (lambda: [nn.ChannelShuffle(2)], lambda x, c: c(x)),
    "unfold": (lambda: [nn.Unfold(3)], lambda x, c: c(x)),
    "fold": (lambda: [nn.Unfold(3), nn.Fold((6, 5), 3)], lambda x, u, f: f(u(x))),
    "einsum": (lambda: [_one()], lambda x, c: torch.einsum("bchw,cd->bdhw", x, c.weight[:, :, 0, 0])),
    "product of matrices": (lambda: [nn.Linear(5, 3)], lambda x, c: x @ c.weight.T + 1),
    "product with a constant": (lambda: [nn.BatchNorm2d(4)], lambda x, n: x * n.weight.view(-1, 1, 1)),
    "normalised by numbers": (lambda: [nn.BatchNorm2d(4)],
        lambda x, n: (x - n.running_mean.view(-1, 1, 1)) * (n.running_var + 1).rsqrt().view(-1, 1, 1)),
    "channels by hand": (lambda: [],
        lambda x: torch.cat([x[:, 0].unsqueeze(1) * 0.4 + 0.1, x[:, 1].unsqueeze(1) * 2 - 1], 1)),
    "replicated border": (lambda: [], lambda x: F.pad(x, (1, 2, 0, 3), mode="replicate")),
    "reflected border": (lambda: [], lambda x: F.pad(x, (1, 2, 0, 3), mode="reflect")),
    "border from the other side": (lambda: [], lambda x: F.pad(x, (1, 2, 0, 3), mode="circular")),
    "roll": (lambda: [], lambda x: x.roll((1, -2), (2, 3))),
    "flip": (lambda: [], lambda x: x.flip(3)),
    "stack": (lambda: [], lambda x: torch.stack([x, 2 * x], 1).sum(2)),
    "unbind": (lambda: [], lambda x: x.unbind(1)[2] - x.unbind(1)[0]),
    "tensor_split": (lambda: [], lambda x: x.tensor_split(3, 2)[1]),
    "repeat": (lambda: [], lambda x: x.repeat(1, 2, 1, 3)),
    "repeat each": (lambda: [], lambda x: x.repeat_interleave(2, dim=1)),
    "expand as": (lambda: [], lambda x: x.mean((2, 3), True).expand_as(x)),
    "chosen by places": (lambda: [], lambda x: x[:, [2, 0, 0]]),
    "masked by a constant": (lambda: [], lambda x: x.masked_fill(torch.eye(6, 5).bool(), 3.0)),
    "where, by a constant": (lambda: [], lambda x: torch.where(torch.eye(6, 5).bool(), x, 2 * x)),
    "running sum": (lambda: [], lambda x: x.cumsum(1)),
    "pool along one axis": (lambda: [], lambda x: F.avg_pool1d(_rows(x), 3)),
    "windows": (lambda: [], lambda x: (
        x.view(-1, 4, 3, 2, 5).permute(0, 2, 1, 3, 4).reshape(-1, 4, 2, 5).mean(3, True).expand(-1, -1, -1, 5)
        .reshape(-1, 3, 4, 2, 5).permute(0, 2, 1, 3, 4).reshape(-1, 4, 6, 5))),
}  # fmt: skip


@CLAMPING
@pytest.mark.parametrize("name", LINEAR)
def test_what_is_linear_goes_back_by_its_transposed_matrix(name: str, rule: Rule) -> None:
    build, function = LINEAR[name]
    torch.manual_seed(0)
    module = _lively(Function(function, *build()))
    picture = noise(1, *SHAPE)
    graph = captured(module, picture)
    signal = noise(3, *graph.operations[graph.output].shape, seed=1)
    with torch.no_grad():
        expected = by_columns(module, picture, signal)
    torch.testing.assert_close(down(graph, picture, signal, rule), expected, rtol=1e-9, atol=1e-11)


# --- attention ------------------------------------------------------------------------------------------------


class _Attention(nn.Module):
    """torch's own, which moves the pictures from the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).permute(2, 0, 1)
        made: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return made.permute(1, 2, 0)


class _Windows(nn.Module):
    """Attention within windows that are pictures of their own, as Swin has it."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        windows = x.view(-1, 4, 3, 2, 5).permute(0, 2, 3, 4, 1).reshape(-1, 10, 4)
        q, k, v = self.project(windows).chunk(3, -1)
        made = ((q @ k.transpose(1, 2)).softmax(-1) @ v).view(-1, 3, 2, 5, 4)
        back: Tensor = made.permute(0, 4, 1, 2, 3).reshape(-1, 4, 6, 5)
        return back


@pytest.mark.parametrize("build", [_Attention, _Windows])
def test_the_gradient_goes_through_attention(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    assert_adjoint(build(), *SHAPE)


@CLAMPING
def test_other_rules_refuse_attention(rule: Rule) -> None:
    graph = captured(_Windows(), noise(1, *SHAPE))
    with pytest.raises(UnsupportedOperationError, match=r"no rule for matmul .*; use rule gradient"):
        way_down(graph, [graph.output], rule)


@pytest.mark.filterwarnings("ignore::layerscope.errors.NetworkWarning")  # as is said when it is read
def test_pictures_that_are_mixed_do_not_mix_seeds() -> None:
    """A network that centres by the pictures at hand: of one picture the mean is itself, whatever is asked of it."""
    module = nn.Sequential(nn.Conv2d(4, 4, 1), Function(lambda x: x + 2 * x.mean((0, 2, 3)).view(1, 4, 1, 1)))
    network = small_network(module, (6, 5))
    picture = noise(1, *SHAPE)
    names = [network.layers[0].name, network.layers[-1].name]
    together = reconstruct(network, picture, names, rule=GRADIENT)
    for name in names:
        torch.testing.assert_close(together[name], reconstruct(network, picture, name, rule=GRADIENT)[name])
