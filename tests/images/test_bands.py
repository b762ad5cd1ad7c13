"""Pictures of any number of channels: arrays, pages, a file per band; each fault is one line."""

import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from layerscope.errors import ImageError
from layerscope.images.bands import MOST_VALUES, Bands, bands_of, check_values
from layerscope.images.decoding import BadImage, load_image, load_picture, read_images
from layerscope.images.finding import find_images
from layerscope.images.sets import open_images
from tests.support.image_sources import Items, fault, shard
from tests.support.pictures import noise, saved, tiff, written


def values(*shape: int, kind: str = "uint8", seed: int = 0) -> npt.NDArray[np.generic]:
    drawn = np.random.default_rng(seed)
    if np.dtype(kind).kind == "f":
        return drawn.normal(0, 1000, shape).astype(kind)
    return drawn.integers(0, min(np.iinfo(kind).max, 40_000), shape).astype(kind)


def array(path: Path, content: npt.NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, content)
    return path


def bands(path: Path) -> Bands:
    found = load_picture(path)
    assert isinstance(found, Bands)
    return found


def pages(path: Path, content: Sequence[npt.NDArray[np.generic]], **options: object) -> Path:
    images = [Image.fromarray(one) for one in content]
    path.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(path, save_all=True, append_images=images[1:], **options)  # type: ignore[arg-type]
    return path


