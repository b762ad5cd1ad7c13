"""Every picture becomes a file, whatever it shows."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFile

from layerscope.drawing.encoding import JPEG_SIDE, encode_jpeg, encode_pdf, encode_png
from layerscope.drawing.render import Pixels
from layerscope.drawing.sprites import encode_sprite, suffix

Encoder = Callable[[Image.Image], bytes]
CONTENTS: dict[str, Callable[[int, int], Pixels]] = {
    "noise": lambda h, w: np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8),
    "black or white": lambda h, w: 255 * np.random.default_rng(0).integers(0, 2, (h, w, 3), np.uint8),
    "flat": lambda h, w: np.full((h, w, 3), 127, np.uint8),
    "checked": lambda h, w: np.repeat(np.indices((h, w)).sum(axis=0)[..., None] % 2 * 255, 3, 2).astype("u1"),
}
ENCODERS: dict[str, Encoder] = {
    "PNG": encode_png,
    "PNG of a photograph": lambda image: encode_png(image, {"of": "grey × 2, 灰"}, dpi=200, photograph=True),
    "JPEG": lambda image: encode_jpeg(image, 85, "of what it is"),
    "fine JPEG": lambda image: encode_jpeg(image, 90, "of what it is", fine=True),
    "best JPEG": lambda image: encode_jpeg(image, 100, "n" * 65_000, fine=True),
}


@pytest.mark.parametrize(
    "size", [(1, 1), (7, 9), (448, 2016), (1, JPEG_SIDE), (JPEG_SIDE, 1), (4, JPEG_SIDE)]
)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_content_becomes_a_file_that_reads_back(
    encoder: str, content: str, size: tuple[int, int]
) -> None:
    pixels = CONTENTS[content](*size)
    made = ENCODERS[encoder](Image.fromarray(pixels))
    with Image.open(io.BytesIO(made)) as image:
        found = np.asarray(image)
    assert found.shape == pixels.shape
    assert made == ENCODERS[encoder](Image.fromarray(pixels))
    if "PNG" in encoder:
        assert (found == pixels).all()
    elif "best" in encoder or content == "flat":
        assert abs(found.astype(int) - pixels).mean() < 2
    assert ImageFile.MAXBLOCK == 1 << 16  # as Pillow has it


@pytest.mark.parametrize("content", CONTENTS)
def test_every_content_becomes_a_document(content: str) -> None:
    pages = [Image.fromarray(CONTENTS[content](*size)) for size in ((1, 1), (300, 500), (1, JPEG_SIDE))]
    made = encode_pdf(pages, "pages", dpi=200)
    assert made.startswith(b"%PDF")
    assert made.rstrip().endswith(b"%%EOF")
    assert made.count(b"DCTDecode") == len(pages)
    assert made == encode_pdf(pages, "pages", dpi=200)


def test_a_portrait_of_noise_says_what_it_is_however_many_panels_it_has() -> None:
    soft = np.random.default_rng(0).normal(127, 40, (448, 2016, 3)).clip(0, 255).astype(np.uint8)
    assert encode_sprite(soft, ".jpg", {})
    for count in (9, 1000, 1300, 1900):
        notes = {"key": "0" * 32, **dict.fromkeys(("white", "black"), [-0.0012345678901234567] * count)}
        ending = suffix((33, 33), count)
        assert ending == (".jpg" if count <= 1000 else ".png")
        assert encode_sprite(CONTENTS["noise"](66, count * 33), ending, notes)
