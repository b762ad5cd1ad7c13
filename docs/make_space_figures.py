"""The figures of the tutorial's part on spaces, by its own commands. Takes about a quarter of an hour.

Run: ``python docs/make_space_figures.py FOLDER``, which then holds the photographs, their crops and the study.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import skimage
from make_figures import keep
from PIL import Image

PHOTOGRAPHS = (
    *(
        "astronaut.png",
        "camera.png",
        "chelsea.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "motorcycle_left.png",
    ),
    "rocket.jpg",
)  #: all CC0 or public domain
WIDTH = 1400
VIEWS = Path(__file__).parent.parent / "examples" / "views.py"


def main(folder: Path) -> None:
    """Make them in a folder."""
    photographs = folder / "eight"
    photographs.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, photographs)
    run(folder, str(VIEWS), "views", "325", *(f"eight/{name}" for name in PHOTOGRAPHS))
    network = ("-n", "vgg16", "-w", "imagenet-trunk", "--dtype", "bfloat16")
    run(folder, "-m", "layerscope", "study", "views", "--labels", "folders", *network, "--out", "study")
    layers = ("--layers", "c4_1,c5_3", "--patches", "10000")
    run(folder, "-m", "layerscope", "space", "make", "study", *layers, "--dtype", "bfloat16")
    for layer in ("c4_1", "c5_3"):
        keep(
            Image.open(folder / "study" / "vgg16" / "spaces" / layer / "figure.png"), f"space-{layer}", WIDTH
        )


def run(folder: Path, *words: str) -> None:
    """A program of Python there."""
    subprocess.run([sys.executable, *words], cwd=folder, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
