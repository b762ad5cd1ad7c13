"""States are fitted wholly or not at all, and what does not fit is called by its name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from layerscope.errors import WeightsError
from layerscope.zoo.states import fit_state, load_state
from tests.zoo.small_states import same, small, write


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


def test_what_stands_beside_the_network_is_named_and_left_aside(caplog: pytest.LogCaptureFixture) -> None:
    """As the criterion of a training that holds the network as ``model``."""
    module = small()
    wrapped = {f"model.{name}": tensor for name, tensor in other_state().items()}
    fit_state(
        module, {"loss.weight": torch.ones(3), **wrapped, "n_averaged": torch.ones(())}, source="net.ckpt"
    )
    assert same(module.state_dict(), other_state())
    assert caplog.messages == ["net.ckpt: the whole network stands under one prefix; left aside: loss.weight"]
    del wrapped["model.3.bias"]
    line = refusal(small(), {"loss.weight": torch.ones(3), **wrapped})
    assert "it lacks 0.weight" in line


def test_a_network_that_is_there_twice_is_not_chosen() -> None:
    state = {f"{prefix}.{name}": t for prefix in ("student", "teacher") for name, t in other_state().items()}
    line = refusal(small(), state)
    assert line.endswith(
        "the whole network stands under each of student., teacher.: save the one to use, without its prefix"
    )
