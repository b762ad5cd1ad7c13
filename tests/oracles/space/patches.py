"""Every patch of a layer, one picture and one position at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from layerscope.network.network import Network


@dataclass(frozen=True, eq=False)
class Seen:
    """What a position makes of a picture, and the pixels it sees: top, left, bottom, right."""

    vector: npt.NDArray[np.float32]
    box: tuple[int, int, int, int]


def every_patch(network: Network, layer: str, image: Image.Image) -> dict[tuple[int, int], Seen]:
    """All patches of one picture, by row and column."""
    values = network.representations(network.preprocessing.apply(image)[None], [layer])[layer][0]
    maps = values.numpy().reshape(len(values), *network.layer(layer).size)
    field = network.layer(layer).field
    found = {}
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            box = (0, 0, *network.input_shape[1:])
            if field is not None:
                top = field.rows.left + row * field.rows.stride
                left = field.columns.left + column * field.columns.stride
                box = (top, left, top + field.rows.size, left + field.columns.size)
            found[row, column] = Seen(maps[:, row, column], box)
    return found


def lies_inside(seen: Seen, height: int, width: int) -> bool:
    """Whether a patch sees nothing but the picture."""
    top, left, bottom, right = seen.box
    return top >= 0 and left >= 0 and bottom <= height and right <= width
