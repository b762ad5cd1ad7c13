"""How each kind of operation reads its input, in geometry's terms: from a graph to receptive fields.

Two of them: in all, and through the features, where gates and the statistics of a picture by which it is normalised are
constants. To teach geometry a new operation, add it to ``axes.POINTWISE`` or give it a line in ``_READERS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

import torch
from torch import Tensor

from layerscope.errors import NetworkError
from layerscope.network.axes import ELEMENTWISE, POINTWISE, REDUCED, UPSAMPLING, chosen_axis, in_blocks
from layerscope.network.gates import held
from layerscope.network.geometry import Geometry
from layerscope.network.graph import Graph, Operation, Ref
from layerscope.network.layout import CHANNELS, COLUMNS, PICTURES, ROWS, TOKENS, Axis, Layout, Part, runs
from layerscope.network.positions import size_of
from layerscope.network.products import PRODUCTS, summed_over
from layerscope.network.readers import (
    BORDERS,
    Edge,
    Node,
    Reader,
    Uneven,
    Window,
    adaptive,
    bordered,
    copied,
    enlarged,
    mixed_along,
    repeated,
    transposed,
    whole,
)

Readers = tuple[Reader, Reader] | None  #: rows and columns; None: not known


def geometry(graph: Graph) -> Geometry:
    """The receptive fields of a graph, in all; an operation that geometry does not know is marked, never guessed."""
    seeing = _seeing(graph)
    return Geometry(tuple(_node(graph, operation, seeing) for operation in graph.operations))


def feature_geometry(graph: Graph, in_all: Geometry) -> Geometry:
    """The receptive fields through the features; what those are in all, if the network has neither gates nor norms."""
    nodes = list(in_all.nodes)
    for operation in graph.operations[1:]:
        constant = held(graph, operation)
        if constant or operation.kind in _NORMS:
            sources = frozenset(operation.inputs) - constant
            readers = (Window(), Window()) if operation.kind in _NORMS else None
            nodes[operation.index] = _without_gates(nodes[operation.index], sources, readers)
    return in_all if nodes == list(in_all.nodes) else Geometry(tuple(nodes))


def _without_gates(node: Node, sources: frozenset[int], readers: Readers) -> Node:
    """The node with edges to these sources alone, read in this way if one is given."""
    edges = (edge for edge in node.edges if edge.source in sources)
    return replace(
        node, edges=tuple(edge if readers is None else Edge(edge.source, *readers) for edge in edges)
    )


def _seeing(graph: Graph) -> frozenset[int]:
    """Operations whose result depends on the pixels: neither numbers such as the batch size nor constants."""
    seeing = {0}
    for operation in graph.operations:
        if (operation.carries or operation.batch_first) and not seeing.isdisjoint(operation.inputs):
            seeing.add(operation.index)
    return frozenset(seeing)


def pair(value: Any) -> tuple[int, int]:
    """Two numbers, of one number or a list of one or two."""
    numbers = [value] if isinstance(value, int) else list(value)
    return int(numbers[0]), int(numbers[-1])


def windows(graph: Graph, operation: Operation) -> tuple[Window, Window]:
    """Windows (rows, columns) of a convolution or of a max or average pool."""
    arguments = operation.arguments
    if operation.kind in ("conv1d", "conv2d"):
        weight = arguments["weight"]
        if isinstance(weight, Ref) and not isinstance(
            arguments.get("groups"), Ref
        ):  # of all pictures at once
            raise NetworkError(
                f"{operation.place} computes its weights anew each time; make them plain parameters before "
                "(torch.nn.utils.parametrize.remove_parametrizations, or fold them by hand)"
            )
        made = graph.operations[weight.index] if isinstance(weight, Ref) else graph.tensors[weight.name]
        taps = 2 if operation.kind == "conv2d" else 1
        kernel = pair(made.shape[-taps:])
    else:
        kernel = pair(arguments["kernel_size"])
    stride = pair(arguments["stride"] or kernel)
    dilation = pair(arguments.get("dilation", 1))
    pad = _padding(arguments["padding"], kernel, dilation)
    rows, columns = (Window(*numbers) for numbers in zip(kernel, stride, pad, dilation, strict=True))
    return rows, columns


def _padding(padding: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    if padding == "same":
        return (kernel[0] - 1) * dilation[0] // 2, (kernel[1] - 1) * dilation[1] // 2
    return pair(padding)


def _node(graph: Graph, operation: Operation, seeing: frozenset[int]) -> Node:
    size = size_of(operation)
    if operation.index not in seeing:
        return Node(size, unknown=f"{operation.place} does not see the picture")
    edges = []
    for source in dict.fromkeys(operation.inputs[: 1 if operation.kind.endswith("_as") else None]):
        if source not in seeing or _stands_apart(operation, graph.operations[source]):
            continue
        readers = _readers(graph, operation, graph.operations[source])
        if readers is None:
            return Node(size, unknown=f"no receptive field is known for {operation.place}")
        edges.append(Edge(source, *readers))
    return Node(size, tuple(edges))


def _stands_apart(operation: Operation, source: Operation) -> bool:
    """Whether it is a class token, which is set beside those that have a place."""
    if operation.kind != "cat" or operation.layout is None or operation.layout.tokens is None:
        return False
    return source.layout is not None and not source.layout.has_positions


def _readers(graph: Graph, operation: Operation, source: Operation) -> Readers:
    own, read = operation.layout, source.layout
    if own is None or read is None or operation.normalises_by_batch or not (own.is_sound and read.is_sound):
        return None
    if not read.has_positions:
        return _pointwise(operation, source, read)
    if operation.kind in _WINDOWED:
        return _WINDOWED[operation.kind](graph, operation, source)
    reader = _READERS.get(operation.kind)
    return None if reader is None else reader(operation, source, read)


def _pointwise(operation: Operation, source: Operation, read: Layout) -> Readers:
    if operation.kind in ("softmax", "log_softmax") and read.has_positions:
        return _mixed(operation, source, read.axes[int(operation.arguments["dim"])])
    return _same_or_fewer(operation, read, ROWS), _same_or_fewer(operation, read, COLUMNS)


def _same_or_fewer(operation: Operation, read: Layout, along: str) -> Reader:
    """Each position itself; of fewer, those again and again, one in each block of the result; else all of them."""
    length, outputs = (size[along == COLUMNS] for size in (read.size, size_of(operation)))
    if length == outputs:
        return Window()
    own = () if operation.layout is None else operation.layout.parts
    if 1 < length < outputs and all(part in own for part in read.parts if part.along == along):
        return repeated(length, outputs)
    return whole(length)


def _mixed(operation: Operation, source: Operation, parts: Iterable[Part]) -> Readers:
    """Each position by all that differ from it in these parts of the map alone."""
    own = runs(part for part in parts if not part.read)
    if any(part.along == PICTURES for part in own):
        return None
    lengths = zip((ROWS, COLUMNS), size_of(source), size_of(operation), strict=True)
    rows, columns = (
        mixed_along([part for part in own if part.along in (along, TOKENS)], length, outputs)
        for along, length, outputs in lengths
    )
    return None if rows is None or columns is None else (rows, columns)


def _whole(operation: Operation, source: Operation) -> Readers:
    rows, columns = size_of(source)
    return (whole(rows), whole(columns)) if size_of(operation) == (1, 1) else None


def _attended(operation: Operation, source: Operation, read: Layout) -> Readers:
    """Its own position, but for what is summed over, or read by attention."""
    parts = summed_over(operation, source)
    return None if parts is None else _mixed(operation, source, parts)


def _normalised(operation: Operation, source: Operation, read: Layout) -> Readers:
    """Each position by itself where only channels are normalised over; else all that they are normalised over."""
    over = read.axes[-len(operation.arguments["normalized_shape"]) :]
    return _mixed(operation, source, (part for axis in over for part in axis))


def _by_the_picture(operation: Operation, source: Operation, read: Layout) -> Readers:
    """By the statistics of whole maps."""
    rows, columns = read.size
    return whole(rows), whole(columns)


def _mean(operation: Operation, source: Operation, read: Layout) -> Readers:
    asked = operation.arguments.get("dim")
    over = [asked] if isinstance(asked, int) else asked or ()
    return _mixed(operation, source, (part for axis in over for part in read.axes[axis]))


def _in_a_row(operation: Operation, source: Operation, read: Layout) -> Readers:
    """Positions one after another, pooled block by block."""
    cut = in_blocks(operation, read)
    return None if cut is None else _mixed(operation, source, cut.axes[-1])


def _select(operation: Operation, source: Operation, read: Layout) -> Readers:
    axis = read.axes[int(operation.arguments["dim"])]
    if not axis or axis[0].along == CHANNELS:
        return Window(), Window()
    return _whole(operation, source) if axis[0].along == TOKENS else None


def _by_channels(operation: Operation, source: Operation, read: Layout) -> Readers:
    """Where channels alone are moved, chosen, or set against each other."""
    asked = operation.arguments.get("dims", operation.arguments.get("dim", 1))
    if operation.kind in ("index", "index_select"):
        asked = chosen_axis(operation)
    axes = [asked] if isinstance(asked, int) else asked or range(len(read.axes))
    return (Window(), Window()) if all(read.along(axis) <= {CHANNELS} for axis in axes) else None


def _adaptive(operation: Operation, source: Operation, read: Layout) -> Readers:
    (rows, columns), (height, width) = read.size, size_of(operation)
    return adaptive(rows, height), adaptive(columns, width)


def _moved(operation: Operation, source: Operation, read: Layout) -> Readers:
    """Where only the order of axes changes, or how they are cut; into a vector all of the map goes."""
    size = size_of(operation)
    if size == read.size:
        return Window(), Window()
    if size == (1, 1) or operation.kind not in _REGROUPED:
        return _whole(operation, source)
    rows, columns = (whole // own for whole, own in zip(read.size, size, strict=True))  # blocks, see `folded`
    return Window(rows, rows), Window(columns, columns)


def _linear(operation: Operation, source: Operation, read: Layout) -> Readers:
    """Along channels each position by itself; along positions, all that differ in those."""
    if read.along(-1) <= {CHANNELS}:
        return _moved(operation, source, read)
    return _mixed(operation, source, read.axes[-1])


def _shuffled(operation: Operation, source: Operation, read: Layout) -> Readers:
    factor = int(operation.arguments["upscale_factor"])
    rows, columns = (enlarged(n, factor) for n in read.size)
    return rows, columns


def _unshuffled(operation: Operation, source: Operation, read: Layout) -> Readers:
    factor = int(operation.arguments["downscale_factor"])
    return Window(factor, factor), Window(factor, factor)


def _transposed(graph: Graph, operation: Operation, source: Operation) -> Readers:
    arguments = operation.arguments
    weight = arguments["weight"]
    if isinstance(weight, Ref):
        return None
    kernel = pair(graph.tensors[weight.name].shape[2:])
    numbers = (kernel, *(pair(arguments[name]) for name in ("stride", "padding", "dilation")))
    rows, columns = (
        transposed(Window(*axis), length, outputs)
        for axis, length, outputs in zip(
            zip(*numbers, strict=True), size_of(source), size_of(operation), strict=True
        )
    )
    return rows, columns


def _upsampled(operation: Operation, source: Operation, read: Layout) -> Readers:
    """What torch's own weights say, asked along each axis with a one at every place in turn."""
    rows, columns = (_weighed(operation, axis, source, size_of(operation)) for axis in (0, 1))
    return rows, columns


