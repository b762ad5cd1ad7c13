"""One training in several processes, as torchrun starts them: each takes its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from layerscope.errors import LayerscopeError, TrainingError

T = TypeVar("T")


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

    def gathered(self, values: Sequence[T]) -> list[T]:
        """Those of all processes, one after the other, in each of them."""
        each = [values] * self.count
        if self.count > 1:
            dist.all_gather_object(each, values)
        return [value for own in each for value in own]

    def level(self, module: nn.Module) -> None:
        """Give every process the first one's statistics of batch norms: each has counted its own share last."""
        for buffer in module.buffers() if self.count > 1 else ():
            values = buffer.contiguous()
            dist.broadcast(values, 0)
            buffer.copy_(values)

    def agree(self, act: Callable[[], T]) -> T:
        """Act in each process and wait for all; what one refuses, all refuse. ``act`` may not talk to the others."""
        refused: list[LayerscopeError] = []
        try:
            found = act()
        except LayerscopeError as error:
            refused.append(error)
        for first in self.gathered(refused):
            self.refuse(first)
        return found

    def refuse(self, error: LayerscopeError) -> NoReturn:
        """Raise what all processes raise here; the first one says it."""
        error.said_elsewhere = not self.first
        raise error


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started with this one; this one alone without it.

    Raises TrainingError in the others where one of them stops, which says why itself, if it still can.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    processes = Processes(count, dist.get_rank())
    try:
        yield processes
    except Exception as error:
        if not stopped_elsewhere(error):
            raise
        advice = "what is finished is kept, the same command goes on from there"
        processes.refuse(TrainingError(f"another process of this training stopped; {advice}"))
    finally:
        dist.destroy_process_group()


def stopped_elsewhere(error: Exception) -> bool:
    """Whether another process is gone: torch says so wherever they talk next, of gloo by the words alone."""
    return isinstance(error, dist.DistError) or "gloo/transport/" in str(error)


def speaks() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one: it speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def own_device(device: str | torch.device) -> torch.device:
    """Of several processes on GPUs each takes the one of its own number on its machine."""
    found = torch.device(device)
    if found.type == "cuda" and found.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return found
