"""Networks by name, the paper's two exactly, and networks of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models

from layerscope.errors import NetworkError
from layerscope.network.network import Network
from layerscope.network.source import Options
from layerscope.reconstruction.descent import reversible
from layerscope.reconstruction.rules import RULES
from layerscope.zoo.loading import WithoutValues, load_network, network_names, read_architecture


def covered(name: str) -> list[str]:
    """The rules that go back from a network's end to the pixels."""
    graph = read_architecture(name).graph
    return [rule for rule, how in RULES.items() if graph.output in reversible(graph, how)]


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("resnet18", ["deconvnet", "guided", "gradient"]),
        ("mobilenet_v3_small", ["deconvnet", "guided", "gradient"]),
        ("vit_b_16", ["gradient"]),
        ("swin_t", ["gradient"]),
    ],
)
def test_what_is_said_of_torchvisions_networks(name: str, rules: list[str]) -> None:
    assert covered(name) == rules


def made_of(name: str) -> tuple[frozenset[tuple[type, ...]], int]:
    """What a network of torchvision is made of: each kind of module with the kinds inside it; and how many modules."""
    with WithoutValues():
        drawn = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        modules = list(models.get_model(name, **drawn).modules())
    kinds = {(type(m), *sorted({type(part) for part in m.children()}, key=str)) for m in modules}
    return frozenset(kinds), len(modules)


@pytest.mark.slow
def test_what_is_said_of_all_of_torchvisions_networks() -> None:
    """The numbers in docs/networks.md. Of networks that are made of the same, the smallest is read."""
    parts = {name: made_of(name) for name in models.list_models(module=models)}
    assert len(parts) == 80
    largest_first = sorted(parts, key=lambda name: parts[name][1], reverse=True)
    smallest = {parts[name][0]: name for name in largest_first}
    read = {kinds: covered(name) for kinds, name in smallest.items()}
    found = {name: read[kinds] for name, (kinds, _) in parts.items()}
    assert None not in found.values()
    attending = {name for name in found if name.startswith(("vit", "swin", "maxvit"))}
    assert len(attending) == 12
    for name, rules in found.items():
        assert rules == (["gradient"] if name in attending else list(RULES)), name


def test_other_classes_have_no_names_of_imagenets() -> None:
    assert len(read_architecture("resnet18").classes or ()) == 1000
    assert read_architecture("resnet18", options=Options(classes=3)).classes is None


@pytest.mark.parametrize(
    "name", ["regnet_y_400mf", "inception_v3", "mobilenet_v3_small", "shufflenet_v2_x0_5"]
)
def test_torchvisions_networks_are_read_without_values(name: str) -> None:
    """RegNet's constructor computes with tensors, which have values."""
    network = read_architecture(name)
    assert {tensor.device.type for tensor in network.graph.tensors.values()} == {"meta"}
    assert network.layers[-1].channels == 1000
    assert all(layer.field is not None for layer in network.layers)


