"""The end of a network that makes scores into something else: a softmax, sigmoid or tanh, reshaped, clipped or not."""

from __future__ import annotations

from math import prod

from layerscope.network.graph import Graph, Operation

SIGMOIDS = frozenset({"sigmoid", "hardsigmoid"})
LINKS = SIGMOIDS | {"softmax", "log_softmax", "tanh"}  #: from scores to what they mean
_HANDED_ON = frozenset("reshape flatten squeeze unsqueeze clamp clamp_min clamp_max log to".split())


def link_of(graph: Graph, result: int) -> Operation | None:
    """The softmax, sigmoid or tanh that a result is; None if it is none."""
    operation = graph.operations[result]
    while operation.kind in _HANDED_ON and operation.inputs:
        operation = graph.operations[operation.inputs[0]]
    return operation if operation.kind in LINKS and operation.inputs[0] else None


def squashed(graph: Graph, result: int) -> int:
    """The operation that says the same, number by number, before the last link; the result itself without one."""
    link = link_of(graph, result)
    if link is None:
        return result
    source, operation = graph.operations[link.inputs[0]], graph.operations[result]
    one_each = all(shape[:1] == (prod(shape),) for shape in (source.shape, operation.shape))
    alike = source.shape == operation.shape or (one_each and prod(source.shape) == prod(operation.shape))
    return source.index if alike and source.batch_first else result


def before_link(graph: Graph, result: int) -> int:
    """The same before all links: where a signal starts."""
    source = squashed(graph, result)
    return result if source == result else before_link(graph, source)
