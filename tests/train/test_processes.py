"""One training in several processes: each does its share, and the first one speaks for all."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file

from layerscope.errors import TrainingError
from layerscope.images.sets import open_images
from layerscope.train.processes import Processes, joined
from layerscope.train.training import WEIGHTS
from tests.support.classes import write_classes
from tests.support.processes import in_two_processes
from tests.train.test_training import run, small


@pytest.mark.slow
def test_what_each_process_finds_is_known_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation is shared, of the weights and statistics that are kept; pictures that one could not read are named."""
    folder, shown = (write_classes(tmp_path / name, each=7) for name in ("classes", "shown"))
    for path in (folder / "class0" / "1.png", folder / "class2" / "3.png", shown / "class1" / "0.png"):
        path.write_bytes(b"no picture")
    for path in shown.glob("*/6.png"):
        path.write_bytes(b"none")
    monkeypatch.chdir(tmp_path)
    network = "tests.train.test_training:small(dropout=0.0)"
    words = [
        "train",
        network,
        "classes",
        "--labels",
        "folders",
        "--validation",
        "shown",
        "--epochs",
        "2",
    ]
    words += ["--batch", "6", "--out"]
    run(*words, "alone")
    done = in_two_processes(*words, "two")
    printed, said = done.stdout, done.stderr
    assert printed.count(f"{network}: 2 epochs") == printed.count(WEIGHTS) == 1, said
    alone, two = (json.loads((tmp_path / name / "training.json").read_text()) for name in ("alone", "two"))
    assert len(two["bad"]) == 6
    assert two["bad"] == alone["bad"]
    assert [line for line in said.splitlines() if line.startswith("skipped ")] == [
        f"skipped {reason}" for reason in two["bad"]
    ]
    module = small()
    module.load_state_dict(load_file(tmp_path / "two" / WEIGHTS))
    images = open_images(shown, labels="folders")
    good = [i for i, name in enumerate(images.names) if name != "class1/0.png" and "6.png" not in name]
    inputs = torch.stack([module.preprocessing.apply(images.load(i).image) for i in good])
    labels = torch.tensor(images.labels)[good]
    with torch.no_grad():
        scores = module.eval()(inputs)
    last = list(csv.DictReader((tmp_path / "two" / "log.csv").read_text().splitlines()))[-1]
    assert float(last["validation_loss"]) == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-5)
    assert float(last["validation_error"]) == pytest.approx(
        float((scores.argmax(1) != labels).double().mean())
    )
    said = in_two_processes(*words, "alone").stderr
    assert (
        said.count("Error: alone was begun with processes 1, now it is 2; run it with what it was begun with")
        == 1
    )
    assert "[rank" not in said
    said = in_two_processes(*words[:-2], "5", "--out", "odd").stderr
    assert said.count("a batch of 5 pictures is not shared evenly by 2 processes; give another --batch") == 1
    assert "[rank" not in said


@pytest.mark.parametrize(("name", "backend"), [("cuda:1", "cpu:gloo,cuda:nccl"), ("cpu", "gloo")])
def test_processes_on_gpus_exchange_sums_of_the_processor_too(
    name: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients lie on the device, sums of losses on the processor: there is a way for both, on the device of each."""
    done: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "set_device", done.append)
    monkeypatch.setattr(dist, "init_process_group", done.append)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with joined(torch.device(name)) as processes:
        assert processes == Processes(2, 1)
    assert done == ([torch.device(name), backend] if name != "cpu" else [backend])


def test_what_one_process_refuses_all_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(each: list[Any], own: list[Any]) -> None:
        each[:] = [[], [TrainingError("not here")]]

    monkeypatch.setattr(dist, "all_gather_object", gather)
    for rank in (0, 1):
        with pytest.raises(TrainingError, match="not here") as caught:
            Processes(2, rank).agree(lambda: None)
        assert caught.value.said_elsewhere == (rank == 1)
