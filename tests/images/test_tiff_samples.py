"""Bands kept as samples of one TIFF page: read as tifffile wrote them, or refused in a line."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from layerscope.images.bands import Bands
from layerscope.images.decoding import load_image, load_picture
from layerscope.network.preprocessing import Preprocessing
from tests.support.image_sources import fault
from tests.support.pictures import written

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


#: pairs of a kind of numbers and how they are laid; differences are taken of integers
CASES = [(k, how) for k, how in itertools.product(WHITE, LAID) if k != "float32" or "differences" not in how]


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


def retold(path: Path, tag: int, number: int) -> Path:
    """The file, the low byte first, with another number under a tag of its first directory that has one."""
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    entries = range(start + 2, start + 2 + 12 * data[start], 12)
    (entry,) = (at for at in entries if struct.unpack_from("<H", data, at) == (tag,))
    struct.pack_into("<I", data, entry + 8, number)
    return written(path, bytes(data))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(("kind", "laid"), CASES)
def test_samples_are_bands(tmp_path: Path, kind: str, laid: str, planar: str) -> None:
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


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
def test_compressions(tmp_path: Path, compression: str, predictor: int) -> None:
    """As Pillow itself writes them; what is said of differences counts only where they are taken."""
    path, values = tmp_path / "a.tif", drawn("uint8", 4)
    Image.fromarray(values).save(path, compression=compression, tiffinfo={317: predictor})
    assert isinstance(load_picture(path), Image.Image)
    found = load_picture(retold(path, 338, 0))  # no transparency any more
    assert isinstance(found, Bands)
    assert np.array_equal(found.values, values)


def test_differences_without_compression_are_none(tmp_path: Path) -> None:
    values = drawn("uint16", 4)
    path = tiff(tmp_path / "a.tif", values, "contig", extratags=[(317, 3, 1, 2, True)])
    found = load_picture(path)
    assert isinstance(found, Bands)
    assert np.array_equal(found.values, np.float32(values) / np.float32(65535))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("count", [4, 5, 7])
def test_colours_with_more_beside_them_are_both(tmp_path: Path, kind: str, count: int, planar: str) -> None:
    """All to a network of as many channels, the colours alone to one of three or of one."""
    values = drawn(kind, count)
    found = load_picture(tiff(tmp_path / "a.tif", values, planar, photometric="rgb"))
    assert isinstance(found, Bands)
    every = Preprocessing(None, 37, 41, (0.0,) * count, (1.0,) * count)
    as_read: Any = values if kind == "uint8" else np.float32(values) / np.float32(65535)
    assert np.array_equal(every.pixels(found), as_read.transpose(2, 0, 1))
    colours: Any = values[..., :3] if kind == "uint8" else (values[..., :3] >> 8).astype(np.uint8)
    three = Preprocessing(None, 37, 41)
    assert np.array_equal(three.pixels(found), colours.transpose(2, 0, 1))
    grey = Preprocessing(None, 37, 41, (0.0,), (1.0,))
    assert np.array_equal(grey.pixels(found)[0], np.asarray(Image.fromarray(colours).convert("L")))
    near = Preprocessing(None, 37, 41, order=(3, 0, 1))
    assert np.array_equal(near.pixels(found), as_read[..., [3, 0, 1]].transpose(2, 0, 1))


def test_colours_are_those_of_the_picture_alone(tmp_path: Path) -> None:
    for kind in ("uint8", "uint16"):
        found = load_picture(tiff(tmp_path / "a.tif", drawn(kind, 4), "contig", photometric="rgb"))
        assert isinstance(found, Bands)
        assert np.array_equal(np.asarray(found.colours), np.asarray(load_image(tmp_path / "a.tif")))


def test_transparency_is_no_band(tmp_path: Path) -> None:
    path, how = tmp_path / "a.tif", {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    assert isinstance(load_picture(tiff(path, drawn("uint8", 4), "contig", **how)), Image.Image)


def test_floats_have_no_white_and_are_no_colours(tmp_path: Path) -> None:
    """A network of three channels is told of the others, and sees those that it is told to."""
    values = drawn("float32", 5)
    found = load_picture(tiff(tmp_path / "a.tif", values, "contig", photometric="rgb"))
    assert "it has 5 channels" in Preprocessing(None, 37, 41).misfit(found)
    chosen = Preprocessing(None, 37, 41, order=(0, 1, 2))
    assert np.array_equal(chosen.pixels(found), values[..., :3].transpose(2, 0, 1))


@pytest.mark.parametrize("what", ["differences of floats", "turned", "the lowest bit first"])
def test_what_is_not_read_is_said(tmp_path: Path, what: str) -> None:
    """Some of it side by side alone."""
    path, values = tmp_path / "a.tif", drawn("uint16", 5)
    if what == "turned":
        tiff(path, values, "contig", extratags=[(274, 3, 1, 6, True)])
    elif what == "differences of floats":
        retold(tiff(path, values, "contig", compression="zlib", predictor=2), 317, 3)
    else:
        tiff(path, values, "separate", extratags=[(265, 3, 1, 2, True)])  # 266 tifffile does not write
        other, one = (struct.pack("<HHIHH", tag, 3, 1, 2, 0) for tag in (265, 266))
        written(path, path.read_bytes().replace(other, one))
    how = "the lowest bit first, which" if "bit" in what else "compressed or turned in a way that"
    assert fault(lambda: load_picture(path)) == (
        f"{path}: 5 samples a pixel, {how} is not read; save a page or a file for each band, or .npy"
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_what_lies_too_far_into_a_file_is_refused(tmp_path: Path, planar: str) -> None:
    """In the directory itself, or in a list that it points to."""
    path = tiff(tmp_path / "a.tif", drawn("uint16", 4), planar, bigtiff=True)
    with tifffile.TiffFile(path) as file:
        last = struct.pack("<Q", file.pages[0].dataoffsets[-1])
    written(path, path.read_bytes().replace(last, struct.pack("<Q", 1 << 33)))
    assert "samples that lie over 4 GB into the file; copy it again" in fault(lambda: load_picture(path))


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
