"""Crops of photographs at several scales: to a network each is another picture, so a few photographs give thousands.

Writes FOLDER/PHOTOGRAPH/000.jpg and so on, 256 pixels high and wide, the same for the same arguments: a data set of a
class per photograph. Run: ``python examples/views.py FOLDER COUNT PHOTOGRAPHS...``, COUNT crops of each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from layerscope import load_image

SIDE = 256


def crops(photograph: Image.Image, count: int, seed: int) -> list[Image.Image]:
    """Squares from anywhere in the photograph: of a third of its shorter side up to the whole, a third mirrored."""
    random = np.random.default_rng(seed)
    found = []
    for share in np.geomspace(1 / 3, 1, count)[::-1]:
        side = max(1, round(share * min(photograph.size)))
        left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
        crop = photograph.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        mirrored = random.random() < 1 / 3
        found.append(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else crop)
    return found


def main(folder: Path, count: int, photographs: list[Path]) -> None:
    """Write the crops of every photograph."""
    for number, path in enumerate(sorted(photographs)):
        own = folder / path.stem
        own.mkdir(parents=True, exist_ok=True)
        for place, crop in enumerate(crops(load_image(path), count, number)):
            crop.save(own / f"{place:03d}.jpg", quality=92)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(path) for path in sys.argv[3:]])
