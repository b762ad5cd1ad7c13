"""The pair that comes with the package: what it is, what it says of pictures, and how often it is wrong."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from layerscope import load_network
from layerscope.errors import NetworkError, WeightsError
from layerscope.images.sets import open_images
from layerscope.network.source import Options
from layerscope.train.plan import TrainOptions
from layerscope.train.recipes import RECIPES
from layerscope.train.training import train_network
from layerscope.zoo.loading import build_module
from layerscope.zoo.shipped import SHIPPED, ShippedFile, shipped_file
from tests.support.packages import need

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))

import fashion  # noqa: E402  it lies among the examples

RIGHT = {"alexcnn": 458, "vggcnn": 466}  #: of the first 500 test pictures
WORDS = [(one.network, one.name) for one in SHIPPED]


@pytest.fixture(scope="module")
def test_set() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    need(fashion.PACKAGE, "dataset-fashion-mnist")
    pictures, labels = (
        fashion.read_idx(fashion.PACKAGE / f"t10k-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1")
    )
    return pictures, labels


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda one: one.network)
def test_the_files_are_the_ones_that_the_list_names(shipped: ShippedFile) -> None:
    content = shipped.path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == shipped.digest
    assert len(content) < 6e6
    assert {tensor.dtype for tensor in load_file(shipped.path).values()} == {torch.float16}
    card = (shipped.path.parent / "README.md").read_text()
    assert shipped.digest[:8] in card


@pytest.mark.parametrize(("network", "name"), WORDS)
def test_a_network_with_all_its_layers_and_classes(network: str, name: str) -> None:
    loaded = load_network(network, name)
    assert loaded.classes is not None
    assert sorted(loaded.classes) == sorted(fashion.CLASSES)
    assert loaded.input_shape == (1, 64, 64)
    assert [layer.name for layer in loaded.layers][-3:] == ["fc6", "fc7", "fc8"]
    assert loaded.why_no_predictions is None
    assert loaded.loading is not None
    assert loaded.loading.weights == name
    assert loaded.weights == f"{name}, shipped with layerscope"
    blank = loaded.predict(loaded.preprocessing.apply(Image.new("RGB", (28, 28)))[None])[0]
    assert len({prediction.name for prediction in blank}) == 5


def test_only_the_papers_two_have_them() -> None:
    assert shipped_file("vgg16", "fashion") is None
    assert shipped_file("alexcnn", None) is None
    with pytest.raises(NetworkError, match=r"weights named 'fashio'; give 'fashion', a file, or leave"):
        load_network("alexcnn", "fashio")
    with pytest.raises(WeightsError, match="fashion, shipped with layerscope does not fit"):
        load_network("alexcnn", "fashion", options=Options(width=0.5))


@pytest.mark.parametrize("network", RIGHT)
def test_how_many_of_the_test_pictures_are_named_right(
    network: str, test_set: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
) -> None:
    """As many as when they were shipped; with labels of other pictures, as many as by chance."""
    loaded = load_network(network, "fashion")
    pictures, labels = (values[:500] for values in test_set)
    inputs = torch.stack([loaded.preprocessing.apply(Image.fromarray(picture)) for picture in pictures])
    found = [names[0].name for names in loaded.predict(inputs)]
    right = [name == fashion.CLASSES[label] for name, label in zip(found, labels, strict=True)]
    assert sum(right) == RIGHT[network]
    wrong = [name == fashion.CLASSES[label] for name, label in zip(found, np.roll(labels, 1), strict=True)]
    assert 30 < sum(wrong) < 80


@pytest.mark.slow
def test_a_few_hundred_pictures_are_learnt_by_heart(
    test_set: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], tmp_path: Path
) -> None:
    pictures, labels = (values[:200] for values in test_set)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = tmp_path / "set" / fashion.CLASSES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    images = open_images(tmp_path / "set", labels="folders")
    module, _ = build_module("alexcnn", options=Options(classes=10, channels=1, width=0.25, input_size=64))
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    recipe = replace(RECIPES["short"], epochs=80, batch=20, rate=0.01, smoothing=0.0, decay=0.0, mirror=False)
    options = TrainOptions(recipe, Options(input_size=64), interval=1e9)
    log = train_network(module, images, tmp_path / "out", options=options, validation=images).log
    assert log["validation_loss"][0].as_py() > 0.5
    assert log["validation_loss"][-1].as_py() < 0.1
    assert log["validation_error"][-1].as_py() <= 0.03
