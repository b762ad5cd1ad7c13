"""How a signal goes back through each operation: the deconvnet, guided backpropagation, the plain gradient.

A rule is a way to treat rectification; everything else is the adjoint of the forward operation. Signals are
batches of rows, all for one picture, so what the forward pass leaves behind has a batch of one and broadcasts.
To teach the rules a new operation, give it a line in ``_REVERSALS`` (or in ``_LINEAR`` if it is linear).

Sources: deconvnet, Zeiler & Fergus 2014 and arXiv 1412.6631 section 4.2; guided backpropagation, Springenberg et
al. 2015; gradient, Simonyan et al. 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import UnsupportedOperationError
from layerscope.geometry import Window
from layerscope.graph import Graph, Operation, Ref
from layerscope.reading import map_size, windows


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
RULES: Mapping[str, Rule] = {rule.name: rule for rule in (DECONVNET, GUIDED, GRADIENT)}


@dataclass(frozen=True)
class Step:
    """An operation made ready to be reversed. ``sources``: the shapes of its inputs, without batch."""

    operation: Operation
    arguments: Mapping[str, Any]  #: tensors in place, results of other operations as Ref
    sources: tuple[tuple[int, ...], ...]
    carries: tuple[bool, ...]  #: which of its inputs a signal goes back to
    windows: tuple[Window, Window] | None  #: rows and columns, of convolutions and pools


def step(graph: Graph, operation: Operation) -> Step:
    """Make an operation ready to be reversed."""
    arguments = {name: _with_tensors(graph, value) for name, value in operation.arguments.items()}
    inputs = [graph.operations[index] for index in operation.inputs]
    sources, carries = tuple(i.shape for i in inputs), tuple(i.carries for i in inputs)
    windowed = operation.kind in ("conv2d", "max_pool2d")
    return Step(operation, arguments, sources, carries, windows(graph, operation) if windowed else None)


def supports(rule: Rule, operation: Operation) -> bool:
    """Whether the rule says how a signal goes back through the operation."""
    if not operation.carries or not operation.batch_first or _computes_weights(operation):
        return False
    if rule.clamp and operation.kind == "hardtanh" and operation.arguments["min_val"] != 0:
        return False  # its results may be negative: no rectification
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


def _normalises_by_batch(operation: Operation) -> bool:
    arguments = operation.arguments
    return operation.kind == "batch_norm" and (arguments["training"] or arguments["running_var"] is None)


def check(rule: Rule, graph: Graph, operations: Sequence[int]) -> None:
    """Refuse, by name and place, the first operation that the rule has nothing to say about."""
    for index in sorted(operations):
        operation = graph.operations[index]
        if _normalises_by_batch(operation):
            raise UnsupportedOperationError(
                f"{operation.place} normalises by the batch at hand; "
                "give it running statistics (track_running_stats=True)"
            )
        if not supports(rule, operation):
            others = [r.name for r in RULES.values() if supports(r, operation)]
            choice = f"use rule {' or '.join(others)}, or ask" if others else "ask"
            raise UnsupportedOperationError(
                f"{rule.name} has no rule for {operation.place}; {choice} only for layers that come before it"
            )


def remember(step: Step, values: Mapping[int, Any], rule: Rule) -> Any:
    """What the way back will need of the forward pass; ``values`` holds the inputs and the result."""
    reversal = _REVERSALS.get(step.operation.kind)
    if reversal is not None:
        return reversal.remember(step, values, rule)
    if _is_linear(step.operation):
        return _constants(step, values, rule)
    return {index: values[index] for index in step.operation.inputs}


def reverse(step: Step, signal: Tensor, memory: Any, rule: Rule) -> tuple[Tensor, ...]:
    """The signal (rows, *shape of the result) at each input that carries one, in the order of the inputs.

    May overwrite the signal it is given; what it returns shares no memory with another part of it.
    """
    reversal = _REVERSALS.get(step.operation.kind)
    if reversal is not None:
        return reversal.back(step, signal, memory, rule)
    return _adjoint(step, signal, memory)


@dataclass(frozen=True)
class Switches:
    """Where a max-pool found its maxima: for each tap of its window, 1 where the maximum was there, else 0."""

    masks: tuple[
        Tensor, ...
    ]  #: row-major over the window, each (batch, channels, height, width) of the result
    rows: Window
    columns: Window
    size: tuple[int, int]  #: height and width of the pool's input

    @property
    def taps(self) -> tuple[tuple[int, int], ...]:
        """Row and column of each tap from the window's first."""
        return tuple(
            (i * self.rows.dilation, j * self.columns.dilation)
            for i in range(self.rows.kernel)
            for j in range(self.columns.kernel)
        )


