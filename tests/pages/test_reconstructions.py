"""What every layer keeps of the chosen pictures: large, and as squares of a strip."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import nn

from layerscope.drawing.panels import reduced
from layerscope.drawing.render import show_signal
from layerscope.drawing.sprites import read_sprite
from layerscope.errors import StudyError
from layerscope.images.sets import open_images
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.pages import reconstructions
from layerscope.pages.reconstructions import add_reconstructions, in_square
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import DECONVNET, GRADIENT
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.oracles.pages import panels as oracle
from tests.support.image_sources import picture_of
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, then what no photograph is: one pixel, a line, one grey."""
    folder = write_pictures(tmp_path_factory.mktemp("pictures") / "photos", 3, (1,))
    Image.new("RGB", (1, 1), (255, 0, 0)).save(folder / "003.png")
    Image.new("RGB", (65_500, 1), (0, 0, 255)).save(folder / "004.png")
    Image.new("L", (40, 40), 128).save(folder / "005.png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    path = tmp_path_factory.mktemp("made") / "study"
    sweep_study([small()], open_images(photos), [TopPatches(2)], path, settings=SETTINGS)
    return path


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(made, tmp_path / "study"))


def signal_of(network: Network, picture: Image.Image, layer: str) -> npt.NDArray[np.floating]:
    values = network.preprocessing.apply(picture)[None]
    found: npt.NDArray[np.floating] = reconstruct(network, values, [layer])[layer][0].permute(1, 2, 0).numpy()
    return found


def about(study: Study, network: str = "alexcnn") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(study.network(network).file("pages/about.json").read_text("utf-8"))
    return found


def study_of(module: nn.Module, photos: Path, out: Path, **preprocessing: Any) -> tuple[Study, Network]:
    how = Preprocessing(**{"resize": None, "height": 24, "width": 24, **preprocessing})
    network = Network.from_module(module.eval(), name="own", preprocessing=how)
    return sweep_study([network], open_images(photos), [TopPatches(2)], out, settings=SETTINGS), network


# ------------------------------------------------------------------ what they show


def test_squares_equal_those_made_by_hand(study: Study, photos: Path) -> None:
    """Reduced as values, then stretched; each of its own."""
    generator = np.random.default_rng(0)
    for shape in ((240, 240, 3), (120, 260, 1), (197, 230, 3)):
        signal = generator.normal(size=shape) * np.linspace(0, 1, shape[1])[None, :, None]
        height, width = (round(96 * edge / max(shape)) for edge in shape[:2])
        expected = np.zeros((96, 96, shape[2]))
        top, left = (96 - height) // 2, (96 - width) // 2
        expected[top : top + height, left : left + width] = oracle.mean_of_area(signal, (height, width))
        found = in_square(signal, 96)
        assert np.abs(found.pixels.astype(int) - oracle.stretched(expected)).max() <= 1
        as_pictures = show_signal(signal).pixels.astype(float) / 127.5 - 1  # stretched, then reduced: grey
        assert np.percentile(np.abs(reduced(as_pictures, (height, width))), 99.5) < 0.6
        assert np.abs(found.pixels.astype(int) - 128).max() >= 127


def test_squares_of_small_inputs_are_enlarged_without_smoothing() -> None:
    signal = np.random.default_rng(0).normal(size=(3, 4, 3))
    found = in_square(signal, 96)
    for row in range(3):
        for column in range(4):
            cell = found.pixels[12 + 24 * row : 36 + 24 * row, 24 * column : 24 * column + 24]
            assert (cell == cell[0, 0]).all()
    assert (found.pixels[:12] == 128).all()
    assert (found.pixels[84:] == 128).all()


def test_what_is_drawn_is_what_reconstruct_gives(study: Study, photos: Path) -> None:
    images, network = open_images(photos), small()
    made = add_reconstructions(study, network, images, [0, 2], DECONVNET)
    layers = about(made)["strip"]["layers"]
    assert layers == about(made)["reconstructions"] == [layer.name for layer in network.layers]
    rows = made.network("alexcnn").table("pages/reconstructions").to_pylist()
    assert [(row["picture"], row["layer"]) for row in rows] == [(p, name) for p in (0, 2) for name in layers]
    for row in rows:
        signal = signal_of(network, picture_of(images, row["picture"]), row["layer"])
        panel, square = show_signal(signal), in_square(signal, 96)
        assert row["white"] == pytest.approx(panel.scale, rel=1e-6)
        assert row["black"] == -row["white"]
        assert row["square"] == pytest.approx(square.scale, rel=1e-6)
        file = f"pages/reconstructions/{row['layer']}/{row['picture']}.jpg"
        shown = read_sprite(made.network("alexcnn").file(file))
        assert np.abs(shown.astype(int) - panel.pixels).mean() < 1.5
        strip = read_sprite(made.network("alexcnn").file(f"pages/strips/{row['picture']}.jpg"))
        place = 96 * layers.index(row["layer"])
        own = strip[:, place : place + 96].astype(int) - square.pixels
        assert np.abs(own).mean() < 16  # a JPEG of noise; 50 and more for another layer
    assert check_study(made.path) == ()


