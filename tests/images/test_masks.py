"""Masks: white is the object, whatever they are kept in; what is no mask is refused in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image

from layerscope.errors import ImageError
from layerscope.images.masks import find_masks
from layerscope.images.sets import ImageSet, choose_images, open_images
from tests.support.pictures import noise, saved, written

SIZE = (20, 12)
LEFT = np.zeros((12, 20), np.uint8)
LEFT[:, :8] = 255
Array = npt.NDArray[np.uint8]


def mask(image: Image.Image, path: Path) -> Path:
    return saved(image, path)


def pictures(folder: Path, *names: str) -> ImageSet:
    for seed, name in enumerate(names):
        saved(noise(*SIZE, seed=seed), folder / name)
    return open_images(folder)


def read(images: ImageSet, place: str | Path | None, name: str) -> Array:
    found = find_masks(images, place).load(name, SIZE)
    assert found.mode == "L"
    return np.asarray(found)


def why(images: ImageSet, place: str | Path | None, name: str) -> str:
    with pytest.raises(ImageError) as caught:
        find_masks(images, place).load(name, SIZE)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", [".mask.png", "_mask.png"])
def test_beside_the_pictures(tmp_path: Path, ending: str) -> None:
    images = pictures(tmp_path, "a/one.jpg", "two.png")
    mask(Image.fromarray(LEFT), tmp_path / f"a/one{ending}")
    assert find_masks(images).names == {"a/one.jpg"}
    assert (read(images, None, "a/one.jpg") == LEFT).all()
    assert (read(choose_images(images, [1, 0]), None, "a/one.jpg") == LEFT).all()


@pytest.mark.parametrize("name", ["one.jpg", "one.png", "one.mask.png", "one_mask.png"])
def test_in_a_folder(tmp_path: Path, name: str) -> None:
    images = pictures(tmp_path / "pictures", "a/one.jpg", "two.jpg")
    mask(Image.fromarray(LEFT), tmp_path / "masks/a" / name)
    found = read(images, tmp_path / "masks", "a/one.jpg")
    assert np.abs(found.astype(int) - LEFT).max() < (30 if name.endswith("jpg") else 1)
    assert find_masks(images, tmp_path / "masks").names == {"a/one.jpg"}


def test_a_picture_is_not_its_own_mask(tmp_path: Path) -> None:
    images = pictures(tmp_path, "one.png")
    assert find_masks(images, tmp_path).names == frozenset()
    mask(Image.fromarray(LEFT), tmp_path / "one.mask.png")
    assert (read(images, tmp_path, "one.png") == LEFT).all()


def test_modes_of_one_mask(tmp_path: Path) -> None:
    images = pictures(tmp_path / "pictures", "one.jpg")
    grey = Image.fromarray(LEFT)
    opaque = grey.convert("RGBA")
    sixteen = Image.fromarray(LEFT.astype(np.uint16) * 257)
    kinds = [grey, grey.convert("1"), grey.convert("RGB"), grey.convert("P"), opaque, sixteen]
    for number, kind in enumerate(kinds):
        mask(kind, tmp_path / f"{number}/one.png")
        assert (read(images, tmp_path / f"{number}", "one.jpg") == LEFT).all(), kind.mode


def test_turned_as_its_exif_says(tmp_path: Path) -> None:
    images = pictures(tmp_path / "pictures", "one.jpg")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = Image.fromarray(LEFT).transpose(Image.Transpose.ROTATE_90)
    saved(turned, tmp_path / "masks/one.png", exif=exif)
    assert (read(images, tmp_path / "masks", "one.jpg") == LEFT).all()


def test_the_own_alpha_channel(tmp_path: Path) -> None:
    cut = noise(*SIZE)
    cut.putalpha(Image.fromarray(LEFT // 2))
    saved(cut, tmp_path / "cut.png")
    images = pictures(tmp_path, "whole.png")
    assert (read(images, "alpha", "cut.png") == LEFT // 2).all()
    assert "no alpha channel" in why(images, "alpha", "whole.png")


def test_boxes(tmp_path: Path) -> None:
    images = pictures(tmp_path / "pictures", "one.jpg", "two.jpg")
    rows = "name,left,top,right,bottom\none.jpg,0,0,7.6,12\none.jpg,18,0,20,1\nthree.jpg,0,0,1,1\n"
    boxes = written(tmp_path / "boxes.csv", rows.encode())
    wanted = LEFT.copy()
    wanted[0, 18:] = 255
    assert (read(images, boxes, "one.jpg") == wanted).all()
    assert find_masks(images, boxes).names == {"one.jpg"}


@pytest.mark.parametrize("box", ["0,0,21,12", "-1,0,5,5", "5,5,5,9", "0,9,5,5"])
def test_boxes_outside(tmp_path: Path, box: str) -> None:
    images = pictures(tmp_path / "pictures", "one.jpg")
    rows = f"name,left,top,right,bottom\none.jpg,{box}\n"
    assert "is not inside its 20 x 12" in why(images, written(tmp_path / "b.csv", rows.encode()), "one.jpg")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("name,left,top\na,1,2\n", "line 1: begin it with name,left,top,right,bottom"),
        ("name,left,top,right,bottom\na,1,2,3\n", "line 2: .*not all numbers"),
        ("name,left,top,right,bottom\na,1,2,3,nan\n", "line 2: an edge is not finite"),
        ("\xff", "line 1"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, rows: str, reason: str) -> None:
    images = pictures(tmp_path / "pictures", "one.jpg")
    with pytest.raises(ImageError, match=reason):
        find_masks(images, written(tmp_path / "boxes.csv", rows.encode()))


def test_places_that_are_none(tmp_path: Path) -> None:
    images = pictures(tmp_path, "one.jpg")
    for place in (tmp_path / "absent", tmp_path / "one.jpg"):
        with pytest.raises(ImageError, match="neither a folder of masks nor"):
            find_masks(images, place)
    with pytest.raises(ImageError, match="cannot be read"):
        find_masks(images, tmp_path / "absent.csv")
    assert find_masks(images).names == frozenset()


def test_masks_that_are_none(tmp_path: Path) -> None:
    images = pictures(tmp_path / "pictures", "one.jpg")
    coloured = np.zeros((*LEFT.shape, 3), np.uint8)
    coloured[..., 0] = LEFT
    clear = Image.new("LA", SIZE, (255, 0))
    faults = {
        "coloured": (Image.fromarray(coloured), "has colours"),
        "clear": (clear, "transparent parts"),
        "classes": (Image.fromarray(LEFT // 255), r"goes from 0 to 1; white \(255\)"),
        "size": (Image.fromarray(LEFT.T.copy()), "is 12 x 20 and it is 20 x 12"),
    }
    for name, (image, reason) in faults.items():
        mask(image, tmp_path / name / "one.png")
        with pytest.raises(ImageError, match=reason):
            find_masks(images, tmp_path / name).load("one.jpg", SIZE)
    written(tmp_path / "size" / "one.png", b"no picture")
    assert "known format" in why(images, tmp_path / "size", "one.jpg")
    mask(Image.fromarray(LEFT), tmp_path / "size" / "one_mask.png")
    assert "two masks, one.png and one_mask.png" in why(images, tmp_path / "size", "one.jpg")
    empty = mask(Image.new("L", SIZE), tmp_path / "empty" / "one.png")
    assert read(images, empty.parent, "one.jpg").max() == 0
