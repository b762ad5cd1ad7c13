"""Fashion-MNIST as pictures: FOLDER/train/CLASS/00000.png (60,000) and FOLDER/test/CLASS/... (10,000), 28 by 28, grey.

Reads the files of Debian's package dataset-fashion-mnist (MIT). Run: ``python examples/fashion.py FOLDER``.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

PACKAGE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_PARTS = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a gzipped IDX file, in its shape."""
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def main(folder: Path) -> None:
    """Write all pictures."""
    for part, name in _PARTS.items():
        pictures = read_idx(PACKAGE / f"{name}-images-idx3-ubyte.gz")
        labels = read_idx(PACKAGE / f"{name}-labels-idx1-ubyte.gz")
        for own in CLASSES:
            (folder / part / own).mkdir(parents=True, exist_ok=True)
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            Image.fromarray(picture).save(folder / part / CLASSES[label] / f"{number:05d}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
