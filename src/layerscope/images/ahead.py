"""Pictures read ahead: loaded and prepared in threads while the network is busy with those before them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from layerscope.ahead import made_ahead
from layerscope.errors import ImageError, LayerscopeError, said
from layerscope.images.bands import Decoded
from layerscope.images.decoding import DECODING
from layerscope.images.sets import ImageSet

AHEAD = 64
"""The most pictures that wait or are being made, unless told otherwise: 39 MB as inputs of 3 x 224 x 224."""

T = TypeVar("T")


@dataclass(frozen=True)
class Ready(Generic[T]):
    """A picture of a set: what was prepared of it, or the reason there is nothing (one line, without its name).

    Width and height are the picture's own, upright and in pixels; 0, like the digest "", of one with a reason.
    """

    index: int
    value: T | None
    digest: str
    width: int
    height: int
    reason: str | None


def read_ahead(
    images: ImageSet,
    indices: Iterable[int],
    prepare: Callable[[Decoded], T],
    workers: int = 2,
    *,
    ahead: int = AHEAD,
) -> Generator[Ready[T], None, None]:
    """Loads and prepares pictures in ``workers`` threads, and yields them in the order of ``indices``.

    At most ``ahead`` pictures are under way or waiting. An ImageError becomes the reason in its picture's place,
    and so does what its size or values make of preparing it (an overflow, a value refused). Any other exception, lack
    of memory among them, goes up as soon as the picture now due is done. Closing the iterator, as leaving a loop over
    it does, drops what has not begun and waits for the at most ``workers`` pictures that have.
    """
    if ahead < 1:
        raise ValueError(f"{ahead} pictures ahead: at least 1 must be under way")
    with DECODING, closing(made_ahead(partial(_read, images, prepare), indices, workers, ahead)) as made:
        for _, ready in made:
            yield ready


def _read(images: ImageSet, prepare: Callable[[Decoded], T], index: int) -> Ready[T]:
    try:
        loaded = images.load(index)
        return Ready(index, _prepared(loaded.image, prepare), loaded.digest, *loaded.image.size, None)
    except ImageError as error:
        return Ready(index, None, "", 0, 0, str(error))


def _prepared(image: Decoded, prepare: Callable[[Decoded], T]) -> T:
    try:
        return prepare(image)
    except LayerscopeError:
        raise
    except (ArithmeticError, ValueError) as error:
        size = f"{image.width} x {image.height}"
        raise ImageError(f"{size}, cannot be prepared ({said(error)}); leave it out") from error
