"""The slow and obvious twin of the portraits: pixel by pixel, from reconstructions of whole pictures."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from layerscope.drawing.render import show_signal
from layerscope.drawing.sprites import hatched
from layerscope.network.network import Network, Unit
from layerscope.reconstruction.descent import reconstruct


def sprite(network: Network, patches: list[tuple[Image.Image, Unit]]) -> npt.NDArray[np.uint8]:
    """Patches above, reconstructions below, in frames that are at most as large as the picture."""
    _, *shape = network.input_shape
    whole = network.box(patches[0][1])
    height, width = min(whole.height, shape[0]), min(whole.width, shape[1])
    striped = hatched(height, width)
    found = np.zeros((2 * height, len(patches) * width, 3), np.uint8)
    for number, (image, unit) in enumerate(patches):
        box, values = network.box(unit), network.preprocessing.apply(image)
        seen = np.broadcast_to(network.preprocessing.picture(values), (*shape, 3))
        signal = reconstruct(network, values[None], [unit])[unit][0].permute(1, 2, 0).numpy()
        rows = [row for row in range(box.top, box.bottom) if 0 <= row < shape[0]]
        columns = [column for column in range(box.left, box.right) if 0 <= column < shape[1]]
        kept = show_signal(signal[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).pixels
        for y in range(height):
            for x in range(width):
                row = y if box.height > shape[0] else box.top + y
                column = x if box.width > shape[1] else box.left + x
                both = (striped[y, x], striped[y, x])
                if row in rows and column in columns:
                    both = (seen[row, column], kept[rows.index(row), columns.index(column)])
                found[y, number * width + x], found[height + y, number * width + x] = both
    return found
