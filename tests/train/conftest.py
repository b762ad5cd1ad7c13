"""The set that the tests of training share."""

from pathlib import Path

import pytest

from layerscope.images.sets import ImageSet, open_images
from tests.support.classes import write_classes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("train") / "classes")


@pytest.fixture(scope="module")
def images(folder: Path) -> ImageSet:
    return open_images(folder, labels="folders")
