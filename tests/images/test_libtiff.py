"""TIFF files whose damage only the C library behind them speaks of."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import numpy as np
import pytest
from PIL import Image

from layerscope.errors import ImageError
from layerscope.images.decoding import DECODING, decode_image
from layerscope.images.libtiff import hearing


def fax(seed: int = 0) -> bytes:
    """Random black and white, compressed as faxes are."""
    drawn = np.random.default_rng(seed).integers(0, 2, (40, 50), np.uint8) * 255
    encoded = io.BytesIO()
    Image.fromarray(drawn).convert("1").save(encoded, "TIFF", compression="group4")
    return encoded.getvalue()


def damaged(place: int) -> bytes:
    data = bytearray(fax())
    data[place] ^= 0xFF
    return bytes(data)


def gives(data: bytes) -> bool:
    """Whether Pillow alone makes a picture of it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except Exception:
        return False
    return True


STRIP = range(20, 200, 9)
BROKEN = next(place for place in STRIP if gives(damaged(place)))


def test_pixels_of_damaged_data_are_refused_by_what_the_library_says(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert gives(damaged(BROKEN))
    assert "Fax4Decode" in capfd.readouterr().err  # what this is about
    with pytest.raises(ImageError, match=r"broken or truncated \(Bad code word at line .*\); copy it again"):
        decode_image(damaged(BROKEN))
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_whatever_is_damaged(capfd: pytest.CaptureFixture[str]) -> None:
    refused = 0
    for place in range(8, len(fax()), 3):
        with suppress(ImageError):
            decode_image(damaged(place))
            refused -= 1
        refused += 1
    assert refused > 20
    assert capfd.readouterr() == ("", "")
    assert decode_image(fax()).size == (50, 40)


def test_what_others_decode_meanwhile_is_their_own(capfd: pytest.CaptureFixture[str]) -> None:
    with DECODING:
        gives(damaged(BROKEN))
    assert "Fax4Decode" in capfd.readouterr().err
    with hearing() as lines:
        gives(damaged(BROKEN))
    assert lines == []
    assert "Fax4Decode" in capfd.readouterr().err


def test_each_thread_hears_of_its_own_picture() -> None:
    start = threading.Barrier(4)

    def read(number: int) -> int:
        start.wait()
        bad = 0
        for _ in range(50):
            try:
                decode_image(damaged(BROKEN) if number % 2 else fax())
            except ImageError:
                bad += 1
        return bad

    with ExitStack() as held, ThreadPoolExecutor(4) as pool:
        held.enter_context(DECODING)
        assert list(pool.map(read, range(4))) == [0, 50, 0, 50]
