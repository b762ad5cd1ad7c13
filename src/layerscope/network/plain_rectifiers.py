"""A ReLU or a leaky one by any other words, as torch.export reads them: ``x * (x > 0)`` is a ReLU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from layerscope.network.constants import Constants
from layerscope.network.programs import kind_of

Plain = tuple[str, Any, dict[str, Any]]  #: kind, operation of torch, its arguments
_RETYPED = frozenset({"to", "type_as"})


def plain_rectifier(
    node: Any, known: Mapping[Any, Any], read: Mapping[Any, Any], constants: Constants
) -> Plain | None:
    """What an operation is in plain words, if it is a ReLU or a leaky ReLU; None of others.

    ``known``: what each node has become; ``read``: what the first operand of each was when it was read, which may have
    been changed in place since.
    """
    find = _FORMS.get(kind_of(node.target))
    found = None if find is None else find(_Reader(known, read, constants), *node.args)
    return found if found is not None and _alike(node, found[2]["self"]) else None


def _alike(node: Any, source: Any) -> bool:
    """Whether both are tensors of one shape and type: a rectifier broadcasts nothing."""
    one, other = node.meta["val"], source.meta["val"]
    tensors = isinstance(one, Tensor) and isinstance(other, Tensor)
    return tensors and (list(map(str, one.shape)), one.dtype) == (list(map(str, other.shape)), other.dtype)


class _Reader:
    """What of two operands is the map, and whether the other is zero, its mask, or a share of it."""

    def __init__(self, known: Mapping[Any, Any], read: Mapping[Any, Any], constants: Constants) -> None:
        self.known, self.read, self.constants = known, read, constants

    def of_maximum(self, one: Any, other: Any = None, *_: Any) -> Plain | None:
        """The larger of x and 0, or of x and a share of x."""
        for source, least in ((one, other), (other, one)):
            if self.is_zero(least) and not self.is_zero(source):
                return _relu(source)
            if (share := self.share(least, source)) is not None:
                return _leaky(source, share)
        return None

    def of_bound(self, source: Any, least: Any = None, most: Any = None, *_: Any) -> Plain | None:
        """x from a tensor of one 0 on; from the number 0 on it is read as it is."""
        tensor = isinstance(least, torch.fx.Node) and most is None
        return _relu(source) if tensor and self.is_zero(least) else None

    def of_product(self, one: Any, other: Any, *_: Any) -> Plain | None:
        """x times whether it is positive."""
        for source, mask in ((one, other), (other, one)):
            if self.is_mask(mask, source, ("gt", "ge")):
                return _relu(source)
        return None

    def of_choice(self, mask: Any, source: Any, least: Any, *_: Any) -> Plain | None:
        """x where it is positive, else 0 or a share of it."""
        if not self.is_mask(mask, source, ("gt", "ge")):
            return None
        if self.is_zero(least):
            return _relu(source)
        share = self.share(least, source)
        return None if share is None else _leaky(source, share)

    def of_filling(self, source: Any, mask: Any, value: Any, *_: Any) -> Plain | None:
        """x with 0 where it is negative."""
        negative = self.is_mask(mask, source, ("lt", "le"))
        return _relu(source) if negative and self.is_zero(value) else None

    def is_zero(self, value: Any) -> bool:
        """Whether it is zero all over."""
        if not isinstance(value, torch.fx.Node):
            return isinstance(value, (int, float)) and value == 0
        found = self.constants.values.get(value)
        return kind_of(value.target) == "zeros_like" or (
            isinstance(found, Tensor) and found.numel() == 1 and not found.any()
        )

    def is_mask(self, value: Any, source: Any, kinds: tuple[str, ...]) -> bool:
        """Whether it says where ``source`` is above, or below, zero."""
        while _kind(value) in _RETYPED:
            value = value.args[0]
        return _kind(value) in kinds and self.is_of(value, source) and self.is_zero(value.args[1])

    def share(self, value: Any, source: Any) -> float | None:
        """How much of ``source`` it is, if that is a number between 0 and 1."""
        if _kind(value) != "mul" or not self.is_of(value, source):
            return None
        factor = value.args[1]
        return factor if isinstance(factor, float) and 0 < factor < 1 else None

    def is_of(self, value: Any, source: Any) -> bool:
        """Whether it was made of what ``source`` is now."""
        read = self.read.get(value)
        return read is not None and read == self.known.get(source)


def _kind(value: Any) -> str:
    return kind_of(value.target) if isinstance(value, torch.fx.Node) else ""


def _relu(source: Any) -> Plain:
    return "relu", torch.ops.aten.relu.default, {"self": source}


def _leaky(source: Any, share: float) -> Plain:
    return "leaky_relu", torch.ops.aten.leaky_relu.default, {"self": source, "negative_slope": share}


_FORMS: Mapping[str, Any] = {
    **dict.fromkeys(("max", "maximum"), _Reader.of_maximum),
    **dict.fromkeys(("clamp", "clamp_min"), _Reader.of_bound),
    "mul": _Reader.of_product,
    "where": _Reader.of_choice,
    "masked_fill": _Reader.of_filling,
}
