"""One pass of a network over an image set, feeding many reducers: shard by shard, in order, in this process.

Shards know nothing of each other; their states merge in shard order. So where and when each one runs, and after
how many interruptions, does not show in the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from layerscope.errors import LayerscopeError
from layerscope.images.ahead import Ready, read_ahead
from layerscope.images.sets import ImageSet
from layerscope.kernels.reduction import Reduced, can_rectify, rectify_and_reduce
from layerscope.network.axes import MAP
from layerscope.network.convolution import prepare_convolutions
from layerscope.network.graph import OWN_MEMORY, Operation
from layerscope.network.layout import CHANNELS
from layerscope.network.network import Network
from layerscope.network.positions import arranged
from layerscope.network.tracing import computing
from layerscope.progress import Count, Told
from layerscope.sweep.reducers import NO_OUTPUT, Batch, LayerBatch, Reducer, Results, State, Target

Key = tuple[str, str]  #: names of a reducer and of a target of it
_SHARD, _SHARDS = 256, 80  # pictures of a shard; so many shards, about, of a set for which that is too few


@dataclass(frozen=True)
class SweepOptions:
    """How the pictures go through the network: so many at once, decoded by so many threads, so many per shard.

    ``shard`` shows in no result; None: whole batches, 256 pictures or an 80th of all if that is more.
    Raises LayerscopeError if it is no multiple of ``batch``: the last batch of each would run half empty.
    """

    batch: int = 16
    workers: int = 2
    shard: int | None = None

    def __post_init__(self) -> None:
        shard = self.batch if self.shard is None else self.shard
        if min(self.batch, shard, self.workers) < 1:
            raise LayerscopeError(f"{self} needs at least one picture per batch, per shard, and one worker")
        if shard % self.batch:
            raise LayerscopeError(
                f"a shard of {shard} pictures is no multiple of the batch of {self.batch}; make it one"
            )

    def shard_of(self, pictures: int) -> int:
        """How many pictures each shard of so many has."""
        return self.shard or whole_batches(self.batch, max(_SHARD, pictures // _SHARDS))

    def shards(self, pictures: int) -> tuple[range, ...]:
        """The places of each shard's pictures, in order."""
        return shards_of(pictures, self.shard_of(pictures))


