"""Signals brought down a small network operation by operation, and beside it torch's own derivative."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress
from typing import Any

import torch
from torch import Tensor, nn

from layerscope.network.capture import capture
from layerscope.network.graph import Graph
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.reconstruction.descent import way_down
from layerscope.reconstruction.rules import GRADIENT, Rule, kept, make_reversible, remember, reverse


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
    ways = way_down(graph, [graph.output], rule)
    reversibles = {index: make_reversible(graph, graph.operations[index], rule) for index in ways}
    memory: dict[int, Any] = {}
    with torch.inference_mode():
        graph.run(
            picture,
            graph.output,
            kept(graph, ways),
            observe=lambda op, values: (
                memory.update({op.index: remember(reversibles[op.index], values, rule)})
                if op.index in reversibles
                else None
            ),
        )
        signals: dict[int, list[Tensor]] = {graph.output: [signal.clone()]}
        for index in range(graph.output, 0, -1):
            if index in signals:
                whole = torch.stack(signals.pop(index)).sum(0)
                back = reverse(reversibles[index], whole, memory[index], rule)
                here = reversibles[index]
                carriers = compress(here.operation.inputs, here.carries)
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


def lively(module: nn.Module) -> nn.Module:
    """The module with batch norms as training leaves them, none the identity: in float64, for inference."""
    for seed, part in enumerate(module.modules()):
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.copy_(0.1 * noise(part.num_features, seed=seed))
            part.running_var.copy_(noise(part.num_features, seed=seed + 1).abs() + 0.5)
            part.weight.data.copy_(noise(part.num_features, seed=seed + 2).abs() + 0.5)
    return module.double().eval()


def small_network(module: nn.Module, size: tuple[int, int] = (9, 7)) -> Network:
    """The network of a module, in float64 and for pictures of a given height and width."""
    first = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
    plain = (0.5,) * first.in_channels
    preprocessing = Preprocessing(height=size[0], width=size[1], resize=None, mean=plain, deviation=plain)
    return Network.from_module(module.double().eval(), preprocessing=preprocessing)
