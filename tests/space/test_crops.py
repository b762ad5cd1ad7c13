"""Patches as little pictures: what is cut, what is hatched, what is refused."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from torch import nn

from layerscope.drawing.render import Pixels
from layerscope.drawing.sprites import hatched
from layerscope.errors import DisplayError, StudyError
from layerscope.images.sets import open_images
from layerscope.network.geometry import Box
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.progress import Progress
from layerscope.space.crops import crop_patches, cut_patch
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures, read_again
from layerscope.sweep.making import sweep_study
from layerscope.sweep.patch_sample import PatchSample
from tests.support.image_sources import picture_of
from tests.support.studies import SETTINGS, write_pictures


def network(channels: int = 3, size: int = 24) -> Network:
    """Three convolutions whose fields are 3, 7 and 39 pixels; the last is larger than the picture."""
    module = nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, padding=16, dilation=16),
    ).eval()
    mean, deviation = (0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels]
    prepared = Preprocessing(resize=None, height=size, width=size, mean=mean, deviation=deviation)
    return Network.from_module(module, name="own", preprocessing=prepared)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    top = tmp_path_factory.mktemp("made")
    photos = write_pictures(top / "photos")
    net = network()
    layers = tuple(layer.name for layer in net.layers)
    sweep_study([net], open_images(photos), [PatchSample(layers, 60)], top / "study", settings=SETTINGS)
    return top / "study", photos


@pytest.fixture
def study(made: tuple[Path, Path], tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(made[0], tmp_path / "study"))


@pytest.fixture
def photos(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[1], tmp_path / "photos"))


def sampled(study: Study, net: Network, layer: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pictures and boxes of the patches that the study sampled of a layer."""
    field, name = net.layers[layer].field, net.layers[layer].name
    assert field is not None
    rows = [row for row in study.network("own").table("patches").to_pylist() if row["layer"] == name]
    boxes = [field.box(row["row"], row["column"]) for row in rows]
    return np.array([row["picture"] for row in rows]), np.array(
        [(b.top, b.left, b.bottom, b.right) for b in boxes]
    )


def naive(picture: Pixels, box: npt.NDArray[np.int64], times: int) -> Pixels:
    """Pixel by pixel, each as a square; hatched where the picture ends."""
    top, left, bottom, _ = box.tolist()
    side = (bottom - top) * times
    shown = hatched(side, side)
    for y, x in np.ndindex(side, side):
        row, column = top + y // times, left + x // times
        if 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]:
            shown[y, x] = picture[row, column]
    return shown


@pytest.mark.parametrize(("layer", "side", "times"), [(0, 9, 3), (0, 12, 4), (1, 21, 3)])
def test_enlarged_patches_are_the_naive_ones(
    study: Study, photos: Path, layer: int, side: int, times: int
) -> None:
    net, images = network(), open_images(photos)
    pictures, boxes = sampled(study, net, layer)
    into = np.zeros((len(pictures), side, side, 3), np.uint8)
    crop_patches(study, net, images, pictures, boxes, into)
    crossing = 0
    for number, (picture, box) in enumerate(zip(pictures.tolist(), boxes, strict=True)):
        seen = net.preprocessing.picture(net.preprocessing.apply(images.load(picture).image))
        assert np.array_equal(into[number], naive(seen, box, times)), number
        crossing += bool(box.min() < 0 or box.max() > 24)
    assert 0 < crossing < len(pictures)


def test_fields_larger_than_the_picture_show_the_picture(study: Study, photos: Path) -> None:
    net, images = network(), open_images(photos)
    pictures, boxes = sampled(study, net, 2)
    assert (boxes[:, 2] - boxes[:, 0]).min() > 24
    into = np.zeros((len(pictures), 24, 24, 3), np.uint8)
    crop_patches(study, net, images, pictures, boxes, into)
    for picture, found in zip(pictures.tolist(), into, strict=True):
        assert np.array_equal(found, np.asarray(net.preprocessing.crop(picture_of(images, picture))))


def test_grey_networks_see_grey(tmp_path: Path) -> None:
    net, images = network(channels=1), open_images(write_pictures(tmp_path / "photos", 2, bad=()))
    study = sweep_study([net], images, [PatchSample("all", 4)], tmp_path / "study", settings=SETTINGS)
    into = np.zeros((1, 24, 24, 3), np.uint8)
    crop_patches(study, net, images, np.array([1]), np.array([[0, 0, 24, 24]]), into)
    expected = net.preprocessing.picture(net.preprocessing.apply(images.load(1).image))
    assert expected.shape == (24, 24, 1)
    assert np.array_equal(into[0], np.broadcast_to(expected, (24, 24, 3)))