class TestArrays:
    @pytest.mark.parametrize("channels", [1, 2, 3, 4, 12])
    def test_eight_bits_are_as_they_are(self, tmp_path: Path, channels: int) -> None:
        content = values(5, 7, channels)
        found = bands(array(tmp_path / "a.npy", content))
        assert found.values.dtype == np.uint8
        assert np.array_equal(found.values, content)
        assert (found.size, found.channels) == ((7, 5), channels)

    @pytest.mark.parametrize(
        ("kind", "white"),
        [("<u2", 65535), (">u2", 65535), ("int16", 1), ("<i4", 1), ("uint32", 1), (">f8", 1), ("int8", 1)],
    )
    def test_sixteen_bits_are_up_to_one_and_others_as_they_are(
        self, tmp_path: Path, kind: str, white: int
    ) -> None:
        content = (
            values(6, 4, 2, kind=kind)
            if kind != "int8"
            else np.arange(-24, 24).reshape(6, 4, 2).astype("int8")
        )
        found = bands(array(tmp_path / "a.npy", content))
        assert found.values.dtype == np.float32
        for place in np.ndindex(content.shape):
            assert found.values[place] == np.float32(np.float32(content[place]) / np.float32(white))

    def test_without_channels_there_is_one(self, tmp_path: Path) -> None:
        content = values(5, 7, kind="float32")
        assert np.array_equal(bands(array(tmp_path / "a.npy", content)).values[..., 0], content)

    def test_by_columns(self, tmp_path: Path) -> None:
        content = values(5, 7, 3, kind="float32")
        path = array(tmp_path / "a.npy", np.asfortranarray(content))
        assert np.array_equal(bands(path).values, content)

    def test_versions_of_the_header(self, tmp_path: Path) -> None:
        content = values(3, 2, 4)
        for version in ((1, 0), (2, 0), (3, 0)):
            file = io.BytesIO()
            np.lib.format.write_array(file, content, version)
            assert np.array_equal(bands(written(tmp_path / "a.npy", file.getvalue())).values, content)

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (np.zeros((2, 2), complex), "an array of complex128"),
            (np.zeros((2, 2), bool), "an array of bool"),
            (np.zeros((2, 2, 1), "U3"), "an array of <U3"),
            (np.zeros(4), "an array of shape (4,)"),
            (np.zeros((1, 3, 4, 4)), "an array of shape (1, 3, 4, 4)"),
            (np.zeros((0, 4, 3)), "0 x 4 x 3: it has no values"),
            (np.zeros((4, 4, 0)), "4 x 4 x 0: it has no values"),
            (np.full((4, 4, 2), np.nan), "32 of 32 values are NaN or infinite"),
            (np.array([[1.0, 1e300]]), "1 of 2 values are NaN or infinite"),
            (np.array([[1.0, -np.inf, 2.0]], "float16"), "1 of 3 values are NaN or infinite"),
        ],
    )
    def test_faults(self, tmp_path: Path, content: npt.NDArray[np.generic], why: str) -> None:
        path = array(tmp_path / "a.npy", content)
        assert fault(lambda: load_picture(path)).startswith(f"{path}: {why}")

    def test_nothing_pickled_is_read(self, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[object, ...]:
                return (exec, ("raise SystemExit",))

        path = tmp_path / "a.npy"
        np.save(path, np.array([[Bomb()]], object), allow_pickle=True)
        assert "an array of object" in fault(lambda: load_picture(path))
        written(path, pickle.dumps(Bomb()))
        assert "no picture of a known format" in fault(lambda: load_picture(path))

    def test_damage(self, tmp_path: Path) -> None:
        whole = array(tmp_path / "a.npy", values(5, 7, 4)).read_bytes()
        start = len(whole) - 140
        for data, why in (
            (whole[:-1], "its header says 140 bytes of values and there are 139"),
            (whole + b"\0", "its header says 140 bytes of values and there are 141"),
            (whole[:start], "its header says 140 bytes of values and there are 0"),
            (whole[:40], "a broken header of an array"),
            (whole[:6], "a broken header of an array"),
            (whole.replace(b"(5, 7, 4)", b"(-5, -7, 4"), "a broken header of an array"),
            (whole.replace(b"(5, 7, 4), }  ", b"(-5, -7, 4), }"), "an array of shape (-5, -7, 4)"),
            (b"", "the file is empty"),
        ):
            path = written(tmp_path / "b.npy", data)
            assert why in fault(lambda path=path: load_picture(path))  # type: ignore[misc]

    def test_every_damaged_byte_gives_values_or_one_line(self, tmp_path: Path) -> None:
        whole = np.frombuffer(array(tmp_path / "a.npy", values(5, 7, 4)).read_bytes(), np.uint8)
        drawn = np.random.default_rng(0)
        for _ in range(300):
            data = whole.copy()
            data[drawn.integers(0, 140, 2)] = drawn.integers(0, 256, 2)
            (found,) = read_images([written(tmp_path / "b.npy", data.tobytes())])
            if isinstance(found, BadImage):
                assert "\n" not in found.reason

    def test_a_header_of_more_values_than_there_can_be_costs_nothing(self, tmp_path: Path) -> None:
        whole = array(tmp_path / "a.npy", values(5, 7, 4)).read_bytes()
        path = written(tmp_path / "b.npy", whole.replace(b"(5, 7, 4), }       ", b"(55555, 77777, 4)} "))
        assert "77777 x 55555 pixels of 4 channels are over the limit" in fault(lambda: load_picture(path))
        with pytest.raises(ImageError, match="over the limit of"):
            check_values(MOST_VALUES, 1, 2)


class TestPages:
    def test_eight_bits(self, tmp_path: Path) -> None:
        content = [values(5, 7, seed=page) for page in range(6)]
        found = bands(pages(tmp_path / "a.tif", content))
        assert np.array_equal(found.values, np.stack(content, axis=2))

    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
    def test_sixteen_bits_and_floats(self, tmp_path: Path, compression: str | None) -> None:
        options = {} if compression is None else {"compression": compression}
        deep = [values(5, 7, kind="uint16", seed=page) for page in range(3)]
        found = bands(pages(tmp_path / "a.tif", deep, **options)).values
        assert np.array_equal(found, np.stack(deep, axis=2).astype(np.float32) / np.float32(65535))
        floats = [values(5, 7, kind="float32", seed=page) for page in range(2)]
        assert np.array_equal(
            bands(pages(tmp_path / "b.tif", floats, **options)).values, np.stack(floats, axis=2)
        )

    def test_signed_integers_are_as_they_are(self, tmp_path: Path) -> None:
        content = [np.array([[-5, 70_000]], "int32"), np.array([[0, 9]], "int32")]
        assert bands(pages(tmp_path / "a.tif", content)).values.tolist() == [[[-5, 0], [70_000, 9]]]

    def test_one_page_of_floats(self, tmp_path: Path) -> None:
        content = values(5, 7, kind="float32")
        path = pages(tmp_path / "a.tif", [content])
        assert np.array_equal(bands(path).values[..., 0], content)
        assert "no defined white" in fault(lambda: load_image(path))

    def test_one_page_of_sixteen_bits_and_pages_in_colour_are_pictures(self, tmp_path: Path) -> None:
        deep = pages(tmp_path / "a.tif", [values(5, 7, kind="uint16")])
        colour = pages(tmp_path / "b.tif", [values(5, 7, 3), values(4, 4)])
        for path in (deep, colour):
            found = load_picture(path)
            assert isinstance(found, Image.Image)
            assert np.array_equal(np.asarray(found), np.asarray(load_image(path)))

    def test_the_first_page_alone_is_an_image(self, tmp_path: Path) -> None:
        content = [values(5, 7, seed=page) for page in range(2)]
        image = load_image(pages(tmp_path / "a.tif", content))
        assert np.array_equal(np.asarray(image)[..., 0], content[0])

    @pytest.mark.parametrize("kind", [1, 4, 5])
    def test_smaller_copies_and_masks_are_no_bands(self, tmp_path: Path, kind: int) -> None:
        whole = [values(6, 8, seed=page) for page in range(2)]
        images = [Image.fromarray(one) for one in (*whole, whole[0][::2, ::2])]
        images[2].encoderinfo = {"tiffinfo": {254: kind}}
        path = tmp_path / "a.tif"
        images[0].save(path, save_all=True, append_images=images[1:])
        assert np.array_equal(bands(path).values, np.stack(whole, axis=2))

    def test_they_are_turned_as_they_say(self, tmp_path: Path) -> None:
        content = [values(5, 7, seed=page) for page in range(2)]
        images = [Image.fromarray(one) for one in content]
        path = tmp_path / "a.tif"
        images[0].save(path, save_all=True, append_images=images[1:], tiffinfo={274: 6})
        turned = [np.rot90(one, -1) for one in content]
        assert np.array_equal(bands(path).values, np.stack(turned, axis=2))

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ([values(5, 7), values(5, 6)], "page 2 is 6 x 5 of mode L and page 1 7 x 5 of mode L"),
            ([values(5, 7), values(5, 7, 3)], "page 2 is 7 x 5 of mode RGB and page 1 7 x 5 of mode L"),
            ([values(5, 7), values(5, 7, kind="float32")], "page 2 is 7 x 5 of mode F and page 1"),
            ([np.full((2, 2), np.nan, "float32")] * 2, "8 of 8 values are NaN"),
        ],
    )
    def test_faults(self, tmp_path: Path, content: list[npt.NDArray[np.generic]], why: str) -> None:
        path = pages(tmp_path / "a.tif", content)
        assert fault(lambda: load_picture(path)).startswith(f"{path}: {why}")

    def test_a_cut_file_is_refused(self, tmp_path: Path) -> None:
        whole = pages(tmp_path / "a.tif", [values(40, 40, seed=page) for page in range(4)]).read_bytes()
        for end in (len(whole) - 1000, len(whole) // 2, len(whole) // 4):
            path = written(tmp_path / "b.tif", whole[:end])
            assert fault(lambda path=path: load_picture(path)).startswith(f"{path}: ")  # type: ignore[misc]


class TestAFileForEachBand:
    NAMES = ("B04", "B03", "B08", "QA")

    def scenes(self, top: Path, form: str = "{scene}/{band}.tif") -> dict[str, npt.NDArray[np.generic]]:
        found = {}
        for number, scene in enumerate(("s2", "s1")):
            found[scene] = values(6, 8, 4, seed=number)
            for place, band in enumerate(self.NAMES):
                saved(Image.fromarray(found[scene][..., place]), top / form.format(scene=scene, band=band))
        return found

    @pytest.mark.parametrize(
        ("form", "place", "names"),
        [
            (
                "{scene}/{band}.tif",
                "*/{B04,B03,B08,QA}.tif",
                ("s1", "s2"),
            ),
            (
                "{scene}_{band}.png",
                "*_{B04,B03,B08,QA}.png",
                ("s1", "s2"),
            ),
            (
                "{band}/{scene}.png",
                "{B04,B03,B08,QA}/*.png",
                ("s1.png", "s2.png"),
            ),
        ],
    )
    def test_a_picture_for_each_way_to_meet_the_star(
        self, tmp_path: Path, form: str, place: str, names: tuple[str, ...]
    ) -> None:
        content = self.scenes(tmp_path, form)
        images = open_images(str(tmp_path / place))
        assert images.names == names
        for index, scene in enumerate(("s1", "s2")):
            loaded = images.load(index).image
            assert isinstance(loaded, Bands)
            assert np.array_equal(loaded.values, content[scene])
        assert open_images(list(images.sources)).digest == images.digest

    def test_bands_are_in_the_order_named(self, tmp_path: Path) -> None:
        content = self.scenes(tmp_path)
        found = bands(tmp_path / "s1" / "{QA,B04}.tif").values
        assert np.array_equal(found, content["s1"][..., [3, 0]])

    def test_another_band_is_another_digest(self, tmp_path: Path) -> None:
        self.scenes(tmp_path)
        place = str(tmp_path / "s1" / "{B04,B03}.tif")
        before = open_images(place).load(0).digest
        saved(Image.fromarray(values(6, 8, seed=9)), tmp_path / "s1" / "B03.tif")
        assert open_images(place).load(0).digest != before

    def test_in_a_list_with_labels_and_in_folders_of_classes(self, tmp_path: Path) -> None:
        self.scenes(tmp_path / "a")
        listed = written(tmp_path / "list.txt", b"a/s2/{B04,QA}.tif\t1\na/s1/{B04,QA}.tif\t0\n")
        images = open_images(str(listed))
        assert (images.labels, len(images)) == ((1, 0), 2)
        self.scenes(tmp_path / "b", "{scene}/x_{band}.tif")
        images = open_images(str(tmp_path / "b" / "*" / "*_{B04,QA}.tif"), labels="folders")
        assert (images.labels, images.classes) == ((0, 1), ("s1", "s2"))

    def test_arrays_and_deep_files(self, tmp_path: Path) -> None:
        deep = values(6, 8, 2, kind="uint16")
        array(tmp_path / "a.npy", deep[..., 0])
        saved(Image.fromarray(deep[..., 1]), tmp_path / "b.npy.tif")
        found = bands(tmp_path / "{a.npy,b.npy.tif}").values
        assert np.array_equal(found, deep.astype(np.float32) / np.float32(65535))

    def test_where_white_is_zero_the_numbers_are_turned_round(self, tmp_path: Path) -> None:
        one, zero = (struct.pack("<HHII", 262, 4, 1, kind) for kind in (1, 0))
        black = tiff(16, struct.pack("<HH", 0, 60_000))
        written(tmp_path / "a.tif", black)
        written(tmp_path / "b.tif", black.replace(one, zero))
        found = bands(tmp_path / "{a,b}.tif").values * 65535
        assert np.allclose(found, [[[0, 65_535], [60_000, 5_535]]])

    def test_a_file_of_that_very_name_is_itself(self, tmp_path: Path) -> None:
        path = saved(noise(4, 4), tmp_path / "{a,b}.png")
        assert isinstance(load_picture(path), Image.Image)
        assert open_images(str(path)).names == ("{a,b}.png",)

    def test_faults(self, tmp_path: Path) -> None:
        self.scenes(tmp_path)
        top = tmp_path / "s1"
        saved(Image.fromarray(values(6, 7)), top / "small.tif")
        saved(noise(8, 6), top / "rgb.tif")
        array(top / "deep.npy", values(6, 8, kind="float32"))
        array(top / "two.npy", values(6, 8, 2))
        written(top / "empty.tif", b"")
        for names, why in (
            ("B04,B05", "band B05: cannot be opened"),
            ("B04,small", "band small is 7 x 6 and band B04 is 8 x 6"),
            ("B04,rgb", "band rgb: it is of mode RGB"),
            ("B04,empty", "band empty: the file is empty"),
        ):
            path = top / f"{{{names}}}.tif"
            assert fault(lambda path=path: load_picture(path)).startswith(f"{path}: {why}")  # type: ignore[misc]
        path = top / "{B04.tif,deep.npy}"
        assert "band deep.npy has numbers float32 and band B04.tif uint8" in fault(lambda: load_picture(path))
        path = top / "{two.npy,B04.tif}"
        assert "band two.npy: it has 2 channels" in fault(lambda: load_picture(path))
        for place, why in (
            ("*/{X,Y}.tif", "no file of any of its bands is there"),
            ("**/{X,Y}.tif", "* is a part of one name"),
            ("*/{B04,}.tif", "names its bands once in braces"),
            ("*/{B04,B04}.tif", "names its bands once in braces"),
            ("{a,b}/{B04,B03}.tif", "names its bands once in braces"),
        ):
            assert why in fault(lambda place=place: open_images(str(tmp_path / place)))  # type: ignore[misc]

    def test_a_missing_band_is_a_bad_picture(self, tmp_path: Path) -> None:
        self.scenes(tmp_path)
        (tmp_path / "s1" / "B03.tif").unlink()
        images = open_images(str(tmp_path / "*" / "{B04,B03}.tif"))
        assert len(images) == 2
        assert fault(lambda: images.load(0)).startswith("band B03: cannot be opened (No such file")
        assert images.load(1).image.size == (8, 6)


class TestSets:
    def test_arrays_of_a_folder_count_where_it_has_no_other_picture(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = array(tmp_path / "a" / "b.npy", values(4, 4, 2))
        assert find_images([tmp_path]) == (path,)
        picture = saved(noise(), tmp_path / "c.png")
        assert find_images([tmp_path]) == (picture,)
        assert "passed over 1 file: 1 .npy" in caplog.text
        assert find_images([tmp_path, path]) == (picture, path)

    def test_in_shards(self, tmp_path: Path) -> None:
        content = values(4, 4, 5)
        data = array(tmp_path / "a.npy", content).read_bytes()
        png = saved(noise(), tmp_path / "a.png").read_bytes()
        path = shard(tmp_path / "a.tar", {"1.npy": data, "2.png": png, "2.npy": data})
        images = open_images(str(path))
        loaded = images.load(0).image
        assert isinstance(loaded, Bands)
        assert np.array_equal(loaded.values, content)
        assert images.load(1).image.size == (64, 48)

    def test_items_of_a_data_set(self) -> None:
        content = values(4, 5, 6, kind="float32")
        images = open_images(Items([content, content[..., 0], np.zeros((4, 5, 3), np.uint8)]))
        first, second, third = (images.load(index).image for index in range(3))
        assert isinstance(first, Bands)
        assert isinstance(second, Bands)
        assert isinstance(third, Image.Image)
        assert np.array_equal(first.values, content)
        assert second.channels == 1

    @pytest.mark.parametrize("shape", [(1, 1), (1, 65_500), (65_500, 1)])
    def test_odd_sizes(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        content = values(*shape, 4)
        assert np.array_equal(bands(array(tmp_path / "a.npy", content)).values, content)
        found = bands(pages(tmp_path / "a.tif", list(np.moveaxis(content, 2, 0)))).values
        assert np.array_equal(found, content)

    def test_an_array_is_refused_as_an_image(self, tmp_path: Path) -> None:
        path = array(tmp_path / "a.npy", values(4, 4, 3))
        assert "no picture of a known format" in fault(lambda: load_image(path))

    def test_bands_are_checked_when_they_are_made(self) -> None:
        with pytest.raises(ImageError, match="3 of 12 values are NaN"):
            bands_of(np.array([[1.0] * 9 + [np.nan] * 3]))
