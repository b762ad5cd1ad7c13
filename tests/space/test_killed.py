"""Killed while a space is added to a study: started again it goes on, and ends the same, byte for byte."""

import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import openTSNE
import pytest
import scipy.spatial
import shufflesnap
import sklearn.cluster
import sklearn.neighbors

from layerscope.errors import StudyError
from layerscope.images.sets import ImageSet, open_images
from layerscope.plane.grid import fill
from layerscope.space.making import make_spaces
from layerscope.space.space import Space
from layerscope.study.folder import Study
from tests.support.killing import Attempt, Begun, beginning, tell
from tests.support.spaces import PLAN, textured, undrawn
from tests.support.studies import small

if sys.platform == "win32":
    pytest.skip("no fork", allow_module_level=True)

LOADED = (
    openTSNE,
    scipy.spatial,
    shufflesnap,
    sklearn.cluster,
    sklearn.neighbors,
)  #: once, not in each process


def prepare(top: str) -> Attempt:
    """Makes a study with the space of another plan, or adds the space: it takes the other's place and names."""
    small()

    def attempt(path: str, begin: str = "") -> None:
        study, images = textured(Path(top)) if begin else (Study.open(path), pictures())
        plan = replace(PLAN, seed=1, cells=100) if begin else PLAN
        with undrawn() if begin else nullcontext():
            make_spaces(study, small(), images, ["p1"], options=plan, progress=lambda done: tell(done.stage))

    def pictures() -> ImageSet:
        return open_images(Path(top) / "photos", labels="folders")

    return attempt


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    top = tmp_path_factory.mktemp("begun")
    with beginning(__name__, top, top) as made:
        yield made


def opens_whole_or_not_at_all(path: Path) -> bool:
    """Whether the space opens; then its parts are those of one plan."""
    study = Study.open(path)
    if not {f"alexcnn/spaces/p1/{step}" for step in ("patches", "embedding", "plane")} <= set(study.steps):
        with pytest.raises(StudyError, match=r"has no space of p1|is not finished"):
            Space.open(study, "p1")
        return False
    with suppress(StudyError):
        space = Space.open(study, "p1")
        assert space.patches.num_rows == len(space.points) == len(space.vectors)
        assert np.array_equal(space.planes["fill"], fill(space.points, space.grid))
        return True
    return False


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, begun: Begun) -> None:
    """Whatever is killed, the study opens, and the next run ends as if nothing had happened."""
    codes = begun.killed_at_random(begun.copy(tmp_path / "study"), 5, 0, opens_whole_or_not_at_all)
    assert codes.count(-signal.SIGKILL) > 2  # not all were done before


def test_killed_as_tiles_are_written(tmp_path: Path, begun: Begun) -> None:
    work, study = begun.work, begun.copy(tmp_path / "study")
    work.start(study)
    work.until("p1: tiles")
    work.kill()
    assert work.end().code == -signal.SIGKILL
    steps = Study.open(study).steps
    assert "alexcnn/spaces/p1/plane" in steps
    assert "alexcnn/spaces/p1/pictures" not in steps
    assert len(Space.open(Study.open(study), "p1").planes) == 2
    work.start(study)
    assert (work.next() or "").startswith(
        ("p1: portraits", "p1: cutting patches")
    )  # what was finished is kept
    work.kill()
    work.end()