def test_each_picture_is_read_once_and_files_can_be_mapped(
    study: Study, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, images = network(), open_images(photos)
    read: list[int] = []
    real = type(images).load
    monkeypatch.setattr(type(images), "load", lambda own, index: read.append(index) or real(own, index))  # type: ignore[func-returns-value]
    pictures, boxes = sampled(study, net, 0)
    told: list[Progress] = []
    into = np.lib.format.open_memmap(
        tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(len(pictures), 9, 9, 3)
    )
    crop_patches(study, net, images, pictures, boxes, into, progress=told.append)
    assert sorted(read) == sorted(set(pictures.tolist()))
    cut = np.cumsum([0, *((pictures == picture).sum() for picture in sorted(set(pictures.tolist())))])
    assert [one.detail for one in told] == [f"{patches} of {len(pictures)} patches" for patches in cut]
    into.flush()
    again = np.zeros(into.shape, np.uint8)
    order = np.random.default_rng(0).permutation(len(pictures))
    crop_patches(study, net, images, pictures[order], boxes[order], again)
    assert np.array_equal(np.load(tmp_path / "a.npy")[order], again)


# ------------------------------------------------------------------ one patch


def waves(height: int, width: int) -> Image.Image:
    """Slow waves, so that sizes and places show but no detail is lost."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 100 * np.sin(x / 17), 128 + 100 * np.cos(y / 23), 128 + 100 * np.sin((x + y) / 31)]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


@pytest.mark.parametrize("box", [(0, 0, 92, 92), (40, 100, 236, 296), (3, 5, 259, 261), (10, 20, 90, 100)])
def test_reduced_patches_average(box: tuple[int, int, int, int]) -> None:
    picture = waves(300, 400)
    found = cut_patch(picture, Box(*box), 16)
    part = np.asarray(picture.crop((box[1], box[0], box[3], box[2])), float)
    edges = np.linspace(0, len(part), 17).round().astype(int)
    means = [[part[a:b, c:d].mean(axis=(0, 1)) for c, d in pairwise(edges)] for a, b in pairwise(edges)]
    assert np.abs(found - np.array(means)).max() < 14
    assert np.abs(found[::-1] - np.array(means)).mean() > 5


def test_reduced_noise_is_averaged_not_sampled() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    for size in (64, 128, 196):
        spread = cut_patch(noise, Box(2, 2, 2 + size, 2 + size), 16).astype(float).std()
        assert spread < 74 / (size / 16) * 1.5


@pytest.mark.parametrize("side", [16, 48])
def test_what_is_outside_is_hatched(side: int) -> None:
    picture = Image.new("RGB", (40, 40), (200, 30, 30))
    stripes = hatched(side, side)
    for box in (Box(-20, 0, 20, 40), Box(0, 10, 40, 50), Box(30, 30, 70, 70), Box(-5, -5, 35, 35)):
        found = cut_patch(picture, box, side)
        red = (found == (200, 30, 30)).all(axis=2)
        inside = box.inside(40, 40)
        share = inside.height * inside.width / (box.height * box.width)
        assert abs(red.mean() - share) < 2 / side
        assert np.array_equal(found[~red], stripes[~red])
        assert bool(red[-1, -1]) == (box.bottom <= 40 and box.right <= 40)
    assert np.array_equal(cut_patch(picture, Box(41, 0, 81, 40), side), stripes)
    for corner in (
        Box(-39, -39, 1, 1),
        Box(39, 39, 79, 79),
    ):  # one pixel, less than half of one in the square
        assert (cut_patch(picture, corner, 16) == (200, 30, 30)).all(axis=2).sum() == 1


def test_a_field_larger_one_way_keeps_its_shape() -> None:
    picture = Image.new("RGB", (120, 40), (200, 30, 30))
    red = (cut_patch(picture, Box(-40, 20, 80, 80), 30) == (200, 30, 30)).all(axis=2)
    assert red.sum() == 30 * 20
    assert red[5:25].all()
    wide = (cut_patch(picture, Box(-40, -40, 80, 200), 30) == (200, 30, 30)).all(axis=2)
    assert wide.sum() == 30 * 10
    assert wide[10:20].all()


# ------------------------------------------------------------------ what is refused


def test_a_changed_picture_is_named(study: Study, photos: Path) -> None:
    Image.new("RGB", (40, 48)).save(photos / "003.png")
    into, boxes = np.zeros((1, 8, 8, 3), np.uint8), np.array([[0, 0, 3, 3]])
    with pytest.raises(StudyError, match=r"003\.png is another picture than when"):
        crop_patches(study, network(), open_images(photos), np.array([3]), boxes, into)


def test_a_vanished_picture_is_named(study: Study, photos: Path) -> None:
    images = open_images(photos)
    (photos / "003.png").unlink()
    into, boxes = np.zeros((1, 8, 8, 3), np.uint8), np.array([[0, 0, 3, 3]])
    with pytest.raises(StudyError, match=r"003\.png can no longer be read"):
        crop_patches(study, network(), images, np.array([3]), boxes, into)
    with pytest.raises(StudyError, match=r"003\.png is not in .*--images PLACE"):
        crop_patches(study, network(), open_images(photos), np.array([3]), boxes, into)


def test_pictures_are_read_again_in_the_order_wanted(study: Study, photos: Path) -> None:
    images = open_images(photos)
    wanted = [7, 0, 11, 3]
    places = find_pictures(study, images, wanted)
    found = list(read_again(study, images, places, wanted, lambda picture: picture.size))
    assert found == [(picture, (48, 40)) for picture in wanted]
    with pytest.raises(StudyError, match=r"001\.png was read in place of 000\.png"):
        next(read_again(study, images, {0: 1}, [0], lambda picture: picture))


def test_arrays_that_do_not_fit(study: Study, photos: Path) -> None:
    images, boxes = open_images(photos), np.array([[0, 0, 3, 3]] * 2)
    good = np.zeros((2, 8, 8, 3), np.uint8)
    for into in (good.astype(float), good[:, :4], good[..., :1], good[:, :0, :0]):
        with pytest.raises(DisplayError, match=r"uint8 array \(N, side, side, 3\)"):
            crop_patches(study, network(), images, np.array([0, 1]), boxes, into)
    with pytest.raises(DisplayError, match="2 patches need 2 pictures"):
        crop_patches(study, network(), images, np.array([0]), boxes, good)
    with pytest.raises(DisplayError, match="a box holds no pixel"):
        crop_patches(study, network(), images, np.array([0, 1]), boxes * [1, 1, 1, 0], good)
    crop_patches(study, network(), images, np.zeros(0, int), np.zeros((0, 4), int), good[:0])
