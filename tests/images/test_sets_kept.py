"""Image sets kept in tar shards and in data sets in Python."""

import shutil
import sys
import tarfile
import tracemalloc
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

from layerscope.errors import ImageError
from layerscope.images import datasets
from layerscope.images.decoding import MAX_BYTES, MAX_PIXELS, check_pixels, decode_image
from layerscope.images.sets import open_images
from layerscope.images.tar_shards import Span, read_span
from tests.support.image_sources import Items, encoded, fault, folder, picture_of, pixels, shard, shows
from tests.support.pictures import noise, saved, written


class TestShards:
    def test_pictures_labels_and_names(self, tmp_path: Path) -> None:
        pytest.importorskip("webdataset")
        members = {
            "n/1.jpg": encoded(1),
            "n/1.cls": b"4\n",
            "n/1.json": b"{}",
            "2.cls": b"-1",
            "2.PNG": encoded(2),
        }
        images = open_images(shard(tmp_path / "a.tar", members))
        assert images.names == ("a.tar/n/1", "a.tar/2")
        assert (images.labels, images.classes) == ((4, -1), None)
        shows(images, [1, 2])
        assert open_images(tmp_path / "a.tar", labels="none").labels is None

    def test_braces(self, tmp_path: Path) -> None:
        pytest.importorskip("webdataset")
        for number in range(3):
            (tmp_path / f"{number}").mkdir()
            shard(tmp_path / f"{number}" / f"t-{number:02}.tar", {"k.png": encoded(number)})
        shutil.copy(tmp_path / "2" / "t-02.tar", tmp_path / "t-{0,1}.tar")
        images = open_images(f"{tmp_path}/{{2/t-02,0/t-00}}.tar")
        assert images.names == ("2/t-02.tar/k", "0/t-00.tar/k")
        shows(images, [2, 0])
        shows(open_images([tmp_path / "0" / "t-00.tar", tmp_path / "1" / "t-01.tar"]), [0, 1])
        assert open_images(tmp_path / "t-{0,1}.tar").names == ("t-{0,1}.tar/k",)

    def test_as_webdataset_reads_it(self, tmp_path: Path) -> None:
        library = pytest.importorskip("webdataset.tariterators")
        name = "long/" * 40  # beyond what a plain header holds
        members = {f"{name}{i}.{kind}": data for i in range(4) for kind, data in
                   (("txt", b"x"), ("png", encoded(i)), ("cls", b"%d" % i))}  # fmt: skip
        path = shard(tmp_path / "a.tar", {"__meta__": b"x", "__m__/1.png": b"x", **members, "plain": b"x"})
        with path.open("rb") as stream:
            files = library.tar_file_expander([{"url": str(path), "stream": stream}])
            theirs = list(library.group_by_keys(files))
        assert len(theirs) == 4
        images = open_images(path)
        assert images.names == tuple(f"a.tar/{sample['__key__']}" for sample in theirs)
        assert images.labels == tuple(int(sample["cls"]) for sample in theirs)
        for index, sample in enumerate(theirs):
            assert np.array_equal(pixels(images, index), np.asarray(decode_image(sample["png"])))

    def test_of_several_pictures_the_plain_one(self, tmp_path: Path) -> None:
        pytest.importorskip("webdataset")
        shows(open_images(shard(tmp_path / "a.tar", {"1.mask.png": encoded(1), "1.png": encoded(2)})), [2])
        shows(open_images(shard(tmp_path / "b.tar", {"1.large.png": encoded(1), "1.txt": b""})), [1])
        both = shard(tmp_path / "c.tar", {"1.png": encoded(1), "1.jpg": encoded(2)})
        assert fault(lambda: open_images(both)).startswith(
            f"{both}: sample 1 has several pictures (png, jpg); "
        )

    @pytest.mark.parametrize(
        ("members", "said"),
        [
            ({"1.txt": b"", "1.cls": b"1"}, "{}: no picture here; "),
            ({}, "{}: no picture here; "),
            ({"1.png": b"a", "1.cls": b"1", "2.png": b"a"}, "a.tar/2: no label, though others have one; "),
            ({"1.png": b"a", "2.png": b"a", "1.jpg": b"b"}, "{}: a.tar/1 is there twice; "),
            ({"1.png": b"a", "1.PNG": b"a"}, "{}: 1.PNG is there twice; "),
        ],
    )
    def test_faults(self, tmp_path: Path, members: Mapping[str, bytes], said: str) -> None:
        pytest.importorskip("webdataset")
        path = shard(tmp_path / "a.tar", members)
        assert fault(lambda: open_images(path)).startswith(said.format(path))

    def test_a_shard_without_its_end(self, tmp_path: Path) -> None:
        """Between members, in a header, and with a header that is damaged: tarfile takes each for the end."""
        pytest.importorskip("webdataset")
        members = {f"{n}.png": encoded(n) for n in range(4)}
        whole = shard(tmp_path / "a.tar", members).read_bytes()
        with tarfile.open(tmp_path / "a.tar") as tar:
            third = tar.getmembers()[2].offset
        damaged = whole[:third] + bytes([whole[third] ^ 1]) + whole[third + 1 :]
        for number, data in enumerate((whole[:third], whole[: third + 200], damaged)):
            cut = written(tmp_path / f"{number}.tar", data)
            with pytest.raises(
                ImageError, match=f"no end of the archive at byte {third}: it is cut off"
            ) as caught:
                open_images(cut)
            assert str(caught.value).startswith(str(cut))
        last = max(i for i, byte in enumerate(whole) if byte) // 512 * 512 + 512
        assert len(open_images(written(tmp_path / "padded.tar", whole[: last + 512]))) == 4

    @pytest.mark.parametrize(
        "braces", ["{0..99999999999}", "{0..999}{0..9999}", "{5..-99999999}", "{0..9999999..2}"]
    )
    def test_braces_that_stand_for_too_many_are_not_expanded(self, braces: str) -> None:
        tracemalloc.start()
        with pytest.raises(ImageError, match="shards, over 1000000; correct the braces"):
            open_images(f"x{braces}.tar")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000

    def test_a_member_larger_than_any_picture_is_not_read(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="bytes are more than the limit"):
            read_span(written(tmp_path / "a.tar", b""), Span(0, MAX_BYTES + 1))

    def test_a_shard_that_is_none(self, tmp_path: Path) -> None:
        pytest.importorskip("webdataset")
        whole = shard(tmp_path / "a.tar", {"1.png": encoded(1), "2.png": encoded(2)})
        cut = written(tmp_path / "cut.tar", whole.read_bytes()[:1600])
        with tarfile.open(tmp_path / "z.tar.gz", "w:gz") as tar:
            tar.add(whole, "1.png")
        for path in (
            cut,
            tmp_path / "z.tar.gz",
            written(tmp_path / "x.tar", b"x" * 2000),
            tmp_path / "absent.tar",
        ):
            assert fault(partial(open_images, path)).startswith(f"{path}: cannot be read (")

    def test_patterns_that_are_none(self) -> None:
        pytest.importorskip("webdataset")
        assert "cannot be expanded" in fault(lambda: open_images("a-{1..2.tar"))
        assert "cannot be expanded" in fault(lambda: open_images("${NOT_SET_ANYWHERE}.tar"))
        for pattern in ("pipe:cat a.tar", "https://nowhere.invalid/a.tar"):
            assert "copy the shards here" in fault(partial(open_images, pattern))

    def test_a_member_with_holes(self, tmp_path: Path) -> None:
        pytest.importorskip("webdataset")
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            member = tarfile.TarInfo("1.png")
            member.type = tarfile.GNUTYPE_SPARSE
            tar.addfile(member)
        assert "1.png is stored with holes" in fault(lambda: open_images(tmp_path / "a.tar"))

    def test_a_shard_that_changes(self, tmp_path: Path) -> None:
        pytest.importorskip("webdataset")
        path = shard(tmp_path / "a.tar", {"1.png": encoded(1)})
        images = open_images(path)
        written(path, path.read_bytes()[:600])
        assert fault(lambda: images.load(0)).startswith("its shard is shorter")
        path.unlink()
        assert fault(lambda: images.load(0)).startswith(
            "its shard cannot be read (No such file or directory)"
        )

    def test_without_the_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = shard(tmp_path / "a.tar", {"1.png": encoded(1)})
        monkeypatch.setitem(sys.modules, "webdataset", None)
        monkeypatch.delitem(sys.modules, "webdataset.tariterators", raising=False)
        assert "pip install 'layerscope[tar]'" in fault(lambda: open_images(path))


