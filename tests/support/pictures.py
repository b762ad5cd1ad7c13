"""Odd picture files, made by hand for the tests of images."""

import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from layerscope.errors import ImageError
from layerscope.images.decoding import load_image

LOG = logging.getLogger("PIL")
WRITABLE = ("jpg", "png", "webp", "tif", "gif", "bmp", "avif", "ppm")
DEEP_VALUES = (0, 1, 128, 129, 255, 256, 4095, 32767, 32768, 65406, 65407, 65535)


def noise(width: int = 64, height: int = 48, *, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, raw: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body


def tiff(bits: int, data: bytes, *, samples: int = 1) -> bytes:
    """A grey picture of 2 x 1 pixels."""
    values = ((256, 2), (257, 1), (258, bits), (259, 1), (262, 1), (273, 122), (277, samples), (278, 1))
    entries = [*values, (279, len(data))]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    header = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0)
    assert len(header) == 122
    return header + data


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def skip_if_pillow_is_too_old(path: Path) -> None:
    """For modes that the oldest Pillow allowed refuses in TIFF: there, too, they are an ImageError for us."""
    try:
        with Image.open(path) as image:
            image.load()
    except OSError as error:
        assert reason(path)
        pytest.skip(f"this Pillow does not read it: {error}")


def reason(path: Path, **options: int) -> str:
    """Why the picture is refused; the message must begin with the path and be one line."""
    with pytest.raises(ImageError) as caught:
        load_image(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "; " in message
    return message.removeprefix(f"{path}: ")
