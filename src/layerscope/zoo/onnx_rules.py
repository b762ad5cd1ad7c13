"""What each operation of ONNX is in torch.

A rule takes the attributes (and ``opset``, the version of the operations) and the inputs: tensors of the pictures, and
numbers known while the network is read, such as shapes, as arrays of NumPy whose elements may stand for a size. What
is left out is None. Padding, rounding and defaults are those of https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import NetworkError
from layerscope.zoo.onnx_resizing import resized
from layerscope.zoo.onnx_shapes import (
    Attributes,
    Value,
    as_tensor,
    cast,
    constant_of_shape,
    depth_to_space,
    expanded,
    flattened,
    gathered,
    ints,
    joined,
    known,
    reshaped,
    scattered,
    sliced,
    space_to_depth,
    split,
    squeezed,
    transposed,
    unsqueezed,
)

_CONVOLUTIONS = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
_SELU = (1.6732632, 1.0507010)  # alpha and gamma, unless they are given


def _pads(a: Attributes, x: Tensor, kernel: Sequence[int]) -> list[int]:
    """How much is added before each axis, then after each, as ``pads`` or ``auto_pad`` say."""
    axes, how = len(kernel), a.get("auto_pad", "NOTSET")
    if how in ("NOTSET", "VALID"):
        return list(a.get("pads", (0,) * 2 * axes)) if how == "NOTSET" else [0] * 2 * axes
    strides, dilations = a.get("strides", (1,) * axes), a.get("dilations", (1,) * axes)
    totals = [
        max(0, (-(-size // stride) - 1) * stride + dilation * (side - 1) + 1 - size)
        for size, side, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return [*less, *more] if how == "SAME_UPPER" else [*more, *less]


def _padded(x: Tensor, pads: Sequence[int], value: float = 0.0) -> tuple[Tensor, list[int]]:
    """The input, and what its operation is to pad itself: all if both sides are alike."""
    before, after = list(pads[: len(pads) // 2]), list(pads[len(pads) // 2 :])
    if before == after:
        return x, before
    order = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return F.pad(x, order, value=value), [0] * len(before)


def _conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axes = weight.ndim - 2
    x, pads = _padded(x, _pads(a, x, weight.shape[2:]))
    strides, dilations = a.get("strides", (1,) * axes), a.get("dilations", (1,) * axes)
    found: Tensor = _CONVOLUTIONS[weight.ndim](x, weight, bias, strides, pads, dilations, a.get("group", 1))
    return found


def _conv_transpose(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    pads = a.get("pads", (0, 0, 0, 0))
    plain = weight.ndim == 4 and "output_shape" not in a and a.get("auto_pad", "NOTSET") == "NOTSET"
    if not plain or pads[:2] != pads[2:]:
        raise NetworkError("only with two axes, the same pads on both sides and no output_shape")
    more = a.get("output_padding", (0, 0))
    strides, dilations = a.get("strides", (1, 1)), a.get("dilations", (1, 1))
    return F.conv_transpose2d(x, weight, bias, strides, pads[:2], more, a.get("group", 1), dilations)


def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    kernel = a["kernel_shape"]
    x, pads = _padded(x, _pads(a, x, kernel), -torch.inf)
    strides, dilations = a.get("strides", (1, 1)), a.get("dilations", (1, 1))
    return F.max_pool2d(x, kernel, strides, pads, dilations, bool(a.get("ceil_mode", 0)))


def _average_pool(a: Attributes, x: Tensor) -> Tensor:
    kernel, counted = a["kernel_shape"], bool(a.get("count_include_pad", 0))
    asked = _pads(a, x, kernel)
    if asked[: len(kernel)] != asked[len(kernel) :] and not counted:
        raise NetworkError("only with the same pads on both sides, or count_include_pad")
    if max(a.get("dilations", (1,))) > 1:
        raise NetworkError("only without dilations")
    x, pads = _padded(x, asked)
    return F.avg_pool2d(x, kernel, a.get("strides", (1, 1)), pads, bool(a.get("ceil_mode", 0)), counted)


def _batch_norm(
    a: Attributes, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, a.get("epsilon", 1e-5))


def _layer_norm(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    shape = x.shape[a.get("axis", -1) % x.ndim :]
    w, b = (v if v is None or v.shape == shape else v.expand(shape) for v in (weight, bias))
    return F.layer_norm(x, shape, w, b, a.get("epsilon", 1e-5))


def _group_norm(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Until version 21 the weights are those of groups, not channels."""
    if a["opset"] < 21:
        each = x.shape[1] // a["num_groups"]
        weight, bias = weight.repeat_interleave(each), bias.repeat_interleave(each)
    return F.group_norm(x, a["num_groups"], weight, bias, a.get("epsilon", 1e-5))


