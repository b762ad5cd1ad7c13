"""Reading a network: from a module to its operations.

``torch.export`` reads it; this module tidies what it says: in-place operations become plain ones, those that change
nothing at inference (dropout, contiguous) vanish, and every argument gets its name.
"""

from __future__ import annotations

import operator
import threading
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from layerscope.errors import NetworkError, NetworkWarning
from layerscope.network.axes import find_layout
from layerscope.network.backwards import own_backwards
from layerscope.network.constants import Constants, is_of_a_kind
from layerscope.network.fitting import exported_shape, misfit
from layerscope.network.graph import Graph, Operation, Parameter, Ref, change_leaves, leaves_of, place_of
from layerscope.network.layout import MANY, map_layout
from layerscope.network.maxima import PLACED
from layerscope.network.plain_products import with_plain_products
from layerscope.network.plain_rectifiers import plain_rectifier
from layerscope.network.programs import (
    PLAINER,
    flat_graph,
    functional,
    has_one_size,
    kind_of,
    refuse_complex,
    refuse_what_is_decomposed,
    refuse_what_is_read_already,
)
from layerscope.network.tracing import cause, evaluating, in_own_precision, quiet

_CUTS = frozenset({"chunk", "split", "split_with_sizes", "tensor_split", "unbind"})
_COMPARISONS = frozenset({"gt", "ge", "lt", "le"})
_IDENTITIES = frozenset({"contiguous", "clone", "detach", "alias", "lift_fresh_copy"})
_ONE_READS = threading.Lock()  #: torch.export keeps what it is at in variables of its module


