"""How each kind of operation reads its input, in geometry's terms: from a graph to receptive fields.

To teach geometry a new operation, add it to ``POINTWISE`` or give it a line in ``_READERS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from layerscope.errors import NetworkError
from layerscope.network.geometry import Edge, Geometry, Node, Reader, Uneven, Window, adaptive
from layerscope.network.graph import Graph, Operation, Ref

POINTWISE = frozenset(
    (
        "batch_norm relu relu6 hardtanh silu sigmoid gelu hardswish hardsigmoid leaky_relu elu tanh mish "
        "softplus prelu selu celu clamp clamp_min dropout add sub mul div neg abs exp log sqrt pow to "
        "cat softmax log_softmax"
    ).split()
)  #: output position i reads input position i (or the only one there is)

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


def map_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of a result of this shape (without batch); a vector has one position."""
    return (shape[-2], shape[-1]) if len(shape) > 2 else (1, 1)


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
    if operation.index not in seeing:
        return Node(map_size(operation.shape), unknown=f"{operation.place} does not see the picture")
    edges = []
    for source in dict.fromkeys(operation.inputs):
        if source not in seeing:
            continue
        readers = _readers(graph, operation, graph.operations[source].shape)
        if readers is None:
            return Node(
                map_size(operation.shape), unknown=f"no receptive field is known for {operation.place}"
            )
        edges.append(Edge(source, *readers))
    return Node(map_size(operation.shape), tuple(edges))


def _readers(graph: Graph, operation: Operation, shape: tuple[int, ...]) -> Readers:
    if operation.kind in POINTWISE:
        return _pointwise(operation, shape)
    if operation.kind in ("conv2d", "max_pool2d", "avg_pool2d"):
        return windows(graph, operation)
    reader = _READERS.get(operation.kind)
    return None if reader is None else reader(operation, shape)


def _pointwise(operation: Operation, shape: tuple[int, ...]) -> Readers:
    if operation.kind in ("cat", "softmax", "log_softmax") and _is_spatial(operation.arguments["dim"], shape):
        return None
    (rows, columns), (height, width) = map_size(shape), map_size(operation.shape)
    return _same_or_only(rows, height), _same_or_only(columns, width)


def _is_spatial(axis: int, shape: tuple[int, ...]) -> bool:
    """Whether an axis (0 is the batch) of a result of this shape (without batch) goes along rows or columns."""
    return len(shape) > 2 and axis % (len(shape) + 1) > len(shape) - 2


def _same_or_only(length: int, outputs: int) -> Reader:
    return Window() if length == outputs else _all(length)


def _all(length: int) -> Window:
    return Window(kernel=length, stride=0)


def _whole(operation: Operation, shape: tuple[int, ...]) -> Readers:
    rows, columns = map_size(shape)
    return (_all(rows), _all(columns)) if map_size(operation.shape) == (1, 1) else None


def _mean(operation: Operation, shape: tuple[int, ...]) -> Readers:
    spatial = sum(_is_spatial(axis, shape) for axis in operation.arguments.get("dim") or ())
    if spatial == 0 and operation.arguments.get("keepdim"):
        return Window(), Window()  # over channels
    return _whole(operation, shape) if spatial == 2 else None


def _adaptive(operation: Operation, shape: tuple[int, ...]) -> Readers:
    (rows, columns), (height, width) = map_size(shape), map_size(operation.shape)
    return adaptive(rows, height), adaptive(columns, width)


def _reshape(operation: Operation, shape: tuple[int, ...]) -> Readers:
    if map_size(shape) == map_size(operation.shape):
        return Window(), Window()  # channels are regrouped, the map stays
    return _whole(operation, shape)


def _transpose(operation: Operation, shape: tuple[int, ...]) -> Readers:
    axes = {int(operation.arguments[name]) % (len(shape) + 1) for name in ("dim0", "dim1")}
    return (Window(), Window()) if max(axes) <= len(shape) - 2 else None


def _narrow(operation: Operation, shape: tuple[int, ...]) -> Readers:
    axis, arguments = int(operation.arguments["dim"]), operation.arguments
    readers = [Window(), Window()]
    if _is_spatial(axis, shape):
        place = axis % (len(shape) + 1) - 1
        start, _, step = slice(arguments["start"], None, arguments.get("step", 1)).indices(shape[place])
        readers[place - len(shape)] = Window(stride=step, pad=-start)
    return readers[0], readers[1]


def _pad(operation: Operation, shape: tuple[int, ...]) -> Readers:
    pads: list[int] = [*operation.arguments["pad"], 0, 0]  # left, right, top, bottom
    mode = operation.arguments.get("mode", "constant")
    sides = ((pads[2], pads[3]), (pads[0], pads[1]))
    if mode == "constant":
        return Window(pad=sides[0][0]), Window(pad=sides[1][0])
    if mode not in _BORDERS:
        return None
    rows, columns = (_copied(mode, n, *side) for n, side in zip(map_size(shape), sides, strict=True))
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


_READERS: dict[str, Callable[[Operation, tuple[int, ...]], Readers]] = {
    "adaptive_avg_pool2d": _adaptive,
    "linear": _whole,
    "mean": _mean,
    "flatten": _reshape,
    "reshape": _reshape,
    "squeeze": _reshape,
    "unsqueeze": _reshape,
    "transpose": _transpose,
    "narrow": _narrow,
    "slice": _narrow,
    "pad": _pad,
    "constant_pad_nd": _pad,
}
