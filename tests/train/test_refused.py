"""What a training refuses, each in one line that says what to do, and what it leaves in its folder."""

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.models as tv
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layerscope import load_network
from layerscope.errors import ImageError, TrainingError, WeightsError
from layerscope.images.sets import ImageSet, open_images
from layerscope.network.source import Options
from layerscope.train.batches import check_labels
from layerscope.train.plan import BEGUN, STEPS
from layerscope.train.training import ABOUT, CHECKPOINT, WEIGHTS, _Training, train_network
from layerscope.zoo.shipped import SHIPPED
from tests.support.classes import write_classes
from tests.train.test_training import RECIPE, Small, options, refused, small


class OneValue(Small):
    """Batch norm of a single position, which needs two pictures."""

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.norm(torch.relu(self.conv(pictures)).mean((2, 3), keepdim=True))
        scores: Tensor = self.last(maps.flatten(1))
        return scores


class Dictionary(Small):
    """Its scores are in a dictionary."""

    def forward(self, pictures: Tensor) -> Tensor:
        return {"scores": super().forward(pictures)}  # type: ignore[return-value]


def of(module: nn.Module, images: ImageSet, out: Path, **changes: object) -> str:
    """The one line by which a network is refused."""
    with pytest.raises(TrainingError) as caught:
        train_network(module, images, out, options=options(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------ networks


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("googlenet", 32), ("inception_v3", 75)])
def test_networks_are_trained_without_their_auxiliary_heads(
    name: str, side: int, images: ImageSet, tmp_path: Path
) -> None:
    """A published file, which has them, can be begun from, and what was trained can be loaded."""
    build, recipe = Options(input_size=side, classes=3), replace(RECIPE, epochs=1, batch=9)
    whole = tv.get_model(name, num_classes=3, init_weights=False)
    save_file(whole.state_dict(), tmp_path / "begun.safetensors")
    settings = options(build=build, recipe=recipe, weights=str(tmp_path / "begun.safetensors"))
    made = train_network(name, images, tmp_path / "out", options=settings)
    found, heads = load_file(made.weights), ("aux1", "aux2", "AuxLogits")
    assert found.keys() == {key for key in whole.state_dict() if key.partition(".")[0] not in heads}
    assert not torch.equal(found["fc.weight"], whole.fc.weight)
    network = load_network(name, made.weights)
    assert network.classes == ("class0", "class1", "class2")
    picture = torch.zeros(1, 3, side, side)
    whole.load_state_dict(found, strict=False)
    expected = whole.eval()(picture).softmax(1)[0].sort(descending=True).values
    torch.testing.assert_close([one.probability for one in network.predict(picture)[0]], expected.tolist())


def test_what_a_network_raises_is_said_before_anything_is_written(images: ImageSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = of(OneValue(), images, out, recipe=replace(RECIPE, batch=1))
    assert said.startswith("OneValue fails on 1x3x16x16 inputs: ValueError: Expected more than 1 value")
    assert said.endswith("; try a larger --batch or --input-size")
    with pytest.raises(TrainingError, match="inception_v3 fails on 2x3x32x32 inputs: RuntimeError: "):
        train_network("inception_v3", images, out, options=options(build=Options(input_size=32)))
    assert "Dictionary gives no values a picture" in of(Dictionary(), images, out)
    assert not out.exists()


def test_the_first_forward_leaves_no_trace(images: ImageSet, tmp_path: Path) -> None:
    """Batch norm counts the steps, and those alone."""
    made = train_network(small(), images, tmp_path / "out", options=options())
    assert load_file(made.weights)["norm.num_batches_tracked"] == RECIPE.epochs * (
        len(images) // RECIPE.batch
    )


def test_memory_that_ran_out_is_said_as_ever(images: ImageSet, tmp_path: Path) -> None:
    class Large(Small):
        def forward(self, pictures: Tensor) -> Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="can't allocate memory"):
        train_network(Large(), images, tmp_path / "out", options=options())


