"""Rules: every operation reversed as the paper, or the mathematics, says; the rest refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from layerscope.geometry import Window
from layerscope.graph import Graph, capture
from layerscope.rules import (
    DECONVNET,
    GRADIENT,
    GUIDED,
    RULES,
    Rule,
    find_switches,
    rectify_,
    remember,
    reverse,
    step,
    unpool,
)
from tests.oracles import unpooling

Overlap = Literal["sum", "overwrite"]
BOTH: tuple[Overlap, ...] = ("sum", "overwrite")


class Function(nn.Module):
    """A network of one function, with modules of its own if it needs any."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, picture: Tensor) -> Tensor:
        return self.function(picture, *self.parts)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def captured(module: nn.Module, picture: Tensor) -> Graph:
    return capture(module.double().eval(), tuple(picture.shape[1:]))


def down(graph: Graph, picture: Tensor, signal: Tensor, rule: Rule) -> Tensor:
    """A signal (rows, ...) at the result of a graph, brought to the picture operation by operation."""
    steps = {op.index: step(graph, op) for op in graph.operations[1:] if op.carries}
    memory: dict[int, Any] = {}
    with torch.inference_mode():
        graph.run(
            picture,
            graph.output,
            observe=lambda op, values: memory.update({op.index: remember(steps[op.index], values, rule)})
            if op.index in steps
            else None,
        )
        signals: dict[int, list[Tensor]] = {graph.output: [signal.clone()]}
        for index in range(graph.output, 0, -1):
            if index in signals:
                whole = torch.stack(signals.pop(index)).sum(0)
                back = reverse(steps[index], whole, memory[index], rule)
                carriers = [i for i in steps[index].operation.inputs if graph.operations[i].carries]
                for source, part in zip(carriers, back, strict=True):
                    signals.setdefault(source, []).append(part.clone())
        return torch.stack(signals[0]).sum(0)


def autograd(module: nn.Module, picture: Tensor, signal: Tensor) -> Tensor:
    point = picture.expand(len(signal), *picture.shape[1:]).clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(module(point), point, signal)
    return gradient


def assert_adjoint(module: nn.Module, *shape: int, rule: Rule = GRADIENT) -> None:
    """The way back equals the transposed derivative, for three rows at once and for one alone."""
    picture = noise(1, *shape)
    graph = captured(module, picture)
    signal = noise(3, *graph.operations[graph.output].shape, seed=1)
    ours = down(graph, picture, signal, rule)
    torch.testing.assert_close(ours, autograd(module, picture, signal), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(down(graph, picture, signal[1:2], rule), ours[1:2], rtol=1e-10, atol=1e-12)


# --- switches -------------------------------------------------------------------------------------------------


def pooled(source: Tensor, rows: Window, columns: Window, ceil: bool) -> Tensor:
    pairs = zip(*((w.kernel, w.stride, w.pad, w.dilation) for w in (rows, columns)), strict=True)
    return F.max_pool2d(source, *pairs, ceil_mode=ceil)


def assert_unpools(source: Tensor, rows: Window, columns: Window, ceil: bool) -> None:
    result = pooled(source, rows, columns, ceil)
    signal = noise(2, *result.shape[1:], seed=3)
    switches = find_switches(source, result, rows, columns)
    for overlap in BOTH:
        ours = unpool(signal, switches, overlap)
        assert ours.shape == (2, *source.shape[1:])
        for row in range(2):
            for channel in range(source.shape[1]):
                twin = unpooling.unpool(
                    source[0, channel].tolist(),
                    signal[row, channel].tolist(),
                    rows,
                    columns,
                    overwrite=overlap == "overwrite",
                )
                torch.testing.assert_close(ours[row, channel], torch.tensor(twin, dtype=torch.float64))


WINDOWS = {
    "2x2/2": (Window(2, 2), Window(2, 2)),
    "3x3/2": (Window(3, 2), Window(3, 2)),
    "3x3/1 padded": (Window(3, 1, 1), Window(3, 1, 1)),
    "3x3/2 padded": (Window(3, 2, 1), Window(3, 2, 1)),
    "2x2/2 padded": (Window(2, 2, 1), Window(2, 2, 1)),
    "2x3": (Window(2, 2), Window(3, 3)),
    "3x1 overlapping": (Window(3, 1), Window(1, 2)),
    "dilated": (Window(2, 2, 0, 2), Window(3, 1, 1, 2)),
    "dilated but apart": (Window(2, 3, 0, 2), Window(2, 4, 0, 3)),
    "stride > kernel": (Window(2, 3), Window(1, 3)),
    "overlapping one way": (Window(3, 2), Window(2, 2)),
}


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (7, 10)])
def test_unpooling_equals_the_loop(name: str, size: tuple[int, int], ceil: bool) -> None:
    assert_unpools(noise(1, 2, *size), *WINDOWS[name], ceil)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("value", [0.0, -3.0, -math.inf])
