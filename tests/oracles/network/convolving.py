"""A convolution as it is defined, one value at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def convolve(pictures: Array, weight: Array, bias: Array, pads: tuple[int, int]) -> Array:
    """Pictures (rows, inputs, height, width) by filters (outputs, inputs, 3, 3), of stride 1, in float64."""
    padded = np.pad(pictures, ((0, 0), (0, 0), (pads[0],) * 2, (pads[1],) * 2))
    height, width = padded.shape[2] - 2, padded.shape[3] - 2
    found = np.empty((len(pictures), len(weight), height, width))
    for row in range(height):
        for column in range(width):
            seen = padded[:, :, row : row + 3, column : column + 3]
            found[:, :, row, column] = np.einsum("nchw,kchw->nk", seen, weight) + bias
    return found
