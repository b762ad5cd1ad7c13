"""Small networks, pictures and layers for the tests of the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import nn

from layerscope import ImageError, Network, Preprocessing
from layerscope.images.sets import ImageSet, Loaded
from layerscope.sweep.reducers import Batch, LayerBatch, Reducer, State, Target
from tests.support.small_networks import conv

SIZE = 12


@dataclass(frozen=True, eq=False)
class Given(ImageSet):
    """Pictures in memory; a reason in place of one is a bad one."""

    pictures: tuple[Image.Image | str, ...] = ()

    def load(self, index: int) -> Loaded:
        picture = self.pictures[index]
        if isinstance(picture, str):
            raise ImageError(picture)
        return Loaded(picture, f"{index:016x}")


def given(
    pictures: Sequence[Image.Image | str], names: Sequence[str] = (), labels: Sequence[int] | None = None
) -> Given:
    names = tuple(names) or tuple(f"picture {i}" for i in range(len(pictures)))
    classes = None if labels is None else tuple("abcdef")
    return Given(
        names, None if labels is None else tuple(labels), classes, "given", "0" * 64, tuple(pictures)
    )


def noise(count: int, seed: int = 0) -> list[Image.Image]:
    random = np.random.default_rng(seed)
    return [Image.fromarray(random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)) for _ in range(count)]


def small_network(dtype: torch.dtype = torch.float32) -> Network:
    """Two convolutions, of which the first has a dead channel, a pool, and six scores that may be negative."""
    torch.manual_seed(0)
    module = nn.Sequential(
        conv(3, 4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        conv(4, 5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(180, 6),
    )
    first = module[0]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    first.bias.data[1] = -100
    preprocessing = Preprocessing(resize=None, height=SIZE, width=SIZE)
    return Network.from_module(module.eval(), name="small", preprocessing=preprocessing).to(dtype=dtype)


def layer_batch(
    maps: torch.Tensor,
    first: int,
    *,
    reducer: Reducer | None = None,
    names: Sequence[str] = (),
    labels: Sequence[int] | None = None,
    total: int = 0,
) -> LayerBatch:
    """Maps (pictures, channels, rows, columns) as what a layer named "layer" hands on."""
    pictures = np.arange(first, first + len(maps))
    names = tuple(names) or tuple(f"picture {i}" for i in pictures)
    known = None if labels is None else np.array(labels, np.int64)
    rows, columns = tuple(maps.shape[2:]) or (1, 1)
    batch = Batch(pictures, names, known, total or len(maps), (rows, columns))
    needs = frozenset[str]() if reducer is None else reducer.needs
    return LayerBatch(Target("layer", 0, maps.shape[1], (rows, columns)), batch, maps, needs)


def state_of(
    reducer: Reducer, maps: torch.Tensor, cuts: Sequence[int] = (), first: int = 0, total: int = 0
) -> State:
    """The state after batches that end at the cuts; ``first``: place of the first picture in its set."""
    ends = [0, *sorted({cut for cut in cuts if cut < len(maps)}), len(maps)]
    state: State | None = None
    for start, end in pairwise(ends):
        if end > start:
            seen = layer_batch(maps[start:end], first + start, reducer=reducer, total=total or len(maps))
            state = reducer.update(state, seen)
    assert state is not None
    return state
