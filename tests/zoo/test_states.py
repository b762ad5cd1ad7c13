"""States: read without executing anything, fitted wholly or not at all."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from layerscope.errors import WeightsError
from layerscope.zoo.states import StateKind, fit_state, load_state


def small(classes: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))


def write(path: Path, content: object) -> Path:
    if path.suffix == ".safetensors":
        assert isinstance(content, dict)
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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


def other_state() -> dict[str, Tensor]:
    """A state that fits `small` and shares no value with it."""
    return {n: t + 1 for n, t in small().state_dict().items()}


def refusal(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """The line of refusal, after a look that the module was left as it was."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(WeightsError) as raised:
        fit_state(module, state, source="net.pth")
    assert same(module.state_dict(), before)
    line = str(raised.value)
    assert line.startswith(f"net.pth does not fit {type(module).__name__}: ")
    assert "\n" not in line
    return line


def test_a_state_is_loaded_whole() -> None:
    module, state = small(), other_state()
    fit_state(module, state, source="net.pth")
    assert same(module.state_dict(), state)


def test_half_precision_is_cast_to_the_modules_type() -> None:
    module = small()
    half = {n: t.half() if t.is_floating_point() else t for n, t in other_state().items()}
    fit_state(module, half, source="net.pth")
    loaded = module.state_dict()["0.bias"]
    assert loaded.dtype is torch.float32
    assert torch.equal(loaded, half["0.bias"].float())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_is_left_aside(prefix: str) -> None:
    module = small()
    fit_state(module, {prefix + name: tensor for name, tensor in other_state().items()}, source="net.pth")
    assert same(module.state_dict(), other_state())


def test_a_prefix_that_is_the_networks_own_stays() -> None:
    wrapper = nn.ModuleDict({"model": small()})
    fit_state(wrapper, {f"model.{name}": tensor for name, tensor in other_state().items()}, source="net.pth")
    assert same(wrapper["model"].state_dict(), other_state())


def test_counters_of_batch_norm_may_be_missing() -> None:
    state = other_state()
    del state["1.num_batches_tracked"]
    module = small()
    fit_state(module, state, source="net.pth")
    assert torch.equal(module.state_dict()["1.running_var"], state["1.running_var"])


def test_another_number_of_classes_says_which() -> None:
    line = refusal(small(classes=5), other_state())
    assert "3.weight is (3, 4), not (5, 4), 3.bias is (3,), not (5,)" in line
    assert "--classes 3" in line


def test_another_width_is_not_taken_for_classes() -> None:
    state = other_state()
    state["0.weight"] = torch.ones(4, 1, 3, 3)
    line = refusal(small(), state)
    assert "0.weight is (4, 1, 3, 3), not (4, 3, 3, 3)" in line
    assert "--classes" not in line


def test_a_trunk_for_a_whole_network_is_called_so() -> None:
    state = {name: tensor for name, tensor in other_state().items() if not name.startswith("3.")}
    line = refusal(small(), state)
    assert "it lacks 3.weight, 3.bias; it is a trunk without 3: build the network as a trunk" in line


def test_whole_weights_for_a_trunk_are_called_so() -> None:
    line = refusal(small()[:3], other_state())
    assert "it has 3.weight, 3.bias, which the network has not" in line
    assert "the network is a trunk without 3: build the whole network" in line


@pytest.mark.parametrize("prefix", ["", "module."])
def test_counts_beside_the_weights_are_left_aside(prefix: str) -> None:
    counts = {"total_ops": torch.zeros(1), "3.total_params": torch.zeros(1)}
    state = {prefix + name: tensor for name, tensor in {**counts, **other_state()}.items()}
    module = small()
    fit_state(module, {"n_averaged": torch.ones(()), **state}, source="net.pth")
    assert same(module.state_dict(), other_state())


def test_a_networks_own_counts_are_loaded() -> None:
    module = small()
    module.register_buffer("total_ops", torch.zeros(1))
    fit_state(module, {**other_state(), "total_ops": torch.ones(1)}, source="net.pth")
    assert module.state_dict()["total_ops"].item() == 1


def test_a_single_tensor_too_many_makes_no_trunk() -> None:
    line = refusal(small(), {**other_state(), "scale": torch.ones(1)})
    assert (
        "it has scale, which the network has not; give the network that these weights were made for" in line
    )


def test_another_networks_names_are_shown_but_not_all() -> None:
    line = refusal(small(), {f"layer.{i}": torch.ones(1) for i in range(100)})
    assert "it lacks 0.weight, 0.bias, 1.weight, 1.bias, 1.running_mean, 1.running_var and 2 more;" in line
    assert "it has layer.0, layer.1, layer.2, layer.3, layer.4, layer.5 and 94 more, which" in line
    assert "give the network that these weights were made for" in line


def test_integers_and_sparse_tensors_are_no_weights() -> None:
    for odd in (torch.ones(4, dtype=torch.int8), torch.ones(4).to_sparse()):
        assert "0.bias cannot become torch.float32" in refusal(small(), {**other_state(), "0.bias": odd})


def test_googlenets_auxiliary_heads_are_left_aside_when_switched_off() -> None:
    import torchvision.models as tv

    published = tv.GoogLeNet(aux_logits=True, init_weights=False).state_dict()
    fit_state(tv.GoogLeNet(aux_logits=False, init_weights=False), published, source="net.pth")
    published["inception9.conv.weight"] = torch.ones(1)
    assert "it has inception9.conv.weight" in refusal(
        tv.GoogLeNet(aux_logits=False, init_weights=False), published
    )


def test_densenets_old_names_are_read(tmp_path: Path) -> None:
    import torchvision.models as tv

    module = tv.DenseNet(growth_rate=2, block_config=(2,), num_init_features=4, num_classes=2)
    old = {n: t + 1 for n, t in module.state_dict().items()}
    for part in ("norm1", "norm2", "conv1", "conv2"):
        old = {n.replace(f".{part}.", f".{part[:-1]}.{part[-1]}."): t for n, t in old.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    fit_state(module, load_state(write(tmp_path / "net.pth", old)), source="net.pth")


def test_networks_that_look_at_their_files_version_are_fitted(tmp_path: Path) -> None:
    import torchvision.models as tv

    state = tv.mnasnet0_5().state_dict()
    path = write(tmp_path / "net.safetensors", dict(state))
    module = tv.mnasnet0_5()
    fit_state(module, load_state(path), source="net.safetensors")
    assert same(module.state_dict(), state)


class Doubled(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values * 2


def test_torchscript_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(Doubled(), torch.zeros(1)).save(str(path))  # type: ignore[no-untyped-call]
    with pytest.raises(WeightsError, match="is TorchScript, which cannot be read: where it was made, save"):
        load_state(path)


def test_any_prefix_before_all_names() -> None:
    module, given = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 3))
    for prefix in ("net.backbone.", "module.", "module.model.", "encoder_q."):
        state = {f"{prefix}{name}": tensor for name, tensor in given.state_dict().items()}
        fit_state(module, {**state, f"{prefix}total_ops": torch.zeros(1)}, source="it")
        assert torch.equal(module.state_dict()["0.weight"], given.state_dict()["0.weight"])
        module = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(WeightsError, match=r"it has net\.a\.0\.weight, net\.b"):
        fit_state(module, {"net.a.0.weight": torch.zeros(3, 2), "net.b": torch.zeros(3)}, source="it")
