"""Signals, passes, pictures made from networks and trainings on a graphics card are those of the processor.

``LAYERSCOPE_TEST_DEVICE``: another device of torch than cuda; cpu tries the tests themselves.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import torchvision
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn

from layerscope import Network, Preprocessing, Unit, open_images, reconstruct
from layerscope.cli.main import main
from layerscope.disk.tables import read_table
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED, Rule
from layerscope.study.folder import Study
from layerscope.sweep import sweep_images
from layerscope.synthesis import InvertOptions, MaximiseOptions, invert, maximise
from layerscope.train import RECIPES, TrainOptions, train_network
from tests.support.classes import write_classes
from tests.support.descent import lively, noise, small_network
from tests.support.studies import SETTINGS, every_reducer, small, write_pictures

DEVICE = os.environ.get("LAYERSCOPE_TEST_DEVICE", "cuda")
pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"
)
RULES: list[Rule] = [DECONVNET, GUIDED, GRADIENT]
FAMILIES = ["alexnet", "resnet18", "efficientnet_b0", "convnext_tiny", "googlenet", "densenet121"]


def close(one: pa.Table, other: pa.Table, share: float = 1e-4) -> None:
    """The same rows; numbers that are not whole to a share of the column's largest."""
    assert one.schema.names == other.schema.names
    for name in one.schema.names:
        a, b = (table[name].combine_chunks() for table in (one, other))
        while pa.types.is_list(a.type) or pa.types.is_fixed_size_list(a.type):
            a, b = a.flatten(), b.flatten()
        if pa.types.is_floating(a.type):
            a, b = (values.to_numpy(zero_copy_only=False) for values in (a, b))
            np.testing.assert_allclose(a, b, rtol=share, atol=share * np.nanmax(np.abs(a), initial=0))
        else:
            assert a.equals(b), name


@cache
def made(name: str) -> Network:
    torch.manual_seed(0)
    arguments = {"init_weights": False} if name == "googlenet" else {}
    return small_network(lively(torchvision.models.get_model(name, **arguments)), (64, 64))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", FAMILIES)