def test_a_batch_in_which_one_picture_is_left(tmp_path: Path) -> None:
    """It names what could not be read; the folder takes the corrected command, whatever it was begun with."""
    folder = write_classes(tmp_path / "classes", each=1, classes=2)
    (folder / "class1" / "0.png").write_bytes(b"no picture")
    images, out = open_images(folder, labels="folders"), tmp_path / "out"
    two = replace(RECIPE, batch=2)
    said = of(OneValue(), images, out, recipe=two, keep=(0,))
    assert said.startswith("OneValue fails on 1x3x16x16 inputs (class1/0.png: no picture")
    assert {path.name for path in out.rglob("*")} == {BEGUN, "lock", STEPS, "00000000.safetensors"}
    made = train_network(small(norm=False), images, out, options=options(recipe=two, seed=5))
    assert not list((out / STEPS).iterdir())  # which was of the other
    assert json.loads((out / BEGUN).read_text())["inputs"]["seed"] == 5
    assert made.weights.exists()


# ------------------------------------------------------------------ numbers and places


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.0, -1.0])
def test_rates_that_are_none(rate: float, images: ImageSet, tmp_path: Path) -> None:
    said = refused(images, tmp_path / "out", recipe=replace(RECIPE, rate=rate))
    assert said == f"--rate {rate} cannot be; give a number above 0"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{"seed": -1}, {"seed": 10**23}, {"interval": float("nan")}])
def test_numbers_that_are_none(changes: dict[str, float], images: ImageSet, tmp_path: Path) -> None:
    ((name, value),) = changes.items()
    assert refused(images, tmp_path / "out", **changes).startswith(f"--{name} {value} cannot be; give ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [float("nan"), float("inf"), -1.0])
def test_weights_of_no_epoch(keep: float, images: ImageSet, tmp_path: Path) -> None:
    said = refused(images, tmp_path / "out", keep=(1, keep))
    assert said == f"weights are to be kept after {keep:g} epochs of 3; give --keep from 0 to that"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["run", "class1/run"])
def test_a_folder_among_the_classes(place: str, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "classes")
    images = open_images(folder, labels="folders")
    for given, validation in (
        (images, None),
        (open_images(write_classes(tmp_path / "b"), labels="folders"), images),
    ):
        with pytest.raises(
            ImageError, match=f"{place} lies in .*classes, whose folders are classes; name a folder"
        ):
            train_network(small(), given, folder / place, options=options(), validation=validation)
    assert not (folder / place).exists()


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"batch": 0}, {"batch": 2.5}, {"momentum": -1}, {"decay": -1}, {"smoothing": 2.0}],
    ids=str,
)
def test_recipes_that_are_none(changes: dict[str, Any], images: ImageSet, tmp_path: Path) -> None:
    ((name, value),) = changes.items()
    said = refused(images, tmp_path / "out", recipe=replace(RECIPE, **changes))
    assert said.removeprefix("--").startswith(f"{name} {value} cannot be; give a ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes", [{"workers": 0}, {"dtype": torch.int32}, {"dtype": torch.float64}], ids=str
)
def test_options_that_are_none(changes: dict[str, Any], images: ImageSet, tmp_path: Path) -> None:
    ((name, value),) = changes.items()
    assert refused(images, tmp_path / "out", **changes).startswith(f"--{name} {value} cannot be; give ")
    assert not (tmp_path / "out").exists()


def test_what_is_no_set_of_pictures(images: ImageSet, tmp_path: Path) -> None:
    for given, validation in (("classes", None), (images, "classes")):
        with pytest.raises(
            TrainingError, match="a str is no set of pictures; give what open_images makes of it"
        ):
            train_network(small(), given, tmp_path / "out", options=options(), validation=validation)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_network_without_weights(images: ImageSet, tmp_path: Path) -> None:
    fixed = small().requires_grad_(False)
    for module, name in (
        (fixed, "Small"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), "Sequential"),
    ):
        said = of(module, images, tmp_path / "out")
        assert said == f"{name} has no weights that can be trained; give another network"
    assert not (tmp_path / "out").exists()


