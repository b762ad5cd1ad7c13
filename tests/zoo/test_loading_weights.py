"""What weights make of a network: whose preprocessing it gets, whether it is a trunk, and what is left alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
import torchvision.models as tv
from PIL import Image
from torch import Tensor, nn
from torch.testing import assert_close

from layerscope.errors import NetworkError, WeightsError
from layerscope.network.source import Options
from layerscope.zoo.loading import load_network, read_architecture
from layerscope.zoo.paper import alexcnn
from layerscope.zoo.weights import Fetched


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random values under the names of all of torchvision's weights."""

    def fetch(network: str, name: str, *, progress: bool) -> Fetched:
        entry = tv.get_model_weights(network)[name]
        path = tmp_path / f"{network}.pth"
        torch.save(tv.get_model(network, weights=None).state_dict(), path)
        return Fetched(path, "0" * 64, "a file", "whole", "state-dict", str(entry))

    monkeypatch.setattr("layerscope.zoo.origins.torchvisions.fetch", fetch)


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("mobilenet_v2", "IMAGENET1K_V1"),
        ("mobilenet_v2", "IMAGENET1K_V2"),
        ("efficientnet_b1", "IMAGENET1K_V1"),
        ("efficientnet_b1", "IMAGENET1K_V2"),
    ],
)
@pytest.mark.usefixtures("published")
def test_preprocessing_is_that_of_the_weights(network: str, name: str) -> None:
    """Beside torchvision's own, within one of 256 levels; efficientnet_b1's two differ in the filter too."""
    entry = tv.get_model_weights(network)[name]
    loaded = load_network(network, name)
    picture = Image.effect_mandelbrot((400, 300), (-2, -1.5, 1, 1.5), 90).convert("RGB")
    level = 1.001 / 255 / min(loaded.preprocessing.deviation)
    ours, theirs = loaded.preprocessing.apply(picture), entry.transforms()(picture)
    assert_close(ours, theirs, rtol=0, atol=level)
    assert (ours != theirs).float().mean() < 0.01
    assert loaded.classes == tuple(entry.meta["categories"])


@pytest.mark.usefixtures("published")
def test_an_input_size_is_applied_to_the_weights_own_margin() -> None:
    loaded = load_network("mobilenet_v2", "IMAGENET1K_V2", options=Options(input_size=112))
    assert (loaded.preprocessing.resize, loaded.input_shape) == (116, (3, 112, 112))


@pytest.mark.slow
def test_a_transformer_is_built_for_its_weights_size_of_input() -> None:
    assert read_architecture("vit_h_14").input_shape == (3, 518, 518)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_a_module_of_the_users_is_never_changed(tmp_path: Path) -> None:
    module, other = (nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()).train() for _ in range(2))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    network = load_network(module, saved(tmp_path / "net.pth", other.state_dict()))
    assert torch.equal(network.graph.tensors["0.weight"], other.state_dict()["0.weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert module.training


def test_a_module_that_cannot_be_copied_is_left_alone_in_one_line(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3))
    module.lock = threading.Lock()  # type: ignore[assignment]
    path = saved(tmp_path / "net.pth", module.state_dict())
    with pytest.raises(
        NetworkError, match=r"Sequential cannot be copied.*lock.*; load them yourself"
    ) as caught:
        load_network(module, path)
    assert "\n" not in str(caught.value)


class Pooled(nn.Module):
    """Convolutions called ``features``, and what comes after them."""

    def __init__(self, *after: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 1))
        self.classifier = nn.Sequential(*after)

    def forward(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(pictures).mean((2, 3)))
        return scores


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_network_of_features_alone_is_no_trunk(tmp_path: Path, prefix: str) -> None:
    module = Pooled()
    path = saved(tmp_path / "net.pth", {prefix + name: t for name, t in module.state_dict().items()})
    network = load_network(module, path, options=Options(input_size=8))
    assert network.why_no_predictions is None
    assert len(network.predict(torch.zeros(1, 3, 8, 8))[0]) == 5


@pytest.mark.parametrize("prefix", ["", "module."])
def test_features_alone_make_a_trunk_of_a_network_with_a_classifier(tmp_path: Path, prefix: str) -> None:
    module = Pooled(nn.Linear(5, 7))
    state = {prefix + name: t for name, t in module.state_dict().items() if name.startswith("features")}
    network = load_network(module, saved(tmp_path / "net.pth", state), options=Options(input_size=8))
    assert network.trunk
    assert [layer.name for layer in network.layers] == ["features.0", "features.2"]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", ["alexcnn", "vggcnn"])
def test_the_papers_networks_have_trunks_too(tmp_path: Path, name: str, prefix: str) -> None:
    options = Options(width=1 / 32, classes=3, input_size=64)
    whole = load_network(name, options=options)
    state = {prefix + n: t.contiguous() for n, t in whole.graph.tensors.items() if n.startswith("c")}
    trunk = load_network(name, saved(tmp_path / "net.pth", state), options=options)
    assert trunk.why_no_predictions == f"the weights of {name} are a trunk without fully-connected layers"
    names = [layer.name for layer in trunk.layers]
    assert names == [layer.name for layer in whole.layers][:-3]
    pictures = torch.randn(2, 3, 64, 64)
    found, right = (network.representations(pictures, names) for network in (trunk, whole))
    assert all(torch.equal(found[layer], right[layer]) for layer in names)


def test_convolutions_of_another_network_are_no_trunk(tmp_path: Path) -> None:
    tensors = load_network("vggcnn", options=Options(width=1 / 32, input_size=64)).graph.tensors
    path = saved(tmp_path / "net.pth", {name: t for name, t in tensors.items() if name.startswith("c")})
    with pytest.raises(WeightsError, match=r"it lacks c1\.weight.*give the network that these"):
        load_network("alexcnn", path)


def test_a_file_is_a_file_whatever_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyTorch's own example of training on ImageNet saves it."""
    monkeypatch.chdir(tmp_path)
    options = Options(width=1 / 32, classes=3, input_size=64)
    state = alexcnn(width=1 / 32, classes=3, input_size=64).state_dict()
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    best = {"epoch": 3, "arch": "alexcnn", "state_dict": wrapped, "best_acc1": torch.tensor(0.5)}
    for name in ("model_best.pth.tar", "net.ckpt"):
        saved(Path(name), best)
        for given in (name, Path(name)):
            network = load_network("alexcnn", given, options=options)
            assert network.weights == name
            assert torch.equal(network.graph.tensors["fc8.weight"], state["fc8.weight"])
    for name in ("net.h5", "net"):
        saved(Path(name), state)
        for spec in ("alexcnn", "vgg16"):
            with pytest.raises(WeightsError, match=f"{name}: weights are read from .safetensors, .pth"):
                load_network(spec, name)


def test_a_name_stays_a_name_where_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("random").write_bytes(b"x")
    options = Options(width=1 / 32, classes=3, input_size=64)
    assert load_network("alexcnn", "random", options=options).weights == "random, seed 0"
    with pytest.raises(WeightsError, match="random: weights are read from"):
        load_network("alexcnn", "./random", options=options)
