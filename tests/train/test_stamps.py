"""The labelled set of cut-outs: its list, its folds, and pictures that follow from the index."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "stamps"))

import stamps  # noqa: E402  it lies among the examples


def test_the_list_has_eight_classes_in_four_folds_that_share_no_group() -> None:
    listed = stamps.listed()
    kinds = Counter(stamp.kind for stamp in listed)
    assert len(kinds) == 8
    assert min(kinds.values()) >= 17
    folds = {(stamp.kind, stamp.group): stamp.fold for stamp in listed}
    assert all(folds[stamp.kind, stamp.group] == stamp.fold for stamp in listed)
    assert {(kind, fold) for kind in kinds for fold in range(4)} <= {(s.kind, s.fold) for s in listed}
    assert len({stamp.file for stamp in listed}) == len(listed)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The packages' files, made up: a cut-out and a place of one colour each."""
    for number, stamp in enumerate(stamps.listed()):
        path = tmp_path / stamps.STAMPS / stamp.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (30 + number % 7, 40), (number, 200, 30, 255)).save(path)
    for name in stamps.BACKGROUNDS:
        path = tmp_path / stamps.PLACES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (90, 80), "navy").save(path)
    return tmp_path


def test_pictures_follow_from_seed_and_index(root: Path) -> None:
    data = stamps.Stamps(1, False, 40, seed=2, root=root)
    picture, label = data[13]
    assert picture.size == (224, 224)
    assert data.classes[label] == data.stamp(13).kind
    assert data.targets[13] == label
    again, other = data[13][0], stamps.Stamps(1, False, 40, seed=3, root=root)[13][0]
    assert np.array_equal(np.asarray(picture), np.asarray(again))
    assert not np.array_equal(np.asarray(picture), np.asarray(other))
    assert Counter(data.targets) == dict.fromkeys(range(8), 5)


def test_validation_shows_other_stamps_and_other_places(root: Path) -> None:
    for fold in range(stamps.FOLDS):
        training, validation = (stamps.Stamps(fold, held, 400, root=root) for held in (False, True))
        seen = ({data.stamp(index).file for index in range(400)} for data in (training, validation))
        assert not set.intersection(*seen)
        assert not set(training.places) & set(validation.places)
        assert {data.stamp(i).fold for data in (validation,) for i in range(400)} == {fold}


def test_missing_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="apt-get install tuxpaint-stamps-default"):
        stamps.Stamps(0, False, 8, root=tmp_path)
