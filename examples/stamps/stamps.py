"""A labelled set at the paper's scale: cut-out photographs of eight classes over photographs of places, 224 by 224.

``stamps.csv`` says which of the cut-outs of Debian's tuxpaint-stamps-default (GPL-2) belong to which class, and to
which of four folds: those of one group (a species, a kind) are all in one. Pictures are composed when they are asked
for, each a pure function of the set's seed and its index: a fixed set is learned by heart. Places are photographs of
scikit-image and Debian's wallpapers without objects of the classes, those of validation apart. Run:

    python examples/stamps/stamps.py FOLDER COUNT

to write so many of the first fold's, pictures/CLASS/0000.png, and the mask of each object, masks/CLASS/0000.png.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import skimage
from composing import PLACES, STAMPS, placed, scaled, square_of, without_border
from PIL import Image, ImageEnhance

from layerscope.disk.whole import written
from layerscope.errors import LayerscopeError

SIDE = 224
FOLDS = 4
COMMON = (
    64  # pixels of every stamp's longer side before it is drawn at any size: blur does not tell the class
)
LONG = 0.6, 1.0  # of a picture's side: the stamp's longer side, from and to
COLOUR = 0.3  # how far brightness, contrast and colour move
LIST = Path(__file__).with_name("stamps.csv")
BACKGROUNDS = (
    "Bridge_by_Sander_Klootwijk.jpg", "aitzgorri_by_Aitzol_Berasategi.jpg",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg", "sunset_by_Aitzol_Berasategi.jpg",
    "mate/nature/Blinds.jpg", "mate/nature/Dune.jpg",
    "mate/nature/GreenMeadow.jpg", "mate/nature/RainDrops.jpg", "mate/nature/Storm.jpg", "mate/nature/Wood.jpg",
)  # fmt: skip
TEXTURES = ("brick.png", "grass.png", "gravel.png", "rocket.jpg")  # of scikit-image


@dataclass(frozen=True)
class Stamp:
    """A cut-out: its class, its group, the fold that it is validated in, its file below the package's folder."""

    kind: str
    group: str
    fold: int
    file: str


@cache
def listed() -> tuple[Stamp, ...]:
    """All stamps of the list, in its order."""
    with LIST.open(newline="") as lines:
        return tuple(
            Stamp(row["class"], row["group"], int(row["fold"]), row["file"]) for row in csv.DictReader(lines)
        )


@cache
def class_names() -> tuple[str, ...]:
    """In the order of the labels."""
    return tuple(sorted({stamp.kind for stamp in listed()}))


@dataclass(frozen=True)
class Stamps:
    """A data set of ``count`` pictures with labels, every class as often: of one fold's stamps, or of all others'.

    ``root``: where the packages are, if not installed.
    """

    fold: int
    validation: bool
    count: int
    seed: int = 0
    root: Path = Path("/")

    def __post_init__(self) -> None:
        for path in (self.root / STAMPS / self.stamps[0].file, *self.places):
            if not path.exists():
                raise SystemExit(
                    f"{path} is missing: apt-get install tuxpaint-stamps-default mate-backgrounds "
                    "lomiri-wallpapers-16.04, and pip install scikit-image"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the labels."""
        return class_names()

    @property
    def targets(self) -> list[int]:
        """The label of each picture."""
        return [index % len(self.classes) for index in range(self.count)]

    @property
    def stamps(self) -> tuple[Stamp, ...]:
        """Those that may appear."""
        return tuple(stamp for stamp in listed() if (stamp.fold == self.fold) == self.validation)

    @property
    def places(self) -> tuple[Path, ...]:
        """Every fourth photograph is for validation, in each fold others."""
        data = Path(skimage.__file__).parent / "data"
        every = [*(self.root / PLACES / name for name in BACKGROUNDS), *(data / name for name in TEXTURES)]
        return tuple(p for i, p in enumerate(every) if (i % FOLDS == self.fold) == self.validation)

    def __len__(self) -> int:
        return self.count

    def stamp(self, index: int) -> Stamp:
        """Which one a picture shows: those of its class in turn, in an order drawn anew in each turn."""
        kind, turn = self.classes[index % len(self.classes)], index // len(self.classes)
        own = [stamp for stamp in self.stamps if stamp.kind == kind]
        order = np.random.default_rng((self.seed, self.fold, turn // len(own))).permutation(len(own))
        return own[int(order[turn % len(own)])]

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self.composed(index)[0], index % len(self.classes)

    def composed(self, index: int) -> tuple[Image.Image, Image.Image]:
        """The picture, and the mask of its object, 255 where it hides the place. Raises IndexError past the last."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        stamp, places = self.stamp(index), self.places
        random = np.random.default_rng((self.seed, self.fold, index, self.validation))
        place = places[int(random.integers(len(places)))]
        return pasted(cut_out(self.root / STAMPS / stamp.file), part_of(place, random), random)


@cache
def cut_out(path: Path) -> Image.Image:
    """A stamp at the common size, RGBA, without the empty border."""
    image = without_border(Image.open(path).convert("RGBA"))
    return scaled(image, COMMON / max(image.size))


@cache
def photograph(path: Path) -> Image.Image:
    """A place, with its shorter side at three pictures."""
    image = Image.open(path).convert("RGB")
    return scaled(image, 3 * SIDE / min(image.size))


def part_of(path: Path, random: np.random.Generator) -> Image.Image:
    """A square of half the shorter side up to all of it, from anywhere, half of them mirrored."""
    part = square_of(photograph(path), SIDE, random)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else part


def pasted(
    stamp: Image.Image, background: Image.Image, random: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """The stamp anywhere on the background, whole, then both in other colours; and where it is."""
    drawn = scaled(stamp, random.uniform(*LONG) * SIDE / max(stamp.size))
    picture, mask = placed(drawn, background, random)
    kinds: Sequence[type[ImageEnhance.Brightness | ImageEnhance.Contrast | ImageEnhance.Color]]
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind in kinds:
        picture = kind(picture).enhance(1 + random.uniform(-COLOUR, COLOUR))
    return picture, mask


def main(folder: Path, count: int) -> None:
    """Write pictures and masks."""
    data = Stamps(0, True, count)
    for index in range(count):
        for name, image in zip(("pictures", "masks"), data.composed(index), strict=True):
            path = folder / name / data.stamp(index).kind / f"{index:04d}.png"
            with written(folder):
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)


def counted(text: str) -> int:
    """A whole number from 1 on, as scripts are given it."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=counted, help="so many pictures")
    given = parser.parse_args()
    try:
        main(given.folder, given.count)
    except LayerscopeError as error:
        sys.exit(str(error))
