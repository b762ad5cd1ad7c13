"""States of one training, as networks: which step each is of, and how far each of its layers is from the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from layerscope.compare.similarity import Similarities
from layerscope.compare.sparsity import Zeros
from layerscope.compare.subject import Subject
from layerscope.errors import ComparisonError
from layerscope.network.network import Network
from layerscope.zoo.trained import described

Floats = npt.NDArray[np.float64]
_KINDS = ("conv2d", "linear")


@dataclass(frozen=True)
class State:
    """A network and the step of its training that it is of; ``epoch``: how often each picture had been seen."""

    network: str
    step: int
    epoch: float


def states_of(subject: Subject) -> tuple[State, ...]:
    """The networks as states of one training, in the order of its steps. Raises ComparisonError if they are none."""
    runs: dict[object, str] = {}
    found = []
    for network in subject.networks:
        about = _about(network)
        trained = about.get("trained")
        if not isinstance(trained, Mapping) or "run" not in about:
            raise ComparisonError(f"{network.name} does not say of which training it is a state")
        runs.setdefault(about["run"], network.name)
        found.append(State(network.name, int(trained["step"]), float(trained["epoch"])))
    if len(runs) > 1:
        raise ComparisonError(f"{' and '.join(runs.values())} are of different trainings")
    ordered = sorted(found, key=lambda state: state.step)
    if twice := [b for a, b in pairwise(ordered) if a.step == b.step]:
        raise ComparisonError(f"{twice[0].network} is not the only state after step {twice[0].step}")
    return tuple(ordered)


def _about(network: Network) -> Mapping[str, object]:
    weights = None if network.loading is None else network.loading.weights
    return {} if weights is None else described(Path(weights))


def own_correlations(found: Similarities) -> Mapping[str, npt.NDArray[np.float32]]:
    """Of each channel with the same one of the other network, by layer; NaN for one that never changes in either."""
    if found.correlations is None:
        raise ComparisonError("there are no correlations: too many channels are to be held at once")
    own = np.diagonal(found.correlations)
    sizes = {name: values.shape[2] for name, values in found.one.layers.items()}
    ends = np.cumsum(list(sizes.values()))
    return dict(zip(sizes, np.split(own, ends[:-1]), strict=True))


@dataclass(frozen=True, eq=False)
class Course:
    """A training from its first state to its last."""

    subject: Subject
    states: tuple[State, ...]

    @property
    def last(self) -> str:
        """The network that the others became."""
        return self.states[-1].network

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The convolutions and fully-connected layers, in the order they run."""
        rows = self.subject.study.network(self.last).layers.select(["layer", "kind"]).to_pylist()
        return tuple(row["layer"] for row in rows if row["kind"] in _KINDS)

    @cached_property
    def convolutions(self) -> tuple[str, ...]:
        """In the order they run."""
        rows = self.subject.study.network(self.last).layers.select(["layer", "kind"]).to_pylist()
        return tuple(row["layer"] for row in rows if row["kind"] == "conv2d")

    @cached_property
    def zeros(self) -> Mapping[str, Zeros]:
        """Of each network."""
        return {state.network: Zeros(self.subject.study.network(state.network)) for state in self.states}

    @cached_property
    def found(self) -> Mapping[str, Similarities]:
        """Each earlier network beside the last."""
        return {s.network: self.subject.similarities(s.network, self.last) for s in self.states[:-1]}

    @cached_property
    def likeness(self) -> Mapping[str, Mapping[str, Mapping[str, float | None]]]:
        """The row of the similarities of each layer with itself in the end, by network and layer."""
        return {
            name: {row["layer"]: row for row in found.table.to_pylist() if row["layer"] == row["other_layer"]}
            for name, found in self.found.items()
        }

    @cached_property
    def correlations(self) -> Mapping[str, Mapping[str, npt.NDArray[np.float32]]]:
        """Of each channel with itself in the end, by network and layer."""
        return {name: own_correlations(found) for name, found in self.found.items()}

    def settled(self, network: str, layer: str, least: float) -> float:
        """The share of a layer's channels, of those that change in the end, that correlate so with what they become."""
        if network == self.last:
            return 1.0
        live = self.live(layer)
        own = np.nan_to_num(self.correlations[network][layer][live], nan=0.0)
        return float((own >= least).mean()) if len(own) else float("nan")

    def live(self, layer: str) -> npt.NDArray[np.bool_]:
        """Which channels of a layer change at all in the end."""
        values = next(iter(self.found.values())).other.layers[layer]
        live: npt.NDArray[np.bool_] = (values != values[:1, :1]).any(axis=(0, 1))
        return live

    def chosen(self, most: int) -> list[tuple[str, int]]:
        """Filters to show, at most so many: of each convolution as many, from the one that settles first to the last.

        Of a single one it is the one in the middle. Those that never change in the end are left out.
        """
        each = max(1, most // max(1, len(self.convolutions)))
        shown: list[tuple[str, int]] = []
        for layer in self.convolutions:
            channels = np.flatnonzero(self.live(layer))
            known = [np.nan_to_num(own[layer][channels], nan=0.0) for own in self.correlations.values()]
            order = channels[np.argsort(-np.mean(known, axis=0), kind="stable")]
            places = np.linspace(0, len(order) - 1, each) if each > 1 else np.array([(len(order) - 1) / 2])
            if len(order):
                shown += [(layer, int(order[place])) for place in dict.fromkeys(places.astype(int).tolist())]
        return shown[:most]
