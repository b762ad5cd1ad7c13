"""How a filter's picture is laid out: a row of patches, and where it is drawn a row of reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from layerscope.drawing.panels import reduced
from layerscope.drawing.render import Panel, Pixels, Signal, show_signal
from layerscope.drawing.sprites import suffix
from layerscope.network.views import View, within
from layerscope.pages.views import ZERO

SIDE = 96  #: pixels that a panel is high or wide at most


@dataclass(frozen=True)
class Layout:
    """Of all filters of a layer: ``frame``, rows and columns of the input that a panel shows, and panels in a row."""

    frame: tuple[int, int]
    columns: int

    @property
    def panel(self) -> tuple[int, int]:
        """Height and width of a panel: the frame's own, or reduced."""
        share = min(1.0, SIDE / max(self.frame))
        height, width = (max(1, round(edge * share)) for edge in self.frame)
        return height, width

    @property
    def ending(self) -> str:
        """What a picture's file ends in: PNG where panels are small."""
        return suffix(self.panel, self.columns)

    @property
    def row(self) -> tuple[int, int, int]:
        """Shape of a row's pixels."""
        height, width = self.panel
        return height, self.columns * width, 3

    def place(self, rank: int) -> tuple[slice, slice]:
        """Where a panel is in its row."""
        height, width = self.panel
        return slice(height), slice(rank * width, (rank + 1) * width)

    def patch(self, pixels: Pixels, view: View) -> Pixels:
        """What a unit sees of its picture (height, width, 3) as a panel, mid-grey outside."""
        seen = view.seen
        framed = np.full((*self.frame, 3), ZERO, np.uint8)
        framed[within(view.frame, seen)] = pixels[seen.top : seen.bottom, seen.left : seen.right]
        if self.panel == self.frame:
            return framed
        return np.asarray(Image.fromarray(framed).resize(self.panel[::-1], Image.Resampling.HAMMING))

    def reconstruction(self, signal: Signal, view: View) -> Panel:
        """What a unit keeps of the pixels it sees (height, width, channels) as a panel, stretched to its own values.

        It is reduced before it is stretched, as values about zero: neighbours of opposite sign cancel.
        """
        framed = np.zeros((*self.frame, signal.shape[2]), np.float32)
        framed[within(view.frame, view.seen)] = signal
        return show_signal(reduced(framed, self.panel))
