"""Where shards are computed: here, one after the other, or elsewhere. The bits are the same everywhere.

Shards know nothing of each other, and computing one twice gives the same bits twice. So an engine may compute them
in any order, at the same time, and again after a failure; whoever asked for them puts them in order.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import torch
from PIL import features

from layerscope._version import __version__
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.network.preprocessing import PIXELS
from layerscope.sweep.checkpoints import Shard
from layerscope.sweep.one_pass import ShardResult, SweepOptions, run_shard
from layerscope.sweep.reducers import Reducer

Finished = Generator[tuple[Shard, ShardResult], None, None]  #: shards with their results
Advance = Callable[[int], object]  #: called with the number of pictures done since the last call

_COMPUTE = ("torch", "numpy", "pillow", "pyarrow")  # packages that the bits, or the bytes, may depend on


@dataclass(frozen=True, eq=False)
class Job:
    """What all shards of one network's pass share. ``threads``: of torch's, for one shard."""

    network: Network
    images: ImageSet
    reducers: Sequence[Reducer]
    settings: SweepOptions
    threads: int

    def compute(self, shard: Shard, advance: Advance) -> ShardResult:
        """The shard's result, in this process."""
        with torch_threads(self.threads):
            return run_shard(self.network, self.images, shard.indices, self.reducers, self.settings, advance)


class Engine(ABC):
    """Computes shards somewhere."""

    @abstractmethod
    def run(self, job: Job, shards: Sequence[Shard], advance: Advance) -> Finished:
        """Each shard with its result, as they are done, in any order. Closing the iterator ends all work.

        Raises EngineError if the place cannot be used; what the pass raises comes through as it is.
        """


@dataclass(frozen=True)
class Local(Engine):
    """In this process, one after the other; needs nothing."""

    def run(self, job: Job, shards: Sequence[Shard], advance: Advance) -> Finished:
        """Each shard with its result, in order."""
        for shard in shards:
            yield shard, job.compute(shard, advance)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads for torch inside; as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def surroundings(device: torch.device) -> dict[str, str]:
    """What the last bits of a result depend on besides its inputs: versions, processor, device; by name."""
    return {
        "layerscope": __version__,
        **{name: version(name) for name in _COMPUTE},
        "preprocessing": PIXELS,
        "libjpeg": features.version("libjpeg_turbo") or features.version("jpg") or "none",
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
