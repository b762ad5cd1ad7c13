"""The figures of docs/synthesis.md: what excites filters of AlexNet most, and two photographs inverted.

Run: ``python docs/make_synthesis_figures.py FOLDER``; goes on in FOLDER where it stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

import skimage
from make_figures import keep
from PIL import Image

from layerscope import Unit, load_network
from layerscope.synthesis import InvertOptions, make_inverted, make_maximised

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


def main(folder: Path) -> None:
    """Make both, and put them among the figures."""
    network = load_network("alexnet", "imagenet-trunk")
    seeds = [Unit(layer, channel) for layer in ("c2", "c3") for channel in range(8)]
    make_maximised(network, seeds, folder / "maximised")
    files = [PHOTOGRAPHS / name for name in ("chelsea.png", "rocket.jpg")]
    layers = ["c1", "c2", "p2", "c3", "c5", "p5"]
    make_inverted([network], files, folder / "inverted", layers=layers, options=InvertOptions(steps=200))
    for name in ("maximised", "inverted"):
        keep(Image.open(folder / name / f"{name}.png"), name, 1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
