"""Which pictures are chosen: spread over the set and its classes, or named."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from layerscope.cli.pages import pages
from layerscope.errors import LayerscopeError, StudyError
from layerscope.images.sets import open_images
from layerscope.pages.options import PageOptions, choose_pictures, spread
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.support.studies import SETTINGS, small


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Pictures in folders, two of one name; one is no picture."""
    top = tmp_path_factory.mktemp("choosing")
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png", "dog/a,b.png", "dog/bad.png")):
        path = top / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(path)
    (top / "photos/dog/bad.png").write_text("none")
    images = open_images(top / "photos", labels="folders")
    return sweep_study([small()], images, [TopPatches(2)], top / "study", settings=SETTINGS)


def test_classes_have_equal_shares_and_are_spread_evenly() -> None:
    labelled: list[tuple[int, int | None]] = [(picture, picture // 10) for picture in range(40)]
    assert spread(labelled, 8) == (2, 7, 12, 17, 22, 27, 32, 37)
    assert spread(labelled, 2) == (15, 35)  # fewer than classes: every second
    assert spread(labelled, 40) == spread(labelled, 99) == tuple(range(40))
    assert spread(labelled, 0) == spread([], 5) == ()


def test_small_classes_are_not_lost_among_large_ones() -> None:
    labelled: list[tuple[int, int | None]] = [(p, 0 if p < 90 else 1 if p < 99 else 2) for p in range(100)]
    counts = Counter(dict(labelled)[picture] for picture in spread(labelled, 24))
    assert counts == {0: 14, 1: 9, 2: 1}


def test_without_labels_the_set_is_one_class() -> None:
    assert spread([(picture, None) for picture in range(10)], 2) == (2, 7)


def test_names_are_whole_or_short(study: Study) -> None:
    assert choose_pictures(study, ["dog/1.png", "cat/2", "a,b.png"]) == (1, 2, 3)
    assert choose_pictures(study, ["2", "2.png"]) == (1,)
    assert choose_pictures(study, []) == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("1.png", "several pictures could be meant: cat/1.png, dog/1.png"),
        ("bird", "no picture has that name"),
        ("", "no picture has that name"),
        ("dog/bad.png", "could not be read"),
    ],
)
def test_names_that_say_no_picture_are_refused(study: Study, name: str, reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        choose_pictures(study, [name])


def test_more_are_added_to_those_that_are_kept(study: Study) -> None:
    assert choose_pictures(study, ["2"], [3]) == (1, 3)
    assert choose_pictures(study, ["2"], [1]) == (1,)
    assert choose_pictures(study, 1, [0, 1]) == (0, 1, 3)  # of those that are left: dogs 2 and 3
    assert choose_pictures(study, 99, [2]) == (0, 1, 2, 3)
    assert choose_pictures(study, 0, [2]) == (2,)


def test_bad_pictures_are_never_chosen(study: Study) -> None:
    assert choose_pictures(study, 99) == (0, 1, 2, 3)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(LayerscopeError, match="choose one of portrayed, all, none"):
        PageOptions(filters="some")
    with pytest.raises(LayerscopeError, match="-1 pictures"):
        PageOptions(-1)
    with pytest.raises(LayerscopeError, match="say with pictures="):
        PageOptions(add=True)


def test_the_command_has_the_same_bound_as_python() -> None:
    (most,) = (parameter for parameter in pages.params if parameter.name == "most")
    assert most.default == str(PageOptions().most)
