"""Networks of one name, each with weights of its own: what they are called in every command that takes several."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from layerscope.cli.main import main
from layerscope.study.folder import Study
from tests.cli.test_study_again import plain
from tests.support.marks import slow_but
from tests.support.studies import write_pictures

NETWORK = "tests.cli.test_study_again:plain"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def weights(*files: Path) -> list[object]:
    """The options that name the network with each file of weights, which is written."""
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(plain().state_dict(), file)
    return [word for file in files for word in ("-n", NETWORK, "-w", file)]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A list of pictures with labels."""
    pictures = sorted(write_pictures(tmp_path / "photos", 2, ()).iterdir())
    place = tmp_path / "list.txt"
    place.write_text("".join(f"{path}\t{label}\n" for label, path in enumerate(pictures)))
    return place


@pytest.mark.parametrize(
    "command",
    slow_but(["evaluate", "reconstruct"], ["study", "evaluate", "reconstruct", "maximise", "invert"]),
)
def test_two_trainings_are_called_after_their_folders(command: str, labelled: Path, tmp_path: Path) -> None:
    options = weights(tmp_path / "ok/weights.safetensors", tmp_path / "bad/weights.safetensors")
    seen: dict[str, list[object]] = {
        "study": [labelled],
        "evaluate": [labelled],
        "reconstruct": [tmp_path / "photos", "--layers", "0"],
        "maximise": ["--unit", "0:1", "--steps", 1],
        "invert": [tmp_path / "photos", "--layers", "0", "--steps", 1, "--starts", 1],
    }
    made = run(command, *seen[command], *options, "--out", tmp_path / "out")
    assert made.exit_code == 0, made.output
    said = made.stdout + "".join(table.read_text() for table in (tmp_path / "out").glob("*.csv"))
    assert {*re.findall(r"[:_]plain[@_](\w+)", said)} == {"ok", "bad"}


def test_names_that_differ_stay_and_their_study_is_gone_on_with(labelled: Path, tmp_path: Path) -> None:
    options = weights(tmp_path / "run/0000.safetensors", tmp_path / "run/0937.safetensors")
    command = ("study", labelled, *options, "--out", tmp_path / "out")
    assert run(*command).exit_code == 0
    study = Study.open(tmp_path / "out")
    assert study.networks == (f"{NETWORK}@0000", f"{NETWORK}@0937")
    assert run(*command).exit_code == 0


def test_the_same_file_twice_is_refused(labelled: Path, tmp_path: Path) -> None:
    options = weights(*[tmp_path / "ok/weights.safetensors"] * 2)
    refused = run("study", labelled, *options, "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert f"two networks are called {NETWORK}@weights; " in refused.stderr
