"""What torch.export is given and what it writes: what was read before is refused, what is no plain graph made one."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Graph
from torch.nn.parameter import is_lazy

from layerscope.errors import NetworkError
from layerscope.network.graph import place_of

_ALIASES = {"_to_copy": "to", "_unsafe_view": "reshape", "clip": "clamp", "clip_": "clamp_"}

PLAINER: Mapping[Any, Any] = {
    torch.ops.aten.view.default: torch.ops.aten.reshape.default,  # whatever order the memory has
    torch.ops.aten._unsafe_view.default: torch.ops.aten.reshape.default,
    torch.ops.aten.max.other: torch.ops.aten.maximum.default,
    torch.ops.aten.min.other: torch.ops.aten.minimum.default,
}  #: operations of two names, and the one that they are read by
_TAKEN_APART = frozenset(
    {
        torch.ops.aten.convolution.default,
        torch.ops.aten._native_batch_norm_legit_no_training.default,
        torch.ops.aten.native_layer_norm.default,
        torch.ops.aten.native_group_norm.default,
    }
)  #: what only a program has that was written in fewer operations


def flat_graph(program: ExportedProgram) -> Graph:
    """The operations of a program, those within ``torch.autocast(..., enabled=False)`` among the others.

    A network is read and computed without autocast all the same. What else wraps operations stays as it is.
    """
    if not any(map(_is_no_autocast, program.graph.nodes)):
        whole: Graph = program.graph
        return whole
    graph, found = Graph(), dict[Any, Any]()
    for node in program.graph.nodes:
        if _is_no_autocast(node):
            *_, wrapped = (source for source in node.args if _is_module(source))
            given = node.args[node.args.index(wrapped) + 1 :]
            within = getattr(program.graph_module, wrapped.target).graph
            inputs = [inner for inner in within.nodes if inner.op == "placeholder"]
            known = {inner: found[value] for inner, value in zip(inputs, given, strict=True)}
            found[node] = graph.graph_copy(within, known)
        elif node.target is operator.getitem and isinstance(found.get(node.args[0]), tuple):
            found[node] = found[node.args[0]][node.args[1]]
        elif not _is_module(node) or not all(map(_is_no_autocast, node.users)):
            found[node] = graph.node_copy(node, found.__getitem__)
    return graph


def kind_of(target: Any) -> str:
    """Torch's name for an operation: conv2d, relu_, getitem."""
    if target is operator.getitem:
        return "getitem"
    schema = getattr(target, "_schema", None)
    name = (
        schema.name.removeprefix("aten::") if schema is not None else getattr(target, "__name__", str(target))
    )
    return _ALIASES.get(name, name)


def _is_no_autocast(node: Any) -> bool:
    """Whether it wraps operations to compute them without autocast."""
    return getattr(node.target, "__name__", "") == "wrap_with_autocast" and node.args[2] is False


def _is_module(value: Any) -> bool:
    return isinstance(value, torch.fx.Node) and value.op == "get_attr"


def functional(program: ExportedProgram) -> ExportedProgram:
    """The program with every change of a tensor, or of a view of one, written as a new tensor; slow to make."""
    plain: ExportedProgram = program.run_decompositions({})
    return plain


def has_one_size(value: Any) -> bool:
    """Whether a result, or all that it is a tuple of, is as large however many pictures there are."""
    parts = value if isinstance(value, (tuple, list)) else [value]
    return all(isinstance(n, int) for part in parts for n in getattr(part, "shape", ()))


def refuse_complex(target: Any, path: str, value: Any) -> None:
    """Raise NetworkError if a result is of complex numbers."""
    if isinstance(value, Tensor) and value.is_complex():
        raise NetworkError(
            f"{place_of(kind_of(target), path)} computes with complex numbers, through which nothing is "
            "followed; give the part of the network before it"
        )


def refuse_what_is_decomposed(program: ExportedProgram) -> None:
    """Raise NetworkError for a program whose layers were taken apart: torch.export itself keeps them whole."""
    found = next((node for node in program.graph.nodes if node.target in _TAKEN_APART), None)
    if found is not None:
        raise NetworkError(
            f"cannot read a program whose layers were taken apart ({kind_of(found.target)}); "
            "save what torch.export.export gives, without run_decompositions()"
        )


def refuse_what_is_read_already(module: object) -> None:
    """Raise NetworkError for what torch.export or TorchScript made, and for what is no module at all."""
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule) or _is_exported(module):
        what = "an ExportedProgram itself" if _is_exported(module) else "a file of torch.export.save or ONNX"
        raise NetworkError(
            f"cannot read {kind}, which was made from a module; give the nn.Module it was made from, or {what}"
        )
    if isinstance(module, nn.Module):
        _refuse_parts(module)
    else:
        raise NetworkError(
            f"cannot read {kind}, which is no module; give an nn.Module that takes one image tensor"
        )


def _refuse_parts(module: nn.Module) -> None:
    """Raise NetworkError for what cannot be read within a module."""
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise NetworkError(
                f"{path} of {type(module).__name__} is TorchScript, which cannot be read; put the nn.Module that it "
                "was made from in its place"
            )
        if any(isinstance(value, torch.ScriptObject) for value in vars(part).values()):
            raise NetworkError(
                f"{path} of {type(module).__name__} packs its weights ({type(part).__name__}), so that they cannot be "
                "read; give the network as it was before it was quantised"
            )
        if any(map(is_lazy, part.parameters(recurse=False))):
            raise NetworkError(
                f"{path} of {type(module).__name__} has no size yet ({type(part).__name__}); run the network once on a "
                "picture, then give it"
            )


def _is_exported(module: object) -> bool:
    """Whether it is the module of an ExportedProgram, whose mode cannot be changed."""
    return isinstance(module, torch.fx.GraphModule) and "eval" in vars(module)
