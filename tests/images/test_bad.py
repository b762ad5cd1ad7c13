"""Bad files, sizes, Pillow's own settings, and reading one after the other."""

import os
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile

from layerscope.errors import ImageError
from layerscope.images import decoding as images
from layerscope.images.decoding import (
    MAX_BYTES,
    MAX_PIXELS,
    BadImage,
    Picture,
    encoded_image,
    load_image,
    read_images,
)
from tests.support.pictures import LOG, WRITABLE, noise, png, reason, saved, tiff, written


class TestBadFiles:
    def test_zero_bytes(self, tmp_path: Path) -> None:
        assert "empty" in reason(written(tmp_path / "a.jpg", b""))

    @pytest.mark.parametrize(
        "data", [b"This is no picture.\n" * 9, b"\0" * 100, b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]
    )
    def test_not_a_picture(self, tmp_path: Path, data: bytes) -> None:
        why = reason(written(tmp_path / "a.jpg", data))
        assert "known format" in why or "broken" in why

    def test_a_lack_of_memory_is_no_fault_of_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def load(_: object) -> None:
            raise MemoryError("no room")

        path = saved(noise(), tmp_path / "a.png")
        monkeypatch.setattr(ImageFile.ImageFile, "load", load)
        with pytest.raises(MemoryError, match="no room"):
            list(read_images([path]))

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
        assert "only from Python can the limit be raised (load_image and read_images: max_pixels)" in why

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


class TestBytes:
    """Files of zeros alone, with no room on disk."""

    @staticmethod
    def sparse(path: Path, size: int, start: bytes = b"") -> Path:
        written(path, start)
        with path.open("r+b") as file:
            file.truncate(size)
        return path

    @pytest.mark.parametrize("start", [b"", b"\xff\xd8\xff\xe0"])
    def test_more_than_the_limit_is_never_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes
    ) -> None:
        path = self.sparse(tmp_path / "a.jpg", MAX_BYTES + 1, start)
        monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))
        assert (
            reason(path)
            == f"{MAX_BYTES + 1} bytes are more than the limit of {MAX_BYTES}; save it smaller, or compressed"
        )
        with pytest.raises(ImageError, match="536870911 bytes are more"):
            encoded_image(path)

    def test_a_small_limit_of_pixels_leaves_that_of_bytes(self, tmp_path: Path) -> None:
        path = saved(noise(3, 3), tmp_path / "a.png")
        data = path.read_bytes()
        assert load_image(self.sparse(path, 10_000, data), max_pixels=9).size == (3, 3)


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
        grey, ink = (struct.pack("<HHII", 262, 4, 1, colours) for colours in (1, 5))
        path = written(tmp_path / "a.tif", tiff(8, b"\0" * 18, samples=9).replace(grey, ink))
        program = (
            "import sys; from layerscope.images.decoding import *; print(next(read_images(sys.argv[1:])))"
        )
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
        program = "import layerscope.images.decoding, sys; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
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
