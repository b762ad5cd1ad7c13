"""Small image sources of every kind, made for the tests of image sets."""

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset

from layerscope.errors import ImageError
from layerscope.images.sets import ImageSet
from tests.support.pictures import noise, written


def fault(call: Callable[[], object]) -> str:
    """The one line of the ImageError that a call raises."""
    with pytest.raises(ImageError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def encoded(seed: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    noise(8, 6, seed=seed).save(file, kind)
    return file.getvalue()


def pixels(images: ImageSet, index: int) -> np.ndarray:
    return np.asarray(images.load(index).image)


def picture_of(images: ImageSet, index: int) -> Image.Image:
    """A picture of a set that is RGB."""
    image = images.load(index).image
    assert isinstance(image, Image.Image)
    return image


def shows(images: ImageSet, seeds: Sequence[int]) -> None:
    """Asserts that the set holds the pictures of `encoded` with these seeds, in this order."""
    assert len(images) == len(seeds)
    for index, seed in enumerate(seeds):
        assert np.array_equal(pixels(images, index), np.asarray(noise(8, 6, seed=seed)))


def folder(top: Path, seeds: Mapping[str, int]) -> Path:
    for name, seed in seeds.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        written(top / name, encoded(seed))
    return top


def shard(path: Path, members: Mapping[str, bytes], **options: Any) -> Path:
    with tarfile.open(path, "w", **options) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


class Items(Dataset[Any]):
    """A data set of given items; an exception among them is raised."""

    def __init__(self, items: Sequence[object], **attributes: object) -> None:
        self.items = items
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:
        if isinstance(item := self.items[index], Exception):
            raise item
        return item
