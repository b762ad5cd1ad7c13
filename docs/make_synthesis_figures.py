"""The figures of docs/synthesis.md: what excites filters of AlexNet most, and two photographs inverted.

Run: ``python docs/make_synthesis_figures.py FOLDER STUDY``; goes on in FOLDER where it stopped. STUDY: of AlexNet's
trunk over photographs; four filters are added to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import skimage
from make_figures import keep
from PIL import Image

from layerscope import Unit, load_network
from layerscope.study.folder import Study
from layerscope.study.sources import images_of
from layerscope.synthesis import InvertOptions, MaximiseOptions, add_maximised, make_inverted, make_maximised

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


def main(folder: Path, study: Study) -> None:
    """Make all, and put them among the figures."""
    network = load_network("alexnet", "imagenet-trunk")
    seeds = [Unit(layer, channel) for layer in ("c2", "c3") for channel in range(8)]
    make_maximised(network, seeds, folder / "maximised")
    files = [PHOTOGRAPHS / name for name in ("chelsea.png", "rocket.jpg")]
    layers = ["c1", "c2", "p2", "c3", "c5", "p5"]
    make_inverted([network], files, folder / "inverted", layers=layers, options=InvertOptions(steps=200))
    units = [Unit("c3", channel) for channel in (226, 256, 329, 338)]
    add_maximised(study, network, images_of(study), units, options=MaximiseOptions(prior="study"))
    keep(Image.open(study.path / "alexnet" / "maximised" / "c3.png"), "maximised-study", 1000)
    for name in ("maximised", "inverted"):
        keep(Image.open(folder / name / f"{name}.png"), name, 1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Study.open(sys.argv[2]))
