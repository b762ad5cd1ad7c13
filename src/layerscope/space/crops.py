"""Patches as little square pictures: what each sees, cut from its picture as the network sees it.

What lies outside the picture is hatched. This room also reads the pictures of a study again, for whoever needs them.
"""

from __future__ import annotations

from contextlib import closing
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from layerscope.drawing.render import Pixels
from layerscope.drawing.sprites import hatched
from layerscope.errors import DisplayError
from layerscope.images.sets import ImageSet
from layerscope.network.geometry import Box
from layerscope.network.network import Network
from layerscope.network.views import frame_of, within
from layerscope.progress import Count, Told
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures, read_again

_SQUARES = 3  # enlarged so many times or more, a pixel is shown as a square

Numbers = npt.NDArray[np.integer]


def crop_patches(
    study: Study,
    network: Network,
    images: ImageSet,
    pictures: Numbers,
    boxes: Numbers,
    into: Pixels,
    *,
    progress: Told | None = None,
) -> None:
    """Fill ``into``, (N, side, side, 3), perhaps a memory-mapped file, with what N patches see, as `cut_patch` does.

    ``pictures`` (N,): the study's picture of each; ``boxes`` (N, 4): top, left, bottom, right in pixels of the input,
    which may reach outside. Each picture is read once; ``progress`` is told of each patch.
    Raises StudyError if a picture is missing or is not the one the study was made of, DisplayError if arrays differ
    in length.
    """
    _check(pictures, boxes, into)
    by_picture = np.argsort(pictures, kind="stable")
    wanted, starts = np.unique(pictures[by_picture], return_index=True)
    parts = np.split(by_picture, starts)[1:]
    places = find_pictures(study, images, wanted.tolist())
    read = read_again(study, images, places, wanted.tolist(), network.preprocessing.seen)
    done = Count(progress, "cutting patches", len(into), "patches")
    with closing(read):
        for own, (_, shown) in zip(parts, read, strict=True):
            sizes = [shown]
            for patch in own.tolist():
                into[patch] = _cut(sizes, Box(*boxes[patch].tolist()), into.shape[1])
            done(len(own))


def _check(pictures: Numbers, boxes: Numbers, into: Pixels) -> None:
    count, shape = len(into), into.shape
    if into.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not shape[1]:
        raise DisplayError(f"patches go into a uint8 array (N, side, side, 3); got {into.dtype} {shape}")
    if pictures.shape != (count,) or boxes.shape != (count, 4):
        raise DisplayError(
            f"{count} patches need {count} pictures and boxes (N, 4); got {pictures.shape} and {boxes.shape}"
        )
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        raise DisplayError("a box holds no pixel; a layer that sees nothing of the picture has no patches")


# ------------------------------------------------------------------ one patch


def cut_patch(shown: Image.Image, box: Box, side: int) -> Pixels:
    """A box of a picture, RGB, as a square of ``side`` pixels: what it holds of the picture, hatched elsewhere.

    Along an axis where the box is larger than the picture, the picture takes its place. A box that is then not
    square keeps its shape, in the middle. Reduced, each pixel is an average (Hamming's window over two pixels, of
    the picture at a half, a quarter, ... while that is twice as large); enlarged less than threefold it is bicubic,
    and beyond that pixels are squares.
    """
    return _cut([shown], box, side)


def _cut(sizes: list[Image.Image], box: Box, side: int) -> Pixels:
    """As `cut_patch`; ``sizes``: the picture, its half, its quarter, ..., as far as they were needed before."""
    frame = frame_of(box, *reversed(sizes[0].size))
    seen = frame.inside(*reversed(sizes[0].size))
    scale = side / max(frame.height, frame.width)
    if seen == frame and frame.height == frame.width:
        return np.asarray(_resized(sizes, seen, (side, side), scale))
    pixels = _hatching(side).copy()
    if seen.height and seen.width:
        down, across = (_scaled(part, scale, side) for part in _centred(frame, seen))
        size = (across.stop - across.start, down.stop - down.start)
        pixels[down, across] = np.asarray(_resized(sizes, seen, size, scale))
    return pixels


@cache
def _hatching(side: int) -> Pixels:
    return hatched(side, side)


def _centred(frame: Box, seen: Box) -> tuple[slice, slice]:
    """Rows and columns of what is seen, counted from the corner of the square around the frame."""
    side = max(frame.height, frame.width)
    top, left = (side - frame.height) // 2, (side - frame.width) // 2
    return within(Box(frame.top - top, frame.left - left, frame.bottom, frame.right), seen)


def _scaled(part: slice, scale: float, side: int) -> slice:
    """Where rows or columns come to lie in the square, at least one pixel."""
    start = min(round(part.start * scale), side - 1)
    return slice(start, min(side, max(start + 1, round(part.stop * scale))))


def _resized(sizes: list[Image.Image], seen: Box, size: tuple[int, int], scale: float) -> Image.Image:
    """A box of the picture, inside it, at another size (width, height)."""
    box = (seen.left, seen.top, seen.right, seen.bottom)
    if scale >= 1:
        how = Image.Resampling.NEAREST if scale >= _SQUARES else Image.Resampling.BICUBIC
        return sizes[0].resize(size, how, box=box)
    halvings = max(0, int(1 / scale).bit_length() - 2)  # as often as leaves it twice as large or more
    while len(sizes) <= halvings:
        sizes.append(sizes[-1].reduce(2))
    left, top, right, bottom = (edge / 2**halvings for edge in box)
    return sizes[halvings].resize(size, Image.Resampling.HAMMING, box=(left, top, right, bottom))
