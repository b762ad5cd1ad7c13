"""Image sets: from folders and lists; what every set has: names, labels, digest."""

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from layerscope.images.decoding import decode_image, encoded_image, load_image
from layerscope.images.sets import ImageSet, Loaded, open_images
from tests.support.image_sources import Items, encoded, fault, folder, shard, shows
from tests.support.pictures import noise, saved, written


class TestDecoding:
    def test_bytes_give_what_the_file_gives(self, tmp_path: Path) -> None:
        path = saved(noise(), tmp_path / "a.jpg")
        image = decode_image(encoded_image(path))
        assert np.array_equal(np.asarray(image), np.asarray(load_image(path)))

    def test_the_reason_stands_alone(self, tmp_path: Path) -> None:
        path = saved(noise(), tmp_path / "a.jpg")
        assert fault(lambda: decode_image(path.read_bytes()[:900])).startswith("broken or truncated")
        assert fault(lambda: decode_image(path.read_bytes(), max_pixels=9)).startswith("64 x 48")
        assert fault(lambda: encoded_image(tmp_path / "b.jpg")).startswith("cannot be opened")
        assert fault(lambda: encoded_image(tmp_path)).startswith("not a file")


class TestFiles:
    def test_a_folder(self, tmp_path: Path) -> None:
        images = open_images(folder(tmp_path, {"b.png": 1, "a/c.png": 2, "a/a.png": 3}))
        assert images.names == ("a/a.png", "a/c.png", "b.png")
        assert (images.labels, images.classes) == (None, None)
        shows(images, [3, 2, 1])

    def test_several_places_are_named_below_what_they_share(self, tmp_path: Path) -> None:
        folder(tmp_path, {"x/one/a.png": 1, "x/ones/a.png": 2, "x/z.png": 3})
        images = open_images([str(tmp_path / "x" / "ones"), tmp_path / "x" / "one", tmp_path / "x" / "z.png"])
        assert images.names == ("ones/a.png", "one/a.png", "z.png")
        shows(images, [2, 1, 3])

    def test_a_file_alone(self, tmp_path: Path) -> None:
        assert open_images(folder(tmp_path, {"x/a.png": 1}) / "x" / "a.png").names == ("a.png",)

    def test_a_place_given_relatively(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder(tmp_path, {"x/a.png": 1, "x/y/b.png": 2})
        monkeypatch.chdir(tmp_path / "x" / "y")
        images = open_images("..")
        monkeypatch.chdir("/")
        assert images.names == ("a.png", "y/b.png")
        shows(images, [1, 2])

    def test_a_new_picture_renames_no_other(self, tmp_path: Path) -> None:
        before = open_images(folder(tmp_path, {"x/a.png": 1})).names
        after = open_images(folder(tmp_path, {"y/a.png": 1})).names
        assert set(before) < set(after)

    def test_content_digest(self, tmp_path: Path) -> None:
        loaded = open_images(folder(tmp_path, {"a.png": 1, "b.png": 1, "c.png": 2}))
        a, b, c = (loaded.load(index).digest for index in range(3))
        assert a == b != c
        assert len(a) == 16
        assert int(a, 16) > 0

    def test_a_bad_file_is_an_error_when_loaded(self, tmp_path: Path) -> None:
        written(tmp_path / "a.png", b"nonsense")
        (folder(tmp_path, {"b.png": 1}) / "c.png").symlink_to("nowhere.png")
        images = open_images(tmp_path)
        assert images.names == ("a.png", "b.png", "c.png")
        assert fault(lambda: images.load(0)).startswith("no picture of a known format")
        assert fault(lambda: images.load(2)).startswith("cannot be opened (No such file")
        (tmp_path / "b.png").unlink()
        assert fault(lambda: images.load(1)).startswith("cannot be opened (No such file")

    def test_names_that_are_no_utf8(self, tmp_path: Path) -> None:
        try:
            written(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")), encoded(1))
        except OSError:
            pytest.skip("the file system takes UTF-8 alone")
        images = open_images(tmp_path)
        assert images.names == (r"\udcff.png",)
        shows(images, [1])

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert "no picture" in fault(lambda: open_images(tmp_path))
        assert "cannot be reached" in fault(lambda: open_images(tmp_path / "absent"))
        assert "is empty" in fault(lambda: open_images([]))

    def test_a_folder_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path) -> object:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "scandir", refuse)
        said = fault(lambda: open_images(tmp_path))
        assert said.startswith(f"{tmp_path}: folder cannot be read (Permission denied); ")

    def test_kinds_are_not_mixed(self, tmp_path: Path) -> None:
        places = [folder(tmp_path, {"a.png": 1}), tmp_path / "a.txt"]
        assert "name one kind" in fault(lambda: open_images(places))
        assert "name one kind" in fault(lambda: open_images([tmp_path / "a.txt", tmp_path / "b.txt"]))

    def test_labels_given_in_python_are_for_data_sets(self, tmp_path: Path) -> None:
        folder(tmp_path, {"a.png": 1})
        assert "list file" in fault(lambda: open_images(tmp_path, labels=[1]))
        assert "list file" in fault(lambda: open_images(tmp_path, labels="items"))


