"""Networks that do not fit the size of their pictures: said in our words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor, nn

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
        (volumes, "0 is a Conv3d, and only networks of two-dimensional pictures are read"),
        (sounds, "0 is a Conv1d, and only networks of two-dimensional pictures are read"),
    ],
)
def test_what_does_not_fit_is_named(make: Callable[[], nn.Module], why: str) -> None:
    with pytest.raises(NetworkError) as raised:
        load_network(make())
    said = str(raised.value)
    assert why in said
    assert ASSUMED in said
    assert not any(word in said for word in ("s77", "reduction", "Expected", "aten"))


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
