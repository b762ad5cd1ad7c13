"""Shards as tasks of a Ray cluster, for when one machine is not enough: `pip install 'layerscope[ray]'`.

Ray may run a task again when its worker dies; that is harmless, because a shard's result is always the same bits.
Results come back to this process, the only one that writes to the study.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf
from typing import Any
from uuid import uuid4

import torch

from layerscope.errors import EngineError, said
from layerscope.sweep.checkpoints import Shard
from layerscope.sweep.engine import Advance, Engine, Finished, Job, surroundings
from layerscope.sweep.one_pass import ShardResult

PATIENCE = 10.0  #: seconds that the head of a cluster may take to answer


@dataclass(frozen=True)
class RayEngine(Engine):
    """Each shard is a task of Ray Core. Pictures must be where every worker finds them under the same path.

    ``address``: of a running cluster, or "auto"; None: one of its own on this machine, ended afterwards. A task
    reserves ``cpus`` (None: as many as it has threads; if the network is on a GPU, as many as decode) and ``gpus``
    (None: 1 if the network is on one; Ray then starts a new process for each shard).
    ``retries``: how often a shard is tried again after its worker died.
    Raises EngineError if Ray is missing, the cluster cannot be reached, a shard keeps killing its worker, or a
    worker has other software than this process.
    """

    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    retries: int = 3

    def __post_init__(self) -> None:
        if self.cpus is not None and not 0 < self.cpus < inf:
            raise EngineError(f"{self.cpus} processors for each shard: ask for more than 0")
        if self.gpus is not None and not 0 <= self.gpus < inf:
            raise EngineError(f"{self.gpus} GPUs for each shard: ask for 0 or more")
        if self.retries < 0:
            raise EngineError(f"{self.retries} retries of a shard: ask for 0 or more")

    def run(self, job: Job, shards: Sequence[Shard], advance: Advance) -> Finished:
        """Each shard with its result, as they are done."""
        if not shards:
            return
        ray = _ray()
        on_gpu = job.network.device.type == "cuda"
        cpus = (job.settings.workers if on_gpu else job.threads) if self.cpus is None else self.cpus
        gpus = int(on_gpu) if self.gpus is None else self.gpus
        with self._cluster(ray):
            _check_room(ray, cpus, gpus)
            packed = _Packed(uuid4().hex, (ray.put(pack(job)),))
            task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=self.retries)(_compute)
            ahead = max(8, 2 * int(ray.cluster_resources()["CPU"] / cpus))
            for shard, result in _in_flight(ray, lambda shard: task.remote(packed, shard), shards, ahead):
                advance(len(shard.indices))
                yield shard, result

    @contextmanager
    def _cluster(self, ray: Any) -> Iterator[None]:
        """Connected to the cluster, unless this process already is to one; quietly."""
        if ray.is_initialized():
            yield
            return
        if self.address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _knock(self.address or "")
            ray.init(
                address=self.address or "local",
                log_to_driver=False,
                logging_level="error",
                **({"include_dashboard": False} if self.address is None else {}),
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineError(
                f"no Ray cluster at {self.address or 'this machine'}: {said(error)[:200]}; start one with "
                "`ray start --head`"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise EngineError(
            "Ray is not installed; `pip install 'layerscope[ray]'`, or use the local engine"
        ) from error
    return ray


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _check_room(ray: Any, cpus: float, gpus: float) -> None:
    """A task that no node has room for would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        most = max((node.get("CPU", 0), node.get("GPU", 0)) for node in nodes)
        raise EngineError(
            f"a shard needs {cpus:g} processors and {gpus:g} GPUs, and the largest node of the cluster has {most[0]:g} "
            f"and {most[1]:g}; ask for fewer, or use fewer threads"
        )


def _in_flight(
    ray: Any, submit: Any, shards: Sequence[Shard], ahead: int
) -> Iterator[tuple[Shard, ShardResult]]:
    """The results of the tasks as they end, so many of them submitted at a time; ended early, all are cancelled."""
    waiting, running = iter(shards), dict[Any, Shard]()
    try:
        while True:
            for shard in waiting:
                running[submit(shard)] = shard
                if len(running) >= ahead:
                    break
            if not running:
                return
            (reference,), _ = ray.wait(list(running), num_returns=1)
            shard = running.pop(reference)
            yield shard, _result(ray, reference, shard)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any, shard: Shard) -> ShardResult:
    try:
        result: ShardResult = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # what the pass raised; Ray wraps it in the worker's traceback
    except ray.exceptions.RayError as error:
        raise EngineError(
            f"shard {shard.number} keeps failing on the cluster: {said(error)[:200]}; run the same again, with more "
            "memory or fewer tasks per node"
        ) from error
    return result


# ------------------------------------------------------------------ in the worker


@dataclass(frozen=True)
class _Packed:
    """Where a job is: the reference of its bytes in Ray's memory. Equal keys are the same job."""

    key: str
    references: tuple[Any, ...] = field(compare=False)


def _compute(packed: _Packed, shard: Shard) -> ShardResult:
    return _unpacked(packed).compute(shard, _nothing)


@lru_cache(maxsize=1)
def _unpacked(packed: _Packed) -> Job:
    """The job, unpacked once for all shards that this worker computes."""
    return unpack(_ray().get(packed.references[0]))


def _nothing(done: int) -> None:
    """The process that asked counts the pictures."""


# ------------------------------------------------------------------ a job as bytes


def pack(job: Job) -> bytes:
    """The job, its network off the GPU, and what software this process has.

    Pickled with Ray's own pickler, which takes classes of a script or a notebook by value.
    """
    import ray.cloudpickle

    device = job.network.device
    network = replace(job.network if device.type == "cpu" else job.network.to("cpu"), exact=None)
    pickler: Any = ray.cloudpickle
    data: bytes = pickler.dumps((replace(job, network=network), device.type, surroundings(device)))
    return data


def unpack(data: bytes) -> Job:
    """The job in this process. Raises EngineError if what is installed here could change the bits."""
    job: Job
    job, device, expected = pickle.loads(data)
    here = surroundings(torch.device(device))
    differing = [
        f"{name} {here[name]}, not {value}" for name, value in expected.items() if here[name] != value
    ]
    if differing:
        raise EngineError(
            f"{socket.gethostname()} has {'; '.join(differing)}: its results could differ in the last bits; "
            "give every node the same software and processors"
        )
    return job if device == "cpu" else replace(job, network=job.network.to(device))