class TestFolders:
    TREE: Mapping[str, int] = {"b/1.png": 1, "a10/x/2.png": 2, "B/3.png": 3, "a9/4.png": 4, "a9/5.png": 5}

    def test_as_torchvision_labels_them(self, tmp_path: Path) -> None:
        images = open_images(folder(tmp_path, self.TREE), labels="folders")
        theirs = ImageFolder(str(tmp_path))
        assert images.classes == tuple(theirs.classes) == ("B", "a10", "a9", "b")
        assert images.labels is not None
        known = {str(Path(path).relative_to(tmp_path)): label for path, label in theirs.samples}
        assert dict(zip(images.names, images.labels, strict=True)) == known

    def test_one_class(self, tmp_path: Path) -> None:
        images = open_images(folder(tmp_path, {"a/1.png": 1}), labels="folders")
        assert (images.names, images.labels, images.classes) == (("a/1.png",), (0,), ("a",))

    def test_without_the_word_they_have_none(self, tmp_path: Path) -> None:
        assert open_images(folder(tmp_path, self.TREE)).labels is None

    def test_faults(self, tmp_path: Path) -> None:
        folder(tmp_path, {"a/1.png": 1})
        (tmp_path / "empty").mkdir()
        said = fault(lambda: open_images(tmp_path, labels="folders"))
        assert said.startswith(f"{tmp_path / 'empty'}: a class without pictures; ")
        (tmp_path / "empty").rmdir()
        folder(tmp_path, {"2.png": 1})
        said = fault(lambda: open_images(tmp_path, labels="folders"))
        assert said.startswith(f"{tmp_path / '2.png'}: lies in no class's folder; ")
        for source in ([tmp_path / "a", tmp_path], tmp_path / "2.png", tmp_path / "list.txt", "a.tar"):
            assert "needs one folder" in fault(partial(open_images, source, labels="folders"))

    @pytest.mark.parametrize("name", ["nothere", "l.txt", "a.tar"])
    def test_a_place_that_is_no_folder_is_named(self, tmp_path: Path, name: str) -> None:
        place = tmp_path / name
        said = fault(lambda: open_images(place, labels="folders"))
        assert said.startswith(f"{place}: there is no such folder; labelling by folders needs one folder ")
        place.touch()
        said = fault(lambda: open_images(place, labels="folders"))
        assert said.startswith(f"{place}: is no folder; labelling by folders needs one folder ")
        said = fault(lambda: open_images([tmp_path, place], labels="folders"))
        assert said.startswith(f"{tmp_path} and 1 more: several places; labelling by folders needs one ")


class TestLists:
    def listed(self, tmp_path: Path, text: str, name: str = "l.txt") -> Path:
        folder(tmp_path, {"a b.png": 1, "d/c.png": 2, "é.png": 3})
        return written(tmp_path / name, text.encode())

    @pytest.mark.parametrize("begin", ["", "\ufeff"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_paths(self, tmp_path: Path, begin: str, end: str) -> None:
        path = self.listed(tmp_path, begin + end.join(["d/c.png", "", "é.png", "./a b.png"]))
        images = open_images(path)
        assert images.names == ("d/c.png", "é.png", "a b.png")
        assert images.labels is None
        shows(images, [2, 3, 1])

    def test_integers(self, tmp_path: Path) -> None:
        images = open_images(self.listed(tmp_path, "a b.png\t7\nd/c.png\t-1\né.png\t 0\n"))
        assert (images.labels, images.classes) == ((7, -1, 0), None)

    def test_names_of_classes(self, tmp_path: Path) -> None:
        images = open_images(self.listed(tmp_path, "a b.png\tred fox\nd/c.png\t-1\né.png\t5\n"))
        assert (images.labels, images.classes) == ((1, -1, 0), ("5", "red fox"))

    def test_labels_left_out(self, tmp_path: Path) -> None:
        assert open_images(self.listed(tmp_path, "a b.png\t7\nd/c.png\n"), labels="none").labels is None

    def test_a_table(self, tmp_path: Path) -> None:
        path = self.listed(tmp_path, 'label,size,path\n3,1,"a b.png"\n4,1,d/c.png\n', "l.csv")
        images = open_images(path)
        assert (images.names, images.labels) == (("a b.png", "d/c.png"), (3, 4))
        shows(images, [1, 2])
        assert open_images(self.listed(tmp_path, "path\né.png\n", "m.csv")).labels is None

    def test_absolute_paths_are_named_below_what_they_share(self, tmp_path: Path) -> None:
        folder(tmp_path, {"x/y/a.png": 1, "x/b.png": 2})
        (tmp_path / "lists").mkdir()
        path = written(tmp_path / "lists" / "l.txt", f"{tmp_path}/x/y/a.png\n{tmp_path}/x/b.png".encode())
        assert open_images(path).names == ("y/a.png", "b.png")
        written(path, b"../x/y/a.png\n../x/b.png")
        assert open_images(path).names == ("../x/y/a.png", "../x/b.png")
        shows(open_images(path), [1, 2])

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a b.png\n\nb.png\nc.png", "line 3: b.png cannot be reached (of 3, 2 cannot); "),
            ("a b.png 7", "line 1: a b.png 7 cannot be reached (of 1, 1 cannot); paths are relative"),
            ("a b.png\t1\nd/c.png\né.png\t2", "line 2: no label, though others have one; "),
            ("a b.png\t1\nd/c.png\t", "line 2: no label, though others have one; "),
            ("a b.png\t1\t2", "line 1: not a path, nor a path, a tab and a label; "),
            ("\t1", "line 1: not a path, nor a path, a tab and a label; "),
            ("a b.png\nd/c.png\n./a b.png", "a b.png is there twice; "),
            ("", "no picture here; "),
        ],
    )
    def test_faults(self, tmp_path: Path, text: str, said: str) -> None:
        path = self.listed(tmp_path, text)
        assert fault(lambda: open_images(path)).startswith(f"{path}: {said}")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("file,label\na b.png,1", "line 1: names no column path; "),
            ("", "line 1: names no column path; "),
            ("path,label\n,1", "line 2: no path; "),
            ("path,label\na b.png,1\nd/c.png", "line 3: no label, though others have one; "),
            ('path\n"a b.png', "cannot be read (unexpected end of data); "),
        ],
    )
    def test_faults_of_tables(self, tmp_path: Path, text: str, said: str) -> None:
        path = self.listed(tmp_path, text, "l.csv")
        assert fault(lambda: open_images(path)).startswith(f"{path}: {said}")

    def test_absent_or_not_text(self, tmp_path: Path) -> None:
        path = tmp_path / "l.txt"
        assert fault(lambda: open_images(path)).startswith(
            f"{path}: cannot be read (No such file or directory)"
        )
        written(path, b"\xff\xfe\x00")
        assert fault(lambda: open_images(path)).startswith(f"{path}: cannot be read ('utf-8' codec")


