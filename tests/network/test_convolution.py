"""Prepared convolutions give what torch's own give, forward and back, for any window."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.kernels import onednn
from layerscope.network.capture import capture
from layerscope.network.convolution import Packed, prepare_convolutions, prepare_forward, transpose
from layerscope.network.graph import Graph
from layerscope.network.readers import Window
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, make_reversibles
from tests.support.descent import Function

WINDOWS = {
    "3x3": (Window(3, 1, 1), Window(3, 1, 1)),
    "no padding": (Window(3), Window(3)),
    "5x1": (Window(5, 1, 2), Window(1)),
    "dilated": (Window(3, 1, 2, 2), Window(3, 1, 1, 2)),
    "more padding than kernel": (Window(1, 1, 1), Window(3, 1, 3)),
    "stride 2": (Window(3, 2, 1), Window(3, 2, 1)),
    "11x11/4": (Window(11, 4, 2), Window(11, 4, 2)),
}
SIZE = (23, 19)


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_way_back_is_the_adjoint(window: str, groups: int, dtype: torch.dtype) -> None:
    """<conv(x), s> = <x, back(s)>: with float64 as torch computes it, taken as the truth."""
    axes = WINDOWS[window]
    weight = drawn(6, 4 // groups, *(w.kernel for w in axes), dtype=dtype)
    values = drawn(1, 4, *SIZE, seed=1).double().requires_grad_()
    stride, pad, dilation = ([getattr(w, name) for w in axes] for name in ("stride", "pad", "dilation"))
    result = F.conv2d(values, weight.double(), None, stride, pad, dilation, groups)
    signal = drawn(*result.shape, dtype=dtype, seed=2)
    (expected,) = torch.autograd.grad(result, values, signal.double())
    back = transpose(weight, axes, groups, SIZE)
    precision = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 3e-2}[dtype]
    for rectify, right in ((False, expected), (True, expected.relu())):
        found = back(signal.contiguous(memory_format=torch.channels_last), rectify=rectify)
        assert found.dtype == dtype
        assert (found.double() - right).norm() <= precision * right.norm()


def test_what_can_be_prepared_is() -> None:
    axes = WINDOWS["3x3"]
    weight = drawn(6, 4, 3, 3)
    assert transpose(weight, axes, 1, SIZE).flipped is not None
    assert transpose(weight.double(), axes, 1, SIZE).flipped is None
    assert transpose(weight, WINDOWS["stride 2"], 1, SIZE).flipped is None
    assert transpose(weight * torch.inf, axes, 1, SIZE).flipped is None  # rectified, it would look like zeros


def net(*parts: nn.Module) -> Graph:
    torch.manual_seed(0)
    return capture(nn.Sequential(*parts).eval(), (4, *SIZE))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_forward_gives_what_torch_gives(dtype: torch.dtype) -> None:
    conv = nn.Conv2d(8, 8, 3, groups=8, dilation=2, padding="same")
    parts = (
        nn.Conv2d(4, 8, 5, stride=2, padding=2),
        nn.ReLU(),
        conv,
        nn.Conv2d(8, 2, 1, bias=False),
        nn.ReLU(),
    )
    graph = net(*(part.to(dtype) for part in parts))
    pictures = drawn(3, 4, *SIZE, dtype=dtype).contiguous(memory_format=torch.channels_last)
    keep = frozenset(op.index for op in graph.operations if op.kind != "conv2d")
    quick = graph.run(pictures, graph.output, keep, prepared=prepare_forward(graph, graph.output, keep))
    plain = graph.run(pictures, graph.output, keep)
    assert len(plain) == 3
    for index, expected in plain.items():
        assert (quick[index] - expected).norm() <= (
            1e-6 if dtype == torch.float32 else 1e-2
        ) * expected.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("groups", "stride", "pad", "dilation"),
    [(2, 1, (1, 1), 1), (4, 2, (1, 0), 1), (4, 1, (2, 3), 2), (4, (2, 1), (0, 2), 1)],
)
def test_prepared_groups_give_what_torch_gives(
    groups: int, stride: Any, pad: tuple[int, int], dilation: int, dtype: torch.dtype
) -> None:
    """Beside the plain convolution in float64, of the rounded numbers."""
    if not onednn.available(dtype):
        pytest.skip("this CPU has no bfloat16")
    conv = nn.Conv2d(4, 8, 3, stride, pad, dilation, groups)
    graph = net(conv.to(dtype), nn.ReLU())
    prepared = prepare_forward(graph, graph.output, frozenset({graph.output}))
    assert set(prepared) == {1, 2}
    pictures = drawn(3, 4, *SIZE, dtype=dtype).contiguous(memory_format=torch.channels_last)
    found = graph.run(pictures, graph.output, frozenset({graph.output}), prepared=prepared)[graph.output]
    with torch.no_grad():
        expected = conv.double()(pictures.double()).relu()
    assert (found - expected).norm() <= (1e-6 if dtype is torch.float32 else 1e-2) * expected.norm()


def test_a_cpu_without_bfloat16_gets_plain_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = net(nn.Conv2d(4, 8, 3, padding=1).bfloat16(), nn.ReLU())
    pictures = drawn(2, 4, *SIZE, dtype=torch.bfloat16)
    output = frozenset({graph.output})
    before = graph.run(pictures, graph.output, output, prepared=prepare_convolutions(graph, graph.output))[
        graph.output
    ]
    monkeypatch.setattr(onednn, "available", lambda dtype: dtype is torch.float32)
    assert not prepare_convolutions(graph, graph.output)
    weight = drawn(6, 4, 3, 3)
    assert transpose(weight.bfloat16(), WINDOWS["3x3"], 1, SIZE).flipped is None
    assert transpose(weight, WINDOWS["3x3"], 1, SIZE).flipped is not None
    plain = graph.run(pictures, graph.output, output)[graph.output]
    assert (before - plain).norm() <= 1e-2 * plain.norm()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("which", ["weight", "bias"])
def test_what_is_not_finite_stays(which: str, value: float) -> None:
    """Prepared, a NaN would be rectified into zero."""
    conv = nn.Conv2d(4, 8, 3)
    with torch.no_grad():
        getattr(conv, which)[2] = value
    graph = net(conv, nn.ReLU())
    pictures, output = drawn(1, 4, *SIZE).abs(), frozenset({graph.output})
    found = graph.run(pictures, graph.output, output, prepared=prepare_forward(graph, graph.output, output))
    assert not found[graph.output][:, 2].isfinite().any()
    assert found[graph.output][:, 3].isfinite().all()


def test_a_convolution_that_is_kept_is_not_rectified() -> None:
    graph = net(nn.Conv2d(4, 8, 3), nn.ReLU())
    conv, relu = (op.index for op in graph.operations[1:])
    for keep, prepared in ((frozenset({relu}), {conv, relu}), (frozenset({conv, relu}), {conv})):
        assert set(prepare_forward(graph, relu, keep)) == prepared
    pictures = drawn(1, 4, *SIZE)
    both = frozenset({conv, relu})
    kept = graph.run(pictures, relu, both, prepared=prepare_forward(graph, relu, both))
    assert (kept[conv] < 0).any()
    assert torch.equal(kept[conv].relu(), kept[relu])


def test_a_result_that_others_read_is_not_rectified() -> None:
    def forward(x: Tensor, conv: nn.Module) -> Tensor:
        y: Tensor = conv(x)
        return y.relu() + y

    graph = capture(Function(forward, nn.Conv2d(4, 4, 3)).eval(), (4, *SIZE))
    pictures = drawn(1, 4, *SIZE)
    output = frozenset({graph.output})
    quick = graph.run(pictures, graph.output, output, prepared=prepare_forward(graph, graph.output, output))
    torch.testing.assert_close(quick, graph.run(pictures, graph.output, output))


def rectified(graph: Graph) -> set[str]:
    """Kinds of the operations that sit right under what rectifies for them."""
    reversibles = make_reversibles(graph, range(1, graph.output + 1), DECONVNET)
    assert {s.operation.kind for s in reversibles.values() if s.rectifies} <= {"conv2d"}
    assert not any(
        s.rectified or s.rectifies for s in make_reversibles(graph, reversibles, GRADIENT).values()
    )
    return {s.operation.kind for s in reversibles.values() if s.rectified}


def test_rectification_is_left_to_the_convolution_above() -> None:
    below = nn.Conv2d(4, 4, 3), nn.ReLU()
    assert rectified(net(*below, nn.Conv2d(4, 4, 3))) == {"relu"}
    assert rectified(net(*below, nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))) == {"relu"}


def test_rectification_stays_where_signals_meet() -> None:
    below = nn.Conv2d(4, 4, 3), nn.ReLU()
    assert not rectified(net(*below))
    assert not rectified(net(*below, nn.MaxPool2d(3, 2), nn.Conv2d(4, 4, 3)))
    assert not rectified(net(*below, nn.AvgPool2d(2), nn.Conv2d(4, 4, 3)))

    def forward(x: Tensor, one: nn.Module, other: nn.Module) -> Tensor:
        y = x.relu()
        both: Tensor = one(y) + other(y)
        return both

    branching = Function(forward, nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)).eval()
    assert not rectified(capture(branching, (4, *SIZE)))


@pytest.mark.parametrize(("dtype", "layouts"), [(torch.bfloat16, 4), (torch.float32, 1)])
def test_bfloat16_has_a_layout_for_each_shape(
    dtype: torch.dtype, layouts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that of another number of rows oneDNN can fall back to code thirty times as slow."""
    if not onednn.available(dtype):
        pytest.skip("this CPU has no bfloat16")
    made: list[onednn.Shape] = []
    pack = onednn.pack

    def counted(weight: Tensor, placing: onednn.Placing, shape: onednn.Shape) -> Tensor:
        made.append(shape)
        return pack(weight, placing, shape)

    monkeypatch.setattr(onednn, "pack", counted)
    weight = drawn(38, 19, 3, 3, dtype=dtype)
    way = transpose(weight, WINDOWS["3x3"], 1, (13, 13))
    for shape in ((1, 13, 13), (7, 13, 13), (16, 13, 13), (7, 13, 13), (7, 5, 13), (0, 13, 13)):
        signal = drawn(shape[0], 38, *shape[1:], dtype=dtype).contiguous(memory_format=torch.channels_last)
        expected = F.conv_transpose2d(signal.double(), weight.double(), padding=1)
        assert (way(signal).double() - expected).norm() <= 5e-3 * expected.norm()
    assert len(made) == len(set(made)) == layouts


def test_layouts_are_not_kept_for_ever() -> None:
    packed = Packed(drawn(6, 4, 3, 3, dtype=torch.bfloat16), WINDOWS["3x3"], 1, SIZE)
    if not onednn.available(torch.bfloat16):
        pytest.skip("this CPU has no bfloat16")
    for rows in range(1, 100):
        packed.fitting((rows, 4, *SIZE))
        assert len(packed.made) <= 32
