"""How a signal goes back through each operation: the deconvnet, guided backpropagation, the plain gradient.

A rule is a way to treat rectification; everything else is the adjoint of the forward operation. Signals are
batches of rows, all for one picture, so what the forward pass leaves behind has a batch of one and broadcasts.
To teach the rules a new operation, give it a line in ``_REVERSALS`` (or in ``_LINEAR`` if it is linear).

Sources: deconvnet, Zeiler & Fergus 2014 and arXiv 1412.6631 section 4.2; guided backpropagation, Springenberg et
al. 2015; gradient, Simonyan et al. 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from typing import Any, Literal

import torch
from torch import Tensor

from layerscope import choices
from layerscope.errors import UnsupportedOperationError
from layerscope.network.axes import map_size
from layerscope.network.convolution import Transposed, rectify_, transpose
from layerscope.network.graph import Graph, Operation, Ref, fill
from layerscope.network.readers import Window
from layerscope.network.receptive_fields import windows
from layerscope.reconstruction.switches import Switches, apart, find_switches, unpool


@dataclass(frozen=True)
class Rule:
    """What happens at a ReLU on the way down, and where overlapping pool windows meet.

    ``clamp``: negative values of the signal become zero. ``mask``: the signal passes only where the forward
    activation did. ``overlap``: values that meet in an overlapping max-pool are summed (the adjoint), or the last
    window in row-major order wins (what unpooling layers do).
    """

    name: str
    clamp: bool
    mask: bool
    overlap: Literal["sum", "overwrite"] = "sum"


DECONVNET = Rule("deconvnet", clamp=True, mask=False)
GUIDED = Rule("guided", clamp=True, mask=True)
GRADIENT = Rule("gradient", clamp=False, mask=True)
RULES: Mapping[str, Rule] = dict(zip(choices.RULES, (DECONVNET, GUIDED, GRADIENT), strict=True))


RECTIFIERS = frozenset({"relu", "relu6", "hardtanh"})


@dataclass(frozen=True)
class Reversible:
    """An operation made ready to be reversed. ``sources``: the shapes of its inputs, without batch."""

    operation: Operation
    arguments: Mapping[str, Any]  #: tensors in place, results of other operations as Ref
    sources: tuple[tuple[int, ...], ...]
    carries: tuple[bool, ...]  #: which of its inputs a signal goes back to
    windows: tuple[Window, Window] | None = None  #: rows and columns, of convolutions and pools
    transposed: Transposed | None = None  #: the way back through a convolution
    rectifies: bool = False  #: this convolution sets negatives to zero for the rectifier below it
    rectified: bool = False  #: this rectifier is given none: what is above it has done its work


def make_reversible(
    graph: Graph, operation: Operation, *, rectifies: bool = False, rectified: bool = False
) -> Reversible:
    """Make an operation ready to be reversed; the rest is for those who know what is above and below it."""
    arguments = {name: graph.with_tensors(value) for name, value in operation.arguments.items()}
    inputs = [graph.operations[index] for index in operation.inputs]
    sources, carries = tuple(i.shape for i in inputs), tuple(i.carries for i in inputs)
    made = Reversible(operation, arguments, sources, carries, rectifies=rectifies, rectified=rectified)
    if operation.kind not in ("conv2d", "max_pool2d"):
        return made
    axes = windows(graph, operation)
    if operation.kind == "max_pool2d" or _computes_weights(operation):
        return replace(made, windows=axes)
    size = map_size(sources[0])
    return replace(
        made, windows=axes, transposed=transpose(arguments["weight"], axes, arguments["groups"], size)
    )


def make_reversibles(graph: Graph, operations: Iterable[int], rule: Rule) -> dict[int, Reversible]:
    """All operations of a way down: a rectifier's work is done by the convolution above it where there is one."""
    reached = frozenset(operations)
    above = {index: _convolution_above(graph, index, reached) for index in reached if rule.clamp}
    rectified = {index: conv for index, conv in above.items() if conv is not None}
    doing = frozenset(rectified.values())
    return {
        i: make_reversible(graph, graph.operations[i], rectifies=i in doing, rectified=i in rectified)
        for i in reached
    }


