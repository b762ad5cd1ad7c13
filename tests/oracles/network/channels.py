"""What a network sees of a picture's channels, pixel by pixel, and how its channels are shown."""

from math import ceil, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from layerscope.network.preprocessing import Preprocessing
from tests.oracles.network.preprocessing import resized_and_cropped


def normalised(
    preprocessing: Preprocessing,
    values: npt.NDArray[np.generic],
    order: tuple[int, ...],
    mean_image: npt.NDArray[np.generic] | None = None,
) -> npt.NDArray[np.float64]:
    """The input (channels, height, width) for values (height, width, channels), 1 as white, one band after another."""
    found = np.empty(preprocessing.shape)
    for channel, own in enumerate(order):
        band = Image.fromarray(np.ascontiguousarray(values[..., own], np.float32))
        seen = np.asarray(resized_and_cropped(preprocessing, band), np.float64)
        for row in range(preprocessing.height):
            for column in range(preprocessing.width):
                mean = preprocessing.mean[channel]
                if mean_image is not None:
                    mean = float(mean_image[row, column, channel])
                found[channel, row, column] = (seen[row, column] - mean) / preprocessing.deviation[channel]
    return found


def side_by_side(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each channel in grey, in rows as near a square as can be."""
    height, width, channels = values.shape
    across = ceil(sqrt(channels))
    laid = np.zeros((ceil(channels / across) * height, across * width, 1), values.dtype)
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                place = channel // across * height + row, channel % across * width + column
                laid[(*place, 0)] = values[row, column, channel]
    return laid
