"""Bands kept as samples of one TIFF page: read as tifffile wrote them, or refused in a line."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from layerscope.images.bands import Bands
from layerscope.images.decoding import load_image, load_picture
from layerscope.network.preprocessing import Preprocessing
from tests.support.image_sources import fault
from tests.support.pictures import written

tifffile = pytest.importorskip("tifffile")

WHITE = {"uint8": 1, "uint16": 65535, "int16": 1, "float32": 1}
LAID: dict[str, dict[str, Any]] = {
    "strips": {},
    "a row each": {"rowsperstrip": 1},
    "tiles": {"tile": (16, 16)},
    "deflated": {"compression": "zlib"},
    "differences": {"compression": "zlib", "predictor": 2},
    "differences in tiles": {"compression": "zlib", "predictor": 2, "tile": (16, 32)},
    "the other end first": {"byteorder": ">"},
    "differences, the other end first": {"byteorder": ">", "compression": "zlib", "predictor": 2},
    "large": {"bigtiff": True},
}  #: arguments of tifffile


def drawn(kind: str, count: int) -> Any:
    random = np.random.default_rng(0)
    if kind == "float32":
        return random.normal(0, 1000, (37, 41, count)).astype(kind)
    least = -30_000 if kind == "int16" else 0
    return random.integers(least, min(np.iinfo(kind).max, 60_000), (37, 41, count)).astype(kind)


def tiff(path: Path, values: Any, planar: str, **options: Any) -> Path:
    laid = values if planar == "contig" else values.transpose(2, 0, 1)
    beside = values.shape[2] - (3 if options.get("photometric") == "rgb" else 1)
    how: dict[str, Any] = {"photometric": "minisblack", "extrasamples": ["unspecified"] * beside, **options}
    tifffile.imwrite(path, laid, planarconfig=planar, **how)
    return path


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(("kind", "laid"), [*itertools.product(WHITE, LAID)])
def test_samples_are_bands(tmp_path: Path, kind: str, laid: str, planar: str) -> None:
    if kind == "float32" and "differences" in laid:
        pytest.skip("differences are taken of integers")
    values = drawn(kind, 5)
    found = load_picture(tiff(tmp_path / "a.tif", values, planar, **LAID[laid]))
    assert isinstance(found, Bands)
    assert found.colours is None
    assert found.values.dtype == (np.uint8 if kind == "uint8" else np.float32)
    expected = values if kind == "uint8" else np.float32(values) / np.float32(WHITE[kind])
    assert np.array_equal(found.values, expected)


@pytest.mark.parametrize("count", [2, 3, 4, 13])
def test_any_number_of_them(tmp_path: Path, count: int) -> None:
    values = drawn("uint16", count)
    for planar in ("contig", "separate"):
        found = load_picture(tiff(tmp_path / "a.tif", values, planar))
        assert isinstance(found, Bands)
        assert np.array_equal(found.values, np.float32(values) / np.float32(65535))


def test_colours_with_more_beside_them_are_both(tmp_path: Path) -> None:
    """All to a network of four channels, the colours alone to one of three; what is transparency is no band."""
    values = drawn("uint8", 4)
    found = load_picture(tiff(tmp_path / "a.tif", values, "contig", photometric="rgb"))
    assert isinstance(found, Bands)
    four = Preprocessing(None, 37, 41, (0.0,) * 4, (1.0,) * 4)
    assert np.array_equal(four.pixels(found), values.transpose(2, 0, 1))
    three = Preprocessing(None, 37, 41)
    assert np.array_equal(three.pixels(found), values[..., :3].transpose(2, 0, 1))
    near = Preprocessing(None, 37, 41, order=(3, 0, 1))
    assert np.array_equal(near.pixels(found), values[..., [3, 0, 1]].transpose(2, 0, 1))
    assert load_image(tmp_path / "a.tif").mode == "RGB"
    see_through = tiff(tmp_path / "b.tif", values, "contig", photometric="rgb", extrasamples=["unassalpha"])
    assert isinstance(load_picture(see_through), Image.Image)


@pytest.mark.parametrize(
    "options", [{"compression": "zlib", "predictor": 3}, {"extratags": [(274, 3, 1, 6, True)]}]
)
def test_what_is_not_read_is_said(tmp_path: Path, options: dict[str, Any]) -> None:
    """Differences of floats, and side by side what is to be turned."""
    path = tmp_path / "a.tif"
    try:
        tiff(path, drawn("float32", 5), "contig", **options)
    except KeyError as error:
        pytest.skip(str(error))
    assert fault(lambda: load_picture(path)) == (
        f"{path}: 5 samples a pixel, compressed or turned in a way that is not read; save a page or a file for each "
        "band, or .npy"
    )


@pytest.mark.parametrize(("kind", "bits"), [("float16", 16), ("float64", 64)])
def test_other_numbers_are_refused(tmp_path: Path, kind: str, bits: int) -> None:
    path = tiff(tmp_path / "a.tif", drawn("float32", 3).astype(kind), "separate")
    assert f"3 samples a pixel of {bits} bits, which is not read; save" in fault(lambda: load_picture(path))


def test_numbers_that_pillow_turns_round_are_refused(tmp_path: Path) -> None:
    """Of one grey; of several samples they are read."""
    path, values = tmp_path / "a.tif", drawn("int16", 1)[..., 0]
    tifffile.imwrite(path, values, byteorder=">")
    found = load_picture(path)
    assert isinstance(found, Bands)
    assert np.array_equal(found.values[..., 0], values)
    tifffile.imwrite(path, values, byteorder=">", compression="zlib")
    assert "signed numbers of 16 bits, compressed, the high byte first" in fault(lambda: load_picture(path))


def test_several_pages_of_samples_are_refused(tmp_path: Path) -> None:
    values, path = drawn("uint16", 4), tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(2):
            file.write(values, photometric="minisblack", planarconfig="contig", metadata=None)
    assert "4 samples a pixel on the first of 2 pages; save" in fault(lambda: load_picture(path))


def test_smaller_copies_are_passed_over(tmp_path: Path) -> None:
    values, path = drawn("uint16", 4), tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        how: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
        file.write(values, **how)
        file.write(values[::2, ::2], subfiletype=1, **how)
    found = load_picture(path)
    assert isinstance(found, Bands)
    assert found.size == (41, 37)


@pytest.mark.parametrize("length", [4, 8, 60, 200, 900])
def test_cut_off_files_are_faults(tmp_path: Path, length: int) -> None:
    path = tiff(tmp_path / "a.tif", drawn("uint16", 4), "contig")
    written(path, path.read_bytes()[:length])
    assert fault(lambda: load_picture(path)).startswith(f"{path}: ")