def _gemm(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    x, weight = x.T if a.get("transA", 0) else x, weight if a.get("transB", 0) else weight.T
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
    if alpha == beta == 1 and (bias is None or bias.ndim == 1):
        return F.linear(x, weight, bias)
    product: Tensor = alpha * F.linear(x, weight)
    return product if bias is None else product + beta * bias


def _dropout(_: Attributes, x: Tensor, ratio: Value = None, training: Value = None) -> Tensor:
    if training is not None and (isinstance(training, Tensor) or np.any(training)):
        raise NetworkError("only without training_mode")
    return x


def _clip(a: Attributes, x: Tensor, low: Value = None, high: Value = None) -> Tensor:
    ends = [a.get(name) if end is None else end for name, end in (("min", low), ("max", high))]
    least, most = (None if end is None else float(end) for end in ends)
    if (least, most) == (0, None):
        return F.relu(x)
    return F.relu6(x) if (least, most) == (0, 6) else x.clamp(least, most)


def _hard_sigmoid(a: Attributes, x: Tensor) -> Tensor:
    alpha, beta = a.get("alpha", 0.2), a.get("beta", 0.5)
    return F.hardsigmoid(x) if abs(alpha - 1 / 6) < 1e-5 and beta == 0.5 else (x * alpha + beta).clamp(0, 1)


def _prelu(_: Attributes, x: Tensor, slope: Tensor) -> Tensor:
    """A slope for each channel, or a shape that is matched from the last axis."""
    shape = (1,) * (x.ndim - slope.ndim) + tuple(slope.shape)
    of_channels = slope.numel() in (1, shape[1]) or (slope.ndim == 1 and slope.shape[0] != x.shape[-1])
    return F.prelu(x, slope.reshape(-1)) if of_channels else torch.where(x > 0, x, x * slope)


def _selu(a: Attributes, x: Tensor) -> Tensor:
    alpha, gamma = a.get("alpha", _SELU[0]), a.get("gamma", _SELU[1])
    return F.selu(x) if np.allclose((alpha, gamma), _SELU) else F.elu(x, alpha) * gamma


def _softmax(a: Attributes, x: Tensor, function: Callable[..., Tensor] = torch.softmax) -> Tensor:
    if a["opset"] >= 13:
        return function(x, a.get("axis", -1))
    axis = a.get("axis", 1) % x.ndim
    return function(x, axis) if axis == x.ndim - 1 else function(x.flatten(axis), -1).reshape(x.shape)


def _reduced(
    function: Callable[..., Tensor], of_none: Callable[[Tensor], Tensor] = lambda x: x
) -> Callable[..., Value]:
    """Over the axes given, else over all, or over none as the operation asks: ``of_none``."""

    def rule(a: Attributes, x: Tensor, given: Value = None) -> Tensor:
        axes = ints(given) if given is not None else list(a.get("axes", ()))
        if not axes and a.get("noop_with_empty_axes", 0):
            return of_none(x)
        return function(x, axes or list(range(x.ndim)), bool(a.get("keepdims", 1)))

    return rule


def _pad(a: Attributes, x: Tensor, pads: Value = None, value: Value = None, axes: Value = None) -> Tensor:
    given = a["pads"] if pads is None else ints(pads)
    where = range(x.ndim) if axes is None else [axis % x.ndim for axis in ints(axes)]
    both = {axis: (given[i], given[i + len(given) // 2]) for i, axis in enumerate(where)}
    order = [n for axis in reversed(range(x.ndim)) for n in both.get(axis, (0, 0))]
    while len(order) > 2 and order[-2:] == [0, 0]:
        order = order[:-2]
    asked = a.get("mode", "constant")
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(asked)
    if mode is None:
        raise NetworkError(f"not in the mode {asked}")
    if mode != "constant":
        return F.pad(x, order, mode)
    return F.pad(x, order, value=float(a.get("value", 0.0) if value is None else value))


def _both(
    with_tensors: Callable[..., Value], with_numbers: Callable[..., Value] | None = None
) -> Callable[..., Value]:
    """Element by element; of numbers known beforehand, perhaps by another function."""

    def rule(_: Attributes, *values: Value) -> Value:
        if known(*values):
            return np.asarray((with_numbers or with_tensors)(*values))
        return with_tensors(*(_alike(value, values) for value in values))

    return rule


def _alike(value: Value, others: Sequence[Value]) -> Value:
    """Numbers beside tensors, as a tensor of their type; one alone as it is."""
    if isinstance(value, Tensor):
        return value
    if np.size(value) == 1:
        return np.asarray(value).item()
    return as_tensor(value).to(next(other.dtype for other in others if isinstance(other, Tensor)))


def _where(_: Attributes, condition: Value, x: Value, y: Value) -> Value:
    if known(condition, x, y):
        return np.where(condition, x, y)
    x, y = (as_tensor(x), as_tensor(y)) if known(x, y) else (_alike(value, (x, y)) for value in (x, y))
    return torch.where(as_tensor(condition), x, y)


def _each(function: Callable[..., Tensor]) -> Callable[..., Value]:
    """Of one tensor, without attributes."""
    return lambda _, x: function(x)


def _of_floats(function: Callable[..., Value]) -> Callable[..., Value]:
    """Of numbers known beforehand."""
    return lambda *x: function(*(np.asarray(n, np.float64) for n in x))


def _largest(x: Value, y: Value) -> Tensor:
    x, y = (x, y) if isinstance(x, Tensor) else (y, x)
    return torch.maximum(x, y) if isinstance(y, Tensor) else x.clamp(min=y)


def _smallest(x: Value, y: Value) -> Tensor:
    x, y = (x, y) if isinstance(x, Tensor) else (y, x)
    return torch.minimum(x, y) if isinstance(y, Tensor) else x.clamp(max=y)


def _mod(a: Attributes, *values: Value) -> Value:
    """With the sign of the second, or with ``fmod`` of the first."""
    functions = (torch.fmod, _of_floats(np.fmod)) if a.get("fmod", 0) else (torch.remainder, np.mod)
    return _both(*functions)(a, *values)


def _divided(x: Value, y: Value) -> Value:
    whole = all(isinstance(n, (int, np.integer, torch.SymInt)) for n in (*np.ravel(x), *np.ravel(y)))
    return x // y if whole else x / y


RULES: Mapping[str, Callable[..., Value]] = {
    "Abs": _each(torch.abs),
    "Add": _both(operator.add),
    "And": _both(operator.and_),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": cast,
    "Ceil": _both(torch.ceil, _of_floats(np.ceil)),
    "Celu": lambda a, x: F.celu(x, a.get("alpha", 1.0)),
    "Clip": _clip,
    "Concat": joined,
    "ConstantOfShape": constant_of_shape,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Cos": _each(torch.cos),
    "DepthToSpace": depth_to_space,
    "Div": _both(operator.truediv, _divided),
    "Dropout": _dropout,
    "Einsum": lambda a, *x: torch.einsum(a["equation"], *x),
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "Equal": _both(operator.eq),
    "Erf": _each(torch.erf),
    "Exp": _each(torch.exp),
    "Expand": expanded,
    "Flatten": flattened,
    "Floor": _both(torch.floor, _of_floats(np.floor)),
    "Gather": gathered,
    "Gelu": lambda a, x: F.gelu(x, approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: F.adaptive_avg_pool2d(x, 1),
    "GlobalMaxPool": lambda _, x: F.adaptive_max_pool2d(x, 1),
    "GroupNormalization": _group_norm,
    "Greater": _both(operator.gt),
    "GreaterOrEqual": _both(operator.ge),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda _, x: F.hardswish(x),
    "Identity": lambda _, x: x,
    "InstanceNormalization": lambda a, x, w, b: F.instance_norm(
        x, None, None, w, b, eps=a.get("epsilon", 1e-5)
    ),
    "LRN": lambda a, x: F.local_response_norm(
        x, a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0)
    ),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Less": _both(operator.lt),
    "LessOrEqual": _both(operator.le),
    "Log": _each(torch.log),
    "LogSoftmax": lambda a, x: _softmax(a, x, torch.log_softmax),
    "MatMul": lambda _, x, y: torch.matmul(x, y),
    "Max": _both(lambda *x: reduce(_largest, x), lambda *x: reduce(np.maximum, x)),
    "MaxPool": _max_pool,
    "Min": _both(lambda *x: reduce(_smallest, x), lambda *x: reduce(np.minimum, x)),
    "Mish": _each(F.mish),
    "Mod": _mod,
    "Mul": _both(operator.mul),
    "Neg": _both(operator.neg),
    "Not": _both(operator.invert, np.logical_not),
    "Or": _both(operator.or_),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _both(operator.pow),
    "Range": lambda _, start, end, step: np.arange(int(start), int(end), int(step)),
    "Reciprocal": _each(torch.reciprocal),
    "ReduceL2": _reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep), torch.abs),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _each(F.relu),
    "Reshape": reshaped,
    "Resize": resized,
    "ScatterND": scattered,
    "Selu": _selu,
    "Shape": lambda a, x: np.array([*x.shape], object)[a.get("start", 0) : a.get("end")],
    "Sigmoid": _each(torch.sigmoid),
    "Sin": _each(torch.sin),
    "Slice": sliced,
    "Softmax": _softmax,
    "Softplus": _each(F.softplus),
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Sqrt": _both(torch.sqrt, _of_floats(np.sqrt)),
    "Squeeze": squeezed,
    "Sub": _both(operator.sub),
    "Sum": _both(lambda *x: reduce(operator.add, x)),
    "Tanh": _each(torch.tanh),
    "Transpose": transposed,
    "Unsqueeze": unsqueezed,
    "Upsample": resized,
    "Where": _where,
}