def find_switches(source: Tensor, result: Tensor, rows: Window, columns: Window) -> Switches:
    """The switches of a max-pool from its input and result; the first maximum in row-major order counts."""
    size = map_size(source.shape)
    extent = [_extent(n, w) for n, w in zip(map_size(result.shape), (rows, columns), strict=True)]
    after = [max(0, e - w.pad - n) for e, w, n in zip(extent, (rows, columns), size, strict=True)]
    if rows.pad or columns.pad or any(after):
        source = F.pad(
            source, (columns.pad, after[1], rows.pad, after[0]), value=math.nan
        )  # equal to nothing, not even -inf
    free: Tensor | None = None
    masks = []
    empty = Switches((), rows, columns, size)
    for tap in empty.taps:
        hit = _at_tap(source, tap, rows, columns, map_size(result.shape)) == result
        if free is None:
            free = ~hit
        else:
            hit &= free
            free &= ~hit
        masks.append(hit.to(source.dtype))
    return Switches(tuple(masks), rows, columns, size)


def unpool(signal: Tensor, switches: Switches, overlap: Literal["sum", "overwrite"] = "sum") -> Tensor:
    """Put each value of the signal (rows, channels, height, width) where its maximum was; zero elsewhere."""
    size, axes = map_size(signal.shape), (switches.rows, switches.columns)
    full = [max(_extent(n, w), w.pad + s) for n, w, s in zip(size, axes, switches.size, strict=True)]
    apart = all(w.kernel <= w.stride and w.dilation == 1 for w in axes)
    exact = apart and all(
        w.kernel == w.stride and n * w.stride == f for w, n, f in zip(axes, size, full, strict=True)
    )
    shape = (signal.shape[0], signal.shape[1], *full)
    layout = torch.channels_last
    out = torch.empty(shape, dtype=signal.dtype, device=signal.device, memory_format=layout)
    if not exact:
        out.zero_()
    # Backwards, so that with "overwrite" the window that starts last has the last word.
    for tap, mask in reversed(list(zip(switches.taps, switches.masks, strict=True))):
        place = _at_tap(out, tap, *axes, size)
        if apart:
            torch.mul(signal, mask, out=place)
        elif overlap == "sum":
            place.addcmul_(signal, mask)
        else:
            place.copy_(torch.where(mask.bool(), signal, place))
    top, left = switches.rows.pad, switches.columns.pad
    return out[:, :, top : top + switches.size[0], left : left + switches.size[1]]


def _extent(outputs: int, window: Window) -> int:
    """From the first to the last tap of all windows of one axis."""
    return (outputs - 1) * window.stride + (window.kernel - 1) * window.dilation + 1


def _at_tap(
    tensor: Tensor, tap: tuple[int, int], rows: Window, columns: Window, size: tuple[int, int]
) -> Tensor:
    """What every window of a pool sees at one of its taps."""
    row, column = tap
    last_row, last_column = (size[0] - 1) * rows.stride + 1, (size[1] - 1) * columns.stride + 1
    return tensor[..., row : row + last_row : rows.stride, column : column + last_column : columns.stride]


def rectify_(signal: Tensor) -> Tensor:
    """Set negative values to zero, in place."""
    if signal.dtype == torch.bfloat16:  # same bits as int16, same sign bit, four times as fast
        signal.view(torch.int16).clamp_min_(0)
        return signal
    return signal.relu_()


def _with_tensors(graph: Graph, value: Any) -> Any:
    if isinstance(value, Ref):
        return value
    if isinstance(value, list):
        return [_with_tensors(graph, item) for item in value]
    return graph.resolve(value, {})


def _forget(step: Step, values: Mapping[int, Any], rule: Rule) -> None:
    """Nothing of the forward pass is needed."""


def _constants(step: Step, values: Mapping[int, Any], rule: Rule) -> dict[int, Any]:
    """The inputs that no signal goes back to: numbers, masks, tensors made without the picture."""
    return {
        i: values[i] for i, carries in zip(step.operation.inputs, step.carries, strict=True) if not carries
    }


