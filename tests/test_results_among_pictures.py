"""Results written among the pictures that they are of: killed and begun again, they go on, and are no pictures."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from layerscope.compare.comparison import compare_studies
from layerscope.compare.subject import CompareOptions
from layerscope.filters.portraits import FilterOptions
from layerscope.gallery.folder import Gallery, Look, make_gallery
from layerscope.images.finding import find_images
from layerscope.images.sets import open_images
from layerscope.pipeline import StudyOptions, make_study
from layerscope.study.check import check_study
from layerscope.sweep.standard import standard_reducers
from tests.support.killing import Attempt, Ended, Work, tell, working
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures

if sys.platform == "win32":
    pytest.skip("no fork", allow_module_level=True)

KINDS = ("study", "gallery", "comparison")


def prepare(shown: str) -> Attempt:
    """Makes one kind of results of all pictures in the folder ``shown``, or goes on with them."""
    networks = {name: small(name) for name in ("alexcnn", "vggcnn")}
    open_images(shown)

    def attempt(kind: str, out: str, *names: str) -> None:
        if kind == "study":
            options = StudyOptions(standard_reducers(top=2), SETTINGS, filters=FilterOptions(channels=(0,)))
            make_study([networks[n] for n in names], open_images(shown), out, options=options, progress=tell)
        elif kind == "gallery":
            gallery = Gallery(Path(out), tuple(networks.values()), Look("even"))
            make_gallery(gallery, find_images([shown]), progress=tell)
        else:
            compare_studies(
                names, out, options=CompareOptions(parts=("sparsity", "similarity")), progress=tell
            )

    return attempt


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Work, Path]]:
    pictures = write_pictures(tmp_path_factory.mktemp("among") / "pictures", bad=())
    with working(__name__, pictures) as work:
        for name in ("alexcnn", "vggcnn"):
            assert work.do("study", pictures / "of" / name, name) == Ended(0, "")
        yield work, pictures


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_begun_again_among_the_pictures(
    kind: str, work: tuple[Work, Path], tmp_path: Path
) -> None:
    worker, pictures = work
    words = {
        "study": ("alexcnn", "vggcnn"),
        "gallery": (),
        "comparison": (pictures / "of" / "alexcnn", pictures / "of" / "vggcnn"),
    }[kind]
    told = worker.do_counting(kind, tmp_path / "apart", *words)
    random, out, codes = np.random.default_rng(0), pictures / "deep" / kind, []
    for _ in range(4):
        within = max(2, told // 2)
        codes.append(worker.do_killed(kind, out, *words, within=within, random=random).code)
        assert len(find_images([pictures])) == 12
    assert -signal.SIGKILL in codes
    assert worker.do(kind, out, *words) == Ended(0, "")
    assert bytes_of(out) == bytes_of(tmp_path / "apart")
    assert kind == "gallery" or check_study(out) == ()
    assert open_images(pictures).names == tuple(f"{number:03d}.png" for number in range(12))
