"""What a position of a layer sees, and the frame it is shown in."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.network.geometry import Box
from layerscope.network.layers import Layer


@dataclass(frozen=True)
class View:
    """What a panel shows: the pixels ``seen``, those of the receptive field that are in the picture, in a ``frame``.

    The frame is the receptive field; along an axis where that is larger than the picture, it is the picture. What
    lies wholly outside the picture sees no pixel: an empty box at the frame's corner.
    """

    frame: Box
    seen: Box

    @property
    def unseen(self) -> tuple[int, int, int, int]:
        """How many rows or columns of the frame are not seen at the top, left, bottom and right."""
        frame, seen = self.frame, self.seen
        return (
            seen.top - frame.top,
            seen.left - frame.left,
            frame.bottom - seen.bottom,
            frame.right - seen.right,
        )


def view_of(layer: Layer, row: int, column: int, size: tuple[int, ...]) -> View:
    """What the panel of a position of a layer shows of an input of ``size`` (height, width)."""
    box = box_at(layer, row, column, size)
    frame, seen = frame_of(box, *size), box.inside(*size)
    empty = not (seen.height and seen.width)
    return View(frame, Box(frame.top, frame.left, frame.top, frame.left) if empty else seen)


def box_at(layer: Layer, row: int, column: int, size: tuple[int, ...]) -> Box:
    """What a position sees; the whole input where a layer's positions see boxes of no common size."""
    return Box(0, 0, *size) if layer.field is None else layer.field.box(row, column)


def frame_of(box: Box, height: int, width: int) -> Box:
    """The box; along an axis where it is larger than the picture, the picture."""
    top, bottom = (0, height) if box.height > height else (box.top, box.bottom)
    left, right = (0, width) if box.width > width else (box.left, box.right)
    return Box(top, left, bottom, right)


def within(frame: Box, part: Box) -> tuple[slice, slice]:
    """The rows and columns of a part, counted from the corner of its frame."""
    rows = slice(part.top - frame.top, part.bottom - frame.top)
    return rows, slice(part.left - frame.left, part.right - frame.left)