def test_a_label_far_beyond_the_others(images: ImageSet) -> None:
    """It is named without a list of all the numbers below it."""
    tracemalloc.start()
    with pytest.raises(TrainingError, match="no picture of class 1; add some, or take the class out"):
        check_labels(replace(images, labels=(0, 10**6) * 9, classes=None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


# ------------------------------------------------------------------ weights to begin from


@pytest.mark.parametrize("weights", ["imagenet", "fashion", "folder"])
def test_weights_that_are_no_file(
    weights: str, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError) as caught:
        train_network("resnet18", images, "out", options=options(weights=weights))
    assert (
        str(caught.value)
        == f"{weights} is no file of weights to begin from; give a .safetensors or .pth file"
    )


def test_the_weights_that_come_with_the_package_can_be_begun_from(tmp_path: Path) -> None:
    images = open_images(write_classes(tmp_path / "classes", each=1, classes=10), labels="folders")
    build, recipe = Options(width=0.25, input_size=64, channels=1), replace(RECIPE, epochs=1, batch=10)
    settings = options(build=build, recipe=recipe, weights="fashion", keep=(0,))
    made = train_network("alexcnn", images, tmp_path / "out", options=settings)
    begun = load_file(made.path / STEPS / "00000000.safetensors")
    for name, tensor in load_file(SHIPPED[0].path).items():
        assert torch.equal(begun[name], tensor.float())


# ------------------------------------------------------------------ what is measured


def test_validation_pictures_that_cannot_be_read(images: ImageSet, tmp_path: Path) -> None:
    """They are named; where none can be read, there is no error to tell of."""
    folder = write_classes(tmp_path / "shown")
    (folder / "class1" / "2.png").write_bytes(b"no picture")
    shown = open_images(folder, labels="folders")
    made = train_network(small(), images, tmp_path / "some", options=options(), validation=shown)
    (bad,) = made.bad
    assert bad.startswith("class1/2.png: no picture")
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(
        TrainingError, match=r"shown: no picture of epoch 1 could be read, .*class\d/\d\.png: no pict"
    ):
        train_network(small(), images, tmp_path / "none", options=options(), validation=shown)
    assert not (tmp_path / "none" / "log.csv").exists()


@pytest.mark.parametrize("validated", [False, True])
def test_the_last_step_is_looked_at(validated: bool, images: ImageSet, tmp_path: Path) -> None:
    """Nothing is published of a training whose only step leads to numbers that are none, however often it is run."""
    settings = options(recipe=replace(RECIPE, epochs=1, batch=18, rate=1e38))
    out, said = tmp_path / "out", list[str]()
    for _ in range(2):
        with pytest.raises(
            TrainingError, match=r"the loss is (nan|inf) at step 1: it does not converge; "
        ) as caught:
            train_network(small(), images, out, options=settings, validation=images if validated else None)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert {path.name for path in out.iterdir()} == {BEGUN, "lock", CHECKPOINT}


# ------------------------------------------------------------------ a folder that was begun


def test_a_checkpoint_of_something_else(images: ImageSet, tmp_path: Path) -> None:
    """Of another training, or the weights of the same: neither is gone on from."""
    alike = options(recipe=replace(RECIPE, rate=1e30))
    for name, settings in (("one", alike), ("other", replace(alike, seed=1))):
        with pytest.raises(TrainingError, match="does not converge"):
            train_network(small(), images, tmp_path / name, options=replace(settings, keep=(0,)))
    out = tmp_path / "one"
    for foreign in (tmp_path / "other" / CHECKPOINT, out / STEPS / "00000000.safetensors"):
        shutil.copy(foreign, out / CHECKPOINT)
        said = refused(images, out, recipe=alike.recipe, keep=(0,))
        assert said == (
            f"{out / CHECKPOINT} is not a checkpoint of this training; remove it and run the same again: it begins anew"
        )


def test_the_first_difference_is_named_wherever_it_stands(images: ImageSet, tmp_path: Path) -> None:
    out, build = tmp_path / "out", Options(width=0.05, input_size=32)
    train_network("alexcnn", images, out, options=options(build=build))

    def said(**changes: object) -> str:
        with pytest.raises(TrainingError) as caught:
            train_network("alexcnn", images, out, options=options(**{"build": build, **changes}))
        return str(caught.value)

    advice = "; run it with what it was begun with, or name a new folder"
    unmirrored = said(recipe=replace(RECIPE, mirror=False))
    assert unmirrored == f"{out} was begun with recipe mirror True, now it is False{advice}"
    assert said(seed=1) == f"{out} was begun with seed 0, now it is 1{advice}"
    turned = said(build=replace(build, order=(2, 1, 0)))
    assert turned == f"{out} was begun with build order None, now it is [2, 1, 0]{advice}"
    wider = said(build=replace(build, width=0.06))
    assert wider == f"{out} was begun with build width 0.05, now it is 0.06{advice}"


def test_what_was_said_once_is_missed(images: ImageSet, tmp_path: Path) -> None:
    out, build = tmp_path / "out", Options(width=0.05, input_size=32)
    train_network("alexcnn", images, out, options=options(build=replace(build, order=(2, 1, 0))))
    with pytest.raises(TrainingError, match=r"was begun with .*order \[2, 1, 0\], now it is None"):
        train_network("alexcnn", images, out, options=options(build=build))


def test_a_finished_training_whose_weights_are_gone(images: ImageSet, tmp_path: Path) -> None:
    made = train_network(small(), images, tmp_path / "out", options=options())
    made.weights.unlink()
    said = refused(images, made.path)
    assert (
        said
        == f"{made.path} is finished, and its {WEIGHTS} is gone; put it back, or train anew in another folder"
    )


def test_weights_that_should_have_been_kept(images: ImageSet, tmp_path: Path) -> None:
    """In a finished training, and in one that is further on; those still to come may be asked for at any time."""
    out = tmp_path / "out"
    train_network(small(), images, out, options=options())
    said = refused(images, out, keep=(0,))
    lost = out / STEPS / "00000000.safetensors"
    assert (
        said
        == f"{lost} was not kept when it was time; leave that --keep out, or train anew in another folder"
    )
    shutil.rmtree(out)
    assert "it does not converge" in refused(images, out, recipe=replace(RECIPE, rate=1e30))
    assert (out / CHECKPOINT).exists()
    assert "00000000.safetensors was not kept" in refused(
        images, out, recipe=replace(RECIPE, rate=1e30), keep=(0, 2)
    )
    assert "it does not converge" in refused(images, out, recipe=replace(RECIPE, rate=1e30), keep=(2,))


def test_weights_may_be_asked_for_of_the_very_step_it_stopped_at(images: ImageSet, tmp_path: Path) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    out, steps = tmp_path / "out", len(images) // RECIPE.batch
    with pytest.raises(KeyboardInterrupt):
        train_network(small(), images, out, options=options(interval=0), progress=stop)
    train_network(small(), images, out, options=options(keep=(1 / steps,)))
    assert (out / STEPS / "00000001.safetensors").exists()


@pytest.mark.parametrize("name", [BEGUN, ABOUT])
@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_file_is_said_to_be_of_a_training(
    name: str, content: str, images: ImageSet, tmp_path: Path
) -> None:
    made = train_network(small(), images, tmp_path / "out", options=options())
    (made.path / name).write_text(content)
    assert refused(images, made.path) == f"{made.path / name} is damaged; train anew in another folder"


def test_killed_in_the_validation_it_goes_on_with_that(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is trained again, however long the interval is, and the bytes are the same."""
    settings = options(interval=1e9, keep=(1, 2))
    whole = train_network(small(), images, tmp_path / "whole", options=settings, validation=images)
    validate, learn = _Training._validate, _Training._learn
    learned: list[int] = []
    killed: list[int] = []

    def stopped(self: _Training, *pictures: object) -> dict[str, float]:
        if self.step not in killed:
            killed.append(self.step)
            raise KeyboardInterrupt
        return validate(self, *pictures)  # type: ignore[arg-type]

    def counted(self: _Training, *batch: object) -> None:
        learned.append(self.step)
        learn(self, *batch)  # type: ignore[arg-type]

    monkeypatch.setattr(_Training, "_validate", stopped)
    monkeypatch.setattr(_Training, "_learn", counted)
    out = tmp_path / "parts"
    for _ in range(RECIPE.epochs):
        with pytest.raises(KeyboardInterrupt):
            train_network(small(), images, out, options=settings, validation=images)
    made = train_network(small(), images, out, options=settings, validation=images)
    assert learned == list(range(12))
    assert killed == [4, 8, 12]
    assert made.log.drop(["seconds"]).equals(whole.log.drop(["seconds"]))
    for name in (WEIGHTS, f"{STEPS}/00000004.safetensors", f"{STEPS}/00000008.safetensors"):
        assert (out / name).read_bytes() == (whole.path / name).read_bytes()
