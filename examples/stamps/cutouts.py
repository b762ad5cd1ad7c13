"""Pictures of an object on a background that has nothing to do with it, with exact masks: what is object, and what not.

Cut-out photographs (Debian's tuxpaint-stamps-default) are pasted over photographs of places (mate-backgrounds,
lomiri-wallpapers-16.04, lomiri-wallpapers-20.04). Writes FOLDER/pictures/NAME.png, 256 x 256, and the mask
FOLDER/masks/NAME.png, white the object: the same for the same packages. Run:

    apt-get install tuxpaint-stamps-default mate-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
    python examples/stamps/cutouts.py FOLDER [COUNT] [ROOT]
    layerscope study FOLDER/pictures -n vgg16 -n alexnet -w imagenet-trunk --out STUDY
    layerscope compare STUDY --part background --masks FOLDER/masks --out COMPARISON

COUNT: how many, 240 unless given; each cut-out is used once before any is used again. ROOT: where the packages were
unpacked, if they were not installed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import count, islice
from pathlib import Path

import numpy as np
from composing import PLACES, STAMPS, placed, scaled, square_of, without_border
from PIL import Image

SIDE, SEEN = 256, 224  # of a picture, and of its middle, which networks see
LONG = 110, 200  # pixels of an object's longer side, from and to
KINDS = ("animals", "food", "hobbies", "household", "plants", "vehicles")
DRAWN = {"cartoon", "dinosaur", "plastic", "toys"}  # folders of what is no photograph
BACKGROUNDS = (
    "Bridge_by_Sander_Klootwijk Dragonfly_by_Bolly Picture_0B_by_freespace Wine_by_Jakkub_Mede "
    "aitzgorri_by_Aitzol_Berasategi life_by_Aitzol_Berasategi picosdeeuropa_by_Aitzol_Berasategi "
    "seeding_by_Clements_Engelhardt sunset_by_Aitzol_Berasategi mate/nature/Blinds mate/nature/Dune "
    "mate/nature/FreshFlower mate/nature/Garden mate/nature/GreenMeadow mate/nature/LadyBird mate/nature/RainDrops "
    "mate/nature/Storm mate/nature/TwoWings mate/nature/Wood mate/nature/YellowFlower"
).split()


def main(folder: Path, amount: int, root: Path) -> None:
    """Write so many pictures and their masks."""
    for name in ("pictures", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, picture, mask in islice(compositions(root), amount):
        picture.save(folder / "pictures" / f"{name}.png")
        mask.save(folder / "masks" / f"{name}.png")


def compositions(root: Path) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """Name, picture and mask, without end: every cut-out once, in an order drawn by lot, then every one again."""
    stamps, places = cut_outs(root / STAMPS), [root / PLACES / f"{name}.jpg" for name in BACKGROUNDS]
    if missing := [place for place in places if not place.exists()]:
        raise SystemExit(
            f"{missing[0]} is missing: apt-get install mate-backgrounds lomiri-wallpapers-16.04 ..."
        )
    for turn in count():
        for stamp in sorted(stamps, key=lambda path: drawn(path, root, turn).random()):
            random = drawn(stamp, root, turn)
            name = "-".join(stamp.relative_to(root / STAMPS).with_suffix("").parts)
            background = square_of(opened(places[random.integers(len(places))]), SIDE, random)
            yield f"{name}-{turn}", *pasted(Image.open(stamp).convert("RGBA"), background, random)


def drawn(stamp: Path, root: Path, turn: int) -> np.random.Generator:
    """Numbers drawn for one cut-out in one turn, whatever others there are."""
    key = f"{stamp.relative_to(root / STAMPS).as_posix()} {turn}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little"))


def cut_outs(folder: Path) -> list[Path]:
    """The stamps that are photographs, large enough, and not mostly thin air."""
    if not folder.exists():
        raise SystemExit(f"{folder} is missing: apt-get install tuxpaint-stamps-default")
    named = (path for kind in KINDS for path in sorted((folder / kind).rglob("*.png")))
    return [path for path in named if not DRAWN & set(path.parts) and photographed(path)]


def photographed(path: Path) -> bool:
    """Whether few neighbouring pixels inside are alike, as they are in drawings, and it is not small or thin."""
    with Image.open(path) as stamp:
        alpha, grey = (
            np.asarray(stamp.convert("RGBA").getchannel("A")),
            np.asarray(stamp.convert("L"), np.int16),
        )
    if alpha.min() == 255:
        return False
    rows, columns = np.flatnonzero((alpha > 127).any(1)), np.flatnonzero((alpha > 127).any(0))
    if not rows.size or max(np.ptp(rows), np.ptp(columns)) < 120:
        return False
    inside = (alpha > 200)[:-1, :-1] & (alpha > 200)[1:, :-1] & (alpha > 200)[:-1, 1:]
    steps = np.abs(np.diff(grey, axis=1))[:-1] + np.abs(np.diff(grey, axis=0))[:, :-1]
    box = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return bool((steps[inside] == 0).sum() < 0.3 * inside.sum() and (box > 127).mean() > 0.25)


@lru_cache(32)
def opened(place: Path) -> Image.Image:
    """A background, with the shorter side of three pictures at most."""
    image = Image.open(place).convert("RGB")
    image.thumbnail((5 * SIDE, 5 * SIDE), Image.Resampling.BICUBIC)
    return image


def pasted(
    stamp: Image.Image, background: Image.Image, random: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """The picture and its mask; all of the object lies in the middle that is seen."""
    stamp = without_border(stamp)
    drawn = scaled(stamp, random.integers(LONG[0], LONG[1] + 1) / max(stamp.size))
    return placed(drawn, background, random, (SIDE - SEEN) // 2)


if __name__ == "__main__":
    folder, amount, root = (*sys.argv[1:], *("240", "/")[len(sys.argv) - 2 :])
    main(Path(folder), int(amount), Path(root))
