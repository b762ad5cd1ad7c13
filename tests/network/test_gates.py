"""Gates: which operands of a product only scale the others, and which products are rectifiers written out."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.network.capture import capture
from layerscope.network.gates import gates, held, rectified
from layerscope.network.graph import Graph, Operation
from tests.support.descent import Function


def products(function: Callable[..., Tensor], *parts: nn.Module) -> tuple[Graph, list[Operation]]:
    """A network on pictures of 4x6x6, and its products of two things made from the picture."""
    graph = capture(Function(function, *parts).eval(), (4, 6, 6))
    carries = [o.carries for o in graph.operations]
    return graph, [
        o for o in graph.operations if o.kind == "mul" and sum(carries[i] for i in set(o.inputs)) == 2
    ]


def one() -> nn.Conv2d:
    return nn.Conv2d(4, 4, 1)


def found(graph: Graph, operation: Operation) -> set[str]:
    """The kinds of the operations that a product's gates are handed on from: those that squash, and rectifiers."""
    kinds = set()
    for index in gates(graph, operation):
        at = graph.operations[index]
        while at.kind not in SQUASHES:
            at = graph.operations[next(i for i in at.inputs if graph.operations[i].carries)]
        kinds.add(at.kind)
    return kinds


SQUASHES = {"sigmoid", "hardsigmoid", "softmax", "tanh", "relu", "relu6", "silu", "gelu", "clamp", "hardtanh"}


class _ECA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.conv(x.mean((2, 3)).view(x.shape[0], 1, -1)).sigmoid()
        scaled: Tensor = x * gate.view(x.shape[0], -1, 1, 1).expand_as(x)
        return scaled


def _selective(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    paths = torch.stack([a(x).relu(), b(x).relu()], 1)
    shares = paths.sum(1).mean((2, 3)).repeat(1, 2).view(x.shape[0], 2, 4, 1, 1).softmax(1)
    return (paths * shares).sum(1)


def _cbam(x: Tensor, a: nn.Module) -> Tensor:
    x = x * (a(x.mean((2, 3), True)) + a(x.amax((2, 3), True))).sigmoid()
    return x * F.interpolate(a(F.avg_pool2d(x, 2)).mean(1, True).sigmoid(), size=6, mode="bilinear")


#: what gates, and from which operation each gate is handed on
GATED: dict[str, tuple[Callable[[], nn.Module], list[set[str]]]] = {
    "squeeze and excitation": (
        lambda: Function(lambda x, a: x * a(x.mean((2, 3), True)).sigmoid(), one()), [{"sigmoid"}]),
    "squeezed first": (
        lambda: Function(lambda x, a: a(x.mean((2, 3), True)).sigmoid() * x, one()), [{"sigmoid"}]),
    "in place": (
        lambda: Function(lambda x, a, b: (y := b(x)).mul_(a(y).sigmoid()), one(), one()), [{"sigmoid"}]),
    "hard-sigmoid": (
        lambda: Function(lambda x, a: x * F.hardsigmoid(a(x.mean((2, 3), True))), one()), [{"hardsigmoid"}]),
    "hard-sigmoid written out": (
        lambda: Function(lambda x, a: x * (F.relu6(a(x) + 3) / 6), one()), [{"relu6"}]),
    "hard-sigmoid by clamp": (
        lambda: Function(lambda x, a: x * (a(x) + 3).clamp(0, 6).div(6), one()), [{"clamp"}]),
    "one plus tanh, twice, through dropout": (
        lambda: Function(lambda x, a: x * (F.dropout(1 + a(x).tanh(), 0.5, False) * 2), one()), [{"tanh"}]),
    "one minus sigmoid": (
        lambda: Function(lambda x, a: x * (1 - a(x).sigmoid()), one()), [{"sigmoid"}]),
    "scaled by a parameter": (
        lambda: Function(lambda x, a: x * (a(x).sigmoid() * a.weight[:, 0]), one()), [{"sigmoid"}]),
    "ECA": (_ECA, [{"sigmoid"}]),
    "selective kernels": (lambda: Function(_selective, one(), one()), [{"softmax"}]),
    "CBAM": (lambda: Function(_cbam, one()), [{"sigmoid"}, {"sigmoid"}]),
    "two gates as one": (
        lambda: Function(lambda x, a: x * (a(x).sigmoid() * a(x.mean((2, 3), True)).sigmoid()), one()),
        [set(), {"sigmoid"}]),
    "sigmoid times tanh": (
        lambda: Function(lambda x, a, b: a(x).tanh() * b(x).sigmoid(), one(), one()), [{"sigmoid"}]),
    "GLU of a sigmoid": (
        lambda: Function(lambda x, a: (y := a(x))[:, :2] * y[:, 2:].sigmoid(), one()), [{"sigmoid"}]),
    "GLU of SiLU": (
        lambda: Function(lambda x, a: F.silu((y := a(x))[:, :2]) * y[:, 2:], one()), [{"silu"}]),
    "GLU of GELU on a map cut apart": (
        lambda: Function(lambda x, a, b: b(x) * F.gelu(a(x)), one(), one()), [{"gelu"}]),
    "GLU of a ReLU clipped at six, as StarNet's": (
        lambda: Function(lambda x, a, b: F.hardtanh(a(x), 0, 6) * b(x), one(), one()), [{"hardtanh"}]),
    "the gate of a gate": (
        lambda: Function(lambda x, a, b: x * (a(x) * b(x).sigmoid()).sigmoid(), one(), one()),
        [{"sigmoid"}, {"sigmoid"}]),
    "a square": (lambda: Function(lambda x, a: a(x) * a(x), one()), [set()]),
    "an average": (lambda: Function(lambda x: x * x.mean((2, 3), True)), [set()]),
    "a rectified map times what is made of it": (
        lambda: Function(lambda x, a, b: (y := F.gelu(a(x))) * b(y), one(), one()), [set()]),
    "two sigmoids": (
        lambda: Function(lambda x, a, b: a(x).sigmoid() * b(x).sigmoid(), one(), one()), [set()]),
    "x * tanh(x), which is even": (lambda: Function(lambda x: x * x.tanh()), [{"tanh"}]),
    "clipped, no hard-sigmoid": (
        lambda: Function(lambda x, a: x * (a(x) + 1).clamp(-1, 1), one()), [set()]),
}  # fmt: skip


@pytest.mark.parametrize("name", GATED)
def test_gates_are_what_is_squashed_of_another(name: str) -> None:
    build, expected = GATED[name]
    graph, operations = products(build())
    assert [found(graph, operation) for operation in operations] == expected
    assert not any(rectified(graph, operation) for operation in operations)


def test_a_constant_gates_nothing_and_is_not_gated() -> None:
    graph = capture(Function(lambda x, a: a(x).sigmoid() * 3 * a.weight[:, 0], one()).eval(), (4, 6, 6))
    assert not any(gates(graph, operation) for operation in graph.operations)


def _gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))))


RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "SiLU": lambda x: x * x.sigmoid(),
    "SiLU, the other way round": lambda x: torch.sigmoid(x) * x,
    "quick GELU": lambda x: x * torch.sigmoid(1.702 * x),
    "GELU": lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2))),
    "GELU by tanh": _gelu_tanh,
    "hard-swish": lambda x: x * F.relu6(x + 3) / 6,
    "hard-swish, divided first": lambda x: x * ((x + 3).clamp(0, 6) / 6),
    "Mish": lambda x: x * torch.tanh(F.softplus(x)),
}


@pytest.mark.parametrize("name", RECTIFIERS)
def test_x_times_a_function_of_x_is_a_rectifier_and_no_gate(name: str) -> None:
    graph, operations = products(lambda x, a: RECTIFIERS[name](a(x)), one())
    (operation,) = [o for o in operations if rectified(graph, o)]
    made = rectified(graph, operation)
    assert made is not None
    assert graph.operations[made.source].kind == "conv2d"
    assert {made.map, made.gate} == set(operation.inputs)
    assert not gates(graph, operation)


def test_a_function_of_more_than_x_gates_it() -> None:
    """SimAM: the sigmoid sees x and its mean."""
    graph, operations = products(lambda x: x * ((x - x.mean((2, 3), True)).pow(2) + 0.5).sigmoid())
    assert [found(graph, o) for o in operations] == [{"sigmoid"}]


def test_a_gate_of_another_size_is_no_rectifier() -> None:
    graph, operations = products(lambda x: x * x[:, :1].sigmoid())
    assert [found(graph, o) for o in operations] == [{"sigmoid"}]


def held_of_the_difference(function: Callable[..., Tensor]) -> int:
    """How many operands the last difference of a network holds."""
    graph = capture(Function(function, one()).eval(), (4, 6, 6))
    return len(held(graph, [o for o in graph.operations if o.kind == "sub"][-1]))


@pytest.mark.parametrize(
    "mean",
    [
        lambda y: y.mean((2, 3), True),
        lambda y: y.mean(3, True).mean(2, True),
        lambda y: y.sum((2, 3), True) / 36,
        lambda y: y.sum((2, 3), True) * (1 / 36),
        lambda y: y.flatten(2).mean(2)[:, :, None, None],
        lambda y: y.view(y.shape[0], 4, -1).mean(-1).view(y.shape[0], 4, 1, 1),
        lambda y: F.adaptive_avg_pool2d(y, 1),
        lambda y: y.mean((1, 2, 3), True).expand_as(y),
    ],
)
def test_a_maps_own_mean_is_held_however_it_is_written(mean: Callable[[Tensor], Tensor]) -> None:
    assert held_of_the_difference(lambda x, a: (y := a(x)) - mean(y)) == 1
    assert held_of_the_difference(lambda x, a: a(x) - mean(x)) == 0


@pytest.mark.parametrize(
    "other",
    [
        lambda y: y.sum((2, 3), True) / 35,
        lambda y: F.avg_pool2d(y, 3, 1, 1),
        lambda y: y.amax((2, 3), True),
        lambda y: y.flip(2),
    ],
)
def test_what_is_not_its_mean_is_not_held(other: Callable[[Tensor], Tensor]) -> None:
    assert held_of_the_difference(lambda x, a: (y := a(x)) - other(y)) == 0