class TestEverySet:
    def test_itself(self, tmp_path: Path) -> None:
        images = open_images(folder(tmp_path, {"a.png": 1}))
        assert open_images(images) is images

    def test_one_of_the_users_own(self) -> None:
        class Noise(ImageSet):
            def load(self, index: int) -> Loaded:
                return Loaded(noise(8, 6, seed=index), "")

        shows(open_images(Noise(("a", "b"), None, None, "noise", "0")), [0, 1])
        assert "noise: a is there twice" in fault(lambda: Noise(("a", "a"), None, None, "noise", "0"))

    def test_it_pickles(self, tmp_path: Path) -> None:
        pytest.importorskip("webdataset")
        for source in (
            folder(tmp_path / "f", {"a.png": 1}),
            shard(tmp_path / "a.tar", {"a.png": encoded(1)}),
        ):
            images = open_images(source)
            again = pickle.loads(pickle.dumps(images))
            assert (again.names, again.digest) == (images.names, images.digest)
            shows(again, [1])
        shows(pickle.loads(pickle.dumps(open_images(Items([noise(8, 6, seed=1)])))), [1])

    def test_the_place_is_no_part_of_the_digest(self, tmp_path: Path) -> None:
        tree = {"a/1.png": 1, "b/2.png": 2}
        for top in ("x", "y"):
            shard(folder(tmp_path / top, tree) / "s.tar", {"1.png": encoded(1)})
            written(tmp_path / top / "l.txt", b"a/1.png\t1\n")
        for source in ("", "l.txt", "s.tar"):
            there, here = (open_images(tmp_path / top / source) for top in ("x", "y"))
            assert there.digest == here.digest

    def test_any_change_of_the_list_changes_the_digest(self, tmp_path: Path) -> None:
        folder(tmp_path, {"a/1.png": 1, "b/2.png": 2})
        lists = ["a/1.png", "a/1.png\nb/2.png", "b/2.png\na/1.png", "a/1.png\t0\nb/2.png\t0"]
        lists += ["a/1.png\t0\nb/2.png\t1", "a/1.png\ta\nb/2.png\tb", "a/1.png\ta\nb/2.png\tc"]
        lists += ["a/1.png\t-1\nb/2.png\t-1"]
        digests = [open_images(written(tmp_path / "l.txt", text.encode())).digest for text in lists]
        written(tmp_path / "a" / "1.png", encoded(1) + b"\0")
        digests.append(open_images(tmp_path / "l.txt").digest)
        assert len(set(digests)) == len(digests)
        assert digests[1] == open_images(folder(tmp_path, {"a/1.png": 1})).digest

    def test_of_data_sets_the_digest_covers_type_length_and_labels(self) -> None:
        class Others(Items):
            pass

        sets = [Items([noise()]), Items([noise()] * 2), Items([noise()], targets=[0]), Others([noise()])]
        assert len({open_images(items).digest for items in sets}) == 4

    def test_nothing_heavy_is_imported(self) -> None:
        program = (
            "import layerscope.images.ahead, sys; sys.exit(bool({'torch', 'webdataset'} & set(sys.modules)))"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
