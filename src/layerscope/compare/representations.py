"""The pooled representations of several networks over the same pictures, gathered shard by shard into a folder.

Every shard of pictures goes through every network; what it leaves is kept, so a killed run goes on where it was. The
arrays lie on the disk and are mapped into memory: what is held does not grow with the number of pictures.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from layerscope.compare.pooled import Pooled
from layerscope.disk.locks import lock
from layerscope.disk.tables import publish_json, read_json
from layerscope.disk.whole import folder_written_whole, remove_partials
from layerscope.errors import ComparisonError, said
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.progress import Count, Told
from layerscope.study.manifest import digest_of_inputs
from layerscope.sweep.checkpoints import Checkpoints, Shard
from layerscope.sweep.engine import Advance, Engine, Job, Local, surroundings
from layerscope.sweep.one_pass import SweepOptions

_ABOUT = "representations.json"  #: written last: the folder is whole
_BEGUN = "begun.json"
_WORK = "work"


@dataclass(frozen=True, eq=False)
class Representations:
    """What the layers of one network make of each good picture: (pictures, positions, channels), float32.

    ``pictures``: their names. Every layer has as many positions as the others, or one, which then stands for all.
    """

    network: str
    pictures: tuple[str, ...]
    layers: Mapping[str, npt.NDArray[np.float32]] = field(repr=False)

    def __post_init__(self) -> None:
        """One position stands for all of them, and takes no memory for it. Refuses what does not fit."""
        positions = max((values.shape[1] for values in self.layers.values() if values.ndim == 3), default=0)
        for name, values in self.layers.items():
            fits = (
                values.ndim == 3 and len(values) == len(self.pictures) and values.shape[1] in (1, positions)
            )
            if not fits:
                raise ComparisonError(
                    f"{name} of {self.network} is {'x'.join(map(str, values.shape))}; give it "
                    f"{len(self.pictures)} pictures x {positions or 'some'} positions x channels"
                )
        if not self.layers:
            raise ComparisonError(f"{self.network} has no layer to compare; name some that it has")
        whole = {
            name: np.broadcast_to(values, (len(values), positions, values.shape[2]))
            for name, values in self.layers.items()
        }
        object.__setattr__(self, "layers", whole)

    @property
    def positions(self) -> int:
        """How many vectors a picture has in each layer."""
        return int(next(iter(self.layers.values())).shape[1])

    @property
    def channels(self) -> int:
        """How many channels all layers have together."""
        return sum(values.shape[2] for values in self.layers.values())

    def of_layers(self, names: Collection[str]) -> Representations:
        """Those of some layers alone, in their order."""
        return Representations(
            self.network, self.pictures, {name: v for name, v in self.layers.items() if name in names}
        )

    def places(self, names: Collection[str]) -> npt.NDArray[np.int64]:
        """Where the channels of some layers stand among those of all."""
        wanted = [np.full(v.shape[2], name in names) for name, v in self.layers.items()]
        return np.flatnonzero(np.concatenate(wanted))


def gather_representations(
    networks: Sequence[Network],
    images: ImageSet,
    folder: str | Path,
    *,
    pooled: Pooled | None = None,
    settings: SweepOptions | None = None,
    engine: Engine | None = None,
    progress: Told | None = None,
) -> tuple[Representations, ...]:
    """Run every picture through every network, and keep what ``pooled`` makes of the layers in the folder.

    Goes on where an earlier run ended, and the bytes are the same; a finished folder is read at once. Each picture
    takes 4 bytes per channel and position: 30 kB for VGG-16 and AlexNet, 1.5 MB on a grid of 7x7.
    Raises ComparisonError for a folder of something else, a picture that changes meanwhile, or none that can be
    read; OutputError if the folder is in use or the disk is full.
    """
    pooled = pooled or Pooled()
    settings = settings or SweepOptions(shard=256 if pooled.grid == 1 else 32)
    gathering = _Gathering(tuple(networks), images, Path(folder), pooled, settings)
    gathering.check()
    with lock(gathering.folder):
        remove_partials(gathering.folder)
        gathering.begin()
        if not (gathering.folder / _ABOUT).exists():
            gathering.run(engine or Local(), progress)
        shutil.rmtree(gathering.folder / _WORK, ignore_errors=True)
        return gathering.read()


def hashed_order(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Places of pictures by rising hash of their names: an order drawn by lot, which their own does not change."""
    keys = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    return np.array(sorted(range(len(names)), key=lambda i: (keys[i], names[i])), np.int64)


