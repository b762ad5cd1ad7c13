"""The figures of docs/synthesis.md: what excites filters of AlexNet most, and two photographs inverted.

Run: ``python docs/make_synthesis_figures.py FOLDER``; goes on in FOLDER where it stopped.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import skimage

from layerscope import Unit, load_network
from layerscope.synthesis import make_inverted, make_maximised

FIGURES = Path(__file__).parent / "figures"
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


def main(folder: Path) -> None:
    """Make both, and put them among the figures."""
    network = load_network("alexnet", "imagenet-trunk")
    seeds = [Unit(layer, channel) for layer in ("c2", "c3") for channel in range(8)]
    make_maximised(network, seeds, folder / "maximised")
    files = [PHOTOGRAPHS / name for name in ("chelsea.png", "rocket.jpg")]
    make_inverted([network], files, folder / "inverted", layers=["c1", "c2", "c3", "c5", "p5"])
    for name in ("maximised", "inverted"):
        shutil.copy(folder / name / f"{name}.png", FIGURES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
