"""Killed while portraits are added to a study: started again it goes on, and ends the same, byte for byte."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.filters.painting import Drawing
from layerscope.filters.portraits import make_portraits
from layerscope.images.sets import open_images
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.support.killing import Attempt, Begun, Ended, beginning, ends_the_same_however_killed, tell
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures

if sys.platform == "win32":
    pytest.skip("no fork", allow_module_level=True)


def prepare(shown: str) -> Attempt:
    """Makes a study with every portrait of another display, or adds the portraits: they take places and names."""
    network, pictures = small("alexcnn"), open_images(shown)

    def attempt(path: str, begin: str = "") -> None:
        drawing = Drawing()
        if begin:
            sweep_study([network], pictures, [TopPatches(2)], path, settings=SETTINGS)
            drawing = Drawing(display="heat")
        layers, study = ["c1", "c2", "c5"], Study.open(path)
        make_portraits(
            study, network, pictures, layers=layers, drawing=drawing, progress=lambda done: tell(done.detail)
        )

    return attempt


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    top = tmp_path_factory.mktemp("begun")
    with beginning(__name__, top, write_pictures(top / "pictures", 6, ())) as made:
        yield made


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, begun: Begun) -> None:
    ends_the_same_however_killed(begun, tmp_path)


def test_killed_midway_keeps_what_is_finished(tmp_path: Path, begun: Begun) -> None:
    work, study = begun.work, begun.copy(tmp_path / "study")
    work.start(study)
    for _ in range(30):
        work.next()
    work.kill()
    assert work.end().code == -signal.SIGKILL
    assert "alexcnn/filters" not in Study.open(study).steps  # lists no portrait that is half made
    work.start(study)
    assert int((work.next() or "0").split()[0]) > 0
    assert work.end() == Ended(0, "")
    assert bytes_of(study) == begun.whole
