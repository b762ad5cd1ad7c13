"""Every kind of picture, upright and in RGB, to the number."""

import itertools
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from layerscope.images.decoding import load_image
from tests.support.pictures import (
    DEEP_VALUES,
    chunk,
    noise,
    pixels,
    png,
    reason,
    saved,
    skip_if_pillow_is_too_old,
    tiff,
    written,
)


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