def test_strips_of_many_layers_have_several_rows(
    study: Study, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = add_reconstructions(study, small(), open_images(photos), [0], DECONVNET)
    one_row = read_sprite(whole.network("alexcnn").file("pages/strips/0.jpg"))
    monkeypatch.setattr(reconstructions, "_ACROSS", 4)
    monkeypatch.setattr(reconstructions, "_BYTES", 1)  # and one layer at a time
    cleared = add_reconstructions(whole, small(), open_images(photos), [], DECONVNET)
    made = add_reconstructions(cleared, small(), open_images(photos), [0], DECONVNET)
    strip = read_sprite(made.network("alexcnn").file("pages/strips/0.jpg"))
    assert about(made)["strip"]["columns"] == 4
    count = len(about(made)["strip"]["layers"])
    assert strip.shape == (96 * -(-count // 4), 4 * 96, 3)
    for number in range(count):
        y, x = (96 * place for place in divmod(number, 4))
        same = one_row[:, 96 * number : 96 * number + 96].astype(int)
        assert np.abs(strip[y : y + 96, x : x + 96] - same).mean() < 3
    assert (strip[-96:, 96 * (count % 4) :] == 128).all()


def test_pictures_that_are_no_photographs(study: Study, photos: Path) -> None:
    made = add_reconstructions(study, small(), open_images(photos), [3, 4, 5], DECONVNET)
    assert made.network("alexcnn").table("pages/reconstructions").num_rows == 3 * len(small().layers)
    assert check_study(made.path) == ()


def test_a_signal_of_zeros_is_mid_grey(photos: Path, tmp_path: Path) -> None:
    convolution = nn.Conv2d(3, 2, 3)
    assert convolution.bias is not None
    convolution.bias.data.fill_(-1e6)
    study, network = study_of(nn.Sequential(convolution, nn.ReLU()), photos, tmp_path / "study")
    made = add_reconstructions(study, network, open_images(photos), [0], DECONVNET)
    for file in ("reconstructions/0/0.jpg", "strips/0.jpg"):
        assert (read_sprite(made.network("own").file(f"pages/{file}")) == 128).all()
    row = made.network("own").table("pages/reconstructions").to_pylist()[0]
    assert (row["white"], row["square"]) == (0.0, 0.0)


def test_a_grey_network_whose_input_is_no_square(photos: Path, tmp_path: Path) -> None:
    how = {"height": 20, "width": 40, "mean": (0.5,), "deviation": (0.2,)}
    study, network = study_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), photos, tmp_path / "study", **how)
    made = add_reconstructions(study, network, open_images(photos), [0], DECONVNET)
    shown = read_sprite(made.network("own").file("pages/reconstructions/0/0.jpg"))
    assert shown.shape == (20, 40, 3)
    assert (shown == shown[..., :1]).all()


# ------------------------------------------------------------------ what is left out, and kept


def test_layers_that_the_rule_does_not_go_back_from_are_left_out(photos: Path, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Hardtanh(), nn.Conv2d(2, 2, 3))
    study, network = study_of(module, photos, tmp_path / "study")
    made = add_reconstructions(study, network, open_images(photos), [0], DECONVNET)
    assert about(made, "own")["strip"]["layers"] == ["0"]
    by_gradient = add_reconstructions(study, network, open_images(photos), [0], GRADIENT)
    assert len(about(by_gradient, "own")["strip"]["layers"]) > 1


def test_no_layer_at_all(photos: Path, tmp_path: Path) -> None:
    study, network = study_of(nn.Sequential(nn.Hardtanh(), nn.Conv2d(3, 2, 3)), photos, tmp_path / "study")
    made = add_reconstructions(study, network, open_images(photos), [0, 2], DECONVNET)
    assert about(made, "own")["strip"] is None
    assert about(made, "own")["reconstructions"] == []
    assert made.network("own").table("pages/reconstructions").num_rows == 0


def test_what_is_there_is_kept_and_what_is_no_longer_chosen_goes(study: Study, photos: Path) -> None:
    images, network = open_images(photos), small()
    other = Study.open(shutil.copytree(study.path, study.path.parent / "other"))
    first = add_reconstructions(study, network, images, [0, 2], DECONVNET)
    before = bytes_of(first.path)
    told: list[str] = []
    again = add_reconstructions(
        first, network, images, [0, 2], DECONVNET, lambda done: told.append(done.detail)
    )
    assert bytes_of(again.path) == before
    assert told == ["2 of 2 pictures"]
    fewer = add_reconstructions(again, network, images, [2], DECONVNET)
    at_once = add_reconstructions(other, network, images, [2], DECONVNET)
    assert bytes_of(fewer.path) == bytes_of(at_once.path)
    by_gradient = add_reconstructions(fewer, network, images, [2], GRADIENT)
    assert about(by_gradient)["rule"] == "gradient"
    differing = [
        name
        for name, digest in bytes_of(by_gradient.path).items()
        if bytes_of(at_once.path).get(name) != digest
    ]
    assert "alexcnn/pages/strips/2.jpg" in differing


def test_another_picture_than_the_studys_is_refused(study: Study, photos: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(photos, tmp_path / "moved"))
    Image.new("RGB", (40, 48)).save(moved / "002.png")
    with pytest.raises(StudyError, match=r"002\.png is another picture"):
        add_reconstructions(study, small(), open_images(moved), [0, 2], DECONVNET)
    assert "alexcnn/pages/reconstructions" not in Study.open(study.path).steps


def test_bfloat16_and_batches_of_one(study: Study, photos: Path) -> None:
    network = small().to(dtype=torch.bfloat16)
    made = add_reconstructions(study, network, open_images(photos), [0], DECONVNET)
    assert made.steps["alexcnn/pages/reconstructions"]["dtype"] == "bfloat16"
