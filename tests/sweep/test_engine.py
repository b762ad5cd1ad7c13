"""The local engine, and a job packed to be sent: the same bits after the journey."""

import contextlib
import sys

import pytest
import torch
from torch import nn

from layerscope.errors import EngineError
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.sweep.checkpoints import Shard, encode
from layerscope.sweep.engine import Job, Local, surroundings, torch_threads
from layerscope.sweep.ray_engine import RayEngine, pack, unpack
from tests.support.small_networks import SMALL
from tests.support.studies import SETTINGS, every_reducer, pictures, small

SHARDS = [Shard(0, range(4)), Shard(1, range(4, 8)), Shard(2, range(8, 12))]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(small(), pictures(tmp_path_factory.mktemp("in")), every_reducer(), SETTINGS, threads=1)


def test_local_runs_in_order_and_counts(job: Job) -> None:
    counted: list[int] = []
    done = list(Local().run(job, SHARDS[1:], counted.append))
    assert [shard.number for shard, _ in done] == [1, 2]
    assert sum(counted) == 8
    assert done[0][1].pictures["index"].tolist() == [4, 5, 6, 7]


def test_threads_are_put_back() -> None:
    before, inside = torch.get_num_threads(), 0
    with contextlib.suppress(ZeroDivisionError), torch_threads(before + 1):
        inside = torch.get_num_threads()
        raise ZeroDivisionError
    assert (inside, torch.get_num_threads()) == (before + 1, before)


def test_surroundings_name_what_the_bits_depend_on() -> None:
    found = surroundings(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert {
        "layerscope",
        "torch",
        "numpy",
        "pillow",
        "preprocessing",
        "libjpeg",
        "pyarrow",
        "processor",
    } <= set(found)


# ------------------------------------------------------------------ packed


@pytest.fixture
def ray() -> object:
    return pytest.importorskip("ray")


def test_a_packed_job_gives_the_same_bytes(job: Job, ray: object) -> None:
    back = unpack(pack(job))
    for shard in SHARDS:
        assert bytes(encode(back.compute(shard, print), {})) == bytes(encode(job.compute(shard, print), {}))
    assert back.network.graph.digest == job.network.graph.digest
    strides = {name: tensor.stride() for name, tensor in job.network.graph.tensors.items()}
    assert {name: tensor.stride() for name, tensor in back.network.graph.tensors.items()} == strides


@pytest.mark.parametrize("name", SMALL)
def test_every_operation_travels(name: str, job: Job, ray: object) -> None:
    module: nn.Module = SMALL[name]
    network = Network.from_module(module, preprocessing=Preprocessing(resize=None, height=8, width=8))
    back = unpack(pack(Job(network, job.images, (), SETTINGS, 1))).network
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    output = network.graph.output
    one, other = (n.graph.run(x, output, frozenset({output}))[output] for n in (network, back))
    assert torch.equal(one, other)


def test_bfloat16_travels(job: Job, ray: object) -> None:
    network = job.network.to(dtype=torch.bfloat16)
    back = unpack(pack(Job(network, job.images, (), SETTINGS, 1))).network
    assert back.dtype == torch.bfloat16
    assert back.graph.digest == network.graph.digest


def test_other_software_at_the_other_end(job: Job, ray: object, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(job)
    monkeypatch.setattr("layerscope.sweep.engine.__version__", "99")
    with pytest.raises(EngineError, match=r"has layerscope 99, not .*: its results could differ"):
        unpack(packed)


def test_without_ray(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"Ray is not installed; `pip install 'layerscope\[ray\]'`"):
        next(RayEngine().run(job, SHARDS, print))
    assert list(RayEngine().run(job, [], print)) == []  # nothing to do needs no cluster


@pytest.mark.parametrize("reserved", [{"cpus": 0}, {"cpus": float("nan")}, {"gpus": -1}, {"retries": -1}])
def test_what_no_task_can_reserve(reserved: dict[str, float]) -> None:
    (value,) = reserved.values()
    with pytest.raises(EngineError, match=rf"^{value} .*: ask for (more than 0|0 or more)$"):
        RayEngine(**reserved)  # type: ignore[arg-type]
