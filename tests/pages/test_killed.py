"""Killed while pages are added to a study: started again it goes on, and ends the same, byte for byte."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.images.sets import open_images
from layerscope.pages.making import add_pages
from layerscope.pages.options import PageOptions
from layerscope.reconstruction.rules import DECONVNET, GRADIENT
from layerscope.study.folder import Study
from layerscope.sweep.making import sweep_study
from layerscope.sweep.top_patches import TopPatches
from tests.support.killing import Attempt, Begun, Ended, beginning, ends_the_same_however_killed, tell
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures

if sys.platform == "win32":
    pytest.skip("no fork", allow_module_level=True)


def prepare(shown: str) -> Attempt:
    """Makes a study with pages by another rule and of other pictures, or adds those asked for."""
    network, pictures = small("alexcnn"), open_images(shown)

    def attempt(path: str, begin: str = "") -> None:
        options = PageOptions(3, ["c1", "c2"], "all", DECONVNET)
        if begin:
            sweep_study([network], pictures, [TopPatches(2)], path, settings=SETTINGS)
            options = PageOptions(2, ["c2", "c3"], "none", GRADIENT)
        add_pages(Study.open(path), [network], pictures, options, lambda done: tell(done.detail))

    return attempt


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    top = tmp_path_factory.mktemp("begun")
    with beginning(__name__, top, write_pictures(top / "pictures", 6, (1,))) as made:
        yield made


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, begun: Begun) -> None:
    ends_the_same_however_killed(begun, tmp_path)


def test_killed_midway_keeps_what_is_finished(tmp_path: Path, begun: Begun) -> None:
    work, study = begun.work, begun.copy(tmp_path / "study")
    work.start(study)
    while (work.next() or "").split()[-1:] != ["patches"]:
        pass  # pictures and reconstructions are told of first
    work.kill()
    assert work.end().code == -signal.SIGKILL
    assert {"pages/pictures", "alexcnn/pages/reconstructions"} <= Study.open(study).steps.keys()
    work.start(study)
    assert [work.next() for _ in range(3)] == ["5 of 5 pictures", "3 of 3 pictures", "3 of 3 pictures"]
    assert work.end() == Ended(0, "")
    assert bytes_of(study) == begun.whole
