"""Tile pyramids the slow way: the whole image at once, every level from the one above, pixel by pixel."""

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def whole(plane: npt.NDArray[np.integer], cells: Image, empty: int) -> Image:
    """The plane's image, cell by cell."""
    side = cells.shape[1]
    image = np.empty((plane.shape[0] * side, plane.shape[1] * side, 3), np.uint8)
    for row, column in np.ndindex(plane.shape):
        number = plane[row, column]
        place = image[row * side : (row + 1) * side, column * side : (column + 1) * side]
        place[:] = empty if number < 0 else cells[number]
    return image


def halved(image: Image) -> Image:
    """Each pixel the average of the up to four above it, halves rounded up."""
    height, width = -(-image.shape[0] // 2), -(-image.shape[1] // 2)
    small = np.empty((height, width, 3), np.uint8)
    for row, column in np.ndindex(height, width):
        block = image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(-1, 3).astype(int)
        small[row, column] = (2 * block.sum(axis=0) + len(block)) // (2 * len(block))
    return small


def pyramid(image: Image, side: int) -> dict[tuple[int, int, int], Image]:
    """Tiles by level, column and row."""
    levels = [image]
    while levels[0].shape[:2] != (1, 1):
        levels.insert(0, halved(levels[0]))
    return {
        (number, left // side, top // side): level[top : top + side, left : left + side]
        for number, level in enumerate(levels)
        for top in range(0, level.shape[0], side)
        for left in range(0, level.shape[1], side)
    }
