"""Names of files: what can be one stays, what cannot becomes one, and no two are the same."""

import numpy as np
import pytest
from torch import nn

from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.study.folder import Study
from layerscope.study.manifest import join
from layerscope.study.names import file_names, folders, network_folder
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


@pytest.mark.usefixtures("one_thread")
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
