"""Gates and scales, held as constants of the picture: their own way gets no signal.

As in layer-wise relevance propagation (Arras et al. 2017, recurrent networks; Ali et al. 2022, transformers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from layerscope.network import gates
from layerscope.network.graph import Graph, Operation
from layerscope.reconstruction.reversible import Reversal, Reversible, Rule


def held(graph: Graph, operation: Operation, rule: Rule) -> frozenset[int]:
    """Inputs made from the picture that the rule holds constant: gates, denominators, a map's own mean."""
    return gates.held(graph, operation) if rule.clamp else frozenset()


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
