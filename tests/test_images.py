"""Every odd file here is made by the test that reads it."""

import inspect
import itertools
import logging
import os
import struct
import subprocess
import sys
import threading
import unicodedata
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile, ImageOps, TiffImagePlugin

from layerscope import images
from layerscope.errors import ImageError
from layerscope.images import (
    MAX_PIXELS,
    SUFFIXES,
    BadImage,
    Picture,
    find_images,
    load_image,
    picture_names,
    read_images,
)

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


class TestFind:
    def test_folder_is_searched_to_its_bottom_sorted_and_without_the_hidden(self, tmp_path: Path) -> None:
        wanted = ["B.JPG", "a.png", "a/x.webp", "a/y/z.TIFF", "a.d/q.gif", "c.bmp", "é.jpeg"]
        for name in [*wanted, ".hidden.jpg", ".cache/a.jpg", "notes.txt", "png", "x.jpg.bak"]:
            written_below = tmp_path / name
            written_below.parent.mkdir(exist_ok=True)
            written_below.touch()
        found = find_images([tmp_path])
        assert found == tuple(sorted(tmp_path / name for name in wanted))
        assert find_images([str(tmp_path)]) == found

    @pytest.mark.parametrize("suffix", sorted(SUFFIXES))
    def test_every_suffix_in_any_case(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").touch()
        (tmp_path / f"b{suffix.upper()}").touch()
        assert len(find_images([tmp_path])) == 2

    def test_a_named_file_is_taken_whatever_its_name(self, tmp_path: Path) -> None:
        odd = [tmp_path / name for name in (".hidden", "picture", "notes.txt")]
        for path in odd:
            path.touch()
        assert find_images(odd) == tuple(odd)

    def test_order_given_is_kept_and_each_file_comes_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in "abc":
            (tmp_path / f"{name}.png").touch()
        monkeypatch.chdir(tmp_path)
        b = tmp_path / "b.png"
        assert find_images([b, tmp_path, Path("b.png"), tmp_path / ".." / tmp_path.name / "b.png"]) == (
            b,
            tmp_path / "a.png",
            tmp_path / "c.png",
        )

    def test_a_folder_given_twice_is_no_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").touch()
        assert find_images([tmp_path, tmp_path]) == (tmp_path / "a.png",)

    def test_nothing_in_nothing_out(self) -> None:
        assert find_images([]) == ()

    def test_links_are_followed_and_loops_end(self, tmp_path: Path) -> None:
        inside, outside = tmp_path / "inside", tmp_path / "outside"
        (inside / "deep").mkdir(parents=True)
        outside.mkdir()
        (outside / "o.png").touch()
        (inside / "deep" / "d.png").touch()
        (inside / "deep" / "up").symlink_to(inside)
        (inside / "itself").symlink_to(inside / "itself")
        (inside / "link").symlink_to(outside)
        (inside / "same.png").symlink_to(inside / "deep" / "d.png")
        assert find_images([inside]) == (inside / "deep" / "d.png", inside / "link" / "o.png")

    def test_a_broken_link_is_found_so_that_reading_reports_it(self, tmp_path: Path) -> None:
        link = tmp_path / "gone.png"
        link.symlink_to(tmp_path / "nowhere")
        assert find_images([tmp_path]) == (link,)
        assert "cannot be opened" in reason(link)

    def test_a_tree_deeper_than_the_stack(self, tmp_path: Path) -> None:
        deep = tmp_path.joinpath(*["d"] * 150, "deep.png")
        deep.parent.mkdir(parents=True)
        deep.touch()
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack(0)) + 100)
        try:
            assert find_images([tmp_path]) == (deep,)
        finally:
            sys.setrecursionlimit(usual)

    @pytest.mark.parametrize("name", ["absent", "absent/a.jpg", "n\0l", "x" * 5000])
    def test_an_absent_place_is_named(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ImageError, match=r"cannot be reached .*check the path") as caught:
            find_images([tmp_path / name])
        assert "\n" not in str(caught.value)

    def test_a_folder_without_pictures_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        (tmp_path / ".a.jpg").touch()
        with pytest.raises(ImageError, match=r"no picture .*\.webp") as caught:
            find_images([tmp_path])
        assert str(caught.value).startswith(str(tmp_path))

    def test_a_folder_that_may_not_be_read_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.png").touch()
        closed = tmp_path / "closed"
        closed.mkdir()
        really_scan = os.scandir

        def scan(path: Path) -> object:
            if path == closed:
                raise PermissionError(13, "Permission denied", str(path))
            return really_scan(path)

        monkeypatch.setattr(os, "scandir", scan)
        with pytest.raises(ImageError, match=r"closed: folder cannot be read \(Permission denied\)"):
            find_images([tmp_path])


