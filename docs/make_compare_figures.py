"""The figures of two networks compared, by the commands of the tutorial and of the page on comparing.

Takes two hours on two cores, most of it for the background. What is there already stays. Run:
``python docs/make_compare_figures.py FOLDER``, with the packages that ``examples/stamps/cutouts.py`` names.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import skimage
from make_figures import keep
from make_space_figures import PHOTOGRAPHS, VIEWS, run
from PIL import Image

CUTOUTS = VIEWS.parent / "stamps" / "cutouts.py"
TRUNKS = ("-n", "vgg16", "-n", "alexnet", "-w", "imagenet-trunk")
FIGURES = {
    "compare-cka": ("comparison/similarity/cka.png", 760),
    "compare-filters": ("comparison/filters/matches.png", 1000),
    "compare-randomisation": ("comparison/randomisation/randomisation-1.png", 1000),
    "compare-background": ("outside/background/background.png", 1000),
}


def main(folder: Path) -> None:
    """Make them in a folder."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, folder / "photos")
    run(folder, str(VIEWS), "crops", "8", *(f"photos/{name}" for name in PHOTOGRAPHS))
    run(folder, "-m", "layerscope", "study", "crops", "--labels", "folders", *TRUNKS, "--out", "pair")
    run(folder, "-m", "layerscope", "compare", "pair", "--out", "comparison")
    run(folder, str(CUTOUTS), "cutouts", "320")
    run(folder, "-m", "layerscope", "study", "cutouts/pictures", *TRUNKS, "--out", "cut")
    masks = ("--part", "background", "--masks", "cutouts/masks")
    run(folder, "-m", "layerscope", "compare", "cut", *masks, "--out", "outside")
    for name, (place, width) in FIGURES.items():
        keep(Image.open(folder / place), name, width)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
