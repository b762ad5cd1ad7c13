"""Networks, disks and processes that fail on the way: one line says it, and the same command goes on."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor

from layerscope.errors import TrainingError
from layerscope.images.sets import ImageSet
from layerscope.train.processes import joined
from layerscope.train.training import CHECKPOINT, WEIGHTS, train_network
from tests.support.processes import in_two_processes
from tests.train.test_training import Small, options

RAISED = "fails on {} inputs: ValueError: no more; try a larger --batch or --input-size"
STOPPED = (
    "another process of this training stopped; what is finished is kept, the same command goes on from there"
)
GONE = f"is finished, and its {WEIGHTS} is gone; put it back, or train anew in another folder"


def fail(*_: Tensor) -> None:
    raise ValueError("no more")


def fill_disk(_: Tensor) -> None:
    """From here on files may not grow beyond what the log needs."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


WAYS: Mapping[str, Callable[[Tensor], object]] = {
    "forward": fail,
    "backward": lambda scores: scores.register_hook(fail),  # type: ignore[no-untyped-call]
    "disk": fill_disk,
    "killed": lambda _: os.kill(os.getpid(), signal.SIGKILL),
}


class Failing(Small):
    """Fails in the way, the process and the step, counted from 1, that the environment names."""

    def forward(self, pictures: Tensor) -> Tensor:
        scores = super().forward(pictures)
        way, process, step = os.environ.get("FAILS", "never 0 0").split()
        here = self.training and os.environ.get("RANK", "0") == process
        if here and int(self.norm.num_batches_tracked) == int(step):  # type: ignore[arg-type]
            WAYS[way](scores)
        return scores


def failing() -> Failing:
    torch.manual_seed(1)
    return Failing()


def kept(out: Path) -> int:
    """After which step the checkpoint is, all of which can be read."""
    with safe_open(out / CHECKPOINT, "pt") as file:
        names = list(file.keys())
        counts = [file.get_tensor(name) for name in names if name.endswith("num_batches_tracked")]
        assert all(file.get_tensor(name).isfinite().all() for name in names)
    return int(counts[0])


def test_a_network_that_raises_on_the_way_back(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    train_network(failing(), images, whole, options=options())
    monkeypatch.setenv("FAILS", "backward 0 6")
    with pytest.raises(TrainingError) as caught:
        train_network(failing(), images, out, options=options())
    assert str(caught.value) == f"Failing {RAISED.format('4x3x16x16')}"
    assert kept(out) == 5
    monkeypatch.delenv("FAILS")
    train_network(failing(), images, out, options=options())
    assert (out / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


@pytest.mark.slow
def test_one_of_two_processes_fails(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why, if it still can, the other says no more than that it stopped; in the end the bytes are the same."""
    monkeypatch.chdir(tmp_path)
    words = ["train", "tests.train.test_failing:failing", folder, "--labels", "folders", "--epochs", "3"]
    words += ["--batch", "6", "--interval", "0", "--out"]
    in_two_processes(*words, "whole").check_returncode()
    raised = f"tests.train.test_failing:failing {RAISED.format('3x3x16x16')}"
    full = f"out/{CHECKPOINT} cannot be written: File too large; make room and run the same again: what is finished is"
    ways = {
        "disk 0 2": [f"{full} kept"],  # the first is the one that would speak for all
        "forward 1 4": [STOPPED, raised],
        "backward 1 6": [STOPPED, raised],
        "killed 1 8": [STOPPED],
    }
    for way, expected in ways.items():
        monkeypatch.setenv("FAILS", way)
        done = in_two_processes(*words, "out")
        assert errors(done) == [f"Error: {line}" for line in expected]
        assert kept(tmp_path / "out") == int(way[-1]) - 1
    monkeypatch.delenv("FAILS")
    in_two_processes(*words, "out").check_returncode()
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    (tmp_path / "out" / WEIGHTS).unlink()
    assert errors(in_two_processes(*words, "out")) == [f"Error: out {GONE}"]


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the processes themselves say, none of it a traceback: torch marks these with the rank."""
    assert done.returncode != 0
    assert "[rank" not in done.stderr
    return sorted(line for line in done.stderr.splitlines() if line.startswith("Error: "))


@pytest.mark.parametrize("rank", [0, 1])
def test_another_process_that_is_gone(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch raises of it is said in our words, by the first; what the network raises stays what it is."""
    left: list[int] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: left.append(rank))
    closed = RuntimeError(
        "[/torch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer"
    )
    for gone in (closed, dist.DistBackendError("NCCL error: remote process exited")):
        with pytest.raises(TrainingError) as caught, joined(torch.device("cpu")):
            raise gone
        assert str(caught.value) == STOPPED
        assert caught.value.said_elsewhere == (rank == 1)
    with pytest.raises(ValueError, match="no more"), joined(torch.device("cpu")):
        raise ValueError("no more")
    assert left == [rank] * 3
