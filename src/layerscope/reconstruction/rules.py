"""How a signal goes back through each operation: the deconvnet, guided backpropagation, the plain gradient.

A rule is a way to treat rectifiers, and with them gates and scales; everything else is the adjoint of the forward
operation. Signals are batches of rows, all for one picture, so what the forward pass leaves behind has a batch of one
and broadcasts. To teach the rules a new operation, see `operations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from layerscope.errors import UnsupportedOperationError
from layerscope.network.convolution import transpose
from layerscope.network.graph import Graph, Operation
from layerscope.network.positions import map_size
from layerscope.network.receptive_fields import windows
from layerscope.reconstruction.operations import gating, linear, maxima, norms, rectifiers
from layerscope.reconstruction.operations.adjoint import ADJOINT, DERIVATIVE
from layerscope.reconstruction.operations.stretches import entries, stretch_of
from layerscope.reconstruction.reversible import (
    DECONVNET,
    GRADIENT,
    GUIDED,
    RULES,
    Reversal,
    Reversible,
    Rule,
)
from layerscope.reconstruction.switches import apart

__all__ = ["DECONVNET", "GRADIENT", "GUIDED", "RULES", "Reversible", "Rule"]

_REVERSALS: Mapping[str, Reversal] = {
    **linear.REVERSALS,
    **rectifiers.REVERSALS,
    **norms.REVERSALS,
    **gating.REVERSALS,
    **maxima.REVERSALS,
}
_FLAT = frozenset(
    "round floor ceil trunc fix sign sgn heaviside floor_divide".split()
)  #: their derivative is zero wherever there is one


# ------------------------------------------------------------------ which way back


def reversal_of(graph: Graph, operation: Operation, rule: Rule) -> Reversal | None:
    """How a signal goes back through an operation by a rule; None where nobody has said."""
    if not operation.carries or not operation.batch_first or operation.index in graph.random:
        return None
    stretch = stretch_of(graph, operation)
    if stretch:
        return _reversal_of_stretch(graph, (*stretch, operation), rule)
    if rectifiers.WRITTEN_OUT.covers(graph, operation, rule):
        return rectifiers.WRITTEN_OUT if operation.kind == "mul" else None
    special = _REVERSALS.get(operation.kind)
    if special is not None and special.covers(graph, operation, rule):
        return special
    if linear.is_linear(graph, operation, gating.held(graph, operation, rule)):
        return ADJOINT
    return None if rule.clamp else DERIVATIVE


def _reversal_of_stretch(graph: Graph, operations: Iterable[Operation], rule: Rule) -> Reversal | None:
    """Of operations whose pictures are not along their first axis, all at once."""
    return None if _obstacle_within(graph, operations, rule) else DERIVATIVE


def _obstacle_within(graph: Graph, operations: Iterable[Operation], rule: Rule) -> Operation | None:
    for operation in operations:
        held = _held_within(graph, operation, rule)
        bent = operation.carries and rule.clamp and not linear.is_linear(graph, operation, held)
        if bent or operation.normalises_by_batch:
            return operation
    return None


def sources(graph: Graph, operation: Operation, rule: Rule) -> tuple[int, ...]:
    """The operations that a signal goes on to from this one, each once."""
    stretch = stretch_of(graph, operation)
    inside, found, left = {one.index for one in stretch}, set[int](), {operation.index}
    while left:
        one = graph.operations[left.pop()]
        held = _held_within(graph, one, rule) if stretch else gating.held(graph, one, rule)
        below = {i for i in one.inputs if graph.operations[i].carries and i not in held}
        left |= below & inside
        found |= below - inside
    return tuple(dict.fromkeys(i for i in entries(graph, operation) if i in found))


def _held_within(graph: Graph, operation: Operation, rule: Rule) -> frozenset[int]:
    """What is held of an operation in a stretch: a kernel mixed for each picture, made before the stretch begins."""
    return gating.held(graph, operation, rule) if operation.kind == "conv2d" else frozenset()


def supports(rule: Rule, graph: Graph, operation: Operation) -> bool:
    """Whether the rule says how a signal goes back through the operation."""
    return not operation.normalises_by_batch and reversal_of(graph, operation, rule) is not None


# ------------------------------------------------------------------ made ready


def make_reversible(
    graph: Graph, operation: Operation, rule: Rule, *, rectifies: bool = False, rectified: bool = False
) -> Reversible:
    """Make an operation ready to be reversed; the rest is for those who know what is above and below it."""
    reversal = reversal_of(graph, operation, rule)
    assert reversal is not None, operation.place
    arguments = {name: graph.with_tensors(value) for name, value in operation.arguments.items()}
    stretch, reached = stretch_of(graph, operation), sources(graph, operation, rule)
    if stretch:
        operation = replace(operation, inputs=entries(graph, operation))
    made = Reversible(
        operation,
        arguments,
        tuple(graph.operations[i].shape for i in operation.inputs),
        tuple(i in reached for i in operation.inputs),
        reversal,
        rectifies=rectifies,
        rectified=rectified,
        stretch=tuple(_step(graph, o) for o in (*stretch, operation)) if stretch else (),
    )
    return _with_details(graph, made)


def _with_details(graph: Graph, made: Reversible) -> Reversible:
    operation = made.operation
    if made.reversal is rectifiers.WRITTEN_OUT:
        return replace(made, slope=rectifiers.slope_of(graph, operation))
    if operation.kind not in ("conv2d", "max_pool2d") or made.reversal is not _REVERSALS[operation.kind]:
        return made
    axes = windows(graph, operation)
    if operation.kind == "max_pool2d":
        return replace(made, windows=axes)
    size = map_size(made.sources[0])
    weight, groups = made.arguments["weight"], made.arguments["groups"]
    return replace(made, windows=axes, transposed=transpose(weight, axes, groups, size))


def _step(graph: Graph, operation: Operation) -> Any:
    def step(values: dict[int, Any]) -> Any:
        values[operation.index] = graph.apply(operation, values)
        return values[operation.index]

    return step


def make_reversibles(graph: Graph, operations: Iterable[int], rule: Rule) -> dict[int, Reversible]:
    """All operations of a way down: a rectifier's work is done by the convolution above it where there is one."""
    reached = frozenset(operations)
    above = {index: _convolution_above(graph, index, reached, rule) for index in reached if rule.clamp}
    rectified = {index: conv for index, conv in above.items() if conv is not None}
    doing = frozenset(rectified.values())
    return {
        i: make_reversible(graph, graph.operations[i], rule, rectifies=i in doing, rectified=i in rectified)
        for i in reached
    }


