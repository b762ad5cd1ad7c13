"""A network seen operation by operation: one flat, functional list, whatever the Python behind it looked like.

Graphs pickle: an operation of torch, which does not, is known by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from math import inf
from types import MappingProxyType, NoneType
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from layerscope.errors import NetworkError
from layerscope.network.layout import CHANNELS, ONE, POSITIONS, Axes, Layout, summary

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
    counts_pictures: bool = True  #: whether any axis of its result is longer for more pictures
    layout: Layout | None = None  #: what all axes of its result go along; None: not known

    @cached_property
    def axes(self) -> Axes | None:
        """What the axes of its shape go along; None where that is not known, or the batch is not the first."""
        return None if self.layout is None else summary(self.layout)

    @property
    def place(self) -> str:
        """The operation and where it is, for messages."""
        return place_of(self.kind, self.module)

    @property
    def normalises_by_batch(self) -> bool:
        """Whether it takes its statistics from the pictures at hand, so that one changes what is made of another."""
        arguments = self.arguments
        return self.kind == "batch_norm" and (arguments["training"] or arguments["running_var"] is None)

    @property
    def is_random(self) -> bool:
        """Whether it gives another result each time: noise, and dropout that is left on."""
        on = self.arguments.get("training", self.arguments.get("train", True))
        tags = getattr(getattr(self.target, "func", self.target), "tags", ())
        return bool(on and self.arguments.get("dropout_p") != 0 and torch.Tag.nondeterministic_seeded in tags)

    @property
    def rectifies(self) -> bool:
        """Whether it makes zeros of negative values and changes no others but large ones: a ReLU by any name."""
        return self.passes is not None

    @property
    def passes(self) -> tuple[float, float] | None:
        """Between what a ReLU hands on what it is given: 0 and infinity, or where it clips; None: it is none."""
        arguments, kind = self.arguments, self.kind
        if kind in ("relu", "relu6"):
            return 0.0, 6.0 if kind == "relu6" else inf
        names = {"hardtanh": ("min_val", "max_val"), "clamp": ("min", "max"), "clamp_min": ("min", "")}.get(
            kind
        )
        if names is not None:
            low, high = arguments[names[0]], arguments.get(names[1])
            plain = isinstance(low, (int, float)) and isinstance(high, (int, float, NoneType))
            return (0.0, inf if high is None else float(high)) if plain and low == 0 else None
        zero = kind == "threshold" and arguments["threshold"] == arguments["value"] == 0
        return (0.0, inf) if zero else None

    def __getstate__(self) -> dict[str, Any]:
        """The fields, the operation of torch by its name."""
        return bare_state(self) | {"target": _name_target(self.target), "arguments": dict(self.arguments)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Raises NetworkError if the operation is one of a library that is not imported here."""
        arguments = MappingProxyType(state["arguments"])
        vars(self).update(state, target=_find_target(state["target"]), arguments=arguments)