def _weighed(operation: Operation, axis: int, source: Operation, outputs: tuple[int, int]) -> Reader:
    length = size_of(source)[axis]
    ones = torch.eye(length, dtype=torch.float64)
    maps = ones[None, :, :, None] if axis == 0 else ones[None, :, None, :]
    size = [outputs[0], 1] if axis == 0 else [1, outputs[1]]
    arguments = dict(operation.arguments)
    names = list(arguments)
    arguments[names[0]] = maps
    arguments["output_size"] = size
    for name in names:
        if name == "scale_factors" and arguments[name] is not None:
            arguments[name] = None
    weights: Tensor = operation.target(*arguments.values())
    read = weights.reshape(length, outputs[axis]).abs() > _NOTHING
    starts = read.int().argmax(0)
    ends = length - read.flip(0).int().argmax(0)
    return Uneven(tuple(starts.tolist()), tuple(ends.tolist()), Fraction(length, outputs[axis]))


def _along(axis: Axis) -> str:
    """The one thing that an axis goes along; "" if there are several, or none."""
    return axis[0].along if len(axis) == 1 and not axis[0].read else ""


def _narrow(operation: Operation, source: Operation, read: Layout) -> Readers:
    axis, arguments = read.axes[int(operation.arguments["dim"])], operation.arguments
    if operation.layout is not None and not operation.layout.has_positions:
        return _whole(operation, source)
    length = prod(part.length for part in axis)
    start, _, step = slice(arguments["start"], None, arguments.get("step", 1)).indices(length)
    part, name = Window(stride=step, pad=-start), _along(axis)
    return part if name == ROWS else Window(), part if name == COLUMNS else Window()


