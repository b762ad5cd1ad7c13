"""Files of ONNX: ``net.onnx``; of one of several outputs ``net.onnx:NAME``. Nothing in them is executed.

The nodes are run one by one with torch's operations (`layerscope.zoo.onnx_rules`), each in a module of its own, so that
torch.export sees plain operations, and layers are called after the nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layerscope.errors import NetworkError, named
from layerscope.network.source import Options
from layerscope.zoo.blueprint import Blueprint, for_channels, sized
from layerscope.zoo.onnx_attributes import unknown
from layerscope.zoo.onnx_rules import RULES
from layerscope.zoo.origins import given

_ELEMENTWISE = frozenset("Add Sub Mul Div Pow Max Min".split())
_OF_NUMBERS = _ELEMENTWISE | frozenset("Clip Pad Resize Upsample".split())  # what they are told is no weight
_INSTEAD = "export the network without it, or give the module it was made from"
_VIEWED = 64  # pixels of a side where a file for one picture says no size


def blueprint(spec: str, options: Options) -> Blueprint:
    """With the size and channels that the file says, and ImageNet's mean and deviation.

    Raises NetworkError for a file that is absent or broken, and for an operation without a rule.
    """
    path, ending, output = spec.partition(".onnx:")
    file = Path(path + ".onnx" if ending else spec)
    module = OnnxModule(_graph(file), file.name, output)
    made = given.blueprint(
        f"{file.name}:{output}" if output else file.name, module, options, "as in the file"
    )
    channels, height, width = module.shape
    preprocessing = made.preprocessing if channels is None else for_channels(made.preprocessing, channels)
    if height and width and options.input_size is None:
        return replace(made, preprocessing=sized(preprocessing, (height, width)), assumed=False)
    return replace(made, preprocessing=preprocessing)


def _graph(file: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise NetworkError("onnx is not installed; pip install 'layerscope[onnx]'") from error
    if not file.is_file():
        raise NetworkError(f"{file}: there is no such file")
    try:
        return onnx.load(file)
    except Exception as error:  # a broken file can raise anything
        raise NetworkError(
            f"{file} is no readable file of ONNX ({named(error)[:200]}); export it again"
        ) from error


class OnnxNode(nn.Module):
    """One node: its constants are its own, all else is given when it runs."""

    def __init__(
        self, kind: str, name: str, attributes: Mapping[str, Any], constants: Mapping[int, Any]
    ) -> None:
        super().__init__()
        self.kind, self.called, self.attributes = kind, name, attributes
        self.numbers = {place: value for place, value in constants.items() if not isinstance(value, Tensor)}
        self.tensors = {place: f"input{place}" for place in constants if place not in self.numbers}
        for place, called in self.tensors.items():
            self.register_buffer(called, constants[place])

    def forward(self, *values: Any) -> Any:
        """Its outputs, of its inputs; None in the places of its constants."""
        whole = list(values)
        for place, value in self.numbers.items():
            whole[place] = value
        for place, called in self.tensors.items():
            whole[place] = getattr(self, called)
        return RULES[self.kind](self.attributes, *whole)


class OnnxModule(nn.Module):
    """The network of a file, from its one input to its one output, or to the one named."""

    def __init__(self, model: Any, name: str, output: str = "") -> None:
        super().__init__()
        self.called = name
        graph, constants = model.graph, _initial(model.graph)
        (self.entry, *sizes), self.exit = _entry(graph, constants, name), _exit(graph, output, name)
        self.shape: tuple[int | None, ...] = tuple(sizes[1:])
        common = {"opset": _opset(model), "single": sizes[0] == 1}
        self.steps: list[tuple[OnnxNode, list[str], list[str]]] = []
        taken: set[str] = set()
        for number, node in _needed(graph, self.exit):
            self._add(node, common, constants, _unused(_place(node, number), taken))
        self.constants = constants
        if self.exit in constants:
            raise NetworkError(f"{name} gives the same whatever the picture is")
        if common["single"]:
            self._check_batches()

    def _add(self, node: Any, common: Mapping[str, Any], constants: dict[str, Any], path: str) -> None:
        """The node as a step; as a constant where it does not see the picture."""
        attributes = {**common, "outputs": len(node.output), **dict(_attributes(node))}
        if node.op_type == "Constant":
            constants[node.output[0]] = _value(
                next(v for k, v in attributes.items() if k.startswith("value"))
            )
            return
        self._check_known(node, common["opset"])
        known = {place: constants[n] for place, n in enumerate(node.input) if n in constants}
        if node.op_type in _OF_NUMBERS:
            known = {place: _plain(value, node.op_type) for place, value in known.items()}
        kind = _with_weights_upright(node.op_type, attributes, known)
        made = OnnxNode(kind, node.name or node.output[0], attributes, known)
        inputs = ["" if place in known else name for place, name in enumerate(node.input)]
        if any(inputs):
            _hang(self, path, made)
            self.steps.append((made, inputs, list(node.output)))
        elif node.input:
            constants.update(zip(node.output, self._computed(made, len(inputs)), strict=False))

    def _check_known(self, node: Any, opset: int) -> None:
        """Raise NetworkError for an operation without a rule, or with an attribute that its rule does not read."""
        why = f"{node.op_type} of ONNX, for which there is no rule"
        if node.op_type in RULES and node.domain in ("", "ai.onnx"):
            said = ", ".join(unknown(node, opset))
            why = f"{node.op_type} of ONNX with {said}, which is not read" if said else ""
        if why:
            raise NetworkError(
                f"{self.called}: the node {node.name or node.output[0]} is a {why}; {_INSTEAD}"
            )

    def _computed(self, node: OnnxNode, inputs: int) -> Sequence[Any]:
        """What a node of constants alone gives."""
        try:
            found = self._run(node, [None] * inputs)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{self.called}: the node {node.called}, {node.kind} of ONNX, cannot be computed "
                f"({named(error)[:200]}); export the network again, or give the module it was made from"
            ) from error
        return found if isinstance(found, tuple) else (found,)

    def forward(self, pictures: Tensor) -> Tensor:
        """The output for pictures (batch, channels, height, width)."""
        values: dict[str, Any] = {self.entry: pictures}
        for node, inputs, outputs in self.steps:
            found = self._run(node, [values[name] if name else None for name in inputs])
            values.update(zip(outputs, found if isinstance(found, tuple) else (found,), strict=False))
        result: Tensor = values[self.exit]
        return result

    def _run(self, node: OnnxNode, values: Sequence[Any]) -> Any:
        try:
            return node(*values)
        except NetworkError as error:
            raise NetworkError(
                f"{self.called}: the node {node.called}, {node.kind} of ONNX, is read {error}; {_INSTEAD}"
            ) from error
        except KeyError as error:
            raise NetworkError(
                f"{self.called}: the node {node.called} needs {error}, which is not there; export it again"
            ) from error

    def _check_batches(self) -> None:
        """Raise NetworkError unless a file for one picture gives for two what it gives for each."""
        channels, height, width = self.shape
        generator = torch.Generator().manual_seed(0)
        pictures = torch.randn(2, channels or 3, height or _VIEWED, width or _VIEWED, generator=generator)
        with torch.no_grad():
            try:
                apart = torch.cat([self(picture[None]) for picture in pictures])
            except (RuntimeError, TypeError, ValueError):
                return  # of another size, which reading it will say
            try:
                together = self(pictures)
                alike = together.shape == apart.shape and torch.allclose(together, apart, 1e-3, 1e-4)
            except (RuntimeError, TypeError, ValueError):
                alike = False
        if not alike:
            raise NetworkError(
                f"{self.called} was exported for one picture alone and cannot take several; export it again with the "
                "first axis of its input free (dynamic)"
            )


def _needed(graph: Any, output: str) -> list[tuple[int, Any]]:
    """The nodes that the output depends on, each with its place, in their order."""
    wanted, found = {output}, []
    for number, node in reversed([*enumerate(graph.node)]):
        if not wanted.isdisjoint(node.output):
            wanted.update(node.input)
            found.append((number, node))
    return found[::-1]


def _initial(graph: Any) -> dict[str, Any]:
    return {tensor.name: _value(tensor) for tensor in graph.initializer}


def _value(given: Any) -> Any:
    """Floats as a tensor, all other numbers as an array of Python's own."""
    from onnx import TensorProto, numpy_helper

    array = numpy_helper.to_array(given) if isinstance(given, TensorProto) else np.asarray(given)
    if array.dtype.kind == "f":
        return torch.from_numpy(np.array(array))
    return array.astype(object) if array.dtype.kind in "iu" else array


