"""Sparsity read from studies equals a count over the representations; the three facts of the paper's Fig. 6 hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from layerscope.compare.sparsity import show_sparsity, sparsity_table
from layerscope.images.decoding import load_image
from layerscope.images.sets import open_images
from layerscope.study.folder import Study
from layerscope.sweep.channel_statistics import Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.zoo.loading import load_network
from tests.support.studies import SETTINGS, small, write_pictures


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("sparsity")
    images = open_images(write_pictures(folder / "pictures", 5, ()))
    networks = [small("alexcnn"), small("vggcnn")]
    return sweep_study(networks, images, [Sparsity()], folder / "study", settings=SETTINGS)


def test_the_table_counts_zeros_of_convolutions_and_pools(study: Study) -> None:
    rows = sparsity_table(study).to_pylist()
    network = small("vggcnn")
    names = [layer.name for layer in network.layers if layer.kind in ("conv2d", "max_pool2d")]
    assert [row["layer"] for row in rows if row["network"] == "vggcnn"] == names
    paths = sorted(study.path.parent.glob("pictures/*"))
    pictures = torch.stack([network.preprocessing.apply(load_image(path)) for path in paths])
    values = network.representations(pictures, names)
    for row in (row for row in rows if row["network"] == "vggcnn"):
        zero = values[row["layer"]] == 0
        assert row["sparsity"] == pytest.approx(zero.double().mean().item(), abs=1e-3)
        assert row["dead_channels"] == int(zero.all(3).all(2).all(0).sum())
        assert row["channels"] == zero.shape[1]


def test_several_studies_make_one_chart(study: Study) -> None:
    both = show_sparsity([study, study.path])
    labels = [line.get_label() for line in both.axes[0].lines if not str(line.get_label()).startswith("_")]
    assert labels[:4] == ["alexcnn", "vggcnn", "alexcnn", "vggcnn"]


@pytest.mark.slow
def test_the_three_facts_of_figure_6(tmp_path: Path) -> None:
    """Sparsity rises with depth, falls at each max-pool, and is higher in VGG-16's high layers than in AlexNet's."""
    data = Path(pytest.importorskip("skimage").__file__).parent / "data"
    names = (
        "astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg brick.png grass.png gravel.png"
    )
    networks = [load_network(name, "imagenet-trunk") for name in ("vgg16", "alexnet")]
    images = open_images([data / name for name in names.split()])
    study = sweep_study(networks, images, [Sparsity()], tmp_path / "study")
    rows = sparsity_table(study).to_pylist()
    shares = {n: {r["layer"]: r["sparsity"] for r in rows if r["network"] == n} for n in ("vgg16", "alexnet")}
    for found in shares.values():
        layers = list(found)
        for before, pool in ((layers[i - 1], name) for i, name in enumerate(layers) if name.startswith("p")):
            assert found[pool] < found[before]
        convolutions = [share for name, share in found.items() if name.startswith("c")]
        half = len(convolutions) // 2
        assert sum(convolutions[:half]) / half < sum(convolutions[half:]) / (len(convolutions) - half)
    assert shares["vgg16"]["p5"] > shares["alexnet"]["p5"]
    assert shares["vgg16"]["c5_3"] > shares["alexnet"]["c5"]
