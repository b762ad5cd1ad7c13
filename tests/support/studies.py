"""Small studies for the tests: a narrow AlexCNN, a dozen pictures, every reducer; and what a folder holds."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from PIL import Image

from layerscope import load_network
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.network import Network
from layerscope.network.source import Options
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.one_pass import SweepOptions
from layerscope.sweep.patch_sample import PatchSample
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.reducers import LayerBatch, Reducer, Results, State, Target, every_layer
from layerscope.sweep.top_patches import TopPatches

SETTINGS = SweepOptions(batch=2, shard=4, workers=1)


@dataclass(frozen=True)
class Sums(Reducer):
    """The sum of each channel, in whole thousandths, so that any order gives the same."""

    scale: int = 1000
    spoil: Callable[[LayerBatch], object] | None = field(
        default=None, repr=False
    )  # called with all that is seen

    name: ClassVar[str] = "sums"

    def options(self) -> Mapping[str, object]:
        return {"scale": self.scale}

    def targets(self, network: Network) -> tuple[Target, ...]:
        return every_layer(network)

    def update(self, state: State | None, seen: LayerBatch) -> State:
        if self.spoil is not None:
            self.spoil(seen)
        values = seen.values.double().flatten(2) if seen.values.ndim > 2 else seen.values.double()[..., None]
        sums = (values.sum(2) * self.scale).round().long().sum(0).numpy()
        return {"sums": sums} if state is None else self.merge(state, {"sums": sums})

    def merge(self, one: State, other: State) -> State:
        return {"sums": one["sums"] + other["sums"]}

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        rows = [(layer, int(s)) for layer, state in states.items() for s in state["sums"]]
        table = pa.table({"layer": [layer for layer, _ in rows], "sum": [value for _, value in rows]})
        return {"sums": table, **{f"sums_of/{layer}": state["sums"] for layer, state in states.items()}}


class OtherSums(Sums):
    """The same results under the name of another reducer."""

    name: ClassVar[str] = "other"


@cache
def small(name: str = "alexcnn") -> Network:
    size = {"alexcnn": 64, "vggcnn": 32}[name]
    return load_network(name, options=Options(width=0.05, input_size=size, classes=7))


def every_reducer() -> tuple[Reducer, ...]:
    return (Sums(), TopPatches(3), Sparsity(), ChannelStatistics(), Predictions(3), PatchSample("even", 20))


def write_pictures(folder: Path, count: int = 12, bad: Sequence[int] = (5,)) -> Path:
    """So many pictures of noise, 40 x 48; those in ``bad`` are text."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = folder / f"{index:03d}.png"
        if index in bad:
            path.write_text("no picture")
        else:
            noise = np.random.default_rng(index).integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path)
    return folder


def pictures(folder: Path, count: int = 12, bad: Sequence[int] = (5,)) -> ImageSet:
    return open_images(write_pictures(folder, count, bad))


def bytes_of(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder; the empty lock left out."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
