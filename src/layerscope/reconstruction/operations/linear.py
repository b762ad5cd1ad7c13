"""What is linear goes back by its adjoint: sums with weights made without the picture, and moves.

A product is linear where one factor alone brings the signal: the others are made without the picture, or held.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from layerscope.network.graph import Graph, Operation, Ref, leaves_of
from layerscope.reconstruction.operations.adjoint import adjoint, constants
from layerscope.reconstruction.reversible import Reversal, Reversible, Rule

_LINEAR = frozenset(
    (
        "batch_norm avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d mean sum cumsum "
        "add sub rsub neg "
        "narrow slice select squeeze unsqueeze expand expand_as broadcast_to repeat repeat_interleave tile transpose "
        "t permute movedim moveaxis swapaxes swapdims flatten reshape unflatten view_as reshape_as roll flip rot90 "
        "cat stack hstack vstack pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d "
        "replication_pad2d _pad_circular pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle "
        "upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d upsample_linear1d upsample_bilinear2d "
        "upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa upsample_trilinear3d unfold im2col col2im "
        "diagonal tril triu to type_as slice_scatter select_scatter"
    ).split()
)
_FACTORS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "linear"), ("input", "weight")),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), ("input", "weight")),
    **dict.fromkeys(("mul", "matmul"), ("self", "other")),
    **dict.fromkeys(("bmm", "mm"), ("self", "mat2")),
    "mv": ("self", "vec"),
    "einsum": ("tensors",),
    "addcmul": ("tensor1", "tensor2"),
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
}  #: linear in each of these
_CHOSEN = frozenset(
    {
        "index",
        "index_select",
        "gather",
        "masked_fill",
        "where",
        "take",
        "grid_sampler",
        "scatter",
        "index_add",
    }
)  #: by places or a mask: linear where those are made without the picture


def rounds(operation: Operation) -> bool:
    """Whether it is a quotient that is rounded: `capture` keeps the mode in its target."""
    return operation.kind == "div" and isinstance(operation.target, partial)


def is_linear(graph: Graph, operation: Operation, held: frozenset[int] = frozenset()) -> bool:
    """Whether an operation is linear in its inputs that are made from the picture, those ``held`` left out."""
    if operation.kind in _LINEAR:
        return True
    if operation.kind in _CHOSEN:
        return not any(_sees(graph, i) for i in operation.inputs if not graph.operations[i].carries)
    if operation.kind == "div":
        return not rounds(operation) and _carrying(graph, operation, ("other",), held) == 0
    names = _FACTORS.get(operation.kind)
    return names is not None and _carrying(graph, operation, names, held) <= 1


def _carrying(graph: Graph, operation: Operation, names: tuple[str, ...], held: frozenset[int]) -> int:
    """How many of the arguments bring a signal."""
    leaves = leaves_of([operation.arguments[name] for name in names])
    refs = [leaf.index for leaf in leaves if isinstance(leaf, Ref)]
    return sum(graph.operations[i].carries and i not in held for i in refs)


def _sees(graph: Graph, index: int) -> bool:
    """Whether values of the picture are in a result, not only its size."""
    found = {index}
    for at in range(index, 0, -1):
        if at in found and graph.operations[at].kind != "sym_size":
            found.update(graph.operations[at].inputs)
    return 0 in found


def has_plain_weight(graph: Graph, operation: Operation, rule: Rule) -> bool:
    """Whether the weight of a convolution or linear layer is a tensor of the network."""
    return not isinstance(operation.arguments["weight"], Ref)


def _conv_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    assert reversible.transposed is not None
    return (
        reversible.transposed(signal.to(reversible.transposed.weight.dtype), rectify=reversible.rectifies),
    )


def _linear_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    weight: Tensor = reversible.arguments["weight"]
    return (signal.to(weight.dtype) @ weight,)


def _add_back(
    reversible: Reversible, signal: Tensor, memory: dict[int, Any], rule: Rule
) -> tuple[Tensor, ...]:
    broadcast = any(shape != reversible.operation.shape for shape in reversible.sources)
    if broadcast or isinstance(reversible.operation.target, partial):  # partial: a factor alpha
        return adjoint(reversible, signal, memory)
    return (signal, *(signal.clone() for _ in range(sum(reversible.carries) - 1)))


def _cat_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    axis = reversible.arguments["dim"] % signal.ndim
    parts = torch.split(signal, [shape[axis - 1] for shape in reversible.sources], dim=axis)
    return tuple(compress(parts, reversible.carries))


def _has_refs_alone(graph: Graph, operation: Operation, rule: Rule) -> bool:
    return all(isinstance(leaf, Ref) for leaf in leaves_of([operation.arguments["tensors"]]))


def _reshape_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    return (signal.reshape(-1, *reversible.sources[0]),)


REVERSALS: Mapping[str, Reversal] = {
    "conv2d": Reversal(_conv_back, covers=has_plain_weight),
    "linear": Reversal(_linear_back, covers=has_plain_weight),
    "add": Reversal(_add_back, constants),
    "cat": Reversal(_cat_back, covers=_has_refs_alone),
    "flatten": Reversal(_reshape_back),
    "reshape": Reversal(_reshape_back),
}