class TestModes:
    COLOUR = (200, 100, 50)

    @pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
    def test_lossless_rgb_is_returned_as_it_is(self, tmp_path: Path, suffix: str) -> None:
        path = saved(noise(), tmp_path / f"a.{suffix}")
        assert np.array_equal(pixels(path), np.asarray(noise()))

    def test_webp_lossless(self, tmp_path: Path) -> None:
        path = saved(noise(), tmp_path / "a.webp", lossless=True)
        assert np.array_equal(pixels(path), np.asarray(noise()))

    @pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
    def test_lossy_is_close(self, tmp_path: Path, suffix: str) -> None:
        path = saved(Image.new("RGB", (32, 32), self.COLOUR), tmp_path / f"a.{suffix}")
        assert np.abs(pixels(path).astype(int) - self.COLOUR).max() <= 4

    @pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
    def test_grey(self, tmp_path: Path, suffix: str) -> None:
        ramp = np.arange(256, dtype=np.uint8)[None]
        path = saved(Image.fromarray(ramp), tmp_path / f"a.{suffix}")
        assert np.array_equal(pixels(path), np.stack([ramp] * 3, axis=-1))

    @pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
    def test_one_bit(self, tmp_path: Path, suffix: str) -> None:
        bits = np.array([[True, False, True], [False, False, True]])
        path = saved(Image.fromarray(bits), tmp_path / f"a.{suffix}")
        assert np.array_equal(pixels(path)[..., 1], np.where(bits, 255, 0))

    @pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
    def test_palette(self, tmp_path: Path, suffix: str) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([*self.COLOUR, 1, 2, 3])
        image.putpixel((1, 0), 1)
        path = saved(image, tmp_path / f"a.{suffix}")
        assert pixels(path).tolist() == [[list(self.COLOUR), [1, 2, 3]]]

    def test_palette_with_one_clear_entry_in_gif(self, tmp_path: Path) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([*self.COLOUR, 1, 2, 3])
        image.putpixel((1, 0), 1)
        path = saved(image, tmp_path / "a.gif", transparency=0)
        assert pixels(path).tolist() == [[[255, 255, 255], [1, 2, 3]]]

    def test_palette_with_alphas(self, tmp_path: Path) -> None:
        image = Image.new("P", (3, 1))
        image.putpalette([0, 0, 0, *self.COLOUR, 1, 2, 3])
        image.putdata([0, 1, 2])
        path = saved(image, tmp_path / "a.png", transparency=bytes([51, 0, 255]))
        assert pixels(path).tolist() == [[[204, 204, 204], [255, 255, 255], [1, 2, 3]]]

    def test_alpha_over_white_is_exact(self, tmp_path: Path) -> None:
        alpha, value = np.mgrid[:256, :256]
        layer = np.stack([value, value, value, alpha], axis=-1).astype(np.uint8)
        path = saved(Image.fromarray(layer), tmp_path / "a.png")
        expected = np.rint((value * alpha + 255 * (255 - alpha)) / 255)
        assert np.array_equal(pixels(path)[..., 0], expected)
        assert not np.array_equal(expected, value)

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_grey_with_alpha(self, tmp_path: Path, suffix: str) -> None:
        path = saved(Image.new("LA", (1, 1), (0, 51)), tmp_path / f"a.{suffix}")
        assert pixels(path).tolist() == [[[204, 204, 204]]]

    def test_palette_with_alpha_channel(self, tmp_path: Path) -> None:
        path = saved(Image.new("PA", (1, 1), (0, 51)), tmp_path / "a.tif")
        with Image.open(path) as image:
            assert image.mode == "PA"
        assert pixels(path).tolist() == [[[204, 204, 204]]]

    @pytest.mark.parametrize(("mode", "samples"), [("La", (51, 51)), ("RGBa", (51, 51, 51, 51))])
    def test_colours_already_multiplied_by_alpha(
        self, tmp_path: Path, mode: str, samples: tuple[int, ...]
    ) -> None:
        plain = mode.upper()
        path = saved(Image.new(plain, (1, 1), samples), tmp_path / "a.tif", tiffinfo={338: (1,)})
        data = path.read_bytes()  # Pillow writes ExtraSamples 2 (plain alpha) whatever is asked: set it to 1
        entry = struct.pack("<HHIH", 338, 3, 1, 2)
        assert data.count(entry) == 1
        written(path, data.replace(entry, struct.pack("<HHIH", 338, 3, 1, 1)))
        skip_if_pillow_is_too_old(path)
        assert pixels(path).tolist() == [[[255, 255, 255]]]  # white at a fifth, over white

    def test_webp_with_alpha(self, tmp_path: Path) -> None:
        path = saved(Image.new("RGBA", (8, 8), (0, 0, 0, 51)), tmp_path / "a.webp", lossless=True)
        assert (pixels(path) == 204).all()

    @pytest.mark.parametrize(
        ("mode", "colour", "clear"), [("1", 255, 255), ("L", 7, 7), ("RGB", (7, 8, 9), (7, 8, 9))]
    )
    def test_one_clear_colour_in_png(
        self, tmp_path: Path, mode: str, colour: int | tuple[int, ...], clear: int | tuple[int, ...]
    ) -> None:
        image = Image.new(mode, (2, 1))
        image.putpixel((1, 0), colour)
        path = saved(image, tmp_path / "a.png", transparency=clear)
        assert pixels(path).tolist() == [[[0, 0, 0], [255, 255, 255]]]

    @pytest.mark.parametrize("suffix", ["jpg", "tif"])
    def test_cmyk(self, tmp_path: Path, suffix: str) -> None:
        path = saved(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), tmp_path / f"a.{suffix}")
        with Image.open(path) as image:
            assert image.mode == "CMYK"
        assert np.abs(pixels(path).astype(int) - (0, 255, 255)).max() <= 3

    @pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw", "tiffinfo": {530: (1, 1)}}])
    def test_ycbcr(self, tmp_path: Path, options: dict[str, object]) -> None:
        path = saved(Image.new("RGB", (16, 16), self.COLOUR).convert("YCbCr"), tmp_path / "a.tif", **options)
        skip_if_pillow_is_too_old(path)
        assert np.abs(pixels(path).astype(int) - self.COLOUR).max() <= 2

    def test_lab(self, tmp_path: Path) -> None:
        path = saved(Image.new("RGB", (4, 4), self.COLOUR).convert("LAB"), tmp_path / "a.tif")
        with Image.open(path) as image:
            assert image.mode == "LAB"
        assert np.abs(pixels(path).astype(int) - self.COLOUR).max() <= 3


