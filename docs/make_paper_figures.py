"""The figures of the page on the paper, reduced from a folder that ``make paper`` made.

Run: ``python docs/make_paper_figures.py paper``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from make_figures import keep
from PIL import Image

FIGURES = {
    "paper-2-alexcnn": ("figure-2-alexcnn", 1000),
    "paper-3-c4_1": ("figure-3-photographs-c4_1", 1300),
    "paper-3-c5_3": ("figure-3-photographs-c5_3", 1300),
    "paper-4": ("figure-4-vgg16", 1100),
    "paper-4-fc8": ("figure-4-vggcnn", 1100),
    "paper-5": ("figure-5-photographs-depth", 950),
    "paper-5-clothes": ("figure-5-clothes-depth", 1100),
    "paper-6": ("figure-6-photographs-sparsity", 900),
}
FILTERS = tuple(f"figure-7-photographs-{layer}" for layer in ("c1_2", "c2_2", "c3_3", "c4_3", "c5_2"))


def main(folder: Path) -> None:
    """Make them all."""
    for name, (figure, width) in FIGURES.items():
        keep(Image.open(folder / "figures" / f"{figure}.png"), name, width)
    keep(beneath([Image.open(folder / "figures" / f"{name}.png") for name in FILTERS]), "paper-7", 1000)
    keep(inside_and_outside(folder / "figures"), "paper-1", 1300)


def inside_and_outside(folder: Path) -> Image.Image:
    """What is kept of a picture, and beneath it the two planes that it is placed on, as wide together."""
    kept, *planes = (Image.open(folder / f"figure-1-{part}.png") for part in ("kept", "c4_1", "c5_3"))
    share = kept.width / sum(plane.width for plane in planes)
    small = [plane.resize((int(plane.width * share), int(plane.height * share))) for plane in planes]
    sheet = Image.new("RGB", (kept.width, max(plane.height for plane in small)), "white")
    sheet.paste(small[0], (0, 0))
    sheet.paste(small[1], (small[0].width, 0))
    return beneath([kept, sheet])


def beneath(pages: list[Image.Image]) -> Image.Image:
    """Pages on one sheet, one below the other."""
    sheet = Image.new("RGB", (max(p.width for p in pages), sum(p.height for p in pages)), "white")
    top = 0
    for page in pages:
        sheet.paste(page, (0, top))
        top += page.height
    return sheet


if __name__ == "__main__":
    Image.MAX_IMAGE_PIXELS = None  # ours are large
    main(Path(sys.argv[1]))
