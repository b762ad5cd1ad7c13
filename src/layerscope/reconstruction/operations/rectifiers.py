"""Rectifiers: what is a ReLU, whatever it is called, and its smooth and leaky relatives.

The deconvnet sets negative values of the signal to zero, as at a ReLU; guided also where the activation was not
positive. The relatives hand on something below zero, too: the signal does not see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from layerscope.network.convolution import rectify_
from layerscope.network.gates import rectified, values_of_gate
from layerscope.network.graph import Graph, Operation
from layerscope.reconstruction.reversible import Reversal, Reversible, Rule

SMOOTH = frozenset("silu gelu hardswish mish elu selu celu leaky_relu rrelu prelu softplus".split())
_POWERS = frozenset({"pow", "square"})  #: of a ReLU's result: still a rectifier
_RISING: WeakKeyDictionary[Graph, dict[int, bool]] = WeakKeyDictionary()
_LARGE = 1e4  # as far above zero as half precisions go


def _passes(graph: Graph, operation: Operation, rule: Rule) -> bool:
    """Of a ReLU, every rule's; of what is clipped otherwise and the relatives, those rules' that clamp the signal."""
    if operation.kind in SMOOTH:
        return rule.clamp
    if operation.kind in ("relu", "relu6"):
        return True
    if operation.kind in _POWERS:
        return rule.clamp and _is_power_of_a_relu(graph, operation)
    return operation.rectifies and (rule.clamp or operation.kind == "hardtanh")


def _is_power_of_a_relu(graph: Graph, operation: Operation) -> bool:
    """Whether it is a ReLU's result to a power: squared ReLU (So et al. 2021), StarReLU (Yu et al. 2022)."""
    exponent = operation.arguments.get("exponent", 2)
    rectified = graph.operations[operation.inputs[0]].rectifies
    return rectified and isinstance(exponent, (int, float)) and exponent > 0


def _mask(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor | None:
    if not rule.mask:
        return None
    result = values[reversible.operation.index]
    low, high = reversible.operation.passes or (0.0, torch.inf)
    passed: Tensor = (result > low) & (result < high)
    return passed


def _back(reversible: Reversible, signal: Tensor, memory: Tensor | None, rule: Rule) -> tuple[Tensor, ...]:
    if rule.clamp and not reversible.rectified:
        signal = rectify_(signal)
    return (signal if memory is None else signal.mul_(memory),)


def _is_written_out(graph: Graph, operation: Operation, rule: Rule) -> bool:
    return rule.clamp and rectified(graph, operation) is not None and _rises(graph, operation)


def _rises(graph: Graph, operation: Operation) -> bool:
    """Whether it hands on what is far above zero: of x * sigmoid(-x), which does not, the sigmoid is a gate."""
    known = _RISING.setdefault(graph, {})
    if operation.index not in known:
        known[operation.index] = bool((torch.as_tensor(slope_of(graph, operation)) > 0).all())
    return known[operation.index]


def _written_back(
    reversible: Reversible, signal: Tensor, memory: Tensor | None, rule: Rule
) -> tuple[Tensor, ...]:
    return (_back(reversible, signal, memory, rule)[0] * reversible.slope,)


def slope_of(graph: Graph, operation: Operation) -> float | Tensor:
    """What a rectifier written out multiplies by far above zero: 6 of x * relu6(x + 3)."""
    made = rectified(graph, operation)
    assert made is not None
    shape = graph.operations[made.source].shape
    dtype = next((t.dtype for t in graph.tensors.values() if t.is_floating_point()), torch.float32)
    device = next((t.device for t in graph.tensors.values()), torch.device("cpu"))
    found: Tensor = values_of_gate(graph, made, torch.full((1, *shape), _LARGE, dtype=dtype, device=device))
    first = found.flatten()[:1]
    return float(first) if bool((found == first).all()) else found


RECTIFIER = Reversal(_back, _mask, _passes, rectifies=True)
WRITTEN_OUT = Reversal(_written_back, _mask, _is_written_out, rectifies=True)
REVERSALS: Mapping[str, Reversal] = dict.fromkeys(
    SMOOTH | {"relu", "relu6", "hardtanh", "clamp", "clamp_min", "threshold"} | _POWERS, RECTIFIER
)