def whole_batches(batch: int, pictures: int = _SHARD) -> int:
    """The pictures of as many whole batches as there are in so many, and of one at least."""
    return max(1, pictures // batch) * batch


def shards_of(pictures: int, shard: int) -> tuple[range, ...]:
    """The places of each shard's pictures, in order, if each but the last has ``shard``."""
    return tuple(range(start, min(start + shard, pictures)) for start in range(0, pictures, shard))


class Watcher:
    """Runs batches through a network and holds what the reducers keep of them: ``states``, by reducer and target.

    Raises LayerscopeError if two reducers have the same name.
    """

    def __init__(self, network: Network, reducers: Sequence[Reducer]) -> None:
        _by_name(reducers)
        self.network = network
        self.states: dict[Key, State] = {}
        views: dict[Target, list[Reducer]] = {}
        for reducer in reducers:
            for target in reducer.targets(network):
                views.setdefault(target, []).append(reducer)
        self._views: dict[int, list[tuple[Target, list[Reducer]]]] = {}
        for target, readers in views.items():
            self._views.setdefault(target.operation, []).append((target, readers))
        self._needs = {
            index: frozenset[str]().union(*(r.needs for _, readers in seen for r in readers))
            for index, seen in self._views.items()
        }

    def see(self, pictures: Tensor, batch: Batch, rows: Sequence[int] | None = None) -> None:
        """Run preprocessed pictures forward; the reducers see the first ones, or ``rows``, which ``batch`` names."""
        found: dict[int, Reduced] = {}
        some = slice(len(batch.pictures)) if rows is None or [*rows] == [*range(len(rows))] else [*rows]

        def observe(operation: Operation, values: Mapping[int, Any]) -> None:
            for target, readers in self._views.get(operation.index, ()):
                shown = arranged(operation, values[operation.index])[some]
                needs, ready = self._needs[operation.index], found.get(operation.index)
                self._show(LayerBatch(target, batch, shown, needs, ready), readers)

        with computing():
            prepared = self.network.prepare(pictures)
            ways = self._rectifying(found) if len(batch.pictures) == len(pictures) else {}
            ways = {**self._convolutions, **ways}
            self.network.graph.run(prepared, max(self._views, default=0), frozenset(), observe, ways)

    @cached_property
    def _convolutions(self) -> Mapping[int, Callable[[Tensor], Tensor]]:
        return prepare_convolutions(self.network.graph, max(self._views, default=0))

    def _rectifying(self, found: dict[int, Reduced]) -> dict[int, Callable[[Tensor], Tensor]]:
        """For each relu whose result is wanted and whose operand nobody else needs: do and reduce it in one walk."""

        def rectify(index: int, values: Tensor) -> Tensor:
            if not can_rectify(values):
                return torch.relu_(values)
            needs = self._needs[index]
            found[index] = rectify_and_reduce(
                values, moments="moments" in needs, histogram="histogram" in needs
            )
            return values

        wanted = [index for index, needs in self._needs.items() if needs and self._rectifies(index)]
        return {index: partial(rectify, index) for index in wanted}

    def _rectifies(self, index: int) -> bool:
        """Whether the operation is a relu of new memory that nothing else reads."""
        graph = self.network.graph
        operation = graph.operations[index]
        if operation.kind != "relu":
            return False
        (source,) = operation.inputs
        in_order = operation.axes in (MAP, (CHANNELS,))
        return in_order and graph.users[source] == (index,) and graph.operations[source].kind in OWN_MEMORY

    def _show(self, seen: LayerBatch, readers: Sequence[Reducer]) -> None:
        for reader in readers:
            key = (reader.name, seen.target.name)
            self.states[key] = reader.update(self.states.get(key), seen)


@dataclass(frozen=True, eq=False)
class ShardResult:
    """What one shard leaves behind; several, merged, leave the same kind of thing.

    ``states``: of each reducer and target that saw a picture. ``pictures``: a row per picture, in order: ``index``
    (int64), ``digest`` (hex), ``width``, ``height`` (int32, before preprocessing, 0 for a bad one), ``reason``
    (why it was skipped; "" for a good one).
    """

    states: Mapping[Key, State]
    pictures: State


@dataclass(frozen=True, eq=False)
class Sweep:
    """Results of a whole pass: of each reducer by its name, and the table of pictures."""

    results: Mapping[str, Results]
    pictures: pa.Table


def sweep_images(
    network: Network,
    images: ImageSet,
    reducers: Sequence[Reducer],
    *,
    settings: SweepOptions | None = None,
    progress: Told | None = None,
) -> Sweep:
    """Run every picture through the network once and give each reducer what it looks at; all in memory.

    ``progress`` is told of each picture, good or bad. A picture that cannot be read is skipped, and its
    reason stands in the table of pictures. Raises NetworkError if a layer gives NaN.
    """
    settings = settings or SweepOptions()
    shards = settings.shards(len(images))
    done = Count(progress, "pictures", len(images))
    results = (run_shard(network, images, shard, reducers, settings, done) for shard in shards)
    merged = merge_shards(reducers, results)
    return Sweep(finish(network, reducers, merged.states), pictures_table(images, merged.pictures))


def run_shard(
    network: Network,
    images: ImageSet,
    indices: range,
    reducers: Sequence[Reducer],
    settings: SweepOptions,
    advance: Callable[[int], object] = lambda _: None,
) -> ShardResult:
    """The states and the rows of the pictures at ``indices``. A pure function: twice gives the same bits twice.

    Every forward pass takes exactly ``settings.batch`` pictures. A picture has the same place in it however the set is
    cut: small products give other last bits in other places. In place of one that is missing or cannot be read there
    are zeros, which no reducer sees. Then its activations have the same bits whatever its neighbours; with other batch
    sizes they may not.
    """
    watcher = Watcher(network, reducers)
    outputs = class_outputs(network, images.classes)
    pictures = torch.zeros((settings.batch, *network.input_shape), dtype=network.dtype)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    read: list[Ready[Tensor]] = []
    waiting: list[Ready[Tensor]] = []
    rows: list[int] = []
    ahead = read_ahead(images, indices, network.preprocessing.apply, settings.workers)
    with closing(ahead):
        for number, ready in enumerate(ahead, 1):
            read.append(replace(ready, value=None))
            if ready.value is None:
                advance(1)
            else:
                pictures[(number - 1) % settings.batch] = ready.value
                waiting.append(read[-1])
                rows.append((number - 1) % settings.batch)
            if waiting and (number % settings.batch == 0 or number == len(indices)):
                pictures[[row for row in range(settings.batch) if row not in rows]] = 0
                watcher.see(pictures, _batch(network, images, waiting, outputs), rows)
                advance(len(waiting))
                waiting.clear()
                rows.clear()
    return ShardResult(watcher.states, _rows(read))


def _batch(
    network: Network,
    images: ImageSet,
    waiting: Sequence[Ready[Tensor]],
    outputs: npt.NDArray[np.int64] | None,
) -> Batch:
    index = np.array([ready.index for ready in waiting], np.int64)
    labels = None if images.labels is None else np.array([images.labels[i] for i in index], np.int64)
    names = tuple(images.names[i] for i in index)
    return Batch(index, names, labels, len(images), network.input_shape[1:], outputs)


def class_outputs(network: Network, classes: Sequence[str] | None) -> npt.NDArray[np.int64] | None:
    """The network's output for each class of an image set: that of the same name; None: labels are outputs.

    Classes that are not the network's own, by names that it has once, are outputs in their order if there are as many
    as outputs; otherwise each is NO_OUTPUT.
    """
    if classes is None or network.why_no_predictions is not None:
        return None
    count, names = network.graph.operations[network.scores].shape[0], network.classes or ()
    uses = Counter(names)
    once = {name: place for place, name in enumerate(names) if uses[name] == 1}
    if len(names) == count and once.keys() >= set(classes):
        return np.array([once[name] for name in classes], np.int64)
    return None if len(classes) == count else np.full(len(classes), NO_OUTPUT, np.int64)


def _rows(read: Sequence[Ready[Tensor]]) -> State:
    return {
        "index": np.array([ready.index for ready in read], np.int64),
        "digest": np.array([ready.digest for ready in read], np.str_),
        "width": np.array([ready.width for ready in read], np.int32),
        "height": np.array([ready.height for ready in read], np.int32),
        "reason": np.array([ready.reason or "" for ready in read], np.str_),
    }


def merge_shards(reducers: Sequence[Reducer], results: Iterable[ShardResult]) -> ShardResult:
    """One result of all shards, which come in order; each is taken up and let go as it comes.

    Neighbours of like size merge, so a state that grows with the pictures is copied log(shards) times.
    """
    named = _by_name(reducers)
    parts: list[tuple[int, ShardResult]] = []  # (size, result), sizes falling
    for result in results:
        parts.append((1, result))
        while len(parts) > 1 and parts[-2][0] <= parts[-1][0]:
            _merge_last_two(named, parts)
    while len(parts) > 1:
        _merge_last_two(named, parts)
    return parts[0][1] if parts else ShardResult({}, _rows([]))


def _by_name(reducers: Sequence[Reducer]) -> Mapping[str, Reducer]:
    named = {reducer.name: reducer for reducer in reducers}
    if len(named) < len(reducers):
        names = ", ".join(reducer.name for reducer in reducers)
        raise LayerscopeError(f"two reducers have the same name ({names}); give each its own")
    return named


def _merge_last_two(named: Mapping[str, Reducer], parts: list[tuple[int, ShardResult]]) -> None:
    (many, one), (few, other) = parts[-2:]
    parts[-2:] = [(many + few, _merge(named, one, other))]


def _merge(named: Mapping[str, Reducer], one: ShardResult, other: ShardResult) -> ShardResult:
    states = dict(one.states)
    for key, state in other.states.items():
        states[key] = named[key[0]].merge(states[key], state) if key in states else state
    rows = {name: np.concatenate([values, other.pictures[name]]) for name, values in one.pictures.items()}
    return ShardResult(states, rows)


def finish(
    network: Network, reducers: Sequence[Reducer], states: Mapping[Key, State]
) -> Mapping[str, Results]:
    """Each reducer's results from its states of the whole image set."""
    own = {
        r.name: {target: state for (name, target), state in states.items() if name == r.name}
        for r in reducers
    }
    return {reducer.name: reducer.finish(own[reducer.name], network) for reducer in reducers}


def pictures_table(images: ImageSet, rows: State) -> pa.Table:
    """The pictures as a table: index, name, label (null where unknown), digest, width, height, reason (or null)."""
    index = rows["index"].astype(np.int64)
    reasons = [str(reason) or None for reason in rows["reason"]]
    labels = None if images.labels is None else [images.labels[i] for i in index]
    known = [None if label == -1 else label for label in labels or [-1] * len(index)]
    return pa.table(
        {
            "picture": pa.array(index, pa.int64()),
            "name": pa.array([images.names[i] for i in index], pa.string()),
            "label": pa.array(known, pa.int64()),
            "digest": pa.array([str(digest) for digest in rows["digest"]], pa.string()),
            "width": pa.array(rows["width"], pa.int32()),
            "height": pa.array(rows["height"], pa.int32()),
            "reason": pa.array(reasons, pa.string()),
        }
    )