def _pad(operation: Operation, source: Operation, read: Layout) -> Readers:
    pads: list[int] = list(operation.arguments["pad"])  # before and after each axis, from the last
    mode = operation.arguments.get("mode", "constant")
    axes = reversed((operation.layout or read).axes)
    sides = {
        _along(axis): (before, after)
        for axis, before, after in zip(axes, pads[::2], pads[1::2], strict=False)
        if before or after
    }
    if not sides.keys() <= {ROWS, COLUMNS, CHANNELS, TOKENS}:
        return None
    both = sides.get(ROWS, (0, 0)), sides.get(COLUMNS, (0, 0))
    if mode == "constant":
        return Window(pad=both[0][0]), Window(pad=both[1][0])
    if mode not in BORDERS:
        return None
    rows, columns = (copied(mode, n, *side) for n, side in zip(read.size, both, strict=True))
    return rows, columns


def _roll(operation: Operation, source: Operation, read: Layout) -> Readers:
    """What is pushed out at one end comes in at the other."""
    shifts, axes = operation.arguments["shifts"], operation.arguments["dims"]
    by = {_along(read.axes[axis]): int(shift) for axis, shift in zip(axes, shifts, strict=True)}
    if not by or not by.keys() <= {ROWS, COLUMNS, CHANNELS}:
        return None
    rows, columns = (
        bordered([(i - by.get(name, 0)) % n for i in range(n)], by.get(name, 0))
        for name, n in zip((ROWS, COLUMNS), read.size, strict=True)
    )
    return rows, columns


