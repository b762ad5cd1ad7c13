"""What watches a network's layers while pictures go through it, a few at a time, in any split of the pictures.

A reducer is ``update / merge / finish`` over states that are plain arrays. One pass over the pictures feeds many of
them. A user's own is a dozen lines: see `Reducer`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import Tensor

from layerscope.errors import NetworkError
from layerscope.kernels.reduction import Moments, Peaks, Reduced, reduce_activations
from layerscope.network.layers import Layer
from layerscope.network.network import Network

State = Mapping[str, npt.NDArray[Any]]  #: plain arrays only: written without pickle, sent, merged
NO_OUTPUT = -2  #: in place of a network's output: the class is none that the network knows
Results = Mapping[str, pa.Table | npt.NDArray[Any]]  #: name of the file, without suffix -> content


@dataclass(frozen=True)
class Target:
    """What a reducer looks at: the result of one operation of the network, most often a layer's."""

    name: str
    operation: int
    channels: int
    size: tuple[int, int]  #: rows and columns of its maps; (1, 1) for a vector
    layer: Layer | None = None

    @property
    def positions(self) -> int:
        """How many places each of its maps has."""
        return self.size[0] * self.size[1]


@dataclass(frozen=True, eq=False)
class Batch:
    """Which pictures are seen, in their order in the image set."""

    pictures: npt.NDArray[np.int64]  #: their places in the image set
    names: tuple[str, ...]
    labels: (
        npt.NDArray[np.int64] | None
    )  #: index of each one's class, -1 unknown; None: the set has no labels
    total: int  #: pictures in the whole image set
    size: tuple[int, int]  #: height and width of the network's input
    #: the network's output for each class, NO_OUTPUT where it has none; None: labels are outputs
    outputs: npt.NDArray[np.int64] | None = None

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """The network's output that is right for each picture; -1: unknown, NO_OUTPUT: it has none for the class."""
        if self.labels is None:
            return np.full(len(self.pictures), -1, np.int64)
        return self.labels if self.outputs is None else np.append(self.outputs, -1)[self.labels]


@dataclass(frozen=True, eq=False)
class LayerBatch:
    """What one layer hands on for a few pictures. Valid until `Reducer.update` returns; never to be changed.

    ``values``: (pictures, channels) or (pictures, channels, rows, columns), in the network's precision. ``needs``
    names what the one pass over them computes at once; what it leaves out is computed when first asked for.
    """

    target: Target
    batch: Batch
    values: Tensor
    needs: frozenset[str] = field(default=frozenset())
    found: Reduced | None = field(default=None, repr=False)  #: what that pass found, if it was made already

    @property
    def pictures(self) -> npt.NDArray[np.int64]:
        """Places of the pictures in the image set."""
        return self.batch.pictures

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the pictures."""
        return self.batch.names

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """Index of each picture's class, -1 unknown; None if the image set has no labels."""
        return self.batch.labels

    @cached_property
    def peaks(self) -> Peaks:
        """Each channel's strongest value per picture, and the first position that has it."""
        return self._reduced("peaks").peaks

    @cached_property
    def zeros(self) -> npt.NDArray[np.int64]:
        """How many values are exactly zero, -0.0 included: (pictures, channels)."""
        return self._reduced("peaks").zeros

    @cached_property
    def moments(self) -> Moments:
        """Sums, sums of squares and least values per picture and channel; they depend on no other picture."""
        found = self._reduced("moments").moments
        assert found is not None
        return found

    @cached_property
    def histogram(self) -> npt.NDArray[np.int64]:
        """How many values of these pictures fall into each of reduction's BINS bins: (channels, BINS)."""
        found = self._reduced("histogram").histogram
        assert found is not None
        return found

    def refuse(self, marked: npt.NDArray[np.bool_], what: str = "NaN") -> None:
        """Raise NetworkError if any picture is marked as having given it."""
        if marked.any():
            where = f"{self.target.name} gives {what} for {self.names[int(marked.argmax())]!r}"
            raise NetworkError(
                f"{where}, so nothing can be said of it; check the weights and the preprocessing"
            )

    def _reduced(self, wanted: str) -> Reduced:
        at_once = self._all_needs
        return at_once if wanted in self.needs or wanted == "peaks" else self._reduce(frozenset({wanted}))

    @cached_property
    def _all_needs(self) -> Reduced:
        return self._reduce(self.needs, self.found)

    def _reduce(self, needs: frozenset[str], found: Reduced | None = None) -> Reduced:
        reduced = found or reduce_activations(
            self.values, moments="moments" in needs, histogram="histogram" in needs
        )
        self.refuse(reduced.undefined)
        return reduced


class Reducer(ABC):
    """Looks at what layers hand on and keeps a summary, exactly the same however the pictures are split.

    ``name`` is that of its results in the study; ``needs`` lists which of "peaks" (with zeros), "moments" and
    "histogram" it asks every LayerBatch for: one pass computes them for all reducers together.
    A frozen dataclass makes its settings known to the study; an undecorated class is known by its attributes.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def targets(self, network: Network) -> tuple[Target, ...]:
        """What it looks at; `every_layer` is a common answer."""

    @abstractmethod
    def update(self, state: State | None, seen: LayerBatch) -> State:
        """The state with the seen pictures added to it; None: these are the first. The old one stays as it was."""

    @abstractmethod
    def merge(self, one: State, other: State) -> State:
        """One state for the pictures of both, associative; ``one`` holds the earlier pictures."""

    @abstractmethod
    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        """Results by name (which may hold "/") from the states by target; a target that saw nothing is absent."""

    def options(self) -> Mapping[str, object]:
        """What its results depend on besides the pictures and the network."""
        return dict(sorted(vars(self).items()))


def every_layer(network: Network, names: str | Iterable[str] = "all") -> tuple[Target, ...]:
    """The network's layers as targets, or those that `Network.select_layers` finds under these names.

    Of "all" and "even" those whose channels and positions are known; raises NetworkError for another that is named.
    """
    found = network.select_layers(names)
    some = names in ("all", "even")
    return tuple(layer_target(layer, network) for layer in found if not some or layer.axes is not None)


def layer_target(layer: Layer, network: Network) -> Target:
    """The representation of a layer. Raises NetworkError where its axes are not known."""
    layer = network.mapped_layer(layer.name)
    return Target(layer.name, layer.result, layer.channels, layer.size, layer)
