"""A small labelled set: folders of noise about another grey for each class."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16


def write_classes(folder: Path, each: int = 6, classes: int = 3, side: int = 20) -> Path:
    random = np.random.default_rng(0)
    for name in range(classes):
        (folder / f"class{name}").mkdir(parents=True)
        for index in range(each):
            values = random.normal(70 + 50 * name, 20, (side, side, 3))
            Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(
                folder / f"class{name}" / f"{index}.png"
            )
    return folder