def _conv_back(step: Step, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    assert step.windows is not None
    size, axes = map_size(step.sources[0]), step.windows
    missing = [
        n + 2 * w.pad - _extent(s, w) for n, w, s in zip(size, axes, map_size(signal.shape), strict=True)
    ]
    back = F.conv_transpose2d(
        signal,
        step.arguments["weight"],
        stride=[w.stride for w in axes],
        padding=[w.pad for w in axes],
        output_padding=[max(0, m) for m in missing],
        groups=step.arguments["groups"],
        dilation=[w.dilation for w in axes],
    )
    return (back[..., : size[0], : size[1]],)  # "same" padding of an even kernel has one more at the end


def _linear_back(step: Step, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    return (signal @ step.arguments["weight"],)


def _norm_back(step: Step, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    arguments = step.arguments
    variance = arguments["running_var"]
    variance = variance.to(torch.promote_types(variance.dtype, torch.float32))
    scale = torch.rsqrt(variance + arguments["eps"])
    if arguments["weight"] is not None:
        scale = scale * arguments["weight"]
    return (signal * scale.to(signal.dtype).view(-1, *[1] * (signal.ndim - 2)),)


def _mask(step: Step, values: Mapping[int, Any], rule: Rule) -> Tensor | None:
    if not rule.mask:
        return None
    result = values[step.operation.index]
    bounds = {"relu": (0, math.inf), "relu6": (0, 6)}
    low, high = bounds.get(step.operation.kind) or (step.arguments["min_val"], step.arguments["max_val"])
    passed: Tensor = (result > low) & (result < high)
    return passed


def _rectifier_back(step: Step, signal: Tensor, memory: Tensor | None, rule: Rule) -> tuple[Tensor, ...]:
    if rule.clamp:
        signal = rectify_(signal)
    return (signal if memory is None else signal.mul_(memory),)


def _switches(step: Step, values: Mapping[int, Any], rule: Rule) -> Switches:
    assert step.windows is not None
    return find_switches(values[step.operation.inputs[0]], values[step.operation.index], *step.windows)


def _pool_back(step: Step, signal: Tensor, memory: Switches, rule: Rule) -> tuple[Tensor, ...]:
    return (unpool(signal, memory, rule.overlap),)


def _add_back(step: Step, signal: Tensor, memory: dict[int, Any], rule: Rule) -> tuple[Tensor, ...]:
    broadcast = any(shape != step.operation.shape for shape in step.sources)
    if broadcast or isinstance(step.operation.target, partial):  # partial: a factor alpha
        return _adjoint(step, signal, memory)
    return (signal, *(signal.clone() for _ in range(sum(step.carries) - 1)))


def _cat_back(step: Step, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    axis = step.arguments["dim"] % signal.ndim
    parts = torch.split(signal, [shape[axis - 1] for shape in step.sources], dim=axis)
    return tuple(compress(parts, step.carries))


def _reshape_back(step: Step, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    return (signal.reshape(-1, *step.sources[0]),)


def _adjoint(step: Step, signal: Tensor, memory: Mapping[int, Any]) -> tuple[Tensor, ...]:
    """Torch's own derivative, at the remembered inputs or, for a linear operation, anywhere."""
    rows = signal.shape[0]
    if rows > 1 and any(isinstance(value, int) for value in memory.values()):  # the number of pictures: one
        parts = [_adjoint(step, row, memory) for row in torch.split(signal, 1)]
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))
    carriers = list(compress(zip(step.operation.inputs, step.sources, strict=True), step.carries))
    zero = signal.new_zeros(1)
    points = [memory.get(i, zero.expand(1, *shape)).expand(rows, *shape) for i, shape in carriers]

    def forward(*inputs: Tensor) -> Tensor:
        given = {**memory, **{i: value for (i, _), value in zip(carriers, inputs, strict=True)}}
        result: Tensor = step.operation.target(*(_fill(a, given) for a in step.arguments.values()))
        return result

    pull = torch.func.vjp(forward, *points)[1]
    return tuple(part.clone() if 0 in part.stride() else part for part in pull(signal))


def _fill(argument: Any, values: Mapping[int, Any]) -> Any:
    if isinstance(argument, Ref):
        return values[argument.index]
    return [_fill(item, values) for item in argument] if isinstance(argument, list) else argument


@dataclass(frozen=True)
class _Reversal:
    back: Callable[[Step, Tensor, Any, Rule], tuple[Tensor, ...]]
    remember: Callable[[Step, Mapping[int, Any], Rule], Any] = _forget


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