OWN = """
import torch
from torch import nn
from layerscope.network.preprocessing import Preprocessing

def tiny():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 222 * 222, 3))

def sized():
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    module.preprocessing = Preprocessing(resize=None, height=20, width=30)
    return module

def needy(classes):
    if classes < 0:
        raise ValueError("too few")
    return nn.Sequential(nn.Conv2d(3, classes, 3))

class Net(nn.Sequential):
    def __init__(self, width=2, *, name="a"):
        super().__init__(nn.Conv2d(3, width, 3), nn.ReLU())
        self.name = name

def broken():
    raise RuntimeError("two\\nlines")

def nothing():
    return "a module"

number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of the user's in the current folder."""
    folder = tmp_path / "own_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "networks.py").write_text(OWN)
    (folder / "faulty.py").write_text("def oops(:\n")
    (folder / "quitting.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield "own_package.networks"
    assert sys.path == path
    for name in [name for name in sys.modules if name.startswith("own_package")]:
        del sys.modules[name]


def test_a_factory_of_the_users(own: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    network = load_network(f"{own}:tiny")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert network.weights == "as its factory made it"
    assert network.name == f"{own}:tiny"
    assert network.input_shape == (1, 224, 224)  # as its first convolution wants it
    assert [layer.name for layer in network.layers] == ["0", "3"]
    assert len(network.predict(torch.zeros(1, 1, 224, 224))[0]) == 3


def test_a_factory_brings_its_preprocessing(own: str) -> None:
    assert read_architecture(f"{own}:sized").input_shape == (3, 20, 30)
    assert load_network(f"{own}:sized", options=Options(input_size=16)).input_shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("given", "channels"),
    [("Net", 2), ("Net()", 2), ("Net(3)", 3), ("Net(width=4, name='(a):b')", 4), ("needy(5)", 5)],
)
@pytest.mark.parametrize(
    "place", ["own_package.networks", "own_package/networks.py", "./own_package/networks.py"]
)
def test_a_factory_is_given_literals(own: str, place: str, given: str, channels: int, tmp_path: Path) -> None:
    network = load_network(f"{place}:{given}", options=Options(input_size=8))
    assert network.layers[0].channels == channels
    assert network.loading is not None
    if place == own:
        assert network.name == network.loading.spec == f"{own}:{given}"
    else:
        assert network.name == f"networks.py:{given}"
        assert network.loading.spec == f"{tmp_path}/own_package/networks.py:{given}"
        assert "networks" not in sys.modules


def test_a_file_is_read_anew_and_sees_the_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("WIDTH = 2\n")
    file, text = tmp_path / "json.py", OWN.replace("width=2", "width=beside_it.WIDTH")
    file.write_text(f"import beside_it\n{text}")
    options = Options(input_size=8)
    assert read_architecture(f"{file}:Net", options=options).layers[0].channels == 2
    file.write_text(f"import beside_it\n{text.replace('beside_it.WIDTH', '7')}")
    assert read_architecture(f"{file}:Net", options=options).layers[0].channels == 7
    assert hasattr(sys.modules["json"], "loads")
    del sys.modules["beside_it"]


def test_torchvisions_networks_have_a_longer_name_too() -> None:
    network = read_architecture("torchvision:alexnet")
    assert (network.name, network.layers[0].name) == ("alexnet", "c1")


def test_wrappers_are_looked_through() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    parallel, averaged = nn.DataParallel(module), torch.optim.swa_utils.AveragedModel(module)
    compiled: Any = torch.compile(nn.DataParallel(module))
    for wrapped in (parallel, averaged, compiled):
        network = load_network(wrapped, options=Options(input_size=8))
        assert network.name == "Sequential"
        assert [layer.name for layer in network.layers] == ["0"]
        assert [layer.name for layer in Network.from_module(wrapped).layers] == ["0"]


def test_a_wrapper_of_the_users_is_a_module_like_any_other() -> None:
    class DataParallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Conv2d(3, 2, 3)

        def forward(self, pictures: Tensor) -> Tensor:
            doubled: Tensor = self.module(pictures) * 2
            return doubled

    assert load_network(DataParallel()).name == "DataParallel"


def test_how_pictures_are_prepared_can_be_said() -> None:
    module, picture = nn.Sequential(nn.Conv2d(3, 2, 3)), Image.new("RGB", (8, 8), (255, 51, 0))
    said = Options(input_size=8, mean=(104, 117, 124), deviation=(2,), white=255)
    values = load_network(module, options=said).preprocessing.apply(picture)[:, 0, 0]
    torch.testing.assert_close(values, torch.tensor([151.0, -66.0, -124.0]) / torch.tensor([2.0, 2.0, 2.0]))
    plain = load_network(module, options=Options(input_size=8, white=255)).preprocessing.apply(picture)[
        :, 0, 0
    ]
    torch.testing.assert_close(plain, torch.tensor([255.0, 51.0, 0.0]))
    halves = Options(input_size=8, mean=(0.5,), deviation=(0.5,))
    values = load_network(module, options=halves).preprocessing.apply(picture)[:, 0, 0]
    torch.testing.assert_close(values, torch.tensor([1.0, -0.6, -1.0]))
    network = read_architecture("resnet18", options=Options(mean=(0.1, 0.2, 0.3), deviation=(1.0,)))
    assert network.preprocessing.mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(mean=(0.5,)), "mean and deviation go together; give both, or white"),
        (Options(deviation=(0.5,)), "mean and deviation go together"),
        (
            Options(mean=(0.5, 0.5), deviation=(1,)),
            "mean has 2 values for 3 channels; give one, or one for each",
        ),
        (Options(mean=(0.5,), deviation=(0,)), "deviation and white must be above 0"),
        (Options(white=-1), "deviation and white must be above 0"),
        (Options(white=float("nan")), "deviation and white must be above 0, and finite"),
        (Options(white=float("inf")), "deviation and white must be above 0, and finite"),
    ],
)
def test_a_preparation_that_does_not_fit_is_refused(options: Options, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        read_architecture("resnet18", options=options)


def test_a_module_is_taken_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    network = load_network(module, options=Options(input_size=12))
    assert (network.name, network.weights) == ("Sequential", "as given")
    assert torch.equal(network.graph.tensors["0.weight"], module.state_dict()["0.weight"])
    with pytest.raises(NetworkError, match="Sequential is not built with 'classes'"):
        load_network(module, options=Options(classes=2))


def test_names_of_the_papers_are_only_for_the_networks_that_are_alike(own: str, tmp_path: Path) -> None:
    (tmp_path / "vggish.py").write_text(OWN)
    assert [layer.name for layer in read_architecture("vggish:tiny").layers] == ["0", "3"]
    del sys.modules["vggish"]


WRONG: dict[str, str] = {
    "alexcn": "no network is called 'alexcn'; did you mean alexcnn",
    "@@@": "`layerscope networks` lists those with a name; your own: package.module:factory",
    "own_package.missing:net": "cannot import 'own_package.missing'.*is it on PYTHONPATH",
    "own_package.faulty:net": "cannot import 'own_package.faulty'.*SyntaxError",
    "own_package.quitting:net": "cannot import 'own_package.quitting'.*ZeroDivisionError",
    ":net": "':net' is not package.module:factory",
    "..networks:net": "is not package.module:factory",
    "own_package.networks:missing": "has no callable 'missing'; name a function",
    "own_package.networks:number": "has no callable 'number'",
    "own_package.networks:needy": r"failed: TypeError: .*'classes'; it must take no arguments, or be given",
    "own_package.networks:needy(-1)": "failed: ValueError: too few; it must take these arguments and return a module",
    "own_package.networks:needy(nn)": "the arguments of .* are not all literals: numbers, text",
    "own_package.networks:needy(__import__('os'))": "are not all literals",
    "own_package.networks:needy(2) + print(1)": "are not all literals",
    "own_package.networks:needy(2).eval": "is not package.module:factory",
    "own_package.networks:needy(2)(3)": "are not all literals",
    "own_package.networks:needy(1) or print(1)": "are not all literals",
    "own_package.networks:needy(**{'classes': 2})": "are not all literals",
    "own_package.networks:needy(classes=": "is not package.module:factory",
    "absent.py:Net": "cannot import 'absent.py' .*there is no file absent.py; is it there",
    "own_package/networks.py:missing": "has no callable 'missing'",
    "torchvision:alexcnn": "no network is called 'torchvision:alexcnn'; did you mean",
    "own_package.networks:broken": "failed: RuntimeError: two lines",
    "own_package.networks:nothing": "returned str, not a torch.nn.Module",
}


@pytest.mark.parametrize("spec", WRONG)
@pytest.mark.usefixtures("own")
def test_what_is_not_a_network_is_refused_in_one_line(spec: str) -> None:
    for read in (read_architecture, load_network):
        with pytest.raises(NetworkError, match=WRONG[spec]) as caught:
            read(spec)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet18", Options(width=0.5), "resnet18 is not built with 'width'; only alexcnn and vggcnn take"),
        ("vgg16", Options(channels=1), "vgg16 is not built with 'channels'"),
        ("alexcnn", Options(input_size=20), "20 pixels leaves nothing after p5; use a larger one"),
        ("vggcnn", Options(input_size=(31, 64)), "leaves nothing after p5"),
        ("inception_v3", Options(input_size=32), "cannot read Inception3 for input 3x32x32"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(name: str, options: Options, words: str) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        read_architecture(name, options=options)
    assert "\n" not in str(caught.value)


def test_the_smallest_inputs_that_work() -> None:
    for name, size in (("vggcnn", 32), ("alexcnn", 23)):
        network = read_architecture(name, options=Options(input_size=size, width=1 / 16))
        assert network.layer("p5").size == (1, 1)
        with pytest.raises(NetworkError, match="leaves nothing"):
            read_architecture(name, options=Options(input_size=size - 1, width=1 / 16))


def test_only_networks_with_published_weights_have_named_ones() -> None:
    with pytest.raises(
        NetworkError, match="alexcnn has no weights named 'imagenet'; give 'fashion', a file, or leave"
    ):
        load_network("alexcnn", "imagenet", options=Options(width=1 / 32))
    with pytest.raises(NetworkError, match="Sequential has no weights named 'random'"):
        load_network(nn.Sequential(nn.Conv2d(3, 2, 3)), "random")


def test_every_name_is_a_network() -> None:
    names = network_names()
    assert names[:2] == ("alexcnn", "vggcnn")
    assert len(set(names)) == len(names) > 70
    known: dict[str, Any] = dict.fromkeys(names)
    assert not {"raft_large", "fasterrcnn_resnet50_fpn", "quantized_resnet18"} & known.keys()


def test_what_is_not_said_of_the_preparation_leaves_trainings_as_they_were() -> None:
    """Their file says how the network was built: those made before go on."""
    assert Options(classes=3).about() == {"classes": 3, "channels": None, "width": None, "input_size": None}
    assert Options(white=255.0).about()["white"] == 255.0
    assert Options.again({"mean": [0.5], "input_size": [3, 4], "trust": True}) == Options(
        mean=(0.5,), input_size=(3, 4)
    )
