"""ONNX's operations that change shapes and not values, of tensors and of numbers known while the network is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import NetworkError

Attributes = Mapping[str, Any]
Value = Any  #: a tensor, an array of numbers, or None

_TYPES = {
    1: torch.float32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}


def ints(value: Value) -> list[Any]:
    """The numbers of an array as a list."""
    return [int(v) if isinstance(v, (np.integer, np.floating)) else v for v in np.atleast_1d(value)]


def as_tensor(value: Value) -> Tensor:
    """Numbers known beforehand as a tensor."""
    if isinstance(value, Tensor):
        return value
    plain = np.array(value)
    return torch.as_tensor(plain.astype(np.int64) if plain.dtype == object else plain)


def known(*values: Value) -> bool:
    """Whether all are numbers known while the network is read."""
    return not any(isinstance(value, Tensor) for value in values)


def reshaped(a: Attributes, x: Value, shape: Value) -> Value:
    """A size of 0 stays as it is. Where the file is for one picture alone, ``1`` first means as many as there are."""
    sizes = [x.shape[i] if n == 0 and not a.get("allowzero", 0) else n for i, n in enumerate(ints(shape))]
    if a["single"] and sizes[:1] == [1] and not known(x) and _fits(x.shape[1:], sizes[1:]):
        sizes[0] = x.shape[0]
    return x.reshape(sizes)


def _fits(shape: Sequence[Any], sizes: Sequence[Any]) -> bool:
    """Whether the values of a shape can have other sizes, of which one may be -1."""
    known, count = prod(size for size in sizes if size != -1), prod(shape)
    return bool(count % known == 0 if -1 in sizes else count == known)


def flattened(a: Attributes, x: Tensor) -> Tensor:
    """In two axes, split before ``axis``."""
    axis = a.get("axis", 1) % (x.ndim + 1)
    if axis == 0:
        return x.reshape(1, -1)
    return x.flatten(1) if axis == 1 else x.flatten(0, axis - 1).flatten(1)


def squeezed(a: Attributes, x: Value, given: Value = None) -> Value:
    """Without axes of length 1: those given, else all but the first."""
    axes = a.get("axes") if given is None else ints(given)
    gone = tuple(axes if axes is not None else (i for i, n in enumerate(x.shape) if i and n == 1))
    return np.squeeze(x, gone) if known(x) else x.squeeze(gone)


def unsqueezed(a: Attributes, x: Value, given: Value = None) -> Value:
    """With new axes of length 1."""
    axes = list(a["axes"] if given is None else ints(given))
    if known(x):
        return np.expand_dims(x, tuple(axes))
    whole = x.ndim + len(axes)
    return reduce(lambda y, axis: y.unsqueeze(axis), sorted(axis % whole for axis in axes), x)


def transposed(a: Attributes, x: Value) -> Value:
    """With its axes in another order, reversed unless given."""
    order = tuple(a.get("perm", range(x.ndim)[::-1]))
    return x.transpose(order) if known(x) else x.permute(order)


def joined(a: Attributes, *parts: Value) -> Value:
    """The parts one after the other."""
    return (
        np.concatenate(parts, a["axis"]) if known(*parts) else torch.cat([*map(as_tensor, parts)], a["axis"])
    )


def split(a: Attributes, x: Tensor, given: Value = None) -> tuple[Tensor, ...]:
    """Parts of the sizes given, else of the same size, the last one perhaps smaller."""
    axis = a.get("axis", 0)
    sizes = ints(given) if given is not None else list(a.get("split", ()))
    if not sizes:
        count = a.get("num_outputs", a["outputs"])
        each = -(-x.shape[axis] // count)
        sizes = [min(each, x.shape[axis] - each * i) for i in range(count)]
    starts = [0, *accumulate(sizes)]
    return tuple(x.narrow(axis, start, size) for start, size in zip(starts, sizes, strict=False))


def sliced(
    a: Attributes, x: Value, starts: Value = None, ends: Value = None, axes: Value = None, steps: Value = None
) -> Value:
    """From starts to ends, in steps."""
    first, last = (ints(a[n] if v is None else v) for n, v in (("starts", starts), ("ends", ends)))
    where = a.get("axes", range(len(first))) if axes is None else ints(axes)
    paces = [1] * len(first) if steps is None else ints(steps)
    if min(paces) < 0 and not known(x):
        raise NetworkError("only with steps above 0")
    cut = [slice(None)] * x.ndim
    for axis, start, end, pace in zip(where, first, last, paces, strict=True):
        cut[axis] = slice(start, min(end, 2**62) if isinstance(end, int) else end, pace)
    return x[tuple(cut)]


def gathered(a: Attributes, x: Value, places: Value) -> Value:
    """Places along an axis, counted from the end where below 0."""
    axis = a.get("axis", 0)
    if known(x, places):
        return np.take(x, np.asarray(places, np.int64), axis)
    if known(places) and np.ndim(places) == 0:
        return x.select(axis, int(places))
    index = (as_tensor(places) % x.shape[axis]).long()  # counted from the end, where below 0
    if axis == 0 and not isinstance(places, Tensor):
        return as_tensor(x)[index]
    return as_tensor(x).index_select(axis, index.reshape(-1)).unflatten(axis, index.shape)  # type: ignore[no-untyped-call]


def scattered(a: Attributes, x: Value, places: Value, updates: Value) -> Value:
    """Parts of it set anew: the last axis of ``places`` says where each is, counted from the end where below 0."""
    if a.get("reduction", b"none") not in (b"none", "none"):
        raise NetworkError("only without reduction")
    if known(x, places, updates):
        made = np.array(x)
        made[tuple(np.moveaxis(np.asarray(places, np.int64), -1, 0))] = updates
        return made
    whole = as_tensor(x)
    return whole.index_put(as_tensor(places).long().unbind(-1), as_tensor(updates).to(whole.dtype))


def cast(a: Attributes, x: Value) -> Value:
    """In another type; numbers known beforehand as they are."""
    if known(x):
        return x
    if a["to"] not in _TYPES:
        raise NetworkError(f"not to type {a['to']}")
    return x if x.dtype == _TYPES[a["to"]] else x.to(_TYPES[a["to"]])


def constant_of_shape(a: Attributes, shape: Value) -> Value:
    """One value everywhere."""
    value = a.get("value", np.zeros(1, np.float32))
    if value.dtype.kind in "iub":
        return np.full(ints(shape), value.item(), object)
    return torch.full(ints(shape), value.item())


def expanded(_: Attributes, x: Value, shape: Value) -> Value:
    """Repeated where it has length 1."""
    if known(x):
        return np.broadcast_to(x, np.broadcast_shapes(np.shape(x), tuple(ints(shape))))
    return x.expand(torch.broadcast_shapes(x.shape, tuple(ints(shape))))  # type: ignore[no-untyped-call]


def depth_to_space(a: Attributes, x: Tensor) -> Tensor:
    """Channels become positions, in ONNX's two orders."""
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, a["blocksize"])
    n, depth, height, width = x.shape
    side = a["blocksize"]
    parts = x.reshape(n, side, side, depth // side**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, depth // side**2, height * side, width * side)


def space_to_depth(a: Attributes, x: Tensor) -> Tensor:
    """Positions become channels, in ONNX's order."""
    side = a["blocksize"]
    n, depth, height, width = x.shape
    parts = x.reshape(n, depth, height // side, side, width // side, side).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, side**2 * depth, height // side, width // side)
