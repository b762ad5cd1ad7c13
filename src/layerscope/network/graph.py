"""A network seen operation by operation: one flat, functional list, whatever the Python behind it looked like.

``torch.export`` reads the network; this room tidies what it says: in-place operations become plain ones, those
that change nothing at inference (dropout, contiguous) vanish, and every argument gets its name.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from layerscope.errors import NetworkError
from layerscope.network.fitting import misfit
from layerscope.network.tracing import cause, evaluating, in_own_precision, quiet

_IDENTITIES = frozenset({"contiguous", "clone", "detach", "alias", "lift_fresh_copy"})
OWN_MEMORY = frozenset({"conv2d", "linear", "batch_norm", "add"})  #: results nothing else shares


@dataclass(frozen=True)
class Ref:
    """An argument that is the result of another operation."""

    index: int


@dataclass(frozen=True)
class Parameter:
    """An argument that is a tensor of the network: a weight, a buffer, a constant."""

    name: str


@dataclass(frozen=True)
class Operation:
    """One step of a network. ``kind`` is torch's name for it (conv2d, relu, max_pool2d, cat, ...)."""

    index: int
    kind: str
    target: Callable[..., Any]
    arguments: Mapping[str, Any]  #: by name, defaults included; results as Ref, tensors as Parameter
    inputs: tuple[int, ...]  #: operations whose result is read, in the order of the arguments
    module: str  #: path of the innermost module it happens in; "" is the network itself
    shape: tuple[int, ...]  #: of the result, without the batch axis
    carries: bool = True  #: whether a signal goes back to it: real numbers made from the picture
    batch_first: bool = True  #: whether the first axis of its result is the batch

    @property
    def place(self) -> str:
        """The operation and where it is, for messages."""
        return _place(self.kind, self.module)