def _plain(value: Any, kind: str) -> Any:
    """A tensor that is one number to reckon with, or says what to do, as numbers."""
    numbers = (
        isinstance(value, Tensor) and value.ndim < 2 and (value.numel() == 1 or kind not in _ELEMENTWISE)
    )
    return value.numpy() if numbers else value


def _entry(graph: Any, constants: Mapping[str, Any], name: str) -> list[Any]:
    """The one input: its name, and its sizes, None where they are free."""
    inputs = [one for one in graph.input if one.name not in constants]
    if not inputs:
        raise NetworkError(f"{name} holds no network that takes anything; export it anew")
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise NetworkError(f"{name} must take one image tensor, and takes {len(inputs)} ({names})")
    sizes = [d.dim_value if d.dim_value > 0 else None for d in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) != 4:
        raise NetworkError(f"{name} takes {len(sizes)} axes, not (batch, channels, height, width)")
    return [inputs[0].name, *sizes]


def _exit(graph: Any, asked: str, name: str) -> str:
    """The output asked for, or the only one."""
    outputs: list[str] = [one.name for one in graph.output]
    known = {*outputs, *(one for node in graph.node for one in node.output)}
    if asked and asked in known:
        return asked
    if asked or len(outputs) != 1:
        wrong = f"has no output {asked!r}" if asked else f"has {len(outputs)} outputs"
        raise NetworkError(f"{name} {wrong}; name one: {', '.join(f'{name}:{one}' for one in outputs[:8])}")
    return outputs[0]


