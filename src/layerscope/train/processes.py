"""One training in several processes, as torchrun starts them: each takes its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """How many there are, and which this is, counted from 0; the first one writes the files."""

    count: int = 1
    rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def spread(self, module: nn.Module) -> nn.Module:
        """The module, whose gradients are the means over all processes."""
        return module if self.count == 1 else DistributedDataParallel(module)

    def added(self, values: Tensor) -> Tensor:
        """The sum over all processes, in each of them."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """For all the others."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started with this one; this one alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(count, dist.get_rank())
    finally:
        dist.destroy_process_group()


def own_device(device: str | torch.device) -> torch.device:
    """Of several processes on GPUs each takes the one of its own number on its machine."""
    found = torch.device(device)
    if found.type == "cuda" and found.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return found