def _convolution_above(graph: Graph, index: int, reached: frozenset[int]) -> int | None:
    """The convolution that all of a rectifier's signal comes from, seeds apart, which have no negatives.

    A max-pool may lie between if its windows do not meet: it moves values, so that it does not matter which
    side of it they are rectified on.
    """
    if graph.operations[index].kind not in RECTIFIERS:
        return None
    while True:
        users = [user for user in graph.users[index] if user in reached]
        user = graph.operations[users[0]] if len(users) == 1 else None
        if user is None or user.kind not in ("conv2d", "max_pool2d") or _computes_weights(user):
            return None
        if user.kind == "conv2d":
            return user.index
        if not apart(*windows(graph, user)):
            return None
        index = user.index


def supports(rule: Rule, operation: Operation) -> bool:
    """Whether the rule says how a signal goes back through the operation."""
    if not operation.carries or not operation.batch_first or _computes_weights(operation):
        return False
    if rule.clamp and operation.kind == "hardtanh" and not operation.rectifies:
        return False
    if operation.kind in _REVERSALS or _is_linear(operation):
        return True
    return not rule.clamp and operation.kind not in _NEVER


def _is_linear(operation: Operation) -> bool:
    if operation.kind == "div" and (isinstance(operation.target, partial) or not _reads(operation, "self")):
        return False  # rounded, or a constant over the input
    product = operation.kind in ("mul", "div") and len(operation.inputs) > 1
    return operation.kind in _LINEAR and not product


def _reads(operation: Operation, name: str) -> bool:
    return isinstance(operation.arguments[name], Ref)


def _computes_weights(operation: Operation) -> bool:
    return operation.kind in ("conv2d", "linear") and _reads(operation, "weight")


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
        if operation.normalises_by_batch or not supports(rule, operation):
            return operation
    return None