def test_of_equal_values_the_first_counts(name: str, value: float) -> None:
    assert_unpools(torch.full((1, 2, 8, 8), value, dtype=torch.float64), *WINDOWS[name], True)


@st.composite
def axes(draw: st.DrawFn) -> tuple[Window, int]:
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    reach = (kernel - 1) * dilation + 1
    window = Window(kernel, draw(st.integers(1, 5)), draw(st.integers(0, reach // 2)), dilation)
    length = draw(st.integers(1, 9))
    assume(length + 2 * window.pad >= reach)
    return window, length


def _covers_input(window: Window, length: int) -> bool:
    """Dilated windows may see nothing but padding, where torch has no maximum."""
    return window.dilation == 1 or (window.pad == 0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(axes(), axes(), st.booleans(), st.integers(0, 999))
def test_unpooling_equals_the_loop_for_any_window(
    one: tuple[Window, int], other: tuple[Window, int], ceil: bool, seed: int
) -> None:
    assume(_covers_input(*one) and _covers_input(*other))
    assume(not ceil or (one[0].dilation == 1 and other[0].dilation == 1))
    levels = torch.randint(-2, 2, (1, 1, one[1], other[1]), generator=torch.Generator().manual_seed(seed))
    assert_unpools(levels.double(), one[0], other[0], ceil)  # four levels: many ties


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
def test_unpooling_is_the_adjoint_of_pooling(name: str, ceil: bool) -> None:
    rows, columns = WINDOWS[name]
    assert_adjoint(Function(lambda x: pooled(x, rows, columns, ceil)), 3, 9, 8)


def test_overwriting_is_not_summing_where_windows_overlap() -> None:
    source = torch.zeros(1, 1, 3, 5, dtype=torch.float64)
    source[0, 0, 1, 2] = 1  # the maximum of both windows
    result = F.max_pool2d(source, 3, 2)
    switches = find_switches(source, result, Window(3, 2), Window(3, 2))
    signal = torch.tensor([[[[5.0, 7.0]]]], dtype=torch.float64)
    assert unpool(signal, switches)[0, 0, 1, 2] == 12
    assert unpool(signal, switches, "overwrite")[0, 0, 1, 2] == 7


# --- linear operations ----------------------------------------------------------------------------------------

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
    expected = torch.nn.grad.conv2d_input(
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
    # torch warns that it copies the picture to pad an even kernel on one side; the mathematics are the same
    layer = nn.Conv2d(2, 3, kernel, padding="same", dilation=dilation)
    with pytest.warns(UserWarning, match="padding='same'") if _even(kernel) else _quiet():
        assert_adjoint(layer, 2, 9, 8)


def _even(kernel: int | tuple[int, int]) -> bool:
    return False


class _quiet:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


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
    "cat with a constant": lambda: Function(lambda x: torch.cat([torch.ones(1, 4, 1, 7, dtype=torch.float64), x], 2)),
    "flatten": lambda: nn.Flatten(),
    "reshape": lambda: Function(lambda x: x.view(x.shape[0], 2, -1)),
    "channel shuffle": lambda: nn.ChannelShuffle(2),
    "permute": lambda: Function(lambda x: x.permute(0, 2, 3, 1)),
    "chunk": lambda: Function(lambda x: x.chunk(2, 1)[1]),
    "split": lambda: Function(lambda x: torch.split(x, [1, 3], 1)[1] - torch.split(x, [1, 3], 1)[0]),
    "slice": lambda: Function(lambda x: x[:, 1:, ::2, 1:5:3]),
    "pad": lambda: Function(lambda x: F.pad(x, (1, 2, 0, 3), value=4)),
    "reflecting pad": lambda: nn.ReflectionPad2d(2),
    "average pool": lambda: nn.AvgPool2d(3, 2, 1),
    "average pool, borders counted out": lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    "average pool, rectangular": lambda: nn.AvgPool2d((2, 3), (1, 2)),
    "adaptive average pool, global": lambda: nn.AdaptiveAvgPool2d(1),
    "adaptive average pool, even": lambda: nn.AdaptiveAvgPool2d((3, 7)),
    "adaptive average pool, uneven": lambda: nn.AdaptiveAvgPool2d((4, 3)),
    "adaptive average pool, growing": lambda: nn.AdaptiveAvgPool2d((12, 9)),
    "mean": lambda: Function(_vector),
    "dropout at inference": lambda: nn.Dropout(0.5),
}  #: of a picture 4x9x7


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", EXACT)
def test_linear_operations_go_back_as_their_adjoint_under_every_rule(name: str, rule: Rule) -> None:
    torch.manual_seed(0)
    assert_adjoint(EXACT[name](), 4, 9, 7, rule=rule)
