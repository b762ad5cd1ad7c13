"""Gates: operands of a product that only scale the others.

A gate says how much of a map counts, not what is there: sigmoid, hard-sigmoid, softmax or tanh of another map, as in
squeeze-and-excitation, selective kernels, CBAM, ECA. A gated linear unit of any activation (Shazeer 2020, "GLU
variants improve transformer") is one, too: there the activated operand is the gate. Products in other words, by einsum
or addcmul, are read as plain ones.

So is a scale made of a map's statistics: 1 / root mean square, one norm as a share of all (global response norm).

x times a bounded function of x alone, position by position, is none: it is a smooth rectifier written out. SiLU is
x * sigmoid(x), hard-swish x * relu6(x + 3) / 6, GELU x * (1 + erf(x / sqrt 2)) / 2, Mish x * tanh(softplus(x)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose, prod
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from layerscope.network.graph import Graph, Operation, Ref

_STRENGTH: Mapping[str, int] = {
    **dict.fromkeys(("sigmoid", "hardsigmoid", "softmax", "rsqrt", "reciprocal"), 3),
    **dict.fromkeys(("tanh", "erf"), 2),
    **dict.fromkeys(("relu", "relu6", "silu", "gelu", "hardswish", "mish", "elu", "leaky_relu"), 1),
}  #: which of two squashed operands is the gate: the one that is a share rather than a sign or a rectified map
_STRENGTHS: WeakKeyDictionary[Graph, list[int]] = WeakKeyDictionary()
_BOUNDED = 2
_CLIPS = frozenset({"relu6", "hardtanh", "clamp"})
_HANDED_ON = frozenset(
    (
        "reshape flatten unflatten squeeze unsqueeze expand expand_as broadcast_to repeat permute transpose t "
        "select narrow slice getitem to dropout feature_dropout upsample_nearest2d upsample_bilinear2d "
        "upsample_bicubic2d neg rsub"
    ).split()
)  #: a gate stays one
_SPREAD = frozenset(
    "squeeze unsqueeze flatten unflatten expand expand_as reshape reshape_as view_as to".split()
)  #: the same values in another shape, or several times over
_COMBINED = frozenset({"add", "sub", "mul", "div", "cat", "stack"})  #: of gates and constants, a gate
_NOT_BELOW_ZERO = frozenset(
    {"sigmoid", "hardsigmoid", "softplus", "add", "rsub"}
)  #: of these x * tanh(x) has none
_POINT = frozenset(
    "add sub mul div rsub neg pow square exp sigmoid hardsigmoid tanh erf softplus relu6 hardtanh clamp to".split()
)  #: with constants, functions of one map at each position by itself


def gates(graph: Graph, operation: Operation) -> frozenset[int]:
    """Those of the operation's inputs that only scale the others; empty where it is no gated product.

    Of a sigmoid and a tanh the sigmoid is the gate. Empty, too, where all operands are squashed alike, so that
    nobody can say which of them is the map, and for a smooth rectifier written out, `rectified`.
    """
    if operation.kind == "conv2d":
        return _mixed_kernel(graph, operation)
    operands = tuple(dict.fromkeys(i for i in operation.inputs if graph.operations[i].carries))
    if operation.kind != "mul" or len(operands) < 2 or rectified(graph, operation) is not None:
        return frozenset()
    (weak, other), (strong, gate) = sorted((_strength(graph, i), i) for i in operands)
    if strong == weak or (strong < _BOUNDED and _sees(graph, other, gate)):
        return frozenset()
    return frozenset({gate})


def held(graph: Graph, operation: Operation) -> frozenset[int]:
    """Those of the inputs made from the picture that only scale or shift the others: gates, denominators, own means."""
    made = rectified(graph, operation)
    if made is not None:
        return frozenset({made.gate})
    if operation.kind not in ("div", "sub") or len(set(operation.inputs)) != 2:
        return gates(graph, operation)
    one, other = operation.inputs[:2]
    both = graph.operations[one].carries and graph.operations[other].carries
    constant = both and (operation.kind == "div" or _is_mean_of(graph, other, one))
    return frozenset({other}) if constant else frozenset()


def _is_mean_of(graph: Graph, index: int, source: int) -> bool:
    """Whether a result is the mean of another over some of its axes, with which that is centred."""
    found, averaged = _origin(graph, index), False
    while (below := _averaged(graph, graph.operations[found])) is not None:
        found, averaged = _origin(graph, below), True
    return averaged and found == _origin(graph, source)


def _origin(graph: Graph, index: int) -> int:
    """What the values of a result stand in, in another shape or several times over."""
    operation = graph.operations[index]
    while operation.kind in _SPREAD or (
        operation.kind == "slice" and operation.shape == graph.operations[operation.inputs[0]].shape
    ):
        operation = graph.operations[operation.inputs[0]]
    return operation.index


def _averaged(graph: Graph, operation: Operation) -> int | None:
    """What an operation is the mean of, over some axes: a mean, a pool to one position, or a sum over the count."""
    if operation.kind == "mean" or (
        operation.kind == "adaptive_avg_pool2d" and operation.shape[-2:] == (1, 1)
    ):
        return operation.inputs[0]
    number = operation.arguments.get("other")
    if operation.kind not in ("mul", "div") or not isinstance(number, int | float) or not number:
        return None
    total = graph.operations[_origin(graph, operation.inputs[0])]
    if total.kind != "sum":
        return None
    count = prod(graph.operations[total.inputs[0]].shape) / prod(total.shape)
    return total.inputs[0] if isclose(count, 1 / number if operation.kind == "mul" else number) else None


def _mixed_kernel(graph: Graph, operation: Operation) -> frozenset[int]:
    """The weights of a convolution that are mixed anew for each picture (Yang et al. 2019, CondConv)."""
    made = [operation.arguments[name] for name in ("weight", "bias")]
    found = {a.index for a in made if isinstance(a, Ref) and graph.operations[a.index].carries}
    return frozenset(found - {operation.inputs[0]})


@dataclass(frozen=True)
class Rectified:
    """A product that is a smooth rectifier of ``source``, written out: ``map`` is that, or a multiple of it."""

    source: int
    map: int
    gate: int


def rectified(graph: Graph, operation: Operation) -> Rectified | None:
    """What a product rectifies if it is a map times a bounded function of that map alone; None if it is not."""
    if operation.kind != "mul" or len(operation.inputs) != 2:
        return None
    for scaled, gate in (operation.inputs, operation.inputs[::-1]):
        source = _unscaled(graph, scaled)
        way = _functions_of(graph, gate, source)
        positive = not _NOT_BELOW_ZERO.isdisjoint(graph.operations[i].kind for i in way)
        if gate not in (scaled, source) and positive and _strength(graph, gate) >= _BOUNDED:
            return Rectified(source, scaled, gate)
    return None


def values_of_gate(graph: Graph, made: Rectified, values: Tensor) -> Tensor:
    """What the gate of a rectifier written out is where its source has these values."""
    known: dict[int, Any] = {made.source: values}
    for index in sorted(_functions_of(graph, made.gate, made.source)):
        known[index] = graph.apply(graph.operations[index], known)
    result: Tensor = known[made.gate]
    return result


def _unscaled(graph: Graph, index: int) -> int:
    """The operation that this is a multiple of."""
    while True:
        operation = graph.operations[index]
        below = [i for i in operation.inputs if graph.operations[i].carries]
        same = len(below) == 1 and graph.operations[below[0]].shape == operation.shape
        if operation.kind not in ("mul", "div", "to") or not same or operation.inputs[0] not in below:
            return index
        (index,) = below


def _functions_of(graph: Graph, index: int, source: int) -> frozenset[int]:
    """The operations between, if the first is a function of the second alone at each position; else none."""
    found: set[int] = set()
    left = [index]
    while left:
        at = left.pop()
        if at in found or at == source:
            continue
        operation = graph.operations[at]
        below = _made_of(graph, operation)
        if operation.kind not in _POINT or any(graph.operations[i].shape != operation.shape for i in below):
            return frozenset()
        if set(below) != set(operation.inputs):  # depends on how many pictures there are
            return frozenset()
        found.add(at)
        left += below
    return frozenset(found)


def _made_of(graph: Graph, operation: Operation) -> list[int]:
    """Its inputs that are made from the picture, each once."""
    return list(dict.fromkeys(i for i in operation.inputs if graph.operations[i].carries))


def _strength(graph: Graph, index: int) -> int:
    """How surely a result is a gate, 0 where it is none: as what it is handed on from. Found once for each graph."""
    known = _STRENGTHS.setdefault(graph, [])
    for operation in graph.operations[len(known) : index + 1]:
        known.append(_strength_of(graph, operation))
    return known[index]


def _strength_of(graph: Graph, operation: Operation) -> int:
    """The strength of an operation where that of all before it is known."""
    kind = operation.kind
    if kind in _CLIPS and _is_hard_sigmoid(graph, operation):
        return _STRENGTH["hardsigmoid"]
    if kind in _STRENGTH or operation.rectifies:
        return _STRENGTH.get(kind, _STRENGTH["relu"])
    if kind == "div" and _is_share(graph, operation):
        return _STRENGTH["rsqrt"]
    if rectified(graph, operation) is not None:
        return _STRENGTH["silu"]
    below = _made_of(graph, operation)[: 1 if kind in _HANDED_ON else None]
    if not below or kind not in _HANDED_ON | _COMBINED:
        return 0
    least = min(_strength(graph, i) for i in below)
    return least if len(below) == 1 or least >= _BOUNDED else 0


def _is_share(graph: Graph, operation: Operation) -> bool:
    """Whether it divides a number, or one norm of a map, by something made from the picture: a scale."""
    one, other = operation.arguments["self"], operation.arguments["other"]
    if not (isinstance(other, Ref) and graph.operations[other.index].carries):
        return False
    return not isinstance(one, Ref) or graph.operations[one.index].kind in ("linalg_vector_norm", "norm")


def _is_hard_sigmoid(graph: Graph, operation: Operation) -> bool:
    """Whether it clips a map to which a number was added to a range from zero on: hard-sigmoid written out."""
    if operation.kind not in _CLIPS:
        return False
    low, high = (0, 6) if operation.kind == "relu6" else tuple(operation.arguments.values())[1:3]
    source = graph.operations[operation.inputs[0]]
    shifts = source.kind == "add" and len(_made_of(graph, source)) == len(source.inputs) == 1
    return low == 0 and isinstance(high, (int, float)) and shifts


def _sees(graph: Graph, index: int, wanted: int) -> bool:
    """Whether an operation is made, among others, of the result of another."""
    found = {index}
    for at in range(index, wanted, -1):
        if at in found:
            found.update(graph.operations[at].inputs)
    return wanted in found