def _opset(model: Any) -> int:
    return next((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)


def _attributes(node: Any) -> Iterator[tuple[str, Any]]:
    from onnx import TensorProto, helper, numpy_helper

    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto) and node.op_type != "Constant":
            value = numpy_helper.to_array(value)
        yield attribute.name, value.decode() if isinstance(value, bytes) else value


def _with_weights_upright(kind: str, attributes: dict[str, Any], known: dict[int, Any]) -> str:
    """A product with a constant matrix is a linear layer; its weights become (out, in), as torch has them."""
    weight = known.get(1)
    if kind not in ("MatMul", "Gemm") or not isinstance(weight, Tensor) or weight.ndim != 2 or 0 in known:
        return kind
    if not attributes.get("transB", 0):
        known[1] = weight.T.contiguous()
    attributes["transB"] = 1
    return "Gemm"


def _place(node: Any, number: int) -> str:
    """A path for the node's module: of torch's exporters, that of the module it comes from.

    Their names are ``/layer1/layer1.0/conv1/Conv``; a part that goes on with the one before it takes its place.
    """
    parts: list[str] = []
    text = re.sub(rf"/{node.op_type}(_\d+)?$", "", node.name) if node.name.startswith("/") else node.name
    for part in filter(None, text.split("/")):
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    path = re.sub(r"[^A-Za-z0-9_]+", ".", ".".join(parts)).strip(".")
    return path or f"{node.op_type}.{number}"


def _unused(path: str, taken: set[str]) -> str:
    """The path, or the first of PATH_2, PATH_3, ... that no other node has."""
    free, number = path, 1
    while free in taken:
        number += 1
        free = f"{path}_{number}"
    taken.add(free)
    return free


def _hang(module: nn.Module, path: str, node: OnnxNode) -> None:
    """Put the node at a path, whose parts on the way become modules; one that is there already hands its own on."""
    *way, last = path.split(".")
    place = module
    for part in way:
        inner = place._modules.get(part)
        if inner is None:
            inner = nn.Module()
            place.add_module(part, inner)
        place = inner
    before = place._modules.get(last)
    for name, child in before.named_children() if before is not None else ():
        node.add_module(name, child)
    place._modules[last] = node
