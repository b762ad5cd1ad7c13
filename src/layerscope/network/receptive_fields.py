"""How each kind of operation reads its input, in geometry's terms: from a graph to receptive fields.

To teach geometry a new operation, add it to ``axes.POINTWISE`` or give it a line in ``_READERS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from layerscope.errors import NetworkError
from layerscope.network.axes import CHANNELS, COLUMNS, POINTWISE, POSITIONS, ROWS, size_of
from layerscope.network.geometry import Edge, Geometry, Node, Reader, Uneven, Window, adaptive
from layerscope.network.graph import Graph, Operation, Ref

Readers = tuple[Reader, Reader] | None  #: rows and columns; None: not known


def geometry(graph: Graph) -> Geometry:
    """The receptive fields of a graph; an operation that geometry does not know is marked, never guessed."""
    seeing = _seeing(graph)
    return Geometry(tuple(_node(graph, operation, seeing) for operation in graph.operations))


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
    if operation.kind == "conv2d":
        weight = arguments["weight"]
        if isinstance(weight, Ref):
            raise NetworkError(
                f"{operation.place} computes its weights anew each time; make them plain parameters before "
                "(torch.nn.utils.parametrize.remove_parametrizations, or fold them by hand)"
            )
        kernel = pair(graph.tensors[weight.name].shape[2:])
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
    for source in dict.fromkeys(operation.inputs):
        if source not in seeing:
            continue
        readers = _readers(graph, operation, graph.operations[source])
        if readers is None:
            return Node(size, unknown=f"no receptive field is known for {operation.place}")
        edges.append(Edge(source, *readers))
    return Node(size, tuple(edges))


def _readers(graph: Graph, operation: Operation, source: Operation) -> Readers:
    if operation.axes is None or source.axes is None or operation.normalises_by_batch:
        return None
    if operation.kind in POINTWISE:
        return _pointwise(operation, source)
    if operation.kind in ("conv2d", "max_pool2d", "avg_pool2d"):
        return windows(graph, operation)
    reader = _READERS.get(operation.kind)
    return None if reader is None else reader(operation, source)


def _pointwise(operation: Operation, source: Operation) -> Readers:
    if operation.kind in ("cat", "softmax", "log_softmax") and _along(source, operation.arguments["dim"]):
        return None
    (rows, columns), (height, width) = size_of(source), size_of(operation)
    return _same_or_only(rows, height), _same_or_only(columns, width)


def _along(source: Operation, axis: int) -> str:
    """Whether an axis of a result (0 is the batch) goes along rows, columns or positions; "" if along channels."""
    axes = source.axes or ()
    name = axes[axis % (len(axes) + 1) - 1]
    return "" if name == CHANNELS else name


def _same_or_only(length: int, outputs: int) -> Reader:
    return Window() if length == outputs else _all(length)


def _all(length: int) -> Window:
    return Window(kernel=length, stride=0)


def _whole(operation: Operation, source: Operation) -> Readers:
    rows, columns = size_of(source)
    return (_all(rows), _all(columns)) if size_of(operation) == (1, 1) else None


def _linear(operation: Operation, source: Operation) -> Readers:
    """Of maps whose channels are the last axis it is a convolution of 1x1."""
    return _whole(operation, source) if source.axes == (CHANNELS,) else (Window(), Window())


def _layer_norm(operation: Operation, source: Operation) -> Readers:
    """Each position by itself where only channels are normalised over; else all that they are normalised over."""
    over = {_along(source, -1 - place) for place in range(len(operation.arguments["normalized_shape"]))}
    rows, columns = size_of(source)
    return (
        _all(rows) if over & {ROWS, POSITIONS} else Window(),
        _all(columns) if COLUMNS in over else Window(),
    )


def _mean(operation: Operation, source: Operation) -> Readers:
    over = {_along(source, axis) for axis in operation.arguments.get("dim") or ()}
    if not over & {ROWS, COLUMNS, POSITIONS}:
        return Window(), Window()  # over channels
    return _whole(operation, source)


def _adaptive(operation: Operation, source: Operation) -> Readers:
    (rows, columns), (height, width) = size_of(source), size_of(operation)
    return adaptive(rows, height), adaptive(columns, width)


def _reshape(operation: Operation, source: Operation) -> Readers:
    if size_of(source) == size_of(operation):
        return Window(), Window()  # channels are regrouped, the map stays
    return _whole(operation, source)


def _moved(operation: Operation, source: Operation) -> Readers:
    return Window(), Window()


def _narrow(operation: Operation, source: Operation) -> Readers:
    axis, arguments = int(operation.arguments["dim"]), operation.arguments
    length = source.shape[axis % (len(source.shape) + 1) - 1]
    start, _, step = slice(arguments["start"], None, arguments.get("step", 1)).indices(length)
    part, name = Window(stride=step, pad=-start), _along(source, axis)
    return part if name in (ROWS, POSITIONS) else Window(), part if name == COLUMNS else Window()


def _pad(operation: Operation, source: Operation) -> Readers:
    pads: list[int] = list(operation.arguments["pad"])  # before and after each axis, from the last
    mode = operation.arguments.get("mode", "constant")
    sides = {
        _along(source, -1 - place): (pads[2 * place], pads[2 * place + 1]) for place in range(len(pads) // 2)
    }
    both = sides.get(ROWS, sides.get(POSITIONS, (0, 0))), sides.get(COLUMNS, (0, 0))
    if mode == "constant":
        return Window(pad=both[0][0]), Window(pad=both[1][0])
    if mode not in _BORDERS:
        return None
    rows, columns = (_copied(mode, n, *side) for n, side in zip(size_of(source), both, strict=True))
    return rows, columns


def _copied(mode: str, length: int, before: int, after: int) -> Reader:
    """Padding by copies of the map's own values: each position beyond its edge reads one inside."""
    read = [_BORDERS[mode](place, length) for place in range(-before, length + after)]
    same = not (before or after)
    return Window() if same else Uneven(tuple(read), tuple(place + 1 for place in read))


def _reflected(place: int, length: int) -> int:
    last = length - 1
    return last - abs(last - place % (2 * last)) if last else 0


_BORDERS: Mapping[str, Callable[[int, int], int]] = {
    "reflect": _reflected,
    "replicate": lambda place, length: min(max(place, 0), length - 1),
    "circular": lambda place, length: place % length,
}  #: the position of a map of this length that a position beyond its edge is a copy of


_READERS: dict[str, Callable[[Operation, Operation], Readers]] = {
    "adaptive_avg_pool2d": _adaptive,
    "linear": _linear,
    "layer_norm": _layer_norm,
    "mean": _mean,
    "flatten": _reshape,
    "reshape": _reshape,
    "squeeze": _reshape,
    "unsqueeze": _reshape,
    "transpose": _moved,
    "permute": _moved,
    "narrow": _narrow,
    "slice": _narrow,
    "pad": _pad,
    "constant_pad_nd": _pad,
}
