"""Names of files: what can be one stays, what cannot becomes one, and no two are the same."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from layerscope.disk.names import (
    file_names,
    folders,
    gallery_folders,
    names_of_files,
    network_folder,
    panel_file,
    picture_names,
)
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.study.folder import Study
from layerscope.study.manifest import join
from layerscope.sweep.making import sweep_study
from layerscope.sweep.patch_sample import PatchSample
from tests.support.studies import SETTINGS, pictures

ODD = ["a b", "a-b", "a_b", "é/1", "A_B", "layer1.0@2", "x" * 300, "x" * 301, "a/b", ".a", "", "..", "a//b"]


def test_any_layer_has_a_folder_and_a_file_of_its_own() -> None:
    for names in (folders(ODD), file_names(ODD)):
        assert list(names) == ODD
        assert len({name.lower() for name in names.values()}) == len(ODD)
        for name in names.values():
            assert join("net", f"patches/{name}").endswith(name)
            assert max(map(len, name.split("/"))) <= 210


def test_names_of_studies_made_before_stay() -> None:
    assert folders(["a-b", "layer1.0@2", "a b"]) == {"a-b": "a_b", "layer1.0@2": "layer1.0@2", "a b": "a_b_2"}
    assert file_names(["a-b", "a/b", "layer1.0@2"]) == {name: name for name in ("a-b", "a/b", "layer1.0@2")}
    assert [network_folder(name) for name in ("resnet-18", "nets:Net", "x" * 300, "")] == [
        *("resnet-18", "nets_Net", "x" * 200, "_")
    ]


def test_names_of_galleries_made_before_stay() -> None:
    assert gallery_folders(["nets:Net", "vgg-16", "é b"]) == ("nets_Net", "vgg-16", "é_b")
    assert gallery_folders(["A", "b", "a"]) == ("A-1", "b-2", "a-3")
    assert panel_file(0, "c5:1@2,3") == "001-c5_1@2,3.png"
    assert panel_file(99, "x/" * 99) == f"100-{'x_' * 40}.png"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ("runs/a.pth runs/b.pth", "a b"),
        ("runs/steps/0000.safetensors runs/steps/0937.safetensors", "0000 0937"),
        ("/w/ok/weights.pth /w/bad/weights.pth", "ok bad"),
        ("/w/ok/weights.pth /w/bad/weights.pth /w/bad/final.pth", "ok bad final"),
        ("/w/ok/steps/0.pth /w/bad/steps/0.pth", "ok bad"),
        ("/a/steps/0.pth /a/steps/9.pth /b/steps/0.pth /b/steps/9.pth", "a-0 a-9 b-0 b-9"),
        ("/r1/s0/w.pth /r1/s1/w.pth /r2/s0/w.pth", "r1-s0 r1-s1 r2-s0"),
        ("/w/ok.pth /w/ok/weights.pth /w/bad/weights.pth", "w-ok ok-weights bad-weights"),
        ("fashion /mine/fashion.pth random", "fashion mine random"),
        ("/w.pth /a/w.pth", "w a"),
        ("/a/w.pth /a/w.pth", "w w"),
        ("", ""),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(files: str, names: str) -> None:
    assert names_of_files([Path(file) for file in files.split()]) == names.split()


def test_a_sample_of_layers_whose_names_are_no_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    module = nn.Sequential()
    for number, name in enumerate(("a b", "a_b", "é" * 150)):
        module.add_module(name, nn.Conv2d(3, 3, 3, padding=1, bias=bool(number)))
    network = Network.from_module(
        module.eval(), name="n" * 300, preprocessing=Preprocessing(resize=None, height=8, width=8)
    )
    base = tmp_path_factory.mktemp("odd")
    images = pictures(base / "in", 3, ())
    study = sweep_study([network], images, [PatchSample("all", 5)], base / "out", settings=SETTINGS)
    results, names = Study.open(study.path).network("n" * 300), [layer.name for layer in network.layers]
    arrays = [results.array(f"patches/{file}") for file in file_names(names).values()]
    assert len(arrays) == len(names) >= 3
    assert all(np.shape(array) == (5, 3) for array in arrays)


# ------------------------------------------------------------------ of pictures


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