class TestDatasets:
    def test_pictures_and_arrays(self) -> None:
        images = open_images(Items([noise(8, 6, seed=1), np.asarray(noise(8, 6, seed=2))]))
        assert (images.names, images.labels, images.classes) == (("0", "1"), None, None)
        shows(images, [1, 2])
        assert images.load(0).digest == ""

    def test_greys_become_rgb(self) -> None:
        image = picture_of(open_images(Items([noise().convert("L")])), 0)
        assert image.mode == "RGB"

    def test_targets(self, tmp_path: Path) -> None:
        theirs = ImageFolder(str(folder(tmp_path, {"a/1.png": 1, "b/2.png": 2, "b/3.png": 3})))
        images = open_images(theirs)
        assert (images.labels, images.classes) == ((0, 1, 1), ("a", "b"))
        shows(images, [1, 2, 3])
        images = open_images(Subset(Subset(theirs, [2, 0, 1]), [1, 0]))
        assert (images.labels, images.classes) == ((0, 1), ("a", "b"))
        shows(images, [1, 3])
        assert open_images(theirs, labels="none").labels is None

    def test_labels_given_or_read(self) -> None:
        pairs = Items([(noise(), np.int64(3)), (noise(), torch.tensor(1)), OSError("gone")])
        assert open_images(pairs, labels=[3, 1, 0]).labels == (3, 1, 0)
        assert open_images(pairs, labels="items").labels == (3, 1, -1)
        assert open_images(Items([noise()] * 2, targets=torch.tensor([4, 5]))).labels == (4, 5)
        several = Items([(noise(), 0)], targets=[0], classes=[("tench", "Tinca tinca")])
        assert open_images(several).classes == ("tench, Tinca tinca",)

    def test_bad_items(self) -> None:
        broken = [OSError("image file is truncated"), noise(8, 6, seed=1), noise().convert("CMYK")]
        images = open_images(Items(broken))
        assert fault(lambda: images.load(0)).startswith("broken (image file is truncated); ")
        assert np.array_equal(pixels(images, 1), np.asarray(noise(8, 6, seed=1)))
        assert "CMYK" in fault(lambda: images.load(2))

    def test_an_item_of_more_pixels_than_a_file_may_have_is_a_bad_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(datasets, "check_pixels", partial(check_pixels, max_pixels=200))
        with Image.open(saved(noise(30, 7), tmp_path / "a.png")) as lazy:
            images = open_images(Items([noise(30, 7), np.zeros((7, 30, 3), np.uint8), lazy, noise(20, 10)]))
            for index in range(3):
                said = fault(partial(images.load, index))
                assert said.startswith("30 x 7 = 210 pixels are more than the limit of 200")
        assert images.load(3).image.size == (20, 10)

    def test_the_bound_is_that_of_files(self) -> None:
        wide = np.broadcast_to(np.zeros(3, np.uint8), (1, MAX_PIXELS + 1, 3))
        images = open_images(Items([wide]))
        assert f"more than the limit of {MAX_PIXELS}" in fault(lambda: images.load(0))

    def test_a_fault_of_the_data_set_goes_up(self) -> None:
        images = open_images(Items([noise(), KeyError("column")]))
        with pytest.raises(KeyError):
            images.load(1)

    @pytest.mark.parametrize(
        ("items", "labels", "said"),
        [
            (Items([]), None, "no picture here"),
            (Items([torch.zeros(3, 4, 4)]), None, "Tensor (3, 4, 4) is no picture"),
            (Items([np.zeros((4, 4), bool)]), None, "ndarray (4, 4) is no picture"),
            (Items([np.zeros((1, 4, 4, 3))]), None, "ndarray (1, 4, 4, 3) is no picture"),
            (Items([OSError("x"), {"image": 1}]), None, "dict () is no picture"),
            (Items([(noise(), 1)]), None, 'labels="items" reads every item'),
            (Items([(noise(), 1)], targets=[0]), None, "item 0 has label 1"),
            (Items([(noise(), 1)], targets=[[1, 2]]), None, "not one integer a picture"),
            (Items([noise()]), [0, 1], "2 labels for 1 pictures"),
            (Items([noise()]), [0.5], "not one integer a picture"),
            (Items([noise()]), "items", "not one integer a picture"),
            (Items([noise()], classes=["a"]), [1], "indices of 1 classes"),
            (Items([noise()]), [-2], "labels from -2"),
            (Items([noise()]), "folders", "does not go with a data set"),
            (5, None, "neither paths nor a data set"),
            (iter([noise()]), None, "neither paths nor a data set"),
        ],
    )
    def test_faults(self, items: object, labels: Any, said: str) -> None:
        assert said in fault(lambda: open_images(items, labels=labels))
