"""States: read without executing anything, fitted wholly or not at all."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from layerscope.errors import WeightsError
from layerscope.zoo.states import StateKind, load_state
from tests.zoo.small_states import same, small, write


@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".safetensors", ".PTH"])
def test_a_state_dict_comes_back_from_each_kind_of_file(tmp_path: Path, ending: str) -> None:
    state = small().state_dict()
    path = write(tmp_path / f"net{ending}", dict(state))
    assert same(load_state(path), state)
    assert same(load_state(str(path)), state)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "net", 7])
def test_a_state_dict_is_found_one_level_down(
    tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = small().state_dict()
    path = write(tmp_path / "net.pth", {"acc": 0.9, key: state, "epoch": 3, "optimizer": {"lr": 0.1}})
    assert same(load_state(path), state)
    assert caplog.messages == [
        f"{path}: the weights are those under {key!r}; left aside: 'acc', 'epoch', 'optimizer'"
    ]


def test_nothing_is_said_where_nothing_stands_beside_the_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in (dict(small().state_dict()), {"net": small().state_dict()}):
        load_state(write(tmp_path / "net.pth", content))
    assert caplog.messages == []


@pytest.mark.parametrize("old", [False, True])
def test_numbers_of_numpy_beside_the_weights_are_left_aside(tmp_path: Path, *, old: bool) -> None:
    numbers = {"acc": np.float64(0.9), "epochs": (np.int64(3), [np.bool_(True)]), "lr": np.float32(0.1)}
    path, state = tmp_path / "net.pth", small().state_dict()
    torch.save({"net": state, **numbers}, path, _use_new_zipfile_serialization=not old)
    assert same(load_state(path), state)
    with pytest.raises(WeightsError, match="its 'acc' is a Number"):
        load_state(write(path, numbers))


def test_files_of_older_torch_are_read(tmp_path: Path) -> None:
    state = small().state_dict()
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    assert same(load_state(tmp_path / "net.pth"), state)


def test_parameters_become_tensors(tmp_path: Path) -> None:
    state = load_state(write(tmp_path / "net.pth", dict(small().named_parameters())))
    assert not any(tensor.requires_grad for tensor in state.values())


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"weight": torch.ones(1), "epoch": 3}, "not a flat dict of tensors: its 'epoch' is a int"),
        ({0: torch.ones(1)}, "its 0 is a Tensor"),
        ([torch.ones(1)], "it holds a list; save the network's state_dict"),
        ({"model": {}, "state_dict": {}}, "several state dicts, state_dict, model"),
        ({"a": {"w": torch.ones(1)}, "b": {"w": torch.ones(1)}}, "several state dicts, a, b: save the one"),
        ({"net": {"w": torch.ones(1), "epoch": 3}}, "its 'net' is a dict; save the network's state_dict"),
        ({"model": {"w": torch.ones(1), "epoch": 3}}, "its 'epoch' is a int"),
        ({"w": torch.ones(2, device="meta")}, "its 'w' is a tensor of the meta device, without values"),
        ({"net": {"w": torch.ones(2, device="meta")}}, "its 'w' is a tensor of the meta device"),
        ({}, "holds no tensors"),
        (nn.ReLU(), r"it names torch\.nn\.modules\.activation\.ReLU.*state_dict"),
    ],
)
def test_other_contents_are_refused_by_name(tmp_path: Path, content: object, line: str) -> None:
    path = write(tmp_path / "net.pth", content)
    with pytest.raises(WeightsError, match=line) as raised:
        load_state(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("data", [b"", b"junk" * 10, b"\x80\x02}q\x00."])
def test_broken_files_are_refused_in_one_line(tmp_path: Path, ending: str, data: bytes) -> None:
    path = tmp_path / f"net{ending}"
    path.write_bytes(data)
    with pytest.raises(WeightsError) as raised:
        load_state(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    for ending in (".pth", ".safetensors"):
        path = write(tmp_path / f"net{ending}", dict(small().state_dict()))
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(WeightsError, match="is not a readable"):
            load_state(path)


def test_paths_that_cannot_be_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such file"):
        load_state(tmp_path / "absent.pth")
    (tmp_path / "net.h5").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"\.safetensors, \.pth, \.pt, \.bin, \.ckpt or \.tar, not \.h5"):
        load_state(tmp_path / "net.h5")


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (self.victim,)  # type: ignore[return-value]


@pytest.mark.parametrize("layout", ["state-dict", "flax-convolutions"])
def test_nothing_in_a_file_is_executed(tmp_path: Path, layout: StateKind) -> None:
    victim, path = tmp_path / "victim", tmp_path / "net.pth"
    path.write_bytes(pickle.dumps({"AlexNet_0": Malicious(victim)}, protocol=2))
    with pytest.raises(WeightsError):
        load_state(path, layout)
    assert not victim.exists()
    pickle.loads(path.read_bytes())
    assert victim.exists()  # the file would have done it


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors_are_refused_by_name(tmp_path: Path, layout: torch.layout) -> None:
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=layout)
    path = write(tmp_path / "net.pth", {"w": nested})
    with pytest.raises(WeightsError, match="its 'w' is a nested tensor; save the network's state_dict"):
        load_state(path)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_refusal_never_advises_to_execute_the_file(tmp_path: Path, protocol: int, zipped: bool) -> None:
    path, content = tmp_path / "net.pth", {"net": Malicious(tmp_path / "victim")}
    if zipped:
        torch.save(content, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(WeightsError) as raised:
        load_state(path)
    line = str(raised.value)
    assert "weights_only" not in line
    assert "likely succeed" not in line
    assert "save the network's state_dict(), best as .safetensors" in line


class Swelling:
    """Becomes half a gigabyte when it is unpickled."""

    def __reduce__(self) -> tuple[type[bytearray], tuple[int]]:
        return bytearray, (1 << 29,)


def swollen(path: Path, kind: str) -> Path:
    """A small file that would take half a gigabyte to read."""
    if kind == "compressed":
        torch.save({"w": torch.zeros(1 << 20)}, path)
        with zipfile.ZipFile(path) as pack:
            members = {name: pack.read(name) for name in pack.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
            for name, data in members.items():
                pack.writestr(name, data)
    else:
        torch.save({"w": Swelling()}, path, _use_new_zipfile_serialization=kind == "named, zipped")
    return path


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("compressed", r"would unpack from [\d,]+ bytes to 4,19\d,\d+, which torch\.save never does"),
        ("named, zipped", r"holds more than tensors \(it names bytearray\)"),
        ("named", r"holds more than tensors \(it names bytearray\)"),
    ],
)
def test_a_file_that_would_swell_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, line: str
) -> None:
    path = swollen(tmp_path / "net.pth", kind)
    assert path.stat().st_size < 100_000
    monkeypatch.delattr(torch, "load")
    with pytest.raises(WeightsError, match=line):
        load_state(path)


def flax_alexnet() -> dict[str, dict[str, dict[str, np.ndarray[Any, np.dtype[Any]]]]]:
    """Like the registry's files: every element differs, and the four axes have four sizes."""
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    convolutions = {
        f"Conv_{i}": {"kernel": kernel + 1000 * i, "bias": np.full(5, i, np.float32)} for i in range(5)
    }
    return {"AlexNet_0": convolutions, "NetLinLayer_0": {"Conv_0": {"kernel": kernel}}}


