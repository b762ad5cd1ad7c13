"""Operations grouped into the layers that people name: a convolution, pool or merge with what follows at once.

A layer's representation is what it hands on, after its batch norm and rectification. Its name is the path of its
module; a merge done in Python is named after the module whose result it is (``layer1.0``, ``inception3a``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerscope.network.axes import POINTWISE
from layerscope.network.gates import gates
from layerscope.network.geometry import Geometry, ReceptiveField
from layerscope.network.graph import Graph, Operation, Ref
from layerscope.network.layout import CHANNELS, ONE, Axes
from layerscope.network.links import link_of
from layerscope.network.positions import apart_of, channels_of, size_of
from layerscope.network.products import PRODUCTS
from layerscope.network.receptive_fields import pair, windows

_PLUMBING = frozenset(
    (
        "input flatten unflatten reshape transpose permute narrow slice pad constant_pad_nd sym_size unsqueeze "
        "squeeze select unbind expand swapaxes roll flip index index_select"
    ).split()
)
_WORDS = {
    "max_pool2d": "max pool",
    "avg_pool2d": "average pool",
    "adaptive_avg_pool2d": "adaptive average pool",
    "batch_norm": "batch norm",
}


@dataclass(frozen=True)
class Layer:
    """One layer of a network: what it is called, what it does, how large its result is, what it sees."""

    name: str
    kind: str  #: of its first operation: conv2d, max_pool2d, linear, add, cat, ...
    operation: str  #: in words: "conv 3x3 + relu"
    channels: int  #: 0 where the axes are not known
    size: tuple[int, int]  #: height and width of its feature maps; (1, 1) for a fully-connected layer
    field: (
        ReceptiveField | None
    )  #: through the features, gates and norms held constant; None: no common size, or not known
    field_in_all: ReceptiveField | None  #: with what gates and norms see
    inputs: tuple[str, ...]  #: layers it reads; none: the picture
    operations: tuple[int, ...]  #: of the network's graph; the last one's result is its representation
    shape: tuple[
        int, ...
    ]  #: of its result as the network has it, without the pictures; (): those are not its first axis
    axes: Axes | None  #: what those go along, "channels", "rows", "columns" or "positions"; None: not known
    apart: int = 0  #: tokens of its result that stand for no place, such as class tokens

    @property
    def output(self) -> tuple[int, ...]:
        """Height and width of its feature maps; where its axes are not known, the lengths of all of them."""
        return self.shape if self.axes is None else self.size

    @property
    def has_positions(self) -> bool:
        """Whether it gives more than one number per channel: a map, of 1x1 even, or tokens."""
        return self.axes is not None and not set(self.axes) <= {CHANNELS, ONE}

    @property
    def result(self) -> int:
        """The operation whose result is the layer's representation."""
        return self.operations[-1]


def find_layers(
    graph: Graph, fields: tuple[Geometry, Geometry], rename: Mapping[str, str]
) -> tuple[Layer, ...]:
    """The layers of a graph in the order they run. ``fields``: through the features, and in all.

    ``rename``: other names for some of them.
    """
    features, in_all = fields
    groups = _group(graph)
    names = _names(graph, groups)
    owner = {index: group[0] for group in groups for index in group}
    final = {first: rename.get(name, name) for first, name in names.items()}
    return tuple(
        Layer(
            name=final[group[0]],
            kind=_whole(graph, graph.operations[group[0]]).kind,
            operation=_described(graph, group),
            channels=channels_of(graph.operations[group[-1]]),
            size=size_of(graph.operations[group[-1]])
            if graph.operations[group[-1]].axes is not None
            else (1, 1),
            field=features.fields[group[-1]],
            field_in_all=in_all.fields[group[-1]],
            inputs=tuple(final[source] for source in _feeders(graph, group, owner)),
            operations=tuple(group),
            shape=graph.operations[group[-1]].shape if graph.operations[group[-1]].batch_first else (),
            axes=graph.operations[group[-1]].axes,
            apart=apart_of(graph.operations[group[-1]]),
        )
        for group in groups
    )


def _group(graph: Graph) -> list[list[int]]:
    """Each layer's operations: one that starts it, and the pointwise ones that it alone feeds.

    A softmax, sigmoid or tanh at the very end makes scores into something else: a layer of its own.
    """
    users, kernels = graph.users, _kernels(graph)
    last = link_of(graph, graph.output) if graph.output < len(graph.operations) else None  # one cut short
    group_of: dict[int, list[int]] = {}
    groups: list[list[int]] = []
    for operation in graph.operations:
        several = any(graph.operations[user].kind == "getitem" for user in users[operation.index])
        if operation.kind in _PLUMBING or not operation.carries or several or operation.index in kernels:
            continue
        source = operation.inputs[0] if len(operation.inputs) == 1 else -1
        pointwise = operation.kind in POINTWISE and operation is not last
        follows = pointwise and source in group_of and len(users[source]) == 1
        if follows:
            group = group_of[source]
        else:
            group = []
            groups.append(group)
        own = (operation.index, *_handed_back(graph, operation))
        group.extend(own)
        group_of.update(dict.fromkeys(own, group))
    return groups


