"""Gates and scales, held as constants of the picture: their own way gets no signal.

As in layer-wise relevance propagation (Arras et al. 2017, recurrent networks; Ali et al. 2022, transformers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from layerscope.network.gates import gates, rectified
from layerscope.network.graph import Graph, Operation
from layerscope.reconstruction.reversible import Reversal, Reversible, Rule

_HANDED_ON = frozenset({"unsqueeze", "expand", "expand_as", "reshape", "to"})


def held(graph: Graph, operation: Operation, rule: Rule) -> frozenset[int]:
    """Inputs made from the picture that the rule holds constant: gates, denominators, a map's own mean."""
    if not rule.clamp:
        return frozenset()
    if operation.kind == "conv2d":
        return gates(graph, operation)
    if operation.kind == "mul":
        made = rectified(graph, operation)
        return frozenset({made.gate}) if made is not None else gates(graph, operation)
    if operation.kind in ("div", "sub") and len(set(operation.inputs)) == 2:
        one, other = operation.inputs[:2]
        both = graph.operations[one].carries and graph.operations[other].carries
        own = operation.kind == "div" or _is_mean_of(graph, other, one)
        return frozenset({other}) if both and own else frozenset()
    return frozenset()


def _is_mean_of(graph: Graph, index: int, source: int) -> bool:
    """Whether a result is the mean of another over some of its axes, with which that is centred."""
    operation = graph.operations[index]
    while operation.kind in _HANDED_ON:
        operation = graph.operations[operation.inputs[0]]
    return operation.kind == "mean" and operation.inputs[0] == source


def _gate(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor:
    axis = reversible.arguments["dim"]
    return torch.sigmoid(values[reversible.operation.inputs[0]].chunk(2, axis)[1])


def _glu_back(reversible: Reversible, signal: Tensor, memory: Tensor, rule: Rule) -> tuple[Tensor, ...]:
    """The map is the first half, the gate the second."""
    axis = reversible.arguments["dim"] % signal.ndim
    return (torch.cat([signal * memory, torch.zeros_like(signal)], axis),)


REVERSALS: Mapping[str, Reversal] = {
    "glu": Reversal(_glu_back, _gate, lambda graph, operation, rule: rule.clamp),
}
