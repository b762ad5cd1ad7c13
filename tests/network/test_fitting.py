"""Networks that do not fit the size of their pictures: said in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, export

from layerscope.errors import NetworkError
from layerscope.network.source import Options
from layerscope.zoo.loading import load_network, read_architecture


def small_pictures() -> nn.Module:
    """For 28 x 28."""
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(576, 5))


class Halved(nn.Sequential):
    """Works for small pictures alone, and only in evaluation mode."""

    def forward(self, pictures: Tensor) -> Tensor:
        assert not self.training
        assert pictures.shape[-1] < 50
        given: Tensor = super().forward(pictures)  # type: ignore[no-untyped-call]
        return given


def halved() -> nn.Module:
    return Halved(nn.Conv2d(3, 4, 5)).train()


def odd() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(4 * 29 * 29, 5))


def deep() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))


def volumes() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU())


def sounds() -> nn.Module:
    return nn.Sequential(nn.Conv1d(3, 4, 3))


class Tutorial(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.pool, self.conv2 = nn.Conv2d(3, 6, 5), nn.MaxPool2d(2, 2), nn.Conv2d(6, 16, 5)
        self.fc = nn.Linear(400, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.pool(F.relu(self.conv2(self.pool(F.relu(self.conv1(pictures))))))
        return self.fc(maps.view(-1, 400))  # type: ignore[no-any-return]


def tutorial() -> nn.Module:
    """Pytorch's own for CIFAR-10, as far as it matters here."""
    return Tutorial()


ASSUMED = "; pictures of 224x224 were assumed, as nobody said a size"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (small_pictures, "the linear layer 4 takes 576 values and is given 48400"),
        (
            small_pictures,
            "said a size; it runs on 28x28: say --input-size 28, in Python Options(input_size=28), or",
        ),
        (halved, "it runs on 28x28, 32x32 and 48x48: say --input-size 28"),
        (
            odd,
            "and it runs on none of the usual ones from 28x28 to 384x384: say --input-size N or HxW, in Python",
        ),
        (deep, "the convolution 2 takes 8 channels and is given 4"),
        (tutorial, "after the layer pool, shape '[-1, 400]' is invalid"),
        (tutorial, "it runs on 32x32: say --input-size 32"),  # 192 mixes pictures
    ],
)
def test_what_does_not_fit_is_named(make: Callable[[], nn.Module], why: str) -> None:
    with pytest.raises(NetworkError) as raised:
        load_network(make())
    said = str(raised.value)
    assert why in said
    assert ASSUMED in said
    assert not any(word in said for word in ("s77", "reduction", "Expected", "aten"))


def one_alone() -> nn.Module:
    """For one picture, as some write for their own use."""
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.AdaptiveAvgPool2d(1), Row(), nn.Linear(4, 3))


class Row(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.view(1, -1)


class InHalf(nn.Sequential):
    def forward(self, pictures: Tensor) -> Tensor:
        given: Tensor = super().forward(pictures.half())  # type: ignore[no-untyped-call]
        return given


class Broken(nn.Sequential):
    def forward(self, pictures: Tensor) -> Tensor:
        return nothing(pictures)  # type: ignore[name-defined, no-any-return] # noqa: F821


def scripted_within() -> nn.Module:
    return nn.Sequential(torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())), nn.Conv2d(4, 4, 3))


class Drawn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator, self.scale = torch.Generator(), nn.Conv2d(3, 4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.scale(pictures) * torch.rand(1, generator=self.generator)  # type: ignore[no-any-return]


def without_values() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Conv2d(3, 4, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Lazy modules")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (volumes, "0 is a Conv3d, and only networks of two-dimensional pictures are read"),
        (sounds, "0 is a Conv1d, and only networks of two-dimensional pictures are read"),
        (
            one_alone,
            "it runs on one picture alone, and fails on two: the linear layer 3 takes 4 values and is given 8",
        ),
        (lambda: Broken(nn.Conv2d(3, 4, 3)), "name 'nothing' is not defined"),
        (
            lambda: torch.jit.script(nn.Sequential(nn.ReLU())),
            "was made from a module; give the nn.Module it was made",
        ),
        (scripted_within, "0 of Sequential is TorchScript, which cannot be read"),
        (Drawn, "Generator"),  # torch 2.9 says so itself
        (without_values, "Sequential has no values: it is on torch's meta device"),
        (
            lambda: nn.Sequential(nn.LazyConv2d(4, 3)),
            "0 of Sequential has no size yet (LazyConv2d); run the network",
        ),
        (lambda: nn.ReLU, "the class ReLU is no network; give a name, a file, an nn.Module"),
        (lambda: None, "a NoneType is no network"),
    ],
)
def test_what_has_nothing_to_do_with_sizes_is_told_without_one(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(NetworkError) as raised:
        load_network(make())
    assert why in str(raised.value)
    assert "--input-size" not in str(raised.value)


@pytest.mark.parametrize("make", [lambda: InHalf(nn.Conv2d(3, 4, 3)), tutorial])
def test_the_layer_that_failed_is_told_and_not_the_last_that_ran(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(NetworkError) as raised:
        load_network(make(), options=Options(input_size=64))
    assert "cannot take maps" not in str(raised.value)


@pytest.mark.parametrize("size", ["native", -1, 0, 1.5, (3, 32, 32), (32, 0)])
def test_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(NetworkError, match="give a number of pixels, or"):
        load_network(small_pictures(), options=Options(input_size=size))


def test_a_mean_of_zero_is_said() -> None:
    said = Options(mean=0.0, deviation=0.5).about()
    assert (said["mean"], said["deviation"]) == (0.0, 0.5)
    known = load_network(small_pictures(), options=Options.again({**said, "input_size": 28})).preprocessing
    assert (known.mean, known.deviation) == ((0.0,) * 3, (0.5,) * 3)


def test_what_was_exported_is_taken_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    program = export(module, (torch.zeros(2, 3, 16, 16),), dynamic_shapes=({0: Dim.DYNAMIC},))
    network = load_network(program)
    assert (network.input_shape, [layer.operation for layer in network.layers]) == (
        (3, 16, 16),
        ["conv 3x3 + relu"],
    )
    with pytest.raises(NetworkError, match=r"is not built with 'input_size'; only .* so leave it out"):
        load_network(program, options=Options(input_size=32))


class Places(nn.Sequential):
    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures).mean((2, 3)).argmax(1)  # type: ignore[no-untyped-call, no-any-return]


def test_a_network_that_ends_in_places_is_read() -> None:
    network = load_network(Places(nn.Conv2d(3, 4, 3)), options=Options(input_size=16))
    assert [layer.operation for layer in network.layers] == ["conv 3x3", "mean"]


def test_a_module_that_was_tried_on_sizes_is_as_it_was() -> None:
    module = halved()
    with pytest.raises(NetworkError):
        load_network(module)
    assert all(part.training for part in module.modules())


def test_the_right_size_is_read_and_a_wrong_one_was_not_assumed() -> None:
    assert len(read_architecture(small_pictures(), options=Options(input_size=28)).layers) == 3
    with pytest.raises(NetworkError, match="is given 784") as raised:
        load_network(small_pictures(), options=Options(input_size=32))
    assert "assumed" not in str(raised.value)
