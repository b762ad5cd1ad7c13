"""Pictures to the bytes of files: PNG, JPEG and PDF. The same pixels give the same bytes."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin

__all__ = ["JPEG_SIDE", "encode_jpeg", "encode_pdf", "encode_png"]

JPEG_SIDE = 65_500  #: a JPEG is no wider and no higher
_PER_PIXEL = 8  # bytes of a JPEG at most: of 24 bits, each coefficient with a code of 8 bits and all its own
_ONE_ENCODES = threading.Lock()


def encode_png(
    image: Image.Image, text: Mapping[str, str] | None = None, *, dpi: float = 0, photograph: bool = False
) -> bytes:
    """A PNG with text chunks; ``dpi``: none is stated if 0.

    ``photograph``: only runs are shortened, for little else repeats itself there: a third of the time, as many bytes.
    """
    chunks, memory = PngImagePlugin.PngInfo(), io.BytesIO()
    for key, value in (text or {}).items():
        chunks.add_text(key, value)
    stated = {"dpi": (dpi, dpi)} if dpi else {}
    image.save(memory, "PNG", pnginfo=chunks, compress_type=zlib.Z_RLE if photograph else -1, **stated)
    return memory.getvalue()


def encode_jpeg(
    image: Image.Image, quality: int, about: str = "", *, fine: bool = False, fitted: bool = False
) -> bytes:
    """A JPEG of an image no wider or higher than JPEG_SIDE; ``about``: its comment, at most 65,533 bytes.

    ``fitted``: progressive, its codes fitted to it, one image at a time. ``fine``: that, with colours at full
    resolution. Any content will do, noise too.
    """
    how: dict[str, Any] = {"comment": about.encode()} if about else {}
    memory = io.BytesIO()
    if not (fine or fitted):
        image.save(memory, format="JPEG", quality=quality, **how)
        return memory.getvalue()
    how |= {"subsampling": 0} if fine else {}
    with _room(_PER_PIXEL * image.width * image.height + len(about)):
        image.save(memory, format="JPEG", quality=quality, optimize=True, progressive=True, **how)
    return memory.getvalue()


def encode_pdf(images: Sequence[Image.Image], title: str, *, dpi: float, quality: int = 85) -> bytes:
    """Images, one or more, as the pages of a PDF, each a JPEG."""
    memory, (first, *others) = io.BytesIO(), images
    options = {"title": title, "creationDate": None, "modDate": None}
    first.save(memory, "PDF", save_all=True, append_images=others, resolution=dpi, quality=quality, **options)
    return memory.getvalue()


@contextmanager
def _room(size: int) -> Iterator[None]:
    """Pillow puts a fitted JPEG together in a byte for each pixel, too few for noise; nothing else asks for more.

    Whatever reads or writes meanwhile takes larger blocks.
    """
    with _ONE_ENCODES:
        before = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(before, size)
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = before
