"""The slow and obvious twins of panels: pixel by pixel, with plain indexing."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]


def cut(pixels: npt.NDArray[np.uint8], box: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """What a box (top, left, bottom, right) holds of a picture; mid-grey where there is none.

    Along an axis where the box is larger than the picture, the picture, mid-grey where the box does not reach.
    """
    return cut_values(pixels.astype(float), box, outside=128).astype(np.uint8)


def cut_values(values: Values, box: tuple[int, int, int, int], outside: float = 0) -> Values:
    """As `cut`, of a signal: 0 where there is none."""
    top, left, bottom, right = box
    high, wide, channels = values.shape
    rows = range(top, bottom) if bottom - top <= high else range(high)
    columns = range(left, right) if right - left <= wide else range(wide)
    found = np.full((len(rows), len(columns), channels), float(outside))
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            if 0 <= row < high and 0 <= column < wide and top <= row < bottom and left <= column < right:
                found[y, x] = values[row, column]
    return found


def mean_of_area(values: Values, size: tuple[int, int]) -> Values:
    """Each pixel of the smaller picture is the mean of what it covers of the larger, in parts of pixels."""

    def share(position: int, step: float, pixel: int) -> float:
        return max(0.0, min((position + 1) * step, pixel + 1) - max(position * step, pixel))

    return _weighed(values, size, share)


def hamming(values: Values, size: tuple[int, int]) -> Values:
    """Each pixel is a mean about its centre, with the weights of Hamming's window over two pixels around a sinc."""

    def weight(position: int, step: float, pixel: int) -> float:
        x = (pixel + 0.5 - (position + 0.5) * step) / step
        return float(np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x))) if abs(x) < 1 else 0.0

    return _weighed(values, size, weight)


def _weighed(values: Values, size: tuple[int, int], weight: Callable[[int, float, int], float]) -> Values:
    down, across = (
        [_normed([(i, weight(place, length / parts, i)) for i in range(length)]) for place in range(parts)]
        for length, parts in zip(values.shape[:2], size, strict=True)
    )
    found = np.zeros((*size, values.shape[2]))
    for y in range(size[0]):
        for x in range(size[1]):
            for row, share in down[y]:
                for column, part in across[x]:
                    found[y, x] += share * part * values[row, column]
    return found


def _normed(weights: list[tuple[int, float]]) -> list[tuple[int, float]]:
    total = sum(weight for _, weight in weights)
    return [(place, weight / total) for place, weight in weights if weight != 0]


def stretched(values: Values) -> npt.NDArray[np.uint8]:
    """0 is mid-grey, white and black are plus and minus the percentile 99.5 of the sizes that are not 0."""
    sizes = sorted(abs(v) for v in values.ravel().tolist() if v != 0)
    if not sizes:
        return np.full((*values.shape[:2], 3), 128, np.uint8)
    place = 0.995 * (len(sizes) - 1)
    low = int(place)
    white = sizes[low] + (place - low) * (sizes[min(low + 1, len(sizes) - 1)] - sizes[low])
    shown = np.broadcast_to(np.clip(values / white, -1, 1), (*values.shape[:2], 3))
    return np.rint(127.5 * (shown + 1)).astype(np.uint8)
