"""Files of torch.export.save: read as they are, without executing anything."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from layerscope.errors import NetworkError
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.zoo.loading import build_module, load_network, read_architecture


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.classifier = nn.Linear(8, 4)
        self.scale = torch.full((8,), 2.0)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.features(pictures)
        scores: Tensor = self.classifier((maps.reshape(maps.shape[0], 8, -1)).mean(2) * self.scale)
        return scores


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def path(module: nn.Module, tmp_path: Path) -> Path:
    saved = tmp_path / "net.pt2"
    program = export(module, (torch.zeros(2, 3, 16, 12),), dynamic_shapes=({0: Dim.DYNAMIC},))
    torch.export.save(program, saved)
    return saved


def test_a_file_is_the_network_that_it_was_made_from(path: Path, module: nn.Module) -> None:
    network = load_network(str(path))
    assert (network.name, network.input_shape) == ("net.pt2", (3, 16, 12))
    own = Network.from_module(module, preprocessing=Preprocessing(16, 16, 12))
    assert [(layer.name, layer.operation) for layer in network.layers] == [
        (layer.name, layer.operation) for layer in own.layers
    ]
    pictures = torch.randn(3, 3, 16, 12)
    names = [layer.name for layer in own.layers]
    theirs = own.representations(pictures, names)
    for name, values in network.representations(pictures, names).items():
        torch.testing.assert_close(values, theirs[name])
    assert network.loading is not None
    assert network.loading.spec == str(path)
    program = torch.export.load(path)
    assert len(Network.from_module(program, preprocessing=Preprocessing(16, 16, 12)).layers) == len(
        own.layers
    )
    with pytest.raises(NetworkError, match="was exported for 3x16x12, and its pictures would be 3x224x224"):
        Network.from_module(program)


def changed(
    path: Path, change: Callable[[str, bytes], bytes | None], more: dict[str, bytes] | None = None
) -> Path:
    """The archive with members changed, left out (None) or added."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(packed, "w") as after:
        for name in before.namelist():
            content = change(name.partition("/")[2], before.read(name))
            if content is not None:
                after.writestr(name, content)
        for name, content in (more or {}).items():
            after.writestr(f"net/{name}", content)
    path.write_bytes(packed.getvalue())
    return path


class Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


def in_model(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, content: content.replace(old, new, 1) if name == "models/model.json" else content


def same(name: str, content: bytes) -> bytes:
    return content


def evil(name: str, content: bytes) -> bytes:
    return pickle.dumps(Evil()) if name.startswith("data/sample_inputs") else content


def pickled(name: str, content: bytes) -> bytes:
    return (
        content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
        if name.endswith("_config.json")
        else content
    )


HOSTILE: dict[str, tuple[Callable[[str, bytes], bytes | None], dict[str, bytes], str]] = {
    "inputs": (evil, {}, "holds example inputs that are more than tensors, which could execute code"),
    "weights": (pickled, {}, "keeps .* as a pickle"),
    "code": (same, {"data/aotinductor/model/model.so": b""}, "holds data/aotinductor/model/model.so"),
    "target": (in_model(b"torch.ops.aten.conv2d.default", b"torch.hub.load"), {}, "calls torch.hub.load"),
    "system": (
        in_model(b"torch.ops.aten.conv2d.default", b"_operator.methodcaller"),
        {},
        "calls _operator.methodcaller",
    ),
    "size": (in_model(b'"expr_str": "', b'"expr_str": "print(1)+'), {}, r"has the expression .print\(1\)"),
    "text": (in_model(b'"expr_str": "', b'"expr_str": "[].__class__+'), {}, "has the expression"),
    "name": (in_model(b'"name": "p_', b'"name": "x\\nimport os'), {}, "has the expression"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_could_execute_code_is_refused(
    case: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, more, words = HOSTILE[case]
    with pytest.raises(NetworkError, match=f"net.pt2 {words}") as caught:
        load_network(str(changed(path, change, more)))
    assert "\n" not in str(caught.value)
    assert "--trust" in str(caught.value)
    assert "executed" not in capsys.readouterr().out


def test_only_what_is_changed_is_refused(path: Path) -> None:
    """The control: packed anew, it is still read."""
    assert len(load_network(str(changed(path, same))).layers) > 2


def test_a_member_that_is_there_twice(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        changed(path, same, {"models/model.json": b"{}"})
    with pytest.raises(NetworkError, match="is packed as torch"):
        load_network(str(path))


def test_what_is_trusted_is_not_asked(path: Path) -> None:
    changed(path, same, {"extra/note.txt": b"hello"})
    with pytest.raises(NetworkError, match="holds extra/note"):
        load_network(str(path))
    network = load_network(str(path), options=Options(trust=True))
    assert network.loading is not None
    assert network.loading.options.trust is False


def test_what_it_was_not_exported_for(path: Path, module: nn.Module, tmp_path: Path) -> None:
    one = tmp_path / "one.pt2"
    torch.export.save(export(module, (torch.zeros(1, 3, 16, 12),)), one)
    two = tmp_path / "two.pt2"
    torch.export.save(export(nn.Bilinear(2, 2, 2), (torch.zeros(2, 2), torch.zeros(2, 2))), two)
    (tmp_path / "broken.pt2").write_bytes(b"no archive")
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    cases: list[tuple[Path, Options, str]] = [
        (one, Options(), "was exported for inputs of 1x3x16x12; export it with the first axis free"),
        (two, Options(), "takes 2 inputs; export a module that takes one image tensor"),
        (tmp_path / "broken.pt2", Options(), "is no archive of torch.export.save"),
        (tmp_path / "broken.pt2", Options(trust=True), "is no readable file of torch.export.save"),
        (tmp_path / "absent.pt2", Options(), "there is no such file"),
        (path, Options(input_size=32), "net.pt2 is not built with 'input_size'"),
    ]
    for file, options, words in cases:
        with pytest.raises(NetworkError, match=words) as caught:
            read_architecture(str(file), options=options)
        assert "\n" not in str(caught.value)
    with pytest.raises(NetworkError, match="has the weights that it was exported with; leave --weights out"):
        load_network(str(path), tmp_path / "weights.pth")
    with pytest.raises(NetworkError, match="cannot be trained"):
        build_module(str(path))
