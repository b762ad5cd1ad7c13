"""Fashion-MNIST as pictures: FOLDER/train/CLASS/00000.png (60,000) and FOLDER/test/CLASS/... (10,000), 28 by 28, grey.

Reads the files of Debian's package dataset-fashion-mnist (MIT). Run: ``python examples/fashion.py FOLDER``, or
``python examples/fashion.py FOLDER test`` for one of the two.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from layerscope.disk.whole import written
from layerscope.errors import LayerscopeError

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


def main(folder: Path, parts: Sequence[str]) -> None:
    """Write all pictures of these parts."""
    if not PACKAGE.exists():
        raise SystemExit(f"{PACKAGE} is missing: apt-get install dataset-fashion-mnist")
    for part in parts:
        pictures = read_idx(PACKAGE / f"{_PARTS[part]}-images-idx3-ubyte.gz")
        labels = read_idx(PACKAGE / f"{_PARTS[part]}-labels-idx1-ubyte.gz")
        with written(folder):
            for own in CLASSES:
                (folder / part / own).mkdir(parents=True, exist_ok=True)
            for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
                Image.fromarray(picture).save(folder / part / CLASSES[label] / f"{number:05d}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", nargs="?", choices=list(_PARTS), help="both unless given")
    given = parser.parse_args()
    try:
        main(given.folder, [given.part] if given.part else list(_PARTS))
    except LayerscopeError as error:
        sys.exit(str(error))
