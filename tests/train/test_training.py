"""Training does what the plain loop does, and the same however often it is stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layerscope import load_network
from layerscope.choices import RECIPES as NAMES
from layerscope.cli.main import main
from layerscope.errors import TrainingError, WeightsError
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.progress import Progress
from layerscope.train.plan import STEPS, TrainOptions
from layerscope.train.recipes import RECIPES, Recipe, falling, one_cycle
from layerscope.train.training import CHECKPOINT, WEIGHTS, _Training, train_network
from layerscope.zoo.loading import build_module
from layerscope.zoo.trained import described
from tests.oracles.train.loop import train as plainly
from tests.support.classes import SIDE, write_classes
from tests.support.image_sources import picture_of
from tests.support.processes import in_two_processes

RECIPE = Recipe("test", epochs=3, batch=4, rate=0.05, schedule=one_cycle, smoothing=0.1)


class Small(nn.Module):
    """Everything that a training has to keep: convolution, batch norm with its counts, dropout."""

    preprocessing = Preprocessing(resize=20, height=SIDE, width=SIDE)

    def __init__(self, dropout: float = 0.5, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(6, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = torch.relu(self.norm(self.conv(pictures))).mean((2, 3))
        scores: Tensor = self.last(self.drop(maps))
        return scores


def small(**options: float | bool) -> Small:
    torch.manual_seed(1)
    return Small(**options)  # type: ignore[arg-type]


def options(**changes: object) -> TrainOptions:
    return replace(TrainOptions(RECIPE, interval=0.0), **changes)  # type: ignore[arg-type]


def test_the_weights_are_those_of_the_plain_loop(images: ImageSet, tmp_path: Path) -> None:
    module = small(dropout=0.0, norm=False)
    made = train_network(module, images, tmp_path / "out", options=options())
    steps = RECIPE.epochs * (len(images) // RECIPE.batch)
    expected = plainly(
        module,
        [picture_of(images, i) for i in range(len(images))],
        list(images.labels or ()),
        SIDE,
        RECIPE.batch,
        [RECIPE.rate_at(step, steps) for step in range(steps)],
        seed=0,
        momentum=RECIPE.momentum,
        decay=RECIPE.decay,
        smoothing=RECIPE.smoothing,
    )
    found = load_file(made.weights)
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6)
    assert not torch.equal(found["conv.weight"], module.conv.weight)  # which is as it was: a copy was trained


class StoppedError(Exception):
    """Raised in the middle of a step by whoever is told of progress."""


@pytest.mark.parametrize("interval", [0.0, 1e9], ids=["each step kept", "each epoch kept"])
def test_stopped_at_any_step_it_ends_with_the_same_bytes(
    images: ImageSet, tmp_path: Path, interval: float
) -> None:
    whole = train_network(small(), images, tmp_path / "whole", options=options())
    told: list[float] = []

    def stop(progress: Progress) -> None:
        told.append(progress.share)
        raise StoppedError

    for _ in range(2 * RECIPE.epochs * (len(images) // RECIPE.batch)):
        try:
            made = train_network(
                small(), images, tmp_path / "parts", options=options(interval=interval),
                progress=stop if interval == 0 or len(told) < 3 else None,
            )  # fmt: skip
            break
        except StoppedError:
            continue
    assert len(told) >= (12 if interval == 0 else 3)
    assert made.weights.read_bytes() == whole.weights.read_bytes()
    assert made.log.drop(["seconds"]).equals(whole.log.drop(["seconds"]))
    assert not (made.path / CHECKPOINT).exists()


def run(*words: object) -> None:
    """The command, in this process."""
    result = CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_killed_it_goes_on(folder: Path, tmp_path: Path) -> None:
    words = ["train", "alexcnn", folder, "--labels", "folders", "--width", "0.05", "--input-size", "32"]
    words += ["--epochs", "3", "--batch", "3", "--interval", "0", "--out"]
    run(*words, tmp_path / "whole")
    command = [sys.executable, "-m", "layerscope", *map(str, (*words, tmp_path / "killed"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    while not (tmp_path / "killed" / CHECKPOINT).exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / WEIGHTS).exists()
    run(*words, tmp_path / "killed")
    one, other = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("whole", "killed"))
    assert one == other


def test_two_processes_reach_the_result_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_classes(tmp_path / "classes", each=70, side=20)
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        "tests.train.test_training:small(dropout=0.0, norm=False)",
        folder,
        "--labels",
        "folders",
        "--epochs",
        "1",
        "--batch",
        "4",
        "--out",
    ]
    run(*words, "alone")
    in_two_processes(*words, "together").check_returncode()
    one, other = (load_file(tmp_path / name / WEIGHTS) for name in ("alone", "together"))
    start = small(dropout=0.0, norm=False).state_dict()
    assert all((one[name] - start[name]).abs().max() > 1e-3 for name in start)
    for name in start:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-4)


def test_weights_say_what_they_are(folder: Path, images: ImageSet, tmp_path: Path) -> None:
    build = Options(width=0.05, input_size=32)
    made = train_network(
        "alexcnn", images, tmp_path / "out", options=options(build=build, keep=(0, 0.5, 2)), validation=images
    )
    network = load_network("alexcnn", made.weights)
    assert network.classes == ("class0", "class1", "class2")
    assert network.input_shape == (3, 32, 32)
    kept = sorted((made.path / STEPS).iterdir())
    assert [path.name for path in kept] == [f"{step:08d}.safetensors" for step in (0, 2, 8)]
    assert len({load_network("alexcnn", path).graph.digest for path in [*kept, made.weights]}) == 4
    notes = [described(path) for path in [*kept, made.weights]]
    assert [note["trained"]["epoch"] for note in notes] == [0, 0.5, 2, 3]
    assert len({note["run"] for note in notes}) == 1
    untrained, _ = build_module("alexcnn", options=replace(build, classes=3))
    for name, tensor in load_file(kept[0]).items():
        assert torch.equal(tensor, untrained.state_dict()[name])
    rows = list(csv.DictReader((made.path / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["validation_error"]) == made.log["validation_error"][2].as_py()
    assert (made.path / "curve.png").exists()


def test_the_validation_error_is_that_of_the_weights(images: ImageSet, tmp_path: Path) -> None:
    module = small()
    made = train_network(module, images, tmp_path / "out", options=options(), validation=images)
    module.load_state_dict(load_file(made.weights))
    inputs = torch.stack([module.preprocessing.apply(images.load(i).image) for i in range(len(images))])
    with torch.no_grad():
        found = module.eval()(inputs).argmax(1)
    wrong = (found != torch.tensor(images.labels)).float().mean()
    assert made.log["validation_error"][-1].as_py() == pytest.approx(float(wrong))


def test_a_few_pictures_are_learnt_by_heart(images: ImageSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=20, decay=0.0, smoothing=0.0)
    made = train_network(
        small(dropout=0.0, norm=False), images, tmp_path / "out", options=options(recipe=recipe, interval=1e9)
    )
    losses = made.log["loss"].to_pylist()
    assert losses[-1] < 0.05 < losses[0]


def test_schedules() -> None:
    assert [falling(share) for share in (0, 0.33, 0.34, 0.7, 0.95)] == pytest.approx([1, 1, 0.1, 0.01, 0.001])
    assert one_cycle(0.25) == 1
    assert one_cycle(0) == pytest.approx(1 / 25)
    rising = [one_cycle(step / 100) for step in range(26)]
    assert rising == sorted(rising)
    assert RECIPES["paper"].rate_at(0, 90) == 0.01
    assert tuple(RECIPES) == NAMES


# ------------------------------------------------------------------ what goes wrong


def refused(images: ImageSet, out: Path, **changes: object) -> str:
    with pytest.raises(TrainingError) as caught:
        train_network(small(), images, out, options=options(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sets_that_cannot_be_learned_from(folder: Path, tmp_path: Path, images: ImageSet) -> None:
    assert "no labels" in refused(open_images(folder), tmp_path / "out")
    assert "1 class;" in refused(
        open_images(write_classes(tmp_path / "one", classes=1), labels="folders"), tmp_path / "out"
    )
    few = open_images(write_classes(tmp_path / "few", each=1), labels="folders")
    assert "3 pictures are fewer than a batch of 4" in refused(few, tmp_path / "out")
    listed = tmp_path / "list.csv"
    rows = [f"{folder / name},{label}" for name, label in zip(images.names, [0, 2] * 9, strict=True)]
    listed.write_text("\n".join(["path,label", *rows]))
    assert "no picture of class 1" in refused(open_images(listed), tmp_path / "out")
    rows[0] = rows[0].rpartition(",")[0] + ",-1"
    listed.write_text("\n".join(["path,label", *rows]))
    assert "1 pictures have no label" in refused(open_images(listed), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_inputs_in_a_folder_that_was_begun(images: ImageSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = train_network(small(), images, out, options=options())
    before = made.weights.read_bytes()
    assert "begun with seed 0, now it is 1" in refused(images, out, seed=1)
    assert "begun with recipe" in refused(images, out, recipe=replace(RECIPE, rate=0.1))
    assert made.weights.read_bytes() == before
    (out / "training.json").unlink()  # as if it were not finished
    begun = out / "begun.json"
    about = json.loads(begun.read_text())
    about["made_with"]["torch"] = "1.0"
    begun.write_text(json.dumps(about))
    assert "begun with torch 1.0, here is" in refused(images, out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert "holds other files (mine.txt)" in refused(images, tmp_path / "full")


def test_another_number_of_processes(images: ImageSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_network(small(), images, out, options=options())
    (out / "training.json").unlink()
    begun = out / "begun.json"
    begun.write_text(begun.read_text().replace('"processes": 1', '"processes": 2'))
    assert "begun with processes 2, now it is 1; run it with what it was begun with" in refused(images, out)


def test_weights_of_another_network(images: ImageSet, tmp_path: Path) -> None:
    save_file({"strange.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError) as caught:
        train_network(
            small(), images, tmp_path / "out", options=options(weights=str(tmp_path / "other.safetensors"))
        )
    assert "\n" not in str(caught.value)
    assert "other.safetensors" in str(caught.value)


@pytest.mark.slow
def test_no_room(folder: Path, tmp_path: Path) -> None:
    """Files may not grow beyond a limit, as on a full disk: one line; with room it goes on."""
    words = ["train", "alexcnn", folder, "--labels", "folders", "--width", "0.05", "--input-size", "32"]
    words += ["--epochs", "2", "--batch", "3", "--interval", "0", "--out"]
    run(*words, tmp_path / "whole")
    limited = (
        "import resource, signal, sys; from layerscope.cli.main import main; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", limited, *map(str, (*words, tmp_path / "full"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: {tmp_path / 'full'}")
    assert "cannot be written: File too large; make room" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    run(*words, tmp_path / "full")
    one, other = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("whole", "full"))
    assert one == other


def test_a_loss_that_is_no_number(images: ImageSet, tmp_path: Path) -> None:
    said = refused(images, tmp_path / "out", recipe=replace(RECIPE, rate=1e30))
    assert "it does not converge" in said
    assert (tmp_path / "out" / CHECKPOINT).exists()


def test_a_checkpoint_cut_short(images: ImageSet, tmp_path: Path) -> None:
    refused(images, tmp_path / "out", recipe=replace(RECIPE, rate=1e30))
    path = tmp_path / "out" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-9])
    assert "is damaged" in refused(images, tmp_path / "out", recipe=replace(RECIPE, rate=1e30))


def test_weights_of_an_epoch_that_never_comes(images: ImageSet, tmp_path: Path) -> None:
    assert "kept after 3.5 epochs of 3" in refused(images, tmp_path / "out", keep=(1, 3.5))


def test_too_few_outputs(images: ImageSet, tmp_path: Path) -> None:
    module = small()
    module.last = nn.Linear(6, 2)
    with pytest.raises(
        TrainingError, match="Small gives 2 values a picture, and the pictures have 3 classes"
    ):
        train_network(module, images, tmp_path / "out", options=options())


def test_pictures_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "classes")
    (folder / "class1" / "2.png").write_bytes(b"no picture")
    images = open_images(folder, labels="folders")
    kept = list[list[str]]()

    def look(_: Progress) -> None:
        with safe_open(tmp_path / "out" / CHECKPOINT, "pt") as file:
            kept.append(json.loads(file.metadata()["layerscope"])["bad"])

    made = train_network(small(), images, tmp_path / "out", options=options(), progress=look)
    assert "class1/2.png" in made.bad[0]
    assert len(made.bad) == 1
    assert kept[-1] == list(made.bad)


class Tied(Small):
    """Two names for one layer."""

    def __init__(self) -> None:
        super().__init__(dropout=0.0, norm=False)
        self.again = self.last


def test_parameters_with_two_names_are_kept_under_both(images: ImageSet, tmp_path: Path) -> None:
    torch.manual_seed(1)
    made = train_network(Tied(), images, tmp_path / "out", options=options())
    found = load_file(made.weights)
    assert torch.equal(found["again.weight"], found["last.weight"])
    alone = train_network(small(dropout=0.0, norm=False), images, tmp_path / "alone", options=options())
    assert torch.equal(found["last.weight"], load_file(alone.weights)["last.weight"])


def test_tensorboard(images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file, with each epoch once, though it was killed before the checkpoint of one."""
    save, killed = _Training._save, list[int]()

    def stopped(self: _Training) -> None:
        if len(self.log) == 2 and not killed:
            killed.append(self.step)
            raise StoppedError
        save(self)

    monkeypatch.setattr(_Training, "_save", stopped)
    settings = options(tensorboard=True)
    with pytest.raises(StoppedError):
        train_network(small(), images, tmp_path / "out", options=settings)
    made = train_network(small(), images, tmp_path / "out", options=settings)
    (file,) = (made.path / "tensorboard").iterdir()
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reading.EventAccumulator(str(file))
    events.Reload()
    losses = events.Scalars("loss")
    assert [event.step for event in losses] == [4, 8, 12]
    assert [event.value for event in losses] == pytest.approx(made.log["loss"].to_pylist())
    seconds = made.log["seconds"].to_pylist()
    assert losses[2].wall_time - losses[0].wall_time == pytest.approx(seconds[2] - seconds[0], abs=1e-3)


def test_what_cannot_be_read_at_all_is_not_trained_on(tmp_path: Path) -> None:
    """It is known after an epoch, and no weights are left."""
    write_classes(tmp_path / "p")
    for path in (tmp_path / "p").rglob("*.png"):
        path.write_bytes(b"no picture")
    images = open_images(str(tmp_path / "p"), labels="folders")
    with pytest.raises(
        TrainingError, match=r"p: no picture of epoch 1 could be read, .*: class\d/\d+\.png: no picture"
    ):
        train_network(small(), images, tmp_path / "out", options=options())
    assert not (tmp_path / "out" / WEIGHTS).exists()