_REGROUPED = frozenset({"flatten", "reshape", "reshape_as", "view_as", "unflatten", "squeeze"})
_NORMS = frozenset({"layer_norm", "rms_norm", "group_norm", "instance_norm"})
_NOTHING = 1e-12  # weights below it are rounding

_WINDOWED: Mapping[str, Callable[[Graph, Operation, Operation], Readers]] = {
    **dict.fromkeys(
        ("conv1d", "conv2d", "max_pool2d", "avg_pool2d"),
        lambda graph, operation, _: windows(graph, operation),
    ),
    "conv_transpose2d": _transposed,
}
_READERS: Mapping[str, Callable[[Operation, Operation, Layout], Readers]] = {
    **dict.fromkeys(POINTWISE | ELEMENTWISE | {"expand", "expand_as"}, _pointwise),
    **dict.fromkeys(PRODUCTS, _attended),
    **dict.fromkeys(UPSAMPLING, _upsampled),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive),
    **dict.fromkeys(("layer_norm", "rms_norm"), _normalised),
    **dict.fromkeys(("group_norm", "instance_norm"), _by_the_picture),
    **dict.fromkeys(REDUCED - {"select"}, _mean),
    "select": _select,
    **dict.fromkeys(("avg_pool1d", "max_pool1d"), _in_a_row),
    **dict.fromkeys(
        _REGROUPED | set("unsqueeze transpose swapaxes permute stack unbind getitem".split()),
        _moved,
    ),
    "linear": _linear,
    **dict.fromkeys(("narrow", "slice"), _narrow),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "roll": _roll,
    "pixel_shuffle": _shuffled,
    "pixel_unshuffle": _unshuffled,
    **dict.fromkeys(("flip", "glu", "index", "index_select"), _by_channels),
    "avg_pool3d": _pointwise,  # of channels alone, or its layout is not known
}