@dataclass(frozen=True, eq=False)
class Graph:
    """Operations in the order they run; operation 0 is the picture. ``modules``: the result of each module."""

    operations: tuple[Operation, ...]
    output: int
    modules: Mapping[str, int]
    tensors: Mapping[str, Tensor] = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the network computes, and how it is read: its operations and the values of its tensors.

        Of axes only those whose channels are not the first: the others are read as they were before axes were known.
        """
        whole = hashlib.sha256()
        for operation in self.operations:
            keywords = sorted(getattr(operation.target, "keywords", {}).items())
            known = (operation.kind, dict(operation.arguments), keywords, operation.shape)
            axes = operation.axes
            moved = axes is not None and axes[:1] not in ((), (ONE,), (CHANNELS,))
            grid = (
                (operation.layout.size,) if moved and operation.layout and POSITIONS in (axes or ()) else ()
            )
            whole.update(repr((*known, axes, *grid) if moved else known).encode())
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

    @cached_property
    def random(self) -> Mapping[int, int]:
        """The operations whose results differ each time, and the random one that makes each do so."""
        found: dict[int, int] = {}
        for operation in self.operations:
            made = [found[i] for i in operation.inputs if i in found]
            if made or operation.is_random:
                found[operation.index] = made[0] if made else operation.index
        return found

    def with_tensors(self, argument: Any) -> Any:
        """The argument with the network's tensors and device in place of their names; a Ref stays."""
        return change_leaves(argument, self._with_tensor)

    def _with_tensor(self, leaf: Any) -> Any:
        if isinstance(leaf, Parameter):
            return self.tensors[leaf.name]
        return self._device if isinstance(leaf, torch.device) and self.tensors else leaf

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
                values[index] = self.apply(operation, values, in_place=in_place)
            if observe is not None:
                observe(operation, values)
            for source in dying:
                del values[source]
            if index not in last and index not in keep:
                del values[index]
        return {index: values[index] for index in keep if index in values}

    def apply(self, operation: Operation, values: Mapping[int, Any], *, in_place: bool = False) -> Any:
        """The result of an operation; ``in_place``: what it reads is needed no more."""
        if in_place and operation.kind == "relu":
            source = operation.inputs[0]
            if self.operations[source].kind in OWN_MEMORY:
                return torch.relu_(values[source])  # spares fresh memory, which costs more than the relu
        given = {name: self.with_tensors(a) for name, a in operation.arguments.items()}
        arguments = {name: fill(a, values.__getitem__) for name, a in given.items()}
        keywords = getattr(operation.target, "keywords", {})
        here = {"device": self._device} if "device" in keywords and self.tensors else {}
        return operation.target(*in_precision(arguments), **here)

    def __getstate__(self) -> dict[str, Any]:
        """The fields; a tensor that is part of a larger one without the rest of it."""
        tensors = {name: _without_the_rest(tensor) for name, tensor in self.tensors.items()}
        return bare_state(self) | {"modules": dict(self.modules), "tensors": tensors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, modules=MappingProxyType(state["modules"]))

    @cached_property
    def _device(self) -> torch.device:
        return next(iter(self.tensors.values())).device


def in_precision(arguments: Mapping[str, Any]) -> list[Any]:
    """The arguments, the first in the precision of the weight if there is one: a forward may name another."""
    values, weight = list(arguments.values()), arguments.get("weight")
    if isinstance(weight, Tensor) and isinstance(values[0], Tensor) and values[0].is_floating_point():
        values[0] = values[0].to(weight.dtype)
    return values


def place_of(kind: str, path: str) -> str:
    """An operation and where it is, for messages."""
    return f"{kind} in {path!r}" if path else f"{kind} in the network's own forward"


def leaves_of(arguments: Iterable[Any]) -> Iterator[Any]:
    """The arguments, those inside lists one by one."""
    for argument in arguments:
        if isinstance(argument, (list, tuple)):
            yield from leaves_of(argument)
        else:
            yield argument


def change_leaves(argument: Any, change: Callable[[Any], Any]) -> Any:
    """The argument, or each of those inside its lists, changed."""
    if isinstance(argument, (list, tuple)):
        return [change_leaves(item, change) for item in argument]
    return change(argument)


def fill(argument: Any, result: Callable[[int], Any]) -> Any:
    """The argument with ``result`` of the operation in place of each Ref."""
    return change_leaves(argument, lambda leaf: result(leaf.index) if isinstance(leaf, Ref) else leaf)


# ------------------------------------------------------------------ pickled


def bare_state(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, without what it has worked out from them."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _without_the_rest(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def _name_target(target: Any) -> Any:
    """What pickles in place of an operation: its name and the keywords bound to it; itself if it is Python's own."""
    if isinstance(target, partial):
        return (*_name_target(target.func), target.keywords)
    if isinstance(target, OpOverload):
        return (*target._schema.name.split("::"), target._overloadname)
    return target


def _find_target(named: Any) -> Any:
    if not isinstance(named, tuple):
        return named
    namespace, name, overload, *keywords = named
    try:
        target = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    except AttributeError as error:
        raise NetworkError(
            f"the network uses {namespace}::{name}, which is not known here; import the library that defines it"
        ) from error
    return partial(target, **keywords[0]) if keywords else target
