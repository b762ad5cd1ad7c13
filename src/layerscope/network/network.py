"""A network as the rest of layerscope uses it: its layers by name, its preprocessing, its predictions."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from layerscope.errors import GeometryError, NetworkError, NetworkWarning
from layerscope.network.capture import capture
from layerscope.network.convolution import prepare_convolutions
from layerscope.network.elsewhere import what_else_counts
from layerscope.network.geometry import Box, Geometry
from layerscope.network.graph import Graph, bare_state
from layerscope.network.layers import Layer, find_layers
from layerscope.network.links import SIGMOIDS, link_of, squashed
from layerscope.network.positions import arranged
from layerscope.network.preprocessing import IMAGENET, Preprocessing
from layerscope.network.receptive_fields import feature_geometry, geometry
from layerscope.network.source import Loading
from layerscope.network.tracing import computing
from layerscope.network.wrappers import unwrapped

_BATCH = 8  # pictures a forward pass takes at once


@dataclass(frozen=True)
class Unit:
    """One channel of a layer; with ``row`` and ``column``, one position of it. Counted from 0."""

    layer: str
    channel: int
    row: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        position = "" if self.row is None else f"@{self.row},{self.column}"
        return f"{self.layer}:{self.channel}{position}"


@dataclass(frozen=True)
class Prediction:
    """A class the network proposes: its index, its name, its probability in [0, 1]."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Network:
    """A convolutional network, seen operation by operation. An immutable value: ``to`` gives another one.

    It reads the tensors of the module it came from in place, and never changes them or the module.
    """

    name: str
    graph: Graph = field(repr=False)
    preprocessing: Preprocessing = IMAGENET
    classes: tuple[str, ...] | None = field(default=None, repr=False)  #: names, in the order of the outputs
    rename: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  #: layer names in place of module paths
    weights: str = ""  #: where the weights came from
    trunk: bool = False  #: whether its fully-connected layers were left out
    loading: Loading | None = field(default=None, repr=False)  #: how to load it again; None: nobody can say
    exact: Graph | None = field(default=None, repr=False)  #: the graph before `to` rounded its tensors

    @classmethod
    def from_module(
        cls,
        module: nn.Module | ExportedProgram,
        *,
        name: str | None = None,
        preprocessing: Preprocessing = IMAGENET,
        classes: Sequence[str] | None = None,
    ) -> Network:
        """Read any module that takes one image tensor (batch, channels, height, width) and returns one tensor.

        The input size is the preprocessing's. Raises NetworkError if the module cannot be read.
        """
        if isinstance(module, nn.Module):
            module = unwrapped(module)
        graph = capture(module, preprocessing.shape)
        if graph.operations[0].shape != preprocessing.shape:
            made, seen = (
                "x".join(map(str, shape)) for shape in (graph.operations[0].shape, preprocessing.shape)
            )
            raise NetworkError(
                f"{type(module).__name__} was exported for {made}, and its pictures would be {seen}"
            )
        for line in what_else_counts(graph):
            warnings.warn(line, NetworkWarning, stacklevel=2)
        names = None if classes is None else tuple(classes)
        return cls(name or type(module).__name__, graph, preprocessing, names)

    def __getstate__(self) -> dict[str, object]:
        """The fields: layers and receptive fields are found again where they are wanted."""
        return bare_state(self)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer in the order they run."""
        return find_layers(self.graph, (self.feature_geometry, self.geometry), self.rename)

    @cached_property
    def geometry(self) -> Geometry:
        """Receptive fields of every operation, in all."""
        return geometry(self.graph)

    @cached_property
    def feature_geometry(self) -> Geometry:
        """Receptive fields of every operation through the features: gates and norms held constant."""
        return feature_geometry(self.graph, self.geometry)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the input."""
        channels, height, width = self.graph.operations[0].shape
        return channels, height, width

    @property
    def device(self) -> torch.device:
        """Where the network's tensors are."""
        return next(iter(self.graph.tensors.values()), torch.empty(0)).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision it computes in."""
        floats = (t.dtype for t in self.graph.tensors.values() if t.is_floating_point())
        return next(floats, torch.float32)

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Network:
        """The network on another device or in another precision, its convolutions laid out channels-last.

        A coarser one keeps the exact tensors, and what is made of it later is made of those.
        """
        exact = self.exact or self.graph
        wanted = dtype or (self.dtype if self.exact else None)
        rounds = wanted is not None and any(
            tensor.is_floating_point() and torch.promote_types(tensor.dtype, wanted) != wanted
            for tensor in exact.tensors.values()
        )
        tensors = dict(_moved(exact.tensors, device, wanted))
        stays = all(tensors[name] is tensor for name, tensor in exact.tensors.items())
        graph = exact if stays else replace(exact, tensors=tensors)
        return replace(self, graph=graph, exact=exact if rounds else None)

    def find_layer(self, name: str) -> Layer | None:
        """The layer of that name, or the one that the last operation of the module at that path belongs to."""
        if name in self._by_name:
            return self._by_name[name]
        owners = {index: layer for layer in self.layers for index in layer.operations}
        result = self.graph.modules.get(name) if name else None
        return None if result is None else owners.get(result)

    def layer(self, name: str) -> Layer:
        """As `find_layer`, but raises NetworkError, with names that come close, if there is none."""
        found = self.find_layer(name)
        if found is not None:
            return found
        close = difflib.get_close_matches(name, self._by_name, n=3, cutoff=0.3)
        ends = [layer.name for layer in (*self.layers[:1], *self.layers[-1:])]
        hint = (
            f"did you mean {', '.join(close)}?"
            if close
            else f"it has {' to '.join(ends) or 'no layer at all'}"
        )
        raise NetworkError(f"{self.name} has no layer {name!r}; {hint} (`layerscope layers` lists them)")

    def mapped_layer(self, name: str) -> Layer:
        """As `layer`, but raises NetworkError where it is not known which axes of it are channels and positions."""
        layer = self.layer(name)
        if layer.axes is None:
            shape = "x".join(map(str, layer.output)) or "other"
            raise NetworkError(
                f"{layer.name} ({layer.operation}) gives {shape} numbers, and it is not known which axes of them are "
                "channels, rows and columns; ask for a layer before or after it, or for the whole of it"
            )
        return layer

    @cached_property
    def _by_name(self) -> Mapping[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    def select_layers(self, which: str | Iterable[str]) -> tuple[Layer, ...]:
        """``all``: every layer. ``conv``: every convolution. ``even``: every second convolution and the last
        fully-connected layer, as in the paper's Fig. 4. Otherwise the layers of these names, in the network's order."""
        convolutions = tuple(layer for layer in self.layers if layer.kind == "conv2d")
        if which in ("all", "conv"):
            return self.layers if which == "all" else convolutions
        if which == "even":
            return (*convolutions[::2], *[layer for layer in self.layers if layer.kind == "linear"][-1:])
        wanted = {self.layer(name).name for name in ([which] if isinstance(which, str) else which)}
        return tuple(layer for layer in self.layers if layer.name in wanted)

    def has(self, kind: str) -> bool:
        """Whether any layer is of this kind: "conv2d", "linear", ..."""
        return any(layer.kind == kind for layer in self.layers)

    def check_unit(self, unit: Unit) -> Layer:
        """The unit's layer. Raises NetworkError if the layer has no such channel or position."""
        layer = self.mapped_layer(unit.layer)
        height, width = layer.size
        if not 0 <= unit.channel < layer.channels:
            raise NetworkError(f"{layer.name} has channels 0 to {layer.channels - 1}, not {unit.channel}")
        if (unit.row is None) != (unit.column is None):
            raise NetworkError(f"unit {unit} needs both row and column, or neither")
        if unit.row is not None and unit.column is not None:
            inside = 0 <= unit.row < height and 0 <= unit.column < width
            if not inside:
                raise NetworkError(
                    f"{layer.name} is {height}x{width}: it has no position {unit.row},{unit.column}"
                )
        return layer

    def box(self, unit: Unit) -> Box:
        """The exact pixels under a unit, the part outside the picture included.

        Raises GeometryError where positions of the layer see boxes of no common size.
        """
        layer = self.check_unit(unit)
        if layer.field is None:
            raise GeometryError(f"{layer.name} ({layer.operation}) has no receptive field of one size")
        if unit.row is None or unit.column is None:
            raise GeometryError(f"unit {unit} is a whole feature map; give it a row and a column")
        return layer.field.box(unit.row, unit.column)

    def representations(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """What each named layer hands on for preprocessed pictures (batch, channels, height, width).

        As (batch, channels, rows, columns) or (batch, channels), whatever order the network has them in; where the
        axes are not known, as they are.
        """
        results = {name: self.layer(name).result for name in layers}
        found = self._run(pictures, frozenset(results.values()))
        operations = self.graph.operations
        return {name: arranged(operations[index], found[index]) for name, index in results.items()}

    def prepare(self, pictures: Tensor) -> Tensor:
        """Preprocessed pictures on the network's device, in its precision, channels-last.

        Raises NetworkError for what is no tensor of real floats with values, or of another shape.
        """
        if fault := _not_floats(pictures):
            raise NetworkError(
                f"{self.name} takes pictures as one tensor of floats, not {fault}; "
                "network.preprocessing.apply makes one of a picture, torch.stack a batch"
            )
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != self.input_shape:
            expected = "x".join(map(str, self.input_shape))
            got = "x".join(map(str, pictures.shape))
            raise NetworkError(
                f"{self.name} takes pictures of batch x {expected}, not {got}; preprocess them first"
            )
        return pictures.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)

    def _run(self, pictures: Tensor, keep: frozenset[int]) -> dict[int, Tensor]:
        """The results of operations for preprocessed pictures, by the same convolutions as everywhere else."""
        upto = max(keep, default=0)
        batches = torch.split(self.prepare(pictures), _BATCH)
        with computing():
            ways = prepare_convolutions(self.graph, upto)
            parts = [self.graph.run(batch, upto, keep, prepared=ways) for batch in batches]
        return {
            index: torch.cat([part[index] for part in parts]) for index in keep
        }  # outside: ordinary tensors

    @property
    def why_no_predictions(self) -> str | None:
        """Why the network predicts no classes; None if it does, by a softmax of its scores."""
        output = self.graph.operations[self.graph.output]
        if self.trunk:
            return f"the weights of {self.name} are a trunk without fully-connected layers"
        if prod(output.shape) == 1:
            return f"{self.name} gives one score, not one per class"
        if len(output.shape) != 1:
            return f"{self.name} ends in feature maps, not in one score per class"
        link = link_of(self.graph, output.index)
        if link is not None and link.kind in SIGMOIDS:
            return f"{self.name} ends in a sigmoid: its classes do not exclude each other"
        return None

    @cached_property
    def scores(self) -> int:
        """The operation that gives one score per class, before a last rectification, softmax or sigmoid."""
        output = self.graph.operations[self.graph.output]
        if self.trunk or len(output.shape) != 1:
            raise NetworkError(f"{self.why_no_predictions}; use whole weights to predict")
        link = link_of(self.graph, output.index)
        if link is not None and link.kind != "tanh":
            return squashed(self.graph, output.index)
        return output.inputs[0] if output.rectifies else output.index

    def predict(self, pictures: Tensor, top: int = 5) -> tuple[tuple[Prediction, ...], ...]:
        """For each preprocessed picture the ``top`` classes, the most probable first.

        Raises NetworkError if the network predicts nothing, or if its class names do not fit.
        """
        index = self.scores
        if self.why_no_predictions:
            raise NetworkError(
                f"{self.why_no_predictions}; its numbers are the representations of its last layer"
            )
        scores = self._run(pictures, frozenset({index}))[index].flatten(1)
        count = scores.shape[1]
        names = self.classes or tuple(f"class {i}" for i in range(count))
        if len(names) != count:
            raise NetworkError(f"{self.name} has {count} outputs but {len(names)} class names")
        values, indices = scores.float().softmax(dim=1).topk(min(top, count))
        return tuple(
            tuple(Prediction(int(i), names[int(i)], float(v)) for v, i in zip(row, found, strict=True))
            for row, found in zip(values, indices, strict=True)
        )


def _not_floats(pictures: object) -> str:
    """What is wrong with something given as preprocessed pictures, if it is no tensor of floats with values."""
    if not isinstance(pictures, Tensor):
        return type(pictures).__qualname__
    if not pictures.is_floating_point():
        return f"{pictures.dtype}"
    if pictures.layout != torch.strided or pictures.is_nested:
        return "a nested tensor" if pictures.is_nested else f"{pictures.layout}"
    return "a meta tensor, which has no values" if pictures.is_meta else ""


def _moved(
    tensors: Mapping[str, Tensor], device: str | torch.device | None, dtype: torch.dtype | None
) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        moved = tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)
        yield name, moved.contiguous(memory_format=torch.channels_last) if moved.ndim == 4 else moved