def write_flax(path: Path, content: object, *, old_names: bool = True) -> Path:
    """A pickle as numpy 1 wrote it, or as numpy 2 does."""
    now, then = b"numpy._core.multiarray", b"numpy.core.multiarray"
    data = pickle.dumps(content, protocol=3)
    path.write_bytes(data.replace(now, then) if old_names else data.replace(then, now))
    return path


@pytest.mark.parametrize("old_names", [True, False])
def test_flax_convolutions_become_torchvisions(tmp_path: Path, old_names: bool) -> None:
    content = flax_alexnet()
    state = load_state(write_flax(tmp_path / "a.ckpt", content, old_names=old_names), "flax-convolutions")
    assert list(state) == [f"features.{i}.{part}" for i in (0, 3, 6, 8, 10) for part in ("weight", "bias")]
    for i, place in enumerate((0, 3, 6, 8, 10)):
        kernel, weight = content["AlexNet_0"][f"Conv_{i}"]["kernel"], state[f"features.{place}.weight"]
        for row, column, before, after in np.ndindex(kernel.shape):
            assert weight[after, before, row, column] == kernel[row, column, before, after]
        assert state[f"features.{place}.bias"].tolist() == [i] * 5


@pytest.mark.parametrize(
    "name",
    [
        "builtins eval",
        "os system",
        "numpy load",
        "numpy.core.multiarray fromfile",
        "numpy._core.multiarray empty",
        "numpy ndarray.tofile",
        "numpy.core _reconstruct",
    ],
)
def test_the_flax_reader_admits_arrays_and_nothing_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"c" + name.replace(" ", "\n").encode() + b"\n.")
    with pytest.raises(WeightsError, match=f"it names {name.replace(' ', '.')}, which could execute code"):
        load_state(path, "flax-convolutions")


def alike(kernel: object, count: int = 5) -> dict[str, Any]:
    return {"AlexNet_0": {f"Conv_{i}": {"kernel": kernel, "bias": np.ones(1)} for i in range(count)}}


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"ResNet_0": {}},
        alike(np.ones((1,) * 4), 4),
        alike(np.ones((1,) * 4), 6),
        alike("text"),
        alike(np.ones(3)),
        alike(np.ones((1,) * 4, int)),
    ],
)
def test_other_flax_files_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(WeightsError, match=r"is not a file of convolutions by flax: (?!Unpickling)"):
        load_state(write_flax(tmp_path / "a.ckpt", content), "flax-convolutions")


def test_a_state_may_stand_two_levels_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = small().state_dict()
    path = write(tmp_path / "net.pth", {"model": {"state_dict": dict(state), "epoch": 3}})
    assert same(load_state(path), state)
    assert caplog.messages == [f"{path}: the weights are those under 'state_dict'; left aside: 'epoch'"]
    path = write(tmp_path / "deep.pth", {"model": {"model": {"model": {"w": torch.ones(1)}}}})
    with pytest.raises(WeightsError, match="its 'model' is a dict"):
        load_state(path)
