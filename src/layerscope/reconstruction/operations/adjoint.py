"""Torch's own derivative, for what is linear (under every rule) and for what has no rule of its own (the gradient)."""

from __future__ import annotations

from collections.abc import Mapping, Set
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from layerscope.network.graph import fill, in_precision, leaves_of
from layerscope.reconstruction.reversible import Reversal, Reversible, Rule

_ELEMENTWISE = frozenset("add sub rsub mul div pow maximum minimum addcmul where masked_fill".split())
_REPEATING = _ELEMENTWISE | {"matmul"}  #: what is given for one picture they repeat for all


def constants(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> dict[int, Any]:
    """The inputs that no signal goes back to: numbers, masks, gates, tensors made without the picture."""
    return {
        i: values[i]
        for i, carries in zip(reversible.operation.inputs, reversible.carries, strict=True)
        if not carries
    }


def all_inputs(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> dict[int, Any]:
    """Every input, for a derivative that depends on them."""
    return {index: values[index] for index in reversible.operation.inputs}


def adjoint(reversible: Reversible, signal: Tensor, memory: Mapping[int, Any]) -> tuple[Tensor, ...]:
    """Torch's own derivative, at the remembered inputs or, for a linear operation, anywhere."""
    if torch.is_inference_mode_enabled():  # where torch 2.9 gives zeros
        with torch.inference_mode(False):
            known = {i: value.clone() if isinstance(value, Tensor) else value for i, value in memory.items()}
            return adjoint(reversible, signal.clone(), known)
    rows = signal.shape[0]
    carriers = list(
        compress(zip(reversible.operation.inputs, reversible.sources, strict=True), reversible.carries)
    )
    alone = _is_of_one_picture(reversible, memory.keys() - dict(carriers).keys())
    zero = signal.new_zeros(1, dtype=_precision(reversible, memory, signal))
    length = 1 if alone else rows
    points = [memory.get(i, zero.expand(1, *shape)).expand(length, *shape) for i, shape in carriers]

    def forward(*inputs: Tensor) -> Tensor:
        given = {**memory, **{i: value for (i, _), value in zip(carriers, inputs, strict=True)}}
        return _result(reversible, given)

    result, pull = torch.func.vjp(forward, *points)[:2]
    # Torch 2.14 differentiates instance norm wrongly for one channels-last row.
    plain = signal.to(result.dtype).contiguous()
    if not alone or rows == 1:
        return tuple(part.clone() if 0 in part.stride() else part for part in pull(plain))
    parts = [pull(row) for row in torch.split(plain, 1)]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _is_of_one_picture(reversible: Reversible, held: Set[int]) -> bool:
    """Whether the operation takes no more rows than the forward pass had pictures, one.

    It may read their number or, among the inputs that are ``held``, what it does not repeat for more.
    """
    return bool(reversible.stretch) or (bool(held) and reversible.operation.kind not in _REPEATING)


def _result(reversible: Reversible, given: dict[int, Any]) -> Tensor:
    if reversible.stretch:
        result: Tensor | None = None
        for step in reversible.stretch:
            result = step(given)
        assert result is not None
        return result
    arguments = {name: fill(a, given.__getitem__) for name, a in reversible.arguments.items()}
    made: Tensor = reversible.operation.target(*in_precision(arguments))
    return made


def _precision(reversible: Reversible, memory: Mapping[int, Any], signal: Tensor) -> torch.dtype:
    """What an input had: the signal's, or where torch takes only one, as products do, that of the other factors."""
    if reversible.operation.kind in _ELEMENTWISE:
        return signal.dtype
    given = (*leaves_of(reversible.arguments.values()), *memory.values())
    floats = (v.dtype for v in given if isinstance(v, Tensor) and v.is_floating_point())
    return next(floats, signal.dtype)


def _back(
    reversible: Reversible, signal: Tensor, memory: Mapping[int, Any], rule: Rule
) -> tuple[Tensor, ...]:
    return adjoint(reversible, signal, memory)


ADJOINT = Reversal(_back, constants)  #: of what is linear in the inputs that carry a signal
DERIVATIVE = Reversal(_back, all_inputs)  #: of anything, where it is