def _whole(graph: Graph, operation: Operation) -> Operation:
    """The operation itself, or the one that it takes a part of the result of."""
    return graph.operations[operation.inputs[0]] if operation.kind == "getitem" else operation


def _kernels(graph: Graph) -> frozenset[int]:
    """What makes kernels that are mixed for each picture, and is no layer."""
    found = set()
    for operation in graph.operations:
        made = gates(graph, operation) if operation.kind == "conv2d" else ()
        for index in made:
            at = graph.operations[index]
            while at.kind in _PLUMBING:
                at = graph.operations[at.inputs[0]]
            if at.kind in PRODUCTS | {"linear"}:
                found.add(at.index)
    return frozenset(found)


def _handed_back(graph: Graph, operation: Operation) -> list[int]:
    """What turns the result of a convolution with a kernel for each picture into the pictures' maps again."""
    found: list[int] = []
    while (operation.kind == "conv2d" and isinstance(operation.arguments["groups"], Ref)) or found:
        users = graph.users[found[-1] if found else operation.index]
        if len(users) != 1 or graph.operations[users[0]].kind not in _PLUMBING:
            return []
        found.append(users[0])
        if graph.operations[users[0]].batch_first:
            return found
    return found


def _names(graph: Graph, groups: list[list[int]]) -> dict[int, str]:
    """A name for each group, by its first operation; the second use of a module is ``name@2``."""
    names: dict[int, str] = {}
    uses: dict[str, int] = {}
    outer = {path[:at] for path in graph.modules for at, letter in enumerate(path) if letter == "."}
    for group in groups:
        operation = _whole(graph, graph.operations[group[0]])
        path = operation.module
        if not path or (path in outer and graph.modules.get(path) not in group):
            path = f"{path}.{operation.kind}" if path else operation.kind
        uses[path] = uses.get(path, 0) + 1
        names[group[0]] = path if uses[path] == 1 else f"{path}@{uses[path]}"
    return names


def _feeders(graph: Graph, group: list[int], owner: Mapping[int, int]) -> list[int]:
    """First operations of the groups that feed this one, through plumbing."""
    found: dict[int, None] = {}
    waiting = [source for index in group for source in graph.operations[index].inputs if source not in group]
    while waiting:
        index = waiting.pop(0)
        if index in owner:
            found[owner[index]] = None
        else:
            waiting.extend(graph.operations[index].inputs)
    return list(found)


def _described(graph: Graph, group: Sequence[int]) -> str:
    operations = [graph.operations[index] for index in group]
    return " + ".join(_describe(graph, one) for one in operations if one.kind not in _PLUMBING)


def _describe(graph: Graph, operation: Operation) -> str:
    kind = _whole(graph, operation).kind
    word = _WORDS.get(kind, kind)
    if operation.kind == "conv2d":
        return _describe_conv(graph, operation)
    if operation.kind in ("max_pool2d", "avg_pool2d"):
        rows, columns = windows(graph, operation)
        return f"{word} {_times(rows.kernel, columns.kernel)}{_stride(rows.stride, columns.stride)}"
    if operation.kind == "hardtanh":
        low, high = operation.arguments["min_val"], operation.arguments["max_val"]
        return "relu6" if (low, high) == (0, 6) else f"{word} {low:g} to {high:g}"
    if operation.kind == "adaptive_avg_pool2d":
        return f"{word} to {_times(*pair(operation.arguments['output_size']))}"
    return word


def _describe_conv(graph: Graph, operation: Operation) -> str:
    rows, columns = windows(graph, operation)
    source, groups = graph.operations[operation.inputs[0]], operation.arguments["groups"]
    channels = channels_of(source)
    if isinstance(groups, Ref):  # a kernel for each picture, which are groups
        channels = source.layout.channels if source.layout is not None else 0
        groups = channels // graph.operations[operation.inputs[1]].shape[0]
    depthwise = groups > 1 and groups == channels
    words = f"{'depthwise ' if depthwise else ''}conv {_times(rows.kernel, columns.kernel)}"
    words += _stride(rows.stride, columns.stride)
    if max(rows.dilation, columns.dilation) > 1:
        words += f" dilated {_times(rows.dilation, columns.dilation)}"
    return words if groups == 1 or depthwise else f"{words} in {groups} groups"


def _times(rows: int, columns: int) -> str:
    return f"{rows}x{columns}"


def _stride(rows: int, columns: int) -> str:
    if rows == columns:
        return "" if rows == 1 else f"/{rows}"
    return f"/{_times(rows, columns)}"