class TestDeepModes:
    """Values beyond 8 bits: 65535 is white, and v becomes the nearest of v / 257."""

    EXPECTED = tuple(round(value / 257) for value in DEEP_VALUES)

    def grey(self, path: Path) -> tuple[int, ...]:
        result = pixels(path)
        assert np.array_equal(result[..., 0], result[..., 1])
        assert np.array_equal(result[..., 0], result[..., 2])
        return tuple(result[0, :, 0].tolist())

    def test_expectation_differs_from_clipping_and_from_the_high_byte(self) -> None:
        assert tuple(min(value, 255) for value in DEEP_VALUES) != self.EXPECTED
        assert tuple(value >> 8 for value in DEEP_VALUES) != self.EXPECTED

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm"])
    def test_16_bit_grey(self, tmp_path: Path, name: str) -> None:
        image = Image.fromarray(np.array([DEEP_VALUES], dtype=np.uint16))
        assert self.grey(saved(image, tmp_path / name)) == self.EXPECTED

    def test_16_bit_grey_compressed_tiff(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([DEEP_VALUES], dtype=np.uint16))
        assert self.grey(saved(image, tmp_path / "a.tif", compression="tiff_lzw")) == self.EXPECTED

    def test_16_bit_grey_big_endian_tiff(self, tmp_path: Path) -> None:
        data = np.array(DEEP_VALUES, dtype=">u2").tobytes()
        path = saved(Image.frombytes("I;16B", (len(DEEP_VALUES), 1), data), tmp_path / "a.tif")
        with Image.open(path) as image:
            assert image.mode == "I;16B"
        assert self.grey(path) == self.EXPECTED

    def test_16_bit_grey_tiff_whose_zero_is_white(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([DEEP_VALUES], dtype=np.uint16))
        path = saved(image, tmp_path / "a.tif", tiffinfo={262: 0})
        with Image.open(path) as opened:
            assert isinstance(opened, TiffImagePlugin.TiffImageFile)
            assert opened.tag_v2[262] == 0
        assert self.grey(path) == tuple(255 - value for value in self.EXPECTED)

    def test_12_bit_grey_tiff(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.tif", tiff(12, bytes([0xFF, 0xF8, 0x00])))  # 4095, 2048
        assert self.grey(path) == (255, 128)

    def test_pgm_of_another_white_is_scaled_by_it(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.pgm", b"P2\n3 1\n1023\n0 512 1023\n")
        assert self.grey(path) == (0, 128, 255)

    def test_16_bit_grey_png_with_a_clear_value(self, tmp_path: Path) -> None:
        raw = b"\0" + struct.pack(">3H", 0x0102, 0x0103, 0xFFFF)
        path = written(tmp_path / "a.png", png(3, 1, 16, 0, raw, chunk(b"tRNS", struct.pack(">H", 0x0102))))
        assert self.grey(path) == (255, 1, 255)

    def test_16_bit_grey_png_with_alpha(self, tmp_path: Path) -> None:
        raw = b"\0" + struct.pack(">4H", 0, 0x3333, 0x6666, 0xFFFF)
        path = written(tmp_path / "a.png", png(2, 1, 16, 4, raw))
        assert self.grey(path) == (204, 0x66)

    def test_16_bit_rgb_png(self, tmp_path: Path) -> None:
        raw = b"\0" + struct.pack(">6H", 0, 0x8080, 0xFFFF, 0x0101, 0x1010, 0xFEFE)
        path = written(tmp_path / "a.png", png(2, 1, 16, 2, raw))
        assert pixels(path).tolist() == [[[0, 0x80, 0xFF], [0x01, 0x10, 0xFE]]]

    def test_16_bit_rgba_png(self, tmp_path: Path) -> None:
        raw = b"\0" + struct.pack(">4H", 0, 0, 0xFFFF, 0x3333)
        assert pixels(written(tmp_path / "a.png", png(1, 1, 16, 6, raw))).tolist() == [[[204, 204, 255]]]

    @pytest.mark.parametrize("kind", [np.int32, np.float32])
    def test_greys_without_a_defined_white_are_refused(
        self, tmp_path: Path, kind: "type[np.generic]"
    ) -> None:
        image = Image.fromarray(np.ones((2, 2), dtype=kind))
        assert "no defined white" in reason(saved(image, tmp_path / "a.tif"))


class TestOrientation:
    STORED = ImageOps.expand(noise(8, 4), border=2, fill=(255, 0, 0)).crop((0, 0, 10, 6))

    @staticmethod
    def by_the_standard(stored: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
        """Which side the stored row 0 and column 0 are, as the EXIF standard's table says it."""
        rows_are_columns = orientation >= 5
        row_0 = (None, "top", "top", "bottom", "bottom", "left", "right", "right", "left")
        column_0 = (None, "left", "right", "right", "left", "top", "top", "bottom", "bottom")
        height, width = stored.shape[:2]
        shown = np.zeros((width, height, 3) if rows_are_columns else (height, width, 3), dtype=np.uint8)
        for i, j in itertools.product(range(height), range(width)):
            a = i if row_0[orientation] in ("top", "left") else height - 1 - i
            b = j if column_0[orientation] in ("top", "left") else width - 1 - j
            shown[(b, a) if rows_are_columns else (a, b)] = stored[i, j]
        return shown

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", ["png", "webp", "tif", "lzw.tif"])
    def test_each_orientation_is_turned_upright_once(
        self, tmp_path: Path, suffix: str, orientation: int
    ) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        lossless: dict[str, dict[str, object]] = {
            "webp": {"lossless": True},
            "lzw.tif": {"compression": "tiff_lzw"},
        }
        path = saved(self.STORED, tmp_path / f"a.{suffix}", exif=exif, **lossless.get(suffix, {}))
        expected = self.by_the_standard(np.asarray(self.STORED), orientation)
        image = load_image(path)
        assert np.array_equal(np.asarray(image), expected)
        assert image.getexif() == {}
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(image)), expected)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_jpeg(self, tmp_path: Path, orientation: int) -> None:
        quarters = np.zeros((16, 32, 3), dtype=np.uint8)
        quarters[:8, :16], quarters[:8, 16:], quarters[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        options = {"exif": exif, "quality": 95, "subsampling": 0}
        path = saved(Image.fromarray(quarters), tmp_path / "a.jpg", **options)
        expected = self.by_the_standard(quarters, orientation).astype(int)
        assert np.abs(pixels(path) - expected).max() <= 8

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_an_orientation_that_does_not_exist_turns_nothing(self, tmp_path: Path, orientation: int) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        path = saved(self.STORED, tmp_path / "a.png", exif=exif)
        assert np.array_equal(pixels(path), np.asarray(self.STORED))

    def test_deep_grey_and_alpha_are_turned_too(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        deep = saved(Image.new("I;16", (3, 2), 65535), tmp_path / "deep.png", exif=exif)
        clear = saved(Image.new("RGBA", (3, 2)), tmp_path / "clear.png", exif=exif)
        for path in (deep, clear):
            assert pixels(path).shape == (3, 2, 3)
            assert (pixels(path) == 255).all()

    def test_exif_that_cannot_be_read_is_reported(self, tmp_path: Path) -> None:
        path = saved(noise(), tmp_path / "a.png", exif=b"Exif\0\0no such header")
        assert "not a TIFF file" in reason(path)


class TestFrames:
    @pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "png", "avif"])
    def test_the_first_frame_is_taken(self, tmp_path: Path, suffix: str) -> None:
        frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
        options = {"webp": {"lossless": True}}.get(suffix, {})
        path = saved(frames[0], tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
        with Image.open(path) as image:
            assert getattr(image, "n_frames", 1) == 3
        assert np.abs(pixels(path).astype(int) - (255, 0, 0)).max() <= 3


class TestBadFiles:
    def test_zero_bytes(self, tmp_path: Path) -> None:
        assert "empty" in reason(written(tmp_path / "a.jpg", b""))

    @pytest.mark.parametrize(
        "data", [b"This is no picture.\n" * 9, b"\0" * 100, b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]
    )
    def test_not_a_picture(self, tmp_path: Path, data: bytes) -> None:
        why = reason(written(tmp_path / "a.jpg", data))
        assert "known format" in why or "broken" in why

    def test_postscript_never_reaches_its_interpreter(self, tmp_path: Path) -> None:
        data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
        assert "known format" in reason(written(tmp_path / "a.jpg", data))

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
    @pytest.mark.parametrize("suffix", [*WRITABLE, "lzw.tif"])
    def test_truncated(self, tmp_path: Path, suffix: str, share: float) -> None:
        options = {"compression": "tiff_lzw"} if suffix == "lzw.tif" else {}
        path = saved(noise(), tmp_path / f"a.{suffix}", **options)
        load_image(path)
        data = path.read_bytes()
        assert reason(written(path, data[: int(len(data) * share)]))

    @pytest.mark.parametrize("suffix", ["jpg", "png"])
    def test_truncated_is_an_error_whatever_others_told_pillow(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
    ) -> None:
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        path = saved(noise(), tmp_path / f"a.{suffix}")
        data = path.read_bytes()
        assert "truncated" in reason(written(path, data[: len(data) // 2]))
        assert ImageFile.LOAD_TRUNCATED_IMAGES is True

    def test_absent(self, tmp_path: Path) -> None:
        assert "cannot be opened (No such file or directory)" in reason(tmp_path / "a.jpg")

    def test_folder(self, tmp_path: Path) -> None:
        assert "not a file" in reason(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
    def test_a_pipe_does_not_make_it_wait(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.jpg")
        assert "not a file" in reason(tmp_path / "a.jpg")

    def test_a_file_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = saved(noise(), tmp_path / "a.png")

        def refuse(self: Path, mode: str) -> object:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "open", refuse)
        assert "cannot be opened (Permission denied)" in reason(path)

    @pytest.mark.parametrize("size", [(0, 1), (1, 0), (0, 0)])
    def test_zero_sized(self, tmp_path: Path, size: tuple[int, int]) -> None:
        assert reason(written(tmp_path / "a.png", png(*size, 8, 2, b"\0")))

    def test_a_name_with_a_line_break_stays_on_one_line(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a\nb.jpg", b"")
        with pytest.raises(ImageError) as caught:
            load_image(path)
        assert "\n" not in str(caught.value)
        assert r"a\nb.jpg" in str(caught.value)

    @pytest.mark.parametrize("suffix", WRITABLE)
    def test_damage_gives_a_picture_or_an_image_error(self, tmp_path: Path, suffix: str) -> None:
        random = np.random.default_rng(3)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        path = saved(noise(24, 16), tmp_path / f"a.{suffix}", exif=exif)
        whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        refused = 0
        for _ in range(60):
            data = whole.copy()
            data[random.integers(0, min(len(data), 300), 3)] = random.integers(0, 256, 3)
            (result,) = read_images([written(path, data.tobytes())], max_pixels=100_000)
            refused += isinstance(result, BadImage)
        assert refused


class TestSize:
    def bomb(self, path: Path) -> Path:
        return written(path, png(100_000, 90_000, 8, 2, b"\0"))

    def test_a_bomb_is_refused_from_its_header(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def decode(self: object) -> None:
            pytest.fail("decoded")

        monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
        why = reason(self.bomb(tmp_path / "a.png"))
        assert "100000 x 90000" in why
        assert str(MAX_PIXELS) in why
        assert "max_pixels" in why

    def test_the_limit_itself_is_allowed(self, tmp_path: Path) -> None:
        path = saved(noise(10, 9), tmp_path / "a.png")
        assert load_image(path, max_pixels=90).size == (10, 9)
        assert "10 x 9 = 90 pixels" in reason(path, max_pixels=89)

    def test_a_larger_limit_is_not_held_back_by_pillows_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        for suffix in ("png", "tif", "webp", "gif"):
            path = saved(noise(10, 9), tmp_path / f"a.{suffix}")
            assert load_image(path).size == (10, 9)
        assert Image.MAX_IMAGE_PIXELS == 10


class TestPillowIsLeftAlone:
    @staticmethod
    def globals() -> tuple[object, ...]:
        limits = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        return *limits, tuple(warnings.filters), tuple(LOG.handlers)

    def test_odd_files_leak_no_warning(self, tmp_path: Path) -> None:
        path = saved(noise(), tmp_path / "a.jpg")
        data = path.read_bytes()
        truncated_exif = b"Exif\0\0II*\0\x08\0\0\0\x09\0" + struct.pack("<HHI", 0x0112, 3, 1)
        marker = b"\xff\xe1" + struct.pack(">H", len(truncated_exif) + 2) + truncated_exif
        written(path, data[:2] + marker + data[2:])
        with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(path) as image:
            image.getexif()
        assert load_image(path).size == (64, 48)

    def test_odd_files_leak_no_log_line(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.tif", tiff(8, b"\0" * 18, samples=9))
        program = "import sys; from layerscope.images import *; print(next(read_images(sys.argv[1:])))"
        command = [sys.executable, "-c", program, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "known format" in result.stdout
        assert result.stderr == ""

    def test_other_warnings_still_come_through(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = saved(noise(), tmp_path / "a.png")

        def warn(image: object) -> Image.Image:
            warnings.warn("ours", UserWarning, stacklevel=1)
            return noise()

        monkeypatch.setattr(images, "_upright_rgb", warn)
        with pytest.warns(UserWarning, match="ours"):
            load_image(path)

    def test_all_is_as_before_after_good_and_bad(self, tmp_path: Path) -> None:
        before = self.globals()
        load_image(saved(noise(), tmp_path / "a.png"))
        reason(written(tmp_path / "b.png", b"no"))
        assert self.globals() == before

    def test_all_is_as_before_after_threads_that_overlap(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, before = saved(noise(), tmp_path / "a.png"), self.globals()
        second_is_in, first_is_out = threading.Event(), threading.Event()

        def wait(image: object) -> Image.Image:
            if threading.current_thread().name == "first":
                assert second_is_in.wait(20)
            else:
                second_is_in.set()
                assert first_is_out.wait(20)
            assert Image.MAX_IMAGE_PIXELS is None
            return noise()

        monkeypatch.setattr(images, "_upright_rgb", wait)
        results: list[Picture | BadImage] = []
        first, second = (
            threading.Thread(target=lambda: results.extend(read_images([path])), name=name)
            for name in ("first", "second")
        )
        first.start()
        second.start()
        first.join(30)
        first_is_out.set()
        second.join(30)
        assert [type(result) for result in results] == [Picture, Picture]
        assert self.globals() == before

    def test_nothing_heavy_is_imported(self) -> None:
        program = (
            "import layerscope.images, sys; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class TestReadImages:
    def three(self, folder: Path) -> list[Path]:
        good, bad, last = (folder / f"{name}.png" for name in ("a", "b", "c"))
        return [saved(noise(), good), written(bad, b""), saved(noise(seed=1), last)]

    def test_good_and_bad_come_in_order(self, tmp_path: Path) -> None:
        paths = self.three(tmp_path)
        first, second, third = read_images(paths)
        assert isinstance(first, Picture)
        assert isinstance(third, Picture)
        assert (first.path, third.path) == (paths[0], paths[2])
        assert np.array_equal(np.asarray(third.image), np.asarray(noise(seed=1)))
        assert second == BadImage(paths[1], "the file is empty; copy it again from where it came")

    def test_strict_stops_at_the_first_bad_one(self, tmp_path: Path) -> None:
        paths = self.three(tmp_path)
        results = read_images(paths, strict=True)
        assert isinstance(next(results), Picture)
        with pytest.raises(ImageError, match=r"b\.png: the file is empty"):
            next(results)

    @pytest.mark.parametrize("strict", [False, True])
    def test_each_is_read_only_when_asked_for(self, tmp_path: Path, strict: bool) -> None:
        paths = self.three(tmp_path)
        results = read_images(iter(paths), strict=strict)
        paths[0].unlink()
        saved(noise(5, 5), paths[0])
        first = next(results)
        assert isinstance(first, Picture)
        assert first.image.size == (5, 5)

    def test_the_limit_is_passed_on(self, tmp_path: Path) -> None:
        path = saved(noise(), tmp_path / "a.png")
        (result,) = read_images([path], max_pixels=10)
        assert isinstance(result, BadImage)
        with pytest.raises(ImageError, match="limit of 10"):
            list(read_images([path], strict=True, max_pixels=10))


def names(*paths: str) -> tuple[str, ...]:
    return picture_names(paths)


def fit_for_every_system(name: str) -> bool:
    root = name.split(".", maxsplit=1)[0].rstrip(" ").upper()
    devices = {"CON", "PRN", "AUX", "NUL", *(f"{d}{n}" for d in ("COM", "LPT") for n in range(1, 10))}
    return (
        0 < len(name.encode()) <= 230
        and not set(name) & set('<>:"/\\|?*')
        and name.isprintable()
        and name == name.strip(" ")
        and not name.startswith(".")
        and not name.endswith(".")
        and root not in devices
    )


class TestNames:
    @pytest.mark.parametrize(
        ("paths", "expected"),
        [
            (("b/cat.jpg", "a/dog.png"), ("cat", "dog")),
            (("cat.jpg", "cat.png", "dog.png"), ("cat-jpg", "cat-png", "dog")),
            (("train/cat.jpg", "val/cat.jpg"), ("train-cat", "val-cat")),
            (("x/cat.jpg", "x/cat.png", "y/cat.jpg"), ("x-cat", "cat-png", "y-cat")),
            (("cat.jpg", "y/cat.jpg"), ("cat", "y-cat")),
            (("a/x/cat.jpg", "b/x/cat.jpg"), ("x-cat-jpg", "x-cat-jpg-2")),
            (("Cat.jpg", "cat.jpg"), ("Cat-jpg", "cat-jpg-2")),
            (("a.jpg", "a.jpg", "a-jpg-2.png"), ("a-jpg", "a-jpg-3", "a-jpg-2")),
            (("caf\u00e9.jpg", "cafe\u0301.png"), ("caf\u00e9-jpg", "caf\u00e9-png")),
            (("archive.tar.gz",), ("archive.tar",)),
            (("..", "/", "", "..."), ("picture", "picture-2", "picture-3", "picture-4")),
            (("CON.png", "nul", "com1.tar.gz", "console.png"), ("_CON", "_nul", "_com1.tar", "console")),
            (('a:b*?"<>|\\c\n.jpg',), ("a_b_______c_",)),
            ((" .a. .jpg",), ("a",)),
            ((" " * 99 + "a.jpg",), ("a",)),
            (("a" * 63 + " b.jpg",), ("a" * 63,)),
            (("山の写真.jpg",), ("山の写真",)),
            ((".hidden",), ("hidden",)),
            ((), ()),
        ],
    )
    def test_known(self, paths: tuple[str, ...], expected: tuple[str, ...]) -> None:
        assert names(*paths) == expected

    def test_long_names_are_cut_between_characters(self) -> None:
        first, second = names("ä" * 100 + ".jpg", "a" + "ä" * 100 + ".jpg")
        assert first == "ä" * 32
        assert second == "a" + "ä" * 31

    def test_many_equal_names(self) -> None:
        result = picture_names([Path(f"{i}/images/0.jpg") for i in range(20_000)])
        assert len(set(result)) == 20_000
        assert result[-1] == "images-0-jpg-20000"

    TEXT = st.text(max_size=90) | st.sampled_from(
        ["a", "A", "a-png", "a-2", "CON", "..", ".", "ß", "ss", "é"]
    )
    PATHS = st.lists(st.builds(lambda *parts: Path("/".join(parts)), TEXT, TEXT), max_size=12)

    @given(PATHS)
    @example([Path("a.png"), Path("a.png"), Path("a-png.x"), Path("a-png-2")])
    @example([Path(os.fsdecode(b"\xff.jpg")), Path("\ud800.png")])
    def test_always_unique_safe_and_repeatable(self, paths: Sequence[Path]) -> None:
        result = picture_names(paths)
        assert len(result) == len(paths)
        assert all(map(fit_for_every_system, result)), result
        merged = {unicodedata.normalize("NFD", name.casefold()) for name in result}
        assert len(merged) == len(paths)
        assert picture_names(list(paths)) == result
