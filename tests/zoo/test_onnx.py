"""Files of ONNX as networks: they agree with onnxruntime, layers are called after their modules, faults are said."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision.models as tv
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from layerscope.errors import NetworkError
from layerscope.network.network import Network
from layerscope.network.source import Options
from layerscope.zoo.loading import load_network, read_architecture
from tests.support.marks import slow_but
from tests.support.ocr import FILES, ocr_file


def exported(module: nn.Module, path: Path, *shape: int, free: bool = True) -> Path:
    """By torch's exporter; ``free``: for any number of pictures."""
    module.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {0: "n"}} if free else None
        torch.onnx.export(
            module,
            (torch.zeros(shape),),
            path,
            dynamo=False,
            input_names=["x"],
            dynamic_axes=axes,
            opset_version=17,
        )
    return path


def scores(network: Network, pictures: Tensor) -> Tensor:
    index = network.graph.output
    return network._run(pictures, frozenset({index}))[index]


def run(path: Path, pictures: Tensor) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return torch.from_numpy(onnxruntime.InferenceSession(path, options).run(None, {"x": pictures.numpy()})[0])


def small() -> nn.Module:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(features, nn.Conv2d(8, 6, 3), nn.Hardswish(), nn.Flatten(), nn.Linear(6 * 5 * 5, 4))


@pytest.mark.parametrize("free", [True, False])
def test_a_file_is_the_network_that_it_was_made_from(tmp_path: Path, free: bool) -> None:
    path = exported(small(), tmp_path / "net.onnx", 1, 3, 32, 32, free=free)
    network = load_network(str(path))
    assert (network.name, network.input_shape, network.weights) == ("net.onnx", (3, 32, 32), "as in the file")
    operations = [(layer.name, layer.operation) for layer in network.layers]
    assert operations == [
        ("0.0", "conv 3x3/2 + relu"),  # the exporter puts batch norm into the convolution
        ("0.3", "max pool 2x2/2"),
        ("1", "conv 3x3 + hardswish"),
        ("4", "linear"),
    ]
    own = Network.from_module(small(), preprocessing=network.preprocessing)
    assert [layer.field for layer in network.layers] == [layer.field for layer in own.layers]
    pictures = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(scores(network, pictures), scores(own, pictures), rtol=0, atol=1e-4)
    assert network.loading is not None
    assert network.loading.spec == str(path.absolute())
    assert load_network(network.loading.spec).graph.digest == network.graph.digest


@pytest.mark.parametrize(
    "name", slow_but(["mobilenet_v3_small"], ["shufflenet_v2_x0_5", "mobilenet_v3_small", "convnext_tiny"])
)
def test_networks_of_torchvision(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = tv.get_model(name, weights=None)
    path = exported(module, tmp_path / f"{name}.onnx", 2, 3, 64, 64)
    network, pictures = load_network(str(path)), torch.randn(2, 3, 64, 64)
    theirs = run(path, pictures)
    assert (scores(network, pictures) - theirs).abs().max() <= 1e-4 * max(1.0, float(theirs.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [*zip(FILES, [(96, 128), (48, 320), (48, 192)], strict=True)])
def test_networks_of_another_framework(name: str, size: tuple[int, int]) -> None:
    """Gates, hard-swish written out, constants as nodes, upsampling, attention, shapes computed on the way."""
    path = ocr_file(name)
    network = load_network(str(path), options=Options(input_size=size))
    pictures = torch.randn(2, 3, *size)
    torch.testing.assert_close(scores(network, pictures), run(path, pictures), rtol=0, atol=1e-4)
    assert len(network.layers) > 100


def test_a_size_that_the_file_leaves_free(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    path = exported(module, tmp_path / "net.onnx", 1, 1, 20, 30)
    assert read_architecture(str(path)).input_shape == (1, 20, 30)
    assert read_architecture(str(path), options=Options(input_size=16)).input_shape == (1, 16, 16)
    model = onnx.load(path)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "free"
    onnx.save(model, path)
    assert read_architecture(str(path)).input_shape == (1, 224, 224)


class Mixing(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures - pictures.mean(0, keepdim=True)


class Two(nn.Module):
    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return pictures.relu(), pictures.sigmoid()


def test_a_file_for_one_picture_that_mixes_them_is_refused(tmp_path: Path) -> None:
    path = exported(
        nn.Sequential(nn.Conv2d(3, 2, 3), Mixing()), tmp_path / "net.onnx", 1, 3, 20, 30, free=False
    )
    with pytest.raises(
        NetworkError, match=r"net.onnx was exported for one picture alone .* free \(dynamic\)$"
    ):
        load_network(str(path))


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    path = exported(nn.Sequential(nn.Conv2d(3, 2, 3), Two()), tmp_path / "net.onnx", 1, 3, 20, 30)
    first, second = (one.name for one in onnx.load(path).graph.output)
    with pytest.raises(NetworkError, match=f"has 2 outputs; name one: net.onnx:{first}, net.onnx:{second}"):
        load_network(str(path))
    network = load_network(f"{path}:{second}")
    assert network.name == f"net.onnx:{second}"
    assert [layer.operation for layer in network.layers] == ["conv 3x3", "sigmoid"]
    assert network.loading is not None
    assert network.loading.spec == f"{path}:{second}"
    with pytest.raises(NetworkError, match="has no output 'third'; name one"):
        load_network(f"{path}:third")


def written(path: Path, shape: list[Any], *, inputs: int = 1, kind: str = "Relu", **attributes: Any) -> Path:
    values = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i in range(inputs)]
    node = helper.make_node(
        kind, ["c" if kind == "Constant" else "x0"][: kind != "Constant"], ["y"], **attributes
    )
    if kind == "Constant":
        value = numpy_helper.from_array(np.zeros((1, 2), np.float32))
        node = helper.make_node(kind, [], ["y"], value=value)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    onnx.save(helper.make_model(helper.make_graph([node], "g", values, [result])), path)
    return path


def test_what_is_no_network_of_pictures_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model at all")
    cases: dict[Path, str] = {
        tmp_path / "absent.onnx": "absent.onnx: there is no such file",
        broken: "broken.onnx is no readable file of ONNX",
        written(
            tmp_path / "two.onnx", [1, 3, 8, 8], inputs=2
        ): r"must take one image tensor, and takes 2 \(x0, x1\)",
        written(
            tmp_path / "none.onnx", [1, 3, 8, 8], inputs=0
        ): "none.onnx holds no network that takes anything",
        written(tmp_path / "flat.onnx", [1, 8]): r"takes 2 axes, not \(batch, channels, height, width\)",
        written(
            tmp_path / "same.onnx", [1, 3, 8, 8], kind="Constant"
        ): "gives the same whatever the picture is",
        written(
            tmp_path / "odd.onnx", [1, 3, 8, 8], kind="Hardmax"
        ): "is a Hardmax of ONNX, for which there is no rule",
        written(
            tmp_path / "wide.onnx", ["n", 3, 8, 8], kind="AveragePool", kernel_shape=[2, 2], dilations=[2, 2]
        ): "^wide.onnx: the node y, AveragePool of ONNX, is read only without dilations; export the network",
    }
    for path, words in cases.items():
        with pytest.raises(NetworkError, match=words) as caught:
            load_network(str(path))
        assert "\n" not in str(caught.value)


def test_without_onnx_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    modules: dict[str, Any] = __import__("sys").modules
    monkeypatch.setitem(modules, "onnx", None)
    with pytest.raises(NetworkError, match=r"onnx is not installed; pip install 'layerscope\[onnx\]'"):
        load_network(str(tmp_path / "net.onnx"))
