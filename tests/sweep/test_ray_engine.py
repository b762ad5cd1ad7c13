"""Shards on a local Ray cluster of two workers: the same study, also when a worker is killed midway."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import EngineError, LayerscopeError
from layerscope.images.sets import open_images
from layerscope.sweep.checkpoints import Shard
from layerscope.sweep.engine import Advance, Engine, Finished, Job
from layerscope.sweep.making import sweep_study
from layerscope.sweep.ray_engine import RayEngine
from layerscope.sweep.reducers import LayerBatch
from tests.support.studies import SETTINGS, Sums, bytes_of, every_reducer, small, write_pictures

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("cluster"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves sockets and files to the collector
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two processors on this machine, whatever it has."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112, its name; else workers starve beside other tests
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), 24)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, shown: Path) -> dict[str, str]:
    """The study made here, file by file."""
    out = tmp_path_factory.mktemp("whole")
    make(shown, out)
    return bytes_of(out)


def make(
    shown: Path, out: Path, engine: Engine | None = None, spoil: Callable[[LayerBatch], Any] | None = None
) -> None:
    reducers = (Sums(spoil=spoil), *every_reducer()[1:])
    sweep_study([small()], open_images(shown), reducers, out, settings=SETTINGS, engine=engine)


def dying(folder: Path, pictures: Sequence[int], times: int) -> Callable[[LayerBatch], None]:
    """Kills the worker that sees one of these pictures, so many times for each."""

    def die(batch: LayerBatch) -> None:
        for picture in {*pictures} & {*batch.pictures.tolist()}:
            marks = [folder / f"{picture}-{attempt}" for attempt in range(times)]
            for mark in (mark for mark in marks if not mark.exists()):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    return die


def test_the_same_study(tmp_path: Path, shown: Path, whole: dict[str, str]) -> None:
    make(shown, tmp_path, RayEngine(cpus=1))
    assert bytes_of(tmp_path) == whole


def test_workers_killed_midway(tmp_path: Path, shown: Path, whole: dict[str, str]) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    make(shown, tmp_path / "out", RayEngine(cpus=1), dying(marks, (2, 9, 17), times=1))
    assert sorted(mark.name for mark in marks.iterdir()) == ["17-0", "2-0", "9-0"]
    assert bytes_of(tmp_path / "out") == whole


def test_a_shard_that_always_kills_is_given_up_and_the_rest_is_kept(
    tmp_path: Path, shown: Path, whole: dict[str, str]
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with pytest.raises(EngineError, match="shard 4 keeps failing on the cluster: ") as caught:
        make(shown, tmp_path / "out", RayEngine(cpus=1, retries=1), dying(marks, (17,), times=2))
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out" / "work").rglob("shard-*.npz"))
    make(shown, tmp_path / "out")  # here; what the cluster finished is not computed again
    assert bytes_of(tmp_path / "out") == whole


def test_what_the_pass_raises_comes_through(tmp_path: Path, shown: Path) -> None:
    def fail(batch: LayerBatch) -> None:
        raise LayerscopeError("c1 is not what it should be")

    with pytest.raises(LayerscopeError, match=r"^c1 is not what it should be$"):
        make(shown, tmp_path, RayEngine(cpus=1), fail)


def test_a_task_that_no_node_has_room_for(tmp_path: Path, shown: Path) -> None:
    with pytest.raises(
        EngineError, match=r"a shard needs 64 processors and 0 GPUs, and the largest node .* has 2 and 0"
    ):
        make(shown, tmp_path, RayEngine(cpus=64))


class Both(Engine):
    """The first shard on the cluster, the others here."""

    def run(self, job: Job, shards: Sequence[Shard], advance: Advance) -> Finished:
        yield from RayEngine(cpus=1).run(job, shards[:1], advance)
        yield from ((shard, job.compute(shard, advance)) for shard in shards[1:])


def test_begun_there_finished_here(tmp_path: Path, shown: Path, whole: dict[str, str]) -> None:
    make(shown, tmp_path, Both())
    assert bytes_of(tmp_path) == whole


PROGRAM = """
import sys, torch
import numpy as np
from layerscope.images.sets import open_images
from layerscope.sweep.making import sweep_study
from layerscope.sweep.ray_engine import RayEngine
from layerscope.sweep.reducers import Reducer, every_layer
from tests.support.studies import SETTINGS, every_reducer, small

class Count(Reducer):  # of the program itself, as in a script or a notebook
    name = "count"
    def targets(self, network): return every_layer(network)
    def update(self, state, seen): return {"n": (0 if state is None else state["n"]) + np.array(seen.pictures.shape)}
    def merge(self, one, other): return {"n": one["n"] + other["n"]}
    def finish(self, states, network): return {"count": states["c1"]["n"]}

torch.set_num_threads(1)
engine = RayEngine(*sys.argv[3:])
images, reducers = open_images(sys.argv[1]), [*every_reducer(), Count()]
study = sweep_study([small()], images, reducers, sys.argv[2], settings=SETTINGS, engine=engine)
print(study.network("alexcnn").array("count"))
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    return subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_cluster_of_its_own(tmp_path: Path, shown: Path, whole: dict[str, str]) -> None:
    """Started and ended by the engine, for a program with a reducer of its own; nothing is printed by others."""
    ended = run(shown, tmp_path)
    assert (ended.stdout, ended.stderr) == ("[23]\n", "")
    found = bytes_of(tmp_path)
    same = whole.keys() - {"study.json"}
    assert {file: found[file] for file in same} == {file: whole[file] for file in same}


def test_no_cluster_there(tmp_path: Path, shown: Path) -> None:
    ended = run(shown, tmp_path, "127.0.0.1:9")
    assert "EngineError: no Ray cluster at 127.0.0.1:9: " in ended.stderr
