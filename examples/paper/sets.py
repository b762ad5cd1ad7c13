"""The pictures that the paper is run on: what PyPI and Debian carry, made ready in a folder by the other examples."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import skimage
from folder import as_csv, save_text

EXAMPLES = Path(__file__).parent.parent
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
WALLPAPERS = Path("/usr/share/backgrounds")
OF_SKIMAGE = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "motorcycle_left.png", "rocket.jpg",
)  # fmt: skip  # CC0 or public domain
OF_DEBIAN = (
    "Picture_0B_by_freespace", "Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi",
    "friends_by_Aitzol_Berasategi", "life_by_Aitzol_Berasategi", "picosdeeuropa_by_Aitzol_Berasategi",
    "seeding_by_Clements_Engelhardt", "sunset_by_Aitzol_Berasategi", "umang_by_Abhishek_Mudgal",
)  # fmt: skip  # of lomiri-wallpapers-16.04: CC BY 4.0, that of Clemens Engelhardt CC0
FIVE = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


FOLDS = ("vggcnn", "alexcnn", "--dtype", "bfloat16")  # what examples/stamps/folds.py trains, and how


class MissingError(Exception):
    """Pictures that cannot be made ready; the text says why, and what to install."""


def crops(folder: Path, each: int) -> Path:
    """So many crops of every photograph at several scales, a class per photograph: ``folder``/PHOTOGRAPH/000.jpg."""
    debian = [WALLPAPERS / f"{name}.jpg" for name in OF_DEBIAN]
    photographs = [PHOTOGRAPHS / name for name in OF_SKIMAGE] + [path for path in debian if path.exists()]
    return _whole(folder, lambda: _run("views.py", folder, each, *photographs))


def five(folder: Path) -> Path:
    """Five photographs as they are."""
    return _whole(folder, lambda: [shutil.copy(PHOTOGRAPHS / name, folder) for name in FIVE])


def clothes(folder: Path) -> Path:
    """The 10,000 test pictures of Fashion-MNIST: ``folder``/test/CLASS/00000.png, 28 by 28, grey."""
    return _whole(folder, lambda: _run("fashion.py", folder, "test")) / "test"


def some_clothes(folder: Path, count: int) -> Path:
    """A list of so many of them, every class as often: ``folder``/some-COUNT.csv."""
    each = [sorted(own.iterdir())[: count // 10] for own in sorted((folder / "test").iterdir())]
    rows = [(path.relative_to(folder), path.parent.name) for own in each for path in own]
    listed = folder / f"some-{count}.csv"
    save_text(listed, as_csv(("path", "label"), rows))
    return listed


def objects(folder: Path, count: int, masked: int) -> tuple[Path, Path]:
    """Cut-out objects over unrelated photographs: a list of them, a class for each kind of object, and a folder with
    the masks of some of them, spread evenly."""

    def make() -> None:
        _run("stamps/cutouts.py", folder, count)
        names = sorted(path.name for path in (folder / "pictures").iterdir())
        rows = [(f"pictures/{name}", name.partition("-")[0]) for name in names]
        save_text(folder / "list.csv", as_csv(("path", "label"), rows))
        some = folder / "some" / "pictures"  # where the list's names lead
        some.mkdir(parents=True)
        for number in range(min(masked, len(names))):
            shutil.copy(folder / "masks" / names[number * len(names) // min(masked, len(names))], some)

    _whole(folder, make)
    return folder / "list.csv", folder / "some"


def stamps(folder: Path, count: int) -> tuple[Path, Path]:
    """So many stamps over photographs that networks trained on the other folds never saw, ``pictures``/CLASS/0000.png,
    and the mask of each."""
    _whole(folder, lambda: _run("stamps/stamps.py", folder, count))
    return folder / "pictures", folder / "masks"


def trained_on_stamps(folder: Path) -> Path:
    """Both networks of the paper trained on the stamps, once for each fold, and what came out, ``errors.json`` and
    ``errors.png``. Takes hours; goes on where it stopped."""
    for script, *words in (("folds.py", *FOLDS), ("report.py",)):
        command = [sys.executable, str(EXAMPLES / "stamps" / script), str(folder), *words]
        if subprocess.run(command, check=False).returncode:  # it says how far it is
            raise MissingError(f"examples/stamps/{script} ended early; see above, and run this again")
    return folder


def one_of_each(pictures: Path, folder: Path) -> list[Path]:
    """The first picture of every class folder, in their order, copied under the name of its class."""
    own = [path for path in sorted(pictures.iterdir()) if path.is_dir()]
    firsts = {path.name: min(path.iterdir()) for path in own}

    def copy() -> None:
        for name, first in firsts.items():
            shutil.copy(first, folder / f"{name}{first.suffix}")

    _whole(folder, copy)
    return [folder / f"{name}{first.suffix}" for name, first in firsts.items()]


def _run(script: str, *words: object) -> None:
    """One of the other examples. Raises MissingError with what it said last if it ends early."""
    command = [sys.executable, str(EXAMPLES / script), *map(str, words)]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise MissingError((ended.stderr.strip() or f"{script} failed").splitlines()[-1])


def _whole(folder: Path, make: Callable[[], object]) -> Path:
    """Make what is in a folder, unless it was made whole before: a mark beside it says so."""
    mark = folder.with_name(f"{folder.name}.whole")
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make()
        mark.touch()
    return folder