def capture(module: nn.Module | ExportedProgram, input_shape: tuple[int, ...]) -> Graph:
    """Read a network for inputs of ``input_shape`` (channels, height, width) and any batch size.

    What torch.export has read already is taken as it is; its shapes are its own.
    Raises NetworkError if it cannot be read: data-dependent Python, several inputs or outputs, a fixed batch size.
    Warns, by a NetworkWarning, of each autograd function whose own backward is left out.
    """
    if isinstance(module, ExportedProgram):
        exported_shape(module)
        refuse_what_is_decomposed(module)
        with quiet():
            return _graph_of(module)
    refuse_what_is_read_already(module)
    tensor = next(iter(module.parameters()), torch.empty(0))
    example = torch.zeros((2, *input_shape), dtype=tensor.dtype, device=tensor.device)
    with _ONE_READS, evaluating(module), quiet(), in_own_precision(), torch.no_grad():
        try:
            program = export(module, (example,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
        except Exception as error:
            why = misfit(module, example) or NetworkError(
                f"{cause(error)}; it must take one image tensor of any batch size and have no "
                "data-dependent control flow"
            )
            size = "x".join(map(str, input_shape))
            raise type(why)(f"cannot read {type(module).__name__} for input {size}: {why}") from error
        graph = _graph_of(program)
    for name, place in own_backwards(program, _path).items():
        warnings.warn(
            f"{name}, {place}, has a backward of its own, which is not used: signals go back through what its "
            "forward computes",
            NetworkWarning,
            stacklevel=3,
        )
    return graph


def _graph_of(program: ExportedProgram) -> Graph:
    """The program tidied; where it changes a view of what is read again, as torch writes it without such changes."""
    try:
        return _Tidier(program).graph()
    except _ChangedViewError:
        return _Tidier(functional(program)).graph()


class _ChangedViewError(Exception):
    """Part of a tensor, or a view of one, is changed that is read again later."""


class _Tidier:
    """Turns an exported program into a Graph, node by node."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.nodes = with_plain_products(flat_graph(program), program).nodes
        self.operations: list[Operation] = []
        self.modules: dict[str, int] = {}
        self.batch = ""  # the number of pictures, as export calls it
        self.known: dict[Any, Any] = {}  # fx node -> Ref or Parameter
        self.constants = Constants({**program.state_dict, **program.constants})
        self.memory: dict[Any, Any] = {}  # fx node that shares another's memory -> the node that owns it
        self.same: dict[Any, Any] = {}  # fx node of dropout -> the node whose very tensor it hands on
        self.many: dict[str, int] = {}  # a length that depends on the number of pictures -> of MANY
        self.masks: dict[Any, tuple[str, Any, dict[str, Any]]] = {}  # comparisons that nothing has read yet
        self.read: dict[Any, Any] = {}  # fx node -> what its first operand was then
        self.parts: dict[
            Any, list[tuple[int, int, int]]
        ] = {}  # chunk-like node -> (axis, start, length) of each

    def graph(self) -> Graph:
        """Walk the program once."""
        self._name_inputs()
        for node in self.nodes:
            if node.op == "call_function" and not kind_of(node.target).startswith("_assert"):
                self._checked_call(node)
        (output,) = (node for node in self.nodes if node.op == "output")
        results = [
            self._of(value) if value in self.masks else self.known.get(value)
            for value in output.args[0]
            if value is not None
        ]
        if len(results) != 1 or not isinstance(results[0], Ref):
            raise NetworkError(
                f"the network returns {len(results)} values; wrap it so that it returns one tensor"
            )
        leaves = (leaf for op in self.operations for leaf in leaves_of(op.arguments.values()))
        used = {leaf.name for leaf in leaves if isinstance(leaf, Parameter)}
        tensors = {name: self.constants.state[name].detach() for name in sorted(used)}
        return Graph(tuple(self.operations), results[0].index, MappingProxyType(self.modules), tensors)

    def _name_inputs(self) -> None:
        nodes = [node for node in self.nodes if node.op == "placeholder"]
        for node, spec in zip(nodes, self.program.graph_signature.input_specs, strict=True):
            if spec.target is not None:
                self.known[node] = Parameter(spec.target)
                self.constants.tensor(node, spec.target)
            elif self.operations:
                raise NetworkError(
                    "the network takes several inputs; wrap it so that it takes one image tensor"
                )
            else:
                self.batch, *shape = map(str, node.meta["val"].shape)
                size = tuple(map(int, shape))
                self.operations.append(
                    Operation(0, "input", _nothing, {}, (), "", size, layout=map_layout(size))
                )
                self.known[node] = Ref(0)

    def _checked_call(self, node: Any) -> None:
        place = place_of(kind_of(node.target), _path(node))
        if any(source.op == "get_attr" for source in node.all_input_nodes):
            raise NetworkError(
                f"{place} wraps part of the network, which cannot be read; "
                "leave out torch.autocast, enable_grad, torch.cond and the like within forward"
            )
        if node.args and isinstance(node.args[0], torch.fx.Node):
            self.read[node] = self.known.get(node.args[0])
        try:
            self._call(node)
        except GuardOnDataDependentSymNode as error:
            raise NetworkError(
                f"{place} gives a result whose size depends on what is in the picture; use one of a fixed size"
            ) from error

    def _call(self, node: Any) -> None:
        kind = kind_of(node.target)
        if self.constants.compute(node):
            return
        self._note_memory(node)
        if kind in _CUTS:
            self._split(node)
            return
        if kind == "getitem" and node.args[0] in self.parts:
            source, part = node.args
            axis, start, length = self.parts[source][part]
            arguments = {"self": self.known[source], "dim": axis, "start": start, "length": length}
            if kind_of(source.target) == "unbind":
                arguments = {"self": self.known[source], "dim": axis, "index": start}
                self._append(node, "select", torch.ops.aten.select.int, arguments)
            else:
                self._append(node, "narrow", torch.ops.aten.narrow.default, arguments)
        elif _changes_nothing(node, kind):
            self._hand_on(node, kind)
        elif kind in _COMPARISONS:
            named = _named_arguments(node.target, node)
            self.masks[node] = kind, node.target, {name: self._translate(a) for name, a in named.items()}
        elif not self._rewritten(node, kind):
            target = _functional(node.target)
            self._append(node, kind_of(target), _with_keywords(target, node), _named_arguments(target, node))
            if kind.endswith("_"):  # in place: whoever reads the operand later sees the result
                changed = self.same.get(node.args[0], node.args[0])
                for name in (changed, *(n for n, source in self.same.items() if source is changed)):
                    self.known[name] = self.known[node]
                    self.constants.values.pop(name, None)

    def _hand_on(self, node: Any, kind: str) -> None:
        """What changes nothing is what it reads."""
        source = node.args[0]
        if source in self.constants.values and source not in self.known:
            self.constants.values[node] = self.constants.values[source]
            return
        self.known[node] = self._of(source)
        if "dropout" in kind:
            self.same[node] = self.same.get(source, source)
        self._note_module(node)

    def _note_memory(self, node: Any) -> None:
        """Whose memory the result is. Raises if it changes what is read later under another name."""
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
                raise _ChangedViewError(place_of(kind_of(node.target), _path(node)))

    def _split(self, node: Any) -> None:
        """Cuts are made one by one, where they are read. An unbound axis is one of cuts of length 1, then dropped."""
        unbound = kind_of(node.target) == "unbind"
        at = 1 if unbound else 2
        axis = node.args[at] if len(node.args) > at else node.kwargs.get("dim", 0)
        lengths = [1 if unbound else _known(part.shape[axis]) for part in node.meta["val"]]
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        self.parts[node] = [(axis, s, n) for s, n in zip(starts, lengths, strict=True)]
        self.known[node] = self._of(node.args[0])

    def _rewritten(self, node: Any, kind: str) -> bool:
        """What has a plainer form: maxima whose places nobody reads; any squeeze; a copy; rectifiers."""
        if kind.removesuffix("_") == "squeeze":
            self._squeeze(node)
            return True
        if kind == "copy" and node.args[0].meta["val"].dtype == node.args[1].meta["val"].dtype:
            of_same_size = {"self": node.args[1], "other": node.args[0]}
            self._append(node, "expand_as", torch.ops.aten.expand_as.default, of_same_size)
            return True
        source = node.args[0] if kind == "getitem" else node
        placed = PLACED.get(kind_of(source.target))
        if placed is not None and isinstance(source.meta["val"], (tuple, list)) and _needs_no_places(source):
            if source is node:
                self.known[node] = self.known[node.args[0]]
            else:
                self._append(node, *placed, _named_arguments(source.target, source))
            return True
        plain = plain_rectifier(node, self.known, self.read, self.constants)
        if plain is not None:
            self._append(node, *plain)
        return plain is not None

    def _squeeze(self, node: Any) -> None:
        """Drops the axes of length 1 that were asked for, or all; never the batch, which may be of one picture."""
        shape = node.args[0].meta["val"].shape
        asked = node.args[1] if len(node.args) > 1 else range(len(shape))
        axes = {axis % len(shape) for axis in ([asked] if isinstance(asked, int) else asked)}
        gone = sorted(axis for axis in axes if isinstance(shape[axis], int) and shape[axis] == 1)
        self._append(node, "squeeze", torch.ops.aten.squeeze.dims, {"self": node.args[0], "dim": gone})

    def _append(self, node: Any, kind: str, target: Any, arguments: Mapping[str, Any]) -> None:
        named = {name: self._translate(argument) for name, argument in arguments.items()}
        index = len(self.operations)  # what nothing had read before came to be just now
        inputs = tuple(leaf.index for leaf in leaves_of(named.values()) if isinstance(leaf, Ref))
        value = node.meta["val"]
        refuse_complex(node.target, _path(node), value)
        shape = tuple(map(_known, getattr(value, "shape", ())[1:]))
        carries = (
            _is_real(value) and not is_of_a_kind(kind) and any(self.operations[i].carries for i in inputs)
        )
        batch_first = self._is_batch_first(value)
        fixed = MappingProxyType(named), inputs, _path(node), shape
        counts = not has_one_size(value)
        operation = Operation(index, kind, target, *fixed, carries, batch_first, counts)
        layout = find_layout(operation, [self.operations[i] for i in inputs], self._lengths(value))
        self.operations.append(replace(operation, layout=layout))
        self.known[node] = Ref(index)
        self._note_module(node)

    def _lengths(self, value: Any) -> tuple[int, ...] | None:
        """The lengths of all axes of a result, or of the first of several, as of MANY pictures; None of no tensor."""
        if isinstance(value, (tuple, list)) and value:
            value = value[0]
        if not isinstance(value, Tensor):
            return None
        return tuple(n if isinstance(n, int) else self._of_many(n) for n in value.shape)

    def _of_many(self, length: torch.SymInt) -> int:
        """A length that depends on the number of pictures, of MANY."""
        name = str(length)
        if name not in self.many:
            expression = length.node.expr
            self.many[name] = int(expression.subs(dict.fromkeys(expression.free_symbols, MANY)))
        return self.many[name]

    def _is_batch_first(self, value: Any) -> bool:
        """Whether the pictures are along the first axis of a result, and along no other."""
        if not isinstance(value, Tensor) or not value.ndim or str(value.shape[0]) != self.batch:
            return False
        return all(isinstance(length, int) or self.batch not in str(length) for length in value.shape[1:])

    def _note_module(self, node: Any) -> None:
        known = self.known[node]
        if isinstance(known, Ref):
            self.modules.update(dict.fromkeys(_paths(node), known.index))

    def _translate(self, argument: Any) -> Any:
        return change_leaves(
            argument, lambda leaf: self._of(leaf) if isinstance(leaf, torch.fx.Node) else leaf
        )

    def _of(self, node: Any) -> Any:
        if node in self.masks:
            self._append(node, *self.masks.pop(node))
        return self.known[node] if node in self.known else self.constants.keep(node)


def _nothing() -> None:
    """The picture is given, not computed."""


def _known(length: Any) -> int:
    """A length, of the pictures that export was shown: int() of one that depends on their number would fix that."""
    return int(length.node.hint if not isinstance(length, int) and length.node.has_hint() else length)


def _is_real(value: Any) -> bool:
    """Whether a result is floating point, or a tuple with something that is."""
    if isinstance(value, (tuple, list)):
        return any(map(_is_real, value))
    return isinstance(value, Tensor) and value.is_floating_point()


def _functional(target: Any) -> Any:
    """The operation that gives the same result in new memory; the operation itself if it already does."""
    schema = getattr(target, "_schema", None)
    if target in PLAINER:
        return PLAINER[target]
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


def _needs_no_places(node: Any) -> bool:
    return all(
        kind_of(user.target) == "getitem" and (user.args[1] == 0 or not user.users) for user in node.users
    )


def _paths(node: Any) -> list[str]:
    """The modules that an operation happens in, outermost first; "" is the network itself."""
    stack = (node.meta.get("nn_module_stack") or {}).values()
    return [path for path, _ in stack if isinstance(path, str) and not path.startswith("_empty")]


def _path(node: Any) -> str:
    return (_paths(node) or [""])[-1]