def test_signals_are_the_same(name: str, rule: Rule) -> None:
    network, pictures = made(name), noise(2, 3, 64, 64)
    seeds = [network.layers[len(network.layers) // 2].name, network.layers[-1].name]
    here = reconstruct(network, pictures, seeds, rule=rule)
    there = reconstruct(network.to(DEVICE), pictures, seeds, rule=rule)
    for seed in seeds:
        torch.testing.assert_close(
            here[seed], there[seed], rtol=1e-7, atol=1e-9 * float(here[seed].abs().max())
        )


def test_float32_is_float32() -> None:
    """Not the ten bits of TensorFloat-32, which torch convolves with unless it is told otherwise."""
    network, pictures = small(), noise(4, 3, 64, 64)
    exact = reconstruct(network.to(dtype=torch.float64), pictures, ["c1", "c5"])
    single = reconstruct(network.to(DEVICE), pictures, ["c1", "c5"])
    for layer in ("c1", "c5"):
        torch.testing.assert_close(
            single[layer].double(), exact[layer], rtol=1e-4, atol=2e-6 * float(exact[layer].abs().max())
        )


def test_twice_gives_the_same_bits() -> None:
    network, pictures = small("vggcnn").to(DEVICE), noise(3, 3, 32, 32)
    one, other = (reconstruct(network, pictures, ["c1_1", "c3_3"]) for _ in range(2))
    assert all(torch.equal(one[layer], other[layer]) for layer in ("c1_1", "c3_3"))


@pytest.mark.parametrize("name", ["alexcnn", "vggcnn"])
def test_one_pass_finds_the_same(name: str, tmp_path: Path) -> None:
    images = open_images(write_pictures(tmp_path / "p", 12))
    reducers = every_reducer()[1:]  # the first is of these tests, and reads NumPy
    here = sweep_images(small(name), images, reducers, settings=SETTINGS)
    there = sweep_images(small(name).to(DEVICE), images, reducers, settings=SETTINGS)
    for reducer, results in here.results.items():
        for key, value in results.items():
            found = there.results[reducer][key]
            if isinstance(value, pa.Table):
                close(value, found)
            else:
                np.testing.assert_allclose(
                    np.asarray(value, float), np.asarray(found, float), rtol=1e-3, atol=1e-4
                )


def commands(folder: Path, device: str) -> Study:
    """A study with portraits, spaces and a comparison, by the commands."""
    photos = write_pictures(folder / "photos", 24, ())
    networks = ["--network", "alexcnn", "--network", "vggcnn", "--input-size", "64", "--width", "0.05"]
    words = [*networks, "--classes", "7", "--weights", "random", "--weights", "random", "--batch", "4"]
    shown = ["--filters", "0-1", "--space", "c2", "--pictures", "2"]
    run("study", photos, *words, *shown, "--out", folder / "s", "--device", device)
    run("compare", folder / "s", "--out", folder / "c", "--device", device)
    return Study.open(folder / "s")


def run(*words: object) -> None:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 0, done.output


def test_the_best_picture_is_found() -> None:
    """That of a convolution is its filter: n w / 2 d with the mean square of the input taken off."""
    weights = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(3))
    convolution = nn.Conv2d(3, 2, 5, bias=False)
    convolution.weight = nn.Parameter(weights)
    plain = Preprocessing(13, 13, 13, (0.5,) * 3, (1.0,) * 3)
    network = Network.from_module(nn.Sequential(convolution), preprocessing=plain).to(DEVICE)
    options = MaximiseOptions(steps=600, margin=0, decay=1000.0, shift=0.0, scaling=0.0)
    for channel, one in enumerate(maximise(network, [Unit("0", 0), Unit("0", 1)], options=options)):
        best = weights[channel].permute(1, 2, 0).numpy() * 75 / 2000
        assert one.pixels / 255 - 0.5 == pytest.approx(best, abs=0.01)


def test_a_layer_is_inverted() -> None:
    network = small().to(DEVICE)
    found = invert(network, noise(3, 64, 64).float(), ["c2"], options=InvertOptions(steps=150))
    assert max(one.error for one in found) < 0.3
    here = invert(small(), noise(3, 64, 64).float(), ["c2"], options=InvertOptions(steps=150))
    assert [one.error for one in found] == pytest.approx([one.error for one in here], rel=0.1)


def plain() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 400, 3))


def test_training_is_the_same(tmp_path: Path) -> None:
    images = open_images(write_classes(tmp_path / "classes"), labels="folders")
    recipe = replace(RECIPES["short"], epochs=3, batch=4, rate=0.01)
    module = plain()
    module.preprocessing = Preprocessing(resize=20, height=20, width=20)  # type: ignore[assignment]
    options = TrainOptions(recipe, interval=0.0)
    made = [
        train_network(module, images, tmp_path / name, options=replace(options, device=device))
        for name, device in (("here", "cpu"), ("there", DEVICE), ("again", DEVICE))
    ]
    here, there, again = (load_file(one.weights) for one in made)
    for name, tensor in here.items():
        torch.testing.assert_close(tensor, there[name], rtol=1e-3, atol=1e-4)
        assert torch.equal(there[name], again[name])
    half = replace(options, device=DEVICE, dtype=torch.bfloat16)
    losses = train_network(module, images, tmp_path / "half", options=half).log["loss"]
    assert losses.to_pylist() == pytest.approx(made[0].log["loss"].to_pylist(), rel=0.05)


@pytest.mark.slow
def test_the_commands_make_the_same_study(tmp_path: Path) -> None:
    """Not file by file: which filters are shown of a picture is told by values that are nearly equal here."""
    here, there = commands(tmp_path / "here", "cpu"), commands(tmp_path / "there", DEVICE)
    for name in here.networks:
        for table in ("sparsity", "predictions"):
            close(here.network(name).table(table), there.network(name).table(table))
    assert here.steps.keys() == there.steps.keys()
    one, other = (Study.open(tmp_path / side / "c") for side in ("here", "there"))
    assert one.steps.keys() == other.steps.keys()
    for table in ("similarity/similarity", "sparsity/sparsity"):
        ours, theirs = (read_table(study.path / f"{table}.parquet") for study in (one, other))
        close(ours, theirs, 1e-3)