def remember(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Any:
    """What the way back will need of the forward pass; ``values`` holds the inputs and the result."""
    reversal = _REVERSALS.get(reversible.operation.kind)
    if reversal is not None:
        return reversal.remember(reversible, values, rule)
    if _is_linear(reversible.operation):
        return _constants(reversible, values, rule)
    return {index: values[index] for index in reversible.operation.inputs}


def reverse(reversible: Reversible, signal: Tensor, memory: Any, rule: Rule) -> tuple[Tensor, ...]:
    """The signal (rows, *shape of the result) at each input that carries one, in the order of the inputs.

    Overwrites the signal it is given where `overwrites` says so; no two parts of what it returns share memory.
    """
    reversal = _REVERSALS.get(reversible.operation.kind)
    if reversal is not None:
        return reversal.back(reversible, signal, memory, rule)
    return _adjoint(reversible, signal, memory)


def _forget(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> None:
    """Nothing of the forward pass is needed."""


def _constants(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> dict[int, Any]:
    """The inputs that no signal goes back to: numbers, masks, tensors made without the picture."""
    return {
        i: values[i]
        for i, carries in zip(reversible.operation.inputs, reversible.carries, strict=True)
        if not carries
    }


def _conv_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    assert reversible.transposed is not None
    return (reversible.transposed(signal, rectify=reversible.rectifies),)


def _linear_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    return (signal @ reversible.arguments["weight"],)


def _norm_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    arguments = reversible.arguments
    variance = arguments["running_var"]
    variance = variance.to(torch.promote_types(variance.dtype, torch.float32))
    scale = torch.rsqrt(variance + arguments["eps"])
    if arguments["weight"] is not None:
        scale = scale * arguments["weight"]
    return (signal * scale.to(signal.dtype).view(-1, *[1] * (signal.ndim - 2)),)


def _mask(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor | None:
    if not rule.mask:
        return None
    result = values[reversible.operation.index]
    bounds = {"relu": (0, math.inf), "relu6": (0, 6)}
    arguments = reversible.arguments
    low, high = bounds.get(reversible.operation.kind) or (arguments["min_val"], arguments["max_val"])
    passed: Tensor = (result > low) & (result < high)
    return passed


def _rectifier_back(
    reversible: Reversible, signal: Tensor, memory: Tensor | None, rule: Rule
) -> tuple[Tensor, ...]:
    if rule.clamp and not reversible.rectified:
        signal = rectify_(signal)
    return (signal if memory is None else signal.mul_(memory),)


def _switches(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Switches:
    assert reversible.windows is not None
    operation = reversible.operation
    return find_switches(values[operation.inputs[0]], values[operation.index], *reversible.windows)


def _pool_back(reversible: Reversible, signal: Tensor, memory: Switches, rule: Rule) -> tuple[Tensor, ...]:
    return (unpool(signal, memory, rule.overlap),)


def _add_back(
    reversible: Reversible, signal: Tensor, memory: dict[int, Any], rule: Rule
) -> tuple[Tensor, ...]:
    broadcast = any(shape != reversible.operation.shape for shape in reversible.sources)
    if broadcast or isinstance(reversible.operation.target, partial):  # partial: a factor alpha
        return _adjoint(reversible, signal, memory)
    return (signal, *(signal.clone() for _ in range(sum(reversible.carries) - 1)))


def _cat_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    axis = reversible.arguments["dim"] % signal.ndim
    parts = torch.split(signal, [shape[axis - 1] for shape in reversible.sources], dim=axis)
    return tuple(compress(parts, reversible.carries))


def _reshape_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    return (signal.reshape(-1, *reversible.sources[0]),)


def _adjoint(reversible: Reversible, signal: Tensor, memory: Mapping[int, Any]) -> tuple[Tensor, ...]:
    """Torch's own derivative, at the remembered inputs or, for a linear operation, anywhere."""
    if torch.is_inference_mode_enabled():  # where torch 2.9 gives zeros
        with torch.inference_mode(False):
            known = {i: value.clone() if isinstance(value, Tensor) else value for i, value in memory.items()}
            return _adjoint(reversible, signal.clone(), known)
    rows = signal.shape[0]
    if rows > 1 and any(isinstance(value, int) for value in memory.values()):  # the number of pictures: one
        parts = [_adjoint(reversible, row, memory) for row in torch.split(signal, 1)]
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))
    carriers = list(
        compress(zip(reversible.operation.inputs, reversible.sources, strict=True), reversible.carries)
    )
    zero = signal.new_zeros(1)
    points = [memory.get(i, zero.expand(1, *shape)).expand(rows, *shape) for i, shape in carriers]

    def forward(*inputs: Tensor) -> Tensor:
        given = {**memory, **{i: value for (i, _), value in zip(carriers, inputs, strict=True)}}
        result: Tensor = reversible.operation.target(
            *(fill(a, given.__getitem__) for a in reversible.arguments.values())
        )
        return result

    pull = torch.func.vjp(forward, *points)[1]
    plain = signal.contiguous()  # torch 2.14 differentiates instance norm wrongly for one channels-last row
    return tuple(part.clone() if 0 in part.stride() else part for part in pull(plain))


def overwrites(reversible: Reversible, rule: Rule) -> bool:
    """Whether `reverse` works in the memory of the signal it is given."""
    return reversible.operation.kind in RECTIFIERS and (rule.mask or not reversible.rectified)


@dataclass(frozen=True)
class _Reversal:
    back: Callable[[Reversible, Tensor, Any, Rule], tuple[Tensor, ...]]
    remember: Callable[[Reversible, Mapping[int, Any], Rule], Any] = _forget


_REVERSALS: Mapping[str, _Reversal] = {
    "conv2d": _Reversal(_conv_back),
    "linear": _Reversal(_linear_back),
    "batch_norm": _Reversal(_norm_back),
    "relu": _Reversal(_rectifier_back, _mask),
    "relu6": _Reversal(_rectifier_back, _mask),
    "hardtanh": _Reversal(_rectifier_back, _mask),
    "max_pool2d": _Reversal(_pool_back, _switches),
    "add": _Reversal(_add_back, _constants),
    "cat": _Reversal(_cat_back),
    "flatten": _Reversal(_reshape_back),
    "reshape": _Reversal(_reshape_back),
}

_LINEAR = frozenset(
    (
        "avg_pool2d adaptive_avg_pool2d mean sum narrow slice select squeeze unsqueeze expand transpose "
        "permute pad constant_pad_nd mul div sub neg"
    ).split()
)  #: their adjoint is torch's derivative; mul and div only by a constant

_NEVER = frozenset({"dropout", "feature_dropout"})  #: random at inference