@dataclass(frozen=True)
class _Gathering:
    networks: tuple[Network, ...]
    images: ImageSet
    folder: Path
    pooled: Pooled
    settings: SweepOptions

    def check(self) -> None:
        """Refuse what has no name of its own, and folders that hold other things."""
        names = [network.name for network in self.networks]
        if not names or len(set(names)) < len(names):
            raise ComparisonError(f"networks called {', '.join(names) or 'nothing'}; give each its own name")
        held = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if held and not held & {_ABOUT, _WORK, _BEGUN}:
            raise ComparisonError(f"{self.folder} holds other files ({min(held)}); name a new folder")
        self.folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """All that the values depend on."""
        networks = {
            network.name: {
                "digest": network.graph.digest,
                "dtype": str(network.dtype),
                "preprocessing": network.preprocessing.about(),
                "made_with": surroundings(network.device),
            }
            for network in self.networks
        }
        plain: dict[str, Any] = json.loads(
            json.dumps(
                {
                    "images": self.images.digest,
                    "batch": self.settings.batch,
                    "pooled": self.pooled.options(),
                    "networks": networks,
                }
            )
        )
        return plain

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        ranges = self.settings.shards(len(self.images))
        return tuple(Shard(number, indices) for number, indices in enumerate(ranges))

    def begin(self) -> None:
        """Say what the folder is of; refuse one of something else."""
        path = self.folder / _BEGUN
        if not path.exists():
            publish_json(path, self.inputs)
        elif read_json(path) != self.inputs:
            raise ComparisonError(
                f"{self.folder} was begun with other networks, pictures, options or software; name a new folder"
            )

    def run(self, engine: Engine, progress: Told | None) -> None:
        """Compute the shards that are missing; then each network's layers, file by file, and the note last."""
        folder = self.folder / _WORK
        digest = digest_of_inputs(self.inputs)
        numbers = range(len(self.networks))
        stores = [Checkpoints(folder / f"{number}", f"{digest} {self.settings.shard}") for number in numbers]
        done = sum(len(shard.indices) for store in stores for shard in self.shards if store.has(shard))
        whole = len(numbers) * len(self.images)
        advance = Count(progress, "representations", whole, before=done)
        for network, store in zip(self.networks, stores, strict=True):
            self._compute(network, store, engine, advance)
        pictures = self._pictures(stores)
        for number, store in enumerate(stores):
            remove_partials(self.folder, deep=False)
            with folder_written_whole(self.folder / f"{number}") as partial, ExitStack() as files:
                opened = {
                    layer: files.enter_context((partial / f"{place}.f32").open("wb"))
                    for place, layer in enumerate(self._shapes(number))
                }
                for shard in self.shards:
                    for (_, layer), state in store.load(shard).states.items():
                        opened[layer].write(np.ascontiguousarray(state["values"], "<f4").data)
        publish_json(self.folder / _ABOUT, {"pictures": pictures})

    def read(self) -> tuple[Representations, ...]:
        """What the finished folder holds, mapped into memory."""
        pictures = tuple(read_json(self.folder / _ABOUT)["pictures"])
        return tuple(
            Representations(
                network.name,
                pictures,
                {
                    layer: self._mapped(self.folder / f"{number}" / f"{place}.f32", (len(pictures), *shape))
                    for place, (layer, shape) in enumerate(self._shapes(number).items())
                },
            )
            for number, network in enumerate(self.networks)
        )

    def _shapes(self, number: int) -> dict[str, tuple[int, int]]:
        """Positions and channels of each layer of a network."""
        targets = self.pooled.targets(self.networks[number])
        return {t.name: (1 if t.positions == 1 else self.pooled.grid**2, t.channels) for t in targets}

    def _mapped(self, path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        try:
            return np.memmap(path, "<f4", mode="c", shape=shape)
        except (OSError, ValueError) as error:
            raise ComparisonError(
                f"{path} is damaged: {said(error)}; remove {self.folder} and run the same again"
            ) from error

    def _compute(self, network: Network, store: Checkpoints, engine: Engine, advance: Advance) -> None:
        missing = [shard for shard in self.shards if not store.has(shard)]
        job = Job(network, self.images, [self.pooled], self.settings, torch.get_num_threads())
        with closing(engine.run(job, missing, advance)) as done:
            for shard, result in done:
                store.save(shard, result)

    def _pictures(self, stores: Sequence[Checkpoints]) -> list[str]:
        """Names of the good pictures, which must be the same for every network."""
        good: list[str] = []
        for shard in self.shards:
            rows = [store.load(shard).pictures for store in stores]
            for index, *digests in zip(rows[0]["index"], *(row["digest"] for row in rows), strict=True):
                if len(set(digests)) > 1:
                    raise ComparisonError(
                        f"{self.images.names[index]} changed between two networks; begin anew in a new folder"
                    )
            kept = rows[0]["index"][rows[0]["reason"] == ""]
            good += [self.images.names[index] for index in kept]
        if not good:
            raise ComparisonError(f"none of the {len(self.images)} pictures can be read; check what they are")
        return good
