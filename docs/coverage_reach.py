"""Receptive fields beside what the gradient of their units reaches: the column *reach* of docs/coverage.md."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope import Network
from layerscope.network.graph import Graph, Operation, fill
from layerscope.network.positions import arranged, size_of

OPEN = frozenset(
    {"relu", "relu6", "hardtanh", "clamp", "clamp_min", "hardswish", "hardsigmoid", "threshold"}
)  #: cut paths, or saturate: hand everything on
FLAT = frozenset(
    {"gelu", "sigmoid", "silu", "softmax", "softplus", "tanh", "scaled_dot_product_attention"}
)  #: of large values all gradients, or all but one, are zero


def measure(network: Network) -> str:
    """Units in the middle of four layers whose box, gates seen, is what their gradient reaches: "4 of 4"."""
    known = [layer for layer in network.layers if layer.has_positions and layer.field_in_all is not None]
    chosen = known[:: max(1, len(known) // 4)][:4]
    if not chosen:
        return "0 of 0"
    values: dict[int, Tensor] = {}
    picture = (torch.rand(1, *network.input_shape, dtype=torch.float64) + 0.5).requires_grad_()
    graph = positive(network.graph)
    last = max(layer.result for layer in chosen)
    values[0] = picture
    for operation in graph.operations[1 : last + 1]:
        values[operation.index] = opened(graph, operation, values)
    right = 0
    for layer in chosen:
        row, column = (n // 2 for n in size_of(graph.operations[layer.result]))
        total = at_place(network, layer.result, values[layer.result], row, column)
        (gradient,) = torch.autograd.grad(total, picture, retain_graph=True)
        seen = (gradient[0] != 0).any(0)
        (rows,), (columns,) = (seen.any(axis).nonzero(as_tuple=True) for axis in (1, 0))
        box = network.geometry.seen(layer.result, [row], [column])
        edges = (0, 0, 0, 0)  # a position in what was padded sees nothing
        if len(rows):
            edges = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
        right += edges == (box.top, box.left, box.bottom, box.right)
    return f"{right} of {len(chosen)}"


def at_place(network: Network, index: int, result: Tensor, row: int, column: int) -> Tensor:
    """All channels of one position, summed."""
    return arranged(network.graph.operations[index], result)[0, :, row, column].sum()


def positive(graph: Graph) -> Graph:
    """The graph in float64, its tensors positive and not all alike."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in graph.tensors.items():
        if not tensor.is_floating_point():
            tensors[name] = tensor
            continue
        weight = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.5
        tensors[name] = weight / (weight[0].sum() if weight.ndim > 1 else 1)
    return replace(graph, tensors=tensors)


def opened(graph: Graph, operation: Operation, values: dict[int, Tensor]) -> Any:
    """An operation with no path cut: max-pools average, what saturates hands everything on. In float64, also where an
    operation states another kind."""
    if operation.kind in OPEN or (operation.kind == "to" and operation.carries):  # all is in float64
        return values[operation.inputs[0]]
    if operation.kind == "max_pool2d":
        a = operation.arguments
        return F.avg_pool2d(
            values[operation.inputs[0]], a["kernel_size"], a["stride"] or None, a["padding"], a["ceil_mode"]
        )
    if operation.kind in ("amax", "adaptive_max_pool2d"):
        source = values[operation.inputs[0]]
        if operation.kind == "amax":
            return source.mean(operation.arguments["dim"], operation.arguments["keepdim"])
        return F.adaptive_avg_pool2d(source, operation.arguments["output_size"])
    arguments = {name: graph.with_tensors(a) for name, a in operation.arguments.items()}
    if isinstance(value := arguments.get("value"), float) and not isfinite(value):
        arguments["value"] = 0.0  # padding of a max-pool, which averages here
    if operation.kind in FLAT:
        values = {i: tame(values[i]) for i in operation.inputs}
    made: Any = operation.target(*(fill(a, values.__getitem__) for a in arguments.values()))
    return made.double() if isinstance(made, Tensor) and made.is_floating_point() else made


def tame(values: Any) -> Any:
    """No value larger than 1."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return values
    return values / values.detach().abs().max().clamp(min=1)
