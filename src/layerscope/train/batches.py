"""Batches of pictures to train on: which, in which order and how each is changed follow from seed, epoch and index."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.ahead import made_ahead
from layerscope.errors import ImageError, TrainingError
from layerscope.images.bands import Decoded
from layerscope.images.decoding import DECODING
from layerscope.images.sets import ImageSet
from layerscope.network.preprocessing import CENTRE, Place, Preprocessing

_AHEAD = 2  # batches that wait while others are being made
_ROOM = 1 << 29  # bytes of resized pictures that are kept for the next epoch
# of each picture in an epoch: where it is cropped, down and across, and mirrored below .5
_Draws = npt.NDArray[np.float64]
_Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Pictures (batch, channels, height, width) with their labels; ``bad``: the reasons of those that are left out."""

    pictures: Tensor
    labels: Tensor
    bad: tuple[str, ...]


@dataclass(frozen=True)
class Batches:
    """Batches of a labelled set; ``part`` of ``parts`` processes, each of which takes its share of every batch.

    What remains of an epoch after its last whole batch is left out; the next epoch has another order. Pictures of files
    stay decoded and resized where there is room.
    """

    images: ImageSet
    preprocessing: Preprocessing
    batch: int
    seed: int
    workers: int = 2
    part: int = 0
    parts: int = 1
    mirror: bool = True
    _resized: dict[int, npt.NDArray[Any]] = field(default_factory=dict, init=False, repr=False)
    _free: deque[_Values] = field(default_factory=deque, init=False, repr=False)

    @property
    def count(self) -> int:
        """How many there are in an epoch."""
        return len(self.images) // self.batch

    def epoch(self, number: int, first: int = 0) -> Generator[Batch, None, None]:
        """Those of an epoch, counted from 0, from its batch ``first`` on."""
        order = np.random.default_rng((self.seed, number)).permutation(len(self.images))
        whole = order[: self.count * self.batch].reshape(self.count, self.batch)
        draws = np.random.default_rng((self.seed, number, 1)).random((len(self.images), 3))
        yield from self._made(list(whole[first:, self.part :: self.parts]), draws)

    def centred(self) -> Generator[Batch, None, None]:
        """All pictures in their order, each by its centre alone; the last batch may be smaller.

        Of several processes each has every so-manieth batch, of as many pictures as it trains on at once.
        """
        places, size = np.arange(len(self.images)), self.batch // self.parts
        rows = np.array_split(places, range(size, len(places), size))
        yield from self._made(rows[self.part :: self.parts], None)

    def _made(
        self, rows: Sequence[npt.NDArray[np.int64]], draws: _Draws | None
    ) -> Generator[Batch, None, None]:
        make = partial(self._batch, draws=draws)
        with DECODING, closing(made_ahead(make, rows, self.workers, self.workers + _AHEAD)) as made:
            for _, batch in made:
                yield batch
        self._free.clear()  # a validation, which may follow, has room of its own

    def _read(self, index: int) -> Decoded | npt.NDArray[Any]:
        if (known := self._resized.get(index)) is not None:
            return known
        picture = self.images.load(index).image
        resized = self.preprocessing.resized(picture)
        if resized is None:
            return picture
        whole = np.ascontiguousarray(resized)
        if self.images.sources and len(self._resized) * whole.nbytes < _ROOM:
            self._resized[index] = whole
        return whole

    def _batch(self, row: npt.NDArray[np.int64], draws: _Draws | None) -> Batch:
        seen, good, bad = list[_Seen](), list[int](), list[str]()
        own = [(*CENTRE, 1.0)] * len(row) if draws is None else draws[row].tolist()
        for index, (down, across, turn) in zip(row.tolist(), own, strict=True):
            try:
                pixels = self.preprocessing.pixels(self._read(index), (down, across))
            except ImageError as error:
                bad.append(f"{self.images.names[index]}: {error}")
            else:
                seen.append(_Seen(pixels, (down, across), self.mirror and turn < 0.5))
                good.append(index)
        return Batch(self._inputs(seen), torch.from_numpy(self._labels[good]), tuple(bad))

    @cached_property
    def _labels(self) -> npt.NDArray[np.int64]:
        return np.array(self.images.labels, np.int64)

    def _inputs(self, seen: Sequence[_Seen]) -> Tensor:
        """All at once where all are prepared alike: one by one takes as long as a small network computes with them."""
        if not seen:
            return torch.empty(0, *self.preprocessing.shape)
        if self.preprocessing.mean_image is None and len({one.pixels.dtype for one in seen}) == 1:
            pixels = np.stack([one.pixels.transpose(1, 2, 0) for one in seen])
            mirrored = np.array([one.mirrored for one in seen])
            return self.preprocessing.values_of_many(pixels, mirrored, self._memory(pixels.shape))
        made = [(self.preprocessing.values(one.pixels, one.place), one.mirrored) for one in seen]
        found = torch.stack([values.flip(2) if mirrored else values for values, mirrored in made])
        return found.contiguous(memory_format=torch.channels_last)

    def _memory(self, shape: tuple[int, ...]) -> _Values:
        """Room for a batch, of an earlier one that nobody holds any more: new memory costs half as much again.

        Who copies from it without waiting, as to a card from pinned memory, must hold the batch until that is done.
        """
        try:
            whole = self._free.pop()
        except IndexError:
            whole = np.empty((-(-self.batch // self.parts), *shape[1:]), np.float32)
        lent = whole[: shape[0]]
        weakref.finalize(lent, self._free.append, whole).atexit = False
        return lent


class _Seen(NamedTuple):
    pixels: npt.NDArray[Any]
    place: Place
    mirrored: bool


def check_labels(images: ImageSet, classes: int | None = None) -> int:
    """How many classes the labels of a set are of. Raises TrainingError for a set that cannot be learned from.

    ``classes``: how many there are in the set trained on, of which this is another.
    """
    where = images.description
    if images.labels is None:
        raise TrainingError(f"{where}: no labels; give class folders, a list with labels or shards with .cls")
    if unknown := images.labels.count(-1):
        raise TrainingError(f"{where}: {unknown} pictures have no label; leave them out, or label them")
    count = len(images.classes) if images.classes is not None else max(images.labels) + 1
    if classes is None and count < 2:
        raise TrainingError(f"{where}: 1 class; there is nothing to tell apart")
    if classes is not None and count > classes:
        raise TrainingError(f"{where}: {count} classes, and {classes} in the set that is trained on")
    there = set(images.labels)
    if classes is None and len(there) < count:
        empty = next(label for label in range(count) if label not in there)
        name = empty if images.classes is None else images.classes[empty]
        raise TrainingError(f"{where}: no picture of class {name}; add some, or take the class out")
    return count