def _convolution_above(graph: Graph, index: int, reached: frozenset[int], rule: Rule) -> int | None:
    """The convolution that all of a rectifier's signal comes from, seeds apart, which have no negatives.

    A max-pool may lie between if its windows do not meet: it moves values, so that it does not matter which
    side of it they are rectified on.
    """
    if not graph.operations[index].rectifies:  # the relatives' activations may be negative, and so seeds
        return None
    while True:
        users = [user for user in graph.users[index] if user in reached]
        user = graph.operations[users[0]] if len(users) == 1 else None
        if user is None or user.kind not in ("conv2d", "max_pool2d"):
            return None
        if reversal_of(graph, user, rule) is not _REVERSALS[user.kind]:
            return None
        if user.kind == "conv2d":
            return user.index
        if not apart(*windows(graph, user)):
            return None
        index = user.index


def kept(graph: Graph, operations: Iterable[int]) -> frozenset[int]:
    """The results that stretches enter by, which a forward pass must hold until they end."""
    all_ = (graph.operations[index] for index in operations)
    return frozenset(i for o in all_ if stretch_of(graph, o) for i in entries(graph, o))


# ------------------------------------------------------------------ what has no rule


def check_moved(graph: Graph, tops: Iterable[int]) -> None:
    """Refuse results that no small change of the pixels changes: all ways to them are rounded, or by a sign alone."""
    found = {0}
    for operation in graph.operations[1:]:
        flat = operation.kind in _FLAT or linear.rounds(operation)
        if operation.carries and not flat and not found.isdisjoint(operation.inputs):
            found.add(operation.index)
    for top in tops:
        at = graph.operations[top]
        while at.index not in found and (below := [i for i in at.inputs if graph.operations[i].carries]):
            if found.intersection(below):
                raise UnsupportedOperationError(
                    f"the derivative of {at.place} is zero; ask only for layers that come before it"
                )
            at = graph.operations[below[0]]


def check(rule: Rule, graph: Graph, operations: Sequence[int]) -> None:
    """Refuse, by name and place, the first operation that the rule has nothing to say about."""
    operation = _obstacle(rule, graph, operations)
    if operation is None:
        return
    if operation.normalises_by_batch:
        raise UnsupportedOperationError(
            f"{operation.place} normalises by the batch at hand; "
            "give it running statistics (track_running_stats=True)"
        )
    ahead = {r.name: _obstacle(r, graph, operations) for r in RULES.values() if r.name != rule.name}
    others = [name for name, other in ahead.items() if other is None]
    what = f"{rule.name} has no rule for {operation.place}"
    if others:
        what += f"; use rule {' or '.join(others)}, or ask"
    elif (last := ahead.get(GRADIENT.name)) is None:
        what += "; ask"
    elif last is operation:
        what += ", nor has any other rule; ask"
    else:
        what += f", and no other goes all the way: {GRADIENT.name} has none for {last.place}; ask"
    raise UnsupportedOperationError(f"{what} only for layers that come before it")


def _obstacle(rule: Rule, graph: Graph, operations: Iterable[int]) -> Operation | None:
    """The first operation that a signal does not go back from by the rule."""
    for operation in (graph.operations[index] for index in sorted(operations)):
        if not supports(rule, graph, operation):
            if operation.index in graph.random:
                return graph.operations[graph.random[operation.index]]
            within = stretch_of(graph, operation)
            return _obstacle_within(graph, within, rule) or operation
    return None


def places_lost(graph: Graph, rule: Rule) -> str:
    """What a figure says of a network whose deconvnet does not know where things were; "" of others."""
    blind = rule.clamp and not rule.mask and not any("max_pool" in o.kind for o in graph.operations)
    return "no max-pools, so nothing tells the deconvnet where things were; guided does" if blind else ""


# ------------------------------------------------------------------ forward and back


def remember(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Any:
    """What the way back will need of the forward pass; ``values`` holds the inputs and the result."""
    return reversible.reversal.remember(reversible, values, rule)


def reverse(reversible: Reversible, signal: Tensor, memory: Any, rule: Rule) -> tuple[Tensor, ...]:
    """The signal (rows, *shape of the result) at each input that carries one, in the order of the inputs.

    Overwrites the signal it is given where `overwrites` says so; no two parts of what it returns share memory.
    """
    return reversible.reversal.back(reversible, signal, memory, rule)


def overwrites(reversible: Reversible, rule: Rule) -> bool:
    """Whether `reverse` works in the memory of the signal it is given."""
    return reversible.reversal.rectifies and (rule.mask or not reversible.rectified)