@dataclass(frozen=True, eq=False)
class Graph:
    """Operations in the order they run; operation 0 is the picture. ``modules``: the result of each module."""

    operations: tuple[Operation, ...]
    output: int
    modules: Mapping[str, int]
    tensors: Mapping[str, Tensor] = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the network computes: its operations and the values of its tensors."""
        whole = hashlib.sha256()
        for operation in self.operations:
            keywords = sorted(getattr(operation.target, "keywords", {}).items())
            known = (operation.kind, dict(operation.arguments), keywords, operation.shape)
            whole.update(repr(known).encode())
        for name, tensor in sorted(self.tensors.items()):
            whole.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
            whole.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return whole.hexdigest()

    @cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """For each operation, those that read its result."""
        users: list[list[int]] = [[] for _ in self.operations]
        for operation in self.operations:
            for source in dict.fromkeys(operation.inputs):
                users[source].append(operation.index)
        return tuple(map(tuple, users))

    def resolve(self, argument: Any, values: Mapping[int, Any]) -> Any:
        """The argument with results and tensors in place of their names."""
        if isinstance(argument, Ref):
            return values[argument.index]
        if isinstance(argument, Parameter):
            return self.tensors[argument.name]
        if isinstance(argument, torch.device) and self.tensors:
            return self._device
        if isinstance(argument, (list, tuple)):
            return [self.resolve(item, values) for item in argument]
        return argument

    def run(
        self,
        pictures: Tensor,
        upto: int,
        keep: frozenset[int] = frozenset(),
        observe: Callable[[Operation, Mapping[int, Any]], None] | None = None,
        prepared: Mapping[int, Callable[[Tensor], Tensor]] = MappingProxyType({}),
    ) -> dict[int, Tensor]:
        """Run operations 0 to ``upto`` and return the results named in ``keep``; others go when last used.

        ``observe`` is called after each operation with every result still held; it must not change any.
        ``prepared`` holds quicker ways for some operations of one input.
        """
        last = {source: op.index for op in self.operations[: upto + 1] for source in op.inputs}
        values: dict[int, Any] = {0: pictures}
        for operation in self.operations[1 : upto + 1]:
            index = operation.index
            dying = [s for s in dict.fromkeys(operation.inputs) if last[s] == index and s not in keep]
            # Alone: nobody else has read it, so nothing is a view of it and nobody remembers it.
            alone = all(self.users[source] == (index,) for source in dying)
            in_place = alone and operation.inputs == tuple(dying)
            if index in prepared:
                values[index] = prepared[index](values[operation.inputs[0]])
            else:
                values[index] = self._apply(operation, values, in_place=in_place)
            if observe is not None:
                observe(operation, values)
            for source in dying:
                del values[source]
            if index not in last and index not in keep:
                del values[index]
        return {index: values[index] for index in keep if index in values}

    def _apply(self, operation: Operation, values: Mapping[int, Any], *, in_place: bool) -> Any:
        if in_place and operation.kind == "relu":
            source = operation.inputs[0]
            if self.operations[source].kind in OWN_MEMORY:
                return torch.relu_(values[source])  # spares fresh memory, which costs more than the relu
        arguments = {name: self.resolve(a, values) for name, a in operation.arguments.items()}
        keywords = getattr(operation.target, "keywords", {})
        here = {"device": self._device} if "device" in keywords and self.tensors else {}
        return operation.target(*_in_precision(arguments), **here)

    @cached_property
    def _device(self) -> torch.device:
        return next(iter(self.tensors.values())).device


def _in_precision(arguments: Mapping[str, Any]) -> list[Any]:
    """The arguments, the first in the precision of the weight if there is one: a forward may name another."""
    values, weight = list(arguments.values()), arguments.get("weight")
    if isinstance(weight, Tensor) and isinstance(values[0], Tensor) and values[0].is_floating_point():
        values[0] = values[0].to(weight.dtype)
    return values


def capture(module: nn.Module, input_shape: tuple[int, ...]) -> Graph:
    """Read a network for inputs of ``input_shape`` (channels, height, width) and any batch size.

    Raises NetworkError if it cannot be read: data-dependent Python, several inputs or outputs, a fixed batch size.
    """
    tensor = next(iter(module.parameters()), torch.empty(0))
    example = torch.zeros((2, *input_shape), dtype=tensor.dtype, device=tensor.device)
    with evaluating(module), quiet(), in_own_precision(), torch.no_grad():
        try:
            program = export(module, (example,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
        except Exception as error:
            why = misfit(module, example) or (
                f"{cause(error)}; it must take one image tensor of any batch size and have no "
                "data-dependent control flow"
            )
            size = "x".join(map(str, input_shape))
            raise NetworkError(f"cannot read {type(module).__name__} for input {size}: {why}") from error
        return _Tidier(program).graph()


class _Tidier:
    """Turns an exported program into a Graph, node by node."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.operations: list[Operation] = []
        self.modules: dict[str, int] = {}
        self.batch = ""  # the number of pictures, as export calls it
        self.known: dict[Any, Any] = {}  # fx node -> Ref or Parameter
        self.memory: dict[Any, Any] = {}  # fx node that shares another's memory -> the node that owns it
        self.parts: dict[
            Any, list[tuple[int, int, int]]
        ] = {}  # chunk-like node -> (axis, start, length) of each

    def graph(self) -> Graph:
        """Walk the program once."""
        self._name_inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function" and not _kind(node.target).startswith("_assert"):
                self._checked_call(node)
        (output,) = (node for node in self.program.graph.nodes if node.op == "output")
        results = [self.known.get(value) for value in output.args[0] if value is not None]
        if len(results) != 1 or not isinstance(results[0], Ref):
            raise NetworkError(
                f"the network returns {len(results)} values; wrap it so that it returns one tensor"
            )
        state = {**self.program.state_dict, **self.program.constants}
        leaves = (leaf for op in self.operations for leaf in _leaves(op.arguments.values()))
        used = {leaf.name for leaf in leaves if isinstance(leaf, Parameter)}
        tensors = {name: state[name].detach() for name in sorted(used)}
        return Graph(tuple(self.operations), results[0].index, MappingProxyType(self.modules), tensors)

    def _name_inputs(self) -> None:
        nodes = {node.name: node for node in self.program.graph.nodes if node.op == "placeholder"}
        for spec in self.program.graph_signature.input_specs:
            node = nodes[spec.arg.name]
            if spec.target is not None:
                self.known[node] = Parameter(spec.target)
            elif self.operations:
                raise NetworkError(
                    "the network takes several inputs; wrap it so that it takes one image tensor"
                )
            else:
                self.batch, *shape = map(str, node.meta["val"].shape)
                self.operations.append(Operation(0, "input", _nothing, {}, (), "", tuple(map(int, shape))))
                self.known[node] = Ref(0)

    def _checked_call(self, node: Any) -> None:
        place = _place(_kind(node.target), _path(node))
        if any(source.op == "get_attr" for source in node.all_input_nodes):
            raise NetworkError(
                f"{place} wraps part of the network, which cannot be read; "
                "leave out torch.autocast, enable_grad, torch.cond and the like within forward"
            )
        try:
            self._call(node)
        except GuardOnDataDependentSymNode as error:
            raise NetworkError(
                f"{place} gives a result whose size depends on what is in the picture; use one of a fixed size"
            ) from error

    def _call(self, node: Any) -> None:
        kind = _kind(node.target)
        self._note_memory(node)
        if kind in ("chunk", "split", "split_with_sizes"):
            self._split(node)
            return
        if kind == "getitem" and node.args[0] in self.parts:
            source, part = node.args
            axis, start, length = self.parts[source][part]
            arguments = {"self": self.known[source], "dim": axis, "start": start, "length": length}
            self._append(node, "narrow", torch.ops.aten.narrow.default, arguments)
        elif _changes_nothing(node, kind):
            self.known[node] = self.known[node.args[0]]
            self._note_module(node)
        elif kind.removesuffix("_") == "squeeze":
            self._squeeze(node)
        else:
            target = _functional(node.target)
            self._append(node, _kind(target), _with_keywords(target, node), _named_arguments(target, node))
            if kind.endswith("_"):  # in place: whoever reads the operand later sees the result
                self.known[node.args[0]] = self.known[node]

    def _note_memory(self, node: Any) -> None:
        """Whose memory the result is. Raises NetworkError if it changes what is read later under another name."""
        schema = getattr(node.target, "_schema", None)
        info = (
            next((r.alias_info for r in schema.returns if r.alias_info), None) if schema is not None else None
        )
        if info is None and not (node.target is operator.getitem and node.args[0] in self.parts):
            return
        source = node.args[0]
        owner = self.memory.setdefault(node, self.memory.get(source, source))
        if info is None or not info.is_write:
            return
        for other in [owner, *(n for n, o in self.memory.items() if o is owner)]:
            apart = other.target is source.target is operator.getitem and other.args[0] is source.args[0]
            if other not in (source, node) and not apart and any(user > node for user in other.users):
                kind = _kind(node.target)
                raise NetworkError(
                    f"{_place(kind, _path(node))} changes part of a tensor, or a view of one, that is read again "
                    f"later; use {kind.removesuffix('_')} and its result instead"
                )

    def _split(self, node: Any) -> None:
        axis = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
        lengths = [int(part.shape[axis]) for part in node.meta["val"]]
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        self.parts[node] = [(axis, s, n) for s, n in zip(starts, lengths, strict=True)]
        self.known[node] = self.known[node.args[0]]

    def _squeeze(self, node: Any) -> None:
        """Drops the axes of length 1 that were asked for, or all; never the batch, which may be of one picture."""
        shape = node.args[0].meta["val"].shape
        asked = node.args[1] if len(node.args) > 1 else range(len(shape))
        axes = {axis % len(shape) for axis in ([asked] if isinstance(asked, int) else asked)}
        gone = sorted(axis for axis in axes if isinstance(shape[axis], int) and shape[axis] == 1)
        self._append(node, "squeeze", torch.ops.aten.squeeze.dims, {"self": node.args[0], "dim": gone})

    def _append(self, node: Any, kind: str, target: Any, arguments: Mapping[str, Any]) -> None:
        index = len(self.operations)
        named = {name: self._translate(argument) for name, argument in arguments.items()}
        inputs = tuple(leaf.index for leaf in _leaves(named.values()) if isinstance(leaf, Ref))
        value = node.meta["val"]
        shape = tuple(int(n) for n in getattr(value, "shape", ())[1:])
        carries = _is_real(value) and any(self.operations[i].carries for i in inputs)
        batch_first = isinstance(value, Tensor) and value.ndim > 0 and str(value.shape[0]) == self.batch
        self.operations.append(
            Operation(
                index, kind, target, MappingProxyType(named), inputs, _path(node), shape, carries, batch_first
            )
        )
        self.known[node] = Ref(index)
        self._note_module(node)

    def _note_module(self, node: Any) -> None:
        known = self.known[node]
        if isinstance(known, Ref):
            self.modules.update(dict.fromkeys(_paths(node), known.index))

    def _translate(self, argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            return self.known[argument]
        if isinstance(argument, (list, tuple)):
            return [self._translate(item) for item in argument]
        return argument


def _nothing() -> None:
    """The picture is given, not computed."""


def _is_real(value: Any) -> bool:
    """Whether a result is floating point, or a tuple with something that is."""
    if isinstance(value, (tuple, list)):
        return any(map(_is_real, value))
    return isinstance(value, Tensor) and value.is_floating_point()


def _kind(target: Any) -> str:
    if target is operator.getitem:
        return "getitem"
    schema = getattr(target, "_schema", None)
    return (
        schema.name.removeprefix("aten::") if schema is not None else getattr(target, "__name__", str(target))
    )


def _functional(target: Any) -> Any:
    """The operation that gives the same result in new memory; the operation itself if it already does."""
    schema = getattr(target, "_schema", None)
    if target is torch.ops.aten.view.default:
        return torch.ops.aten.reshape.default  # the same values, whatever order the memory has
    if schema is None or not schema.is_mutable:
        return target
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::").removesuffix("_"), None)
    overload = schema.overload_name or "default"
    if not schema.name.endswith("_") or packet is None or overload not in packet.overloads():
        raise NetworkError(f"the in-place operation {schema.name} has no plain form; replace it in the model")
    return getattr(packet, overload)


def _named_arguments(target: Any, node: Any) -> dict[str, Any]:
    schema = getattr(target, "_schema", None)
    if schema is None:
        return {str(i): argument for i, argument in enumerate(node.args)}
    values = dict(zip((a.name for a in schema.arguments), node.args, strict=False)) | dict(node.kwargs)
    return {a.name: values.get(a.name, a.default_value) for a in schema.arguments if not a.kwarg_only}


def _with_keywords(target: Any, node: Any) -> Any:
    """The operation with its keyword-only arguments (``alpha``, ``dtype``) bound, where it was given any."""
    only = {a.name for a in target._schema.arguments if a.kwarg_only} if hasattr(target, "_schema") else set()
    given = {name: value for name, value in node.kwargs.items() if name in only}
    return partial(target, **given) if given else target


def _changes_nothing(node: Any, kind: str) -> bool:
    """Copies, dropout at inference, and an adaptive pool to the size that its input already has."""
    if kind.removesuffix("_") in ("dropout", "feature_dropout"):
        return node.args[2] is False
    if kind == "adaptive_avg_pool2d":
        return bool(node.args[0].meta["val"].shape == node.meta["val"].shape)
    return kind in _IDENTITIES


def _paths(node: Any) -> list[str]:
    """The modules that an operation happens in, outermost first; "" is the network itself."""
    stack = (node.meta.get("nn_module_stack") or {}).values()
    return [path for path, _ in stack if isinstance(path, str) and not path.startswith("_empty")]


def _place(kind: str, path: str) -> str:
    return f"{kind} in {path!r}" if path else f"{kind} in the network's own forward"


def _path(node: Any) -> str:
    return (_paths(node) or [""])[-1]


def _leaves(arguments: Iterable[Any]) -> Iterator[Any]:
    """The arguments, those inside lists one by one."""
    for argument in arguments:
        if isinstance(argument, (list, tuple)):
            yield from _leaves(argument)
        else:
            yield argument
