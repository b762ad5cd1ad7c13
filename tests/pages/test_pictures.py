"""Small pictures on sheets, chosen ones large: as each network sees them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from torch import nn

from layerscope.errors import StudyError
from layerscope.images.sets import open_images
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.pages import pictures
from layerscope.pages.pictures import Sheets, add_pictures, chosen_before
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.support.studies import SETTINGS, bytes_of, write_pictures

Pixels = npt.NDArray[np.uint8]


def network(name: str, preprocessing: Preprocessing) -> Network:
    module = nn.Sequential(nn.Conv2d(len(preprocessing.mean), 2, 3), nn.ReLU()).eval()
    return Network.from_module(module, name=name, preprocessing=preprocessing)


NETWORKS = (
    network("wide", Preprocessing(resize=None, height=24, width=48)),
    network("shifted", Preprocessing(None, 24, 48, mean=(0.1, 0.2, 0.3), deviation=(1.0, 0.5, 0.2))),
    network("grey", Preprocessing(None, 20, 20, mean=(0.5,), deviation=(0.2,))),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, one of which is no picture; then what no photograph is."""
    folder = write_pictures(tmp_path_factory.mktemp("pictures") / "photos", 6, (2,))
    Image.new("RGB", (1, 1), (255, 0, 0)).save(folder / "006.png")
    Image.new("RGB", (65_500, 1), (0, 0, 255)).save(folder / "007.png")
    Image.new("L", (30, 40), 200).save(folder / "008.png")
    Image.new("RGB", (64, 64), (128, 128, 128)).save(folder / "009.jpg")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    path = tmp_path_factory.mktemp("made") / "study"
    sweep_study(NETWORKS, open_images(photos), [TopPatches(2)], path, settings=SETTINGS)
    return path


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Study:
    return Study.open(shutil.copytree(made, tmp_path / "study"))


def read(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB"))


def about(study: Study) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((study.path / "pages/pictures.json").read_text("utf-8"))
    return found


def files(study: Study) -> list[str]:
    return sorted(file for file in study.manifest["files"] if file.startswith("pages/"))


def test_networks_that_cut_the_same_pixels_share_a_view(study: Study, photos: Path) -> None:
    made = add_pictures(study, open_images(photos), [0, 9])
    assert about(made) == {
        "views": [{"height": 24, "width": 48}, {"height": 20, "width": 20}],
        "view_of": {"wide": 0, "shifted": 0, "grey": 1},
        "thumbs": {"side": 96, "columns": 10, "rows": 1},
        "chosen": [0, 9],
    }
    assert files(made) == [
        *(f"pages/large/{view}/{picture}.jpg" for view in (0, 1) for picture in (0, 9)),
        "pages/pictures.json",
        *(f"pages/thumbs/{view}/0.jpg" for view in (0, 1)),
    ]
    assert check_study(made.path) == ()


def test_large_pictures_are_what_the_network_sees(study: Study, photos: Path) -> None:
    images = open_images(photos)
    add_pictures(study, images, [0, 6, 7, 8])
    for picture in (0, 6, 7, 8):
        for view, one in ((0, NETWORKS[0]), (1, NETWORKS[2])):
            values = one.preprocessing.apply(images.load(picture).image)
            expected = one.preprocessing.picture(values).astype(int)
            shown = read(study.path / f"pages/large/{view}/{picture}.jpg").astype(int)
            assert shown.shape == (*expected.shape[:2], 3)
            assert np.abs(shown - expected).mean() < 8  # a JPEG of noise; 60 and more for another picture


def test_cells_hold_their_pictures_and_bad_ones_are_mid_grey(
    study: Study, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_ACROSS", 2)
    images = open_images(photos)
    made = add_pictures(study, images, [])
    assert about(made)["thumbs"] == {"side": 96, "columns": 2, "rows": 2}
    for view, one in ((0, NETWORKS[0]), (1, NETWORKS[2])):
        for number in range(12):  # two cells more than pictures
            sheet = read(study.path / f"pages/thumbs/{view}/{number // 4}.jpg").astype(int)
            assert sheet.shape == (192, 192, 3)
            y, x = 96 * (number % 4 // 2), 96 * (number % 2)
            cell = sheet[y : y + 96, x : x + 96]
            if number in (2, 10, 11):
                assert (cell == 128).all()
                continue
            values = one.preprocessing.picture(one.preprocessing.apply(images.load(number).image)).astype(int)
            top = 24 * (view == 0)  # 24 x 48 pixels are doubled, and stand in the middle
            factor = 2 if view == 0 else 96 / 20
            for row in range(0, values.shape[0], 5):
                for column in range(0, values.shape[1], 5):
                    pixel = cell[top + int((row + 0.5) * factor), int((column + 0.5) * factor)]
                    assert np.abs(pixel - values[row, column]).mean() < 60
            assert np.abs(cell[:16] - 128).max() < 12 or view == 1


def test_smaller_cells_beyond_five_thousand_pictures() -> None:
    assert Sheets.of(5_000) == Sheets(96, 16, 16)
    assert Sheets.of(5_001) == Sheets(64, 16, 16)
    assert Sheets.of(1) == Sheets(96, 1, 1)
    assert Sheets.of(17) == Sheets(96, 16, 2)


def test_a_second_run_changes_nothing_and_other_pictures_replace_those_before(
    study: Study, photos: Path
) -> None:
    images = open_images(photos)
    first = add_pictures(study, images, [0, 1])
    before = bytes_of(first.path)
    told: list[str] = []
    again = add_pictures(first, images, [0, 1], lambda done: told.append(done.detail))
    assert bytes_of(again.path) == before
    assert told == ["9 of 9 pictures", "2 of 2 pictures"]
    other = add_pictures(again, images, [1, 3])
    assert chosen_before(other) == (1, 3)
    assert [file for file in files(other) if "/large/0/" in file] == [
        "pages/large/0/1.jpg",
        "pages/large/0/3.jpg",
    ]
    assert not (other.path / "pages/large/0/0.jpg").exists()
    assert check_study(other.path) == ()


def test_another_picture_than_the_studys_is_refused(study: Study, photos: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(photos, tmp_path / "moved"))
    Image.new("RGB", (40, 48)).save(moved / "003.png")
    with pytest.raises(StudyError, match=r"003\.png is another picture"):
        add_pictures(study, open_images(moved), [0])
    assert "pages/pictures" not in Study.open(study.path).steps
