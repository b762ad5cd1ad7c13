"""Networks that do not fit the size of their pictures: said in our words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from layerscope.errors import NetworkError
from layerscope.network.source import Options
from layerscope.zoo.loading import load_network, read_architecture


def small_pictures() -> nn.Module:
    """For 28 x 28."""
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(576, 5))


def deep() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))


def volumes() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU())


def sounds() -> nn.Module:
    return nn.Sequential(nn.Conv1d(3, 4, 3))


ASSUMED = (
    "; pictures of 224x224 were assumed: say another size by --input-size, in Python by Options(input_size"
)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (small_pictures, "the linear layer 4 takes 576 values and is given 48400"),
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


def test_the_right_size_is_read_and_a_wrong_one_was_not_assumed() -> None:
    assert len(read_architecture(small_pictures(), options=Options(input_size=28)).layers) == 3
    with pytest.raises(NetworkError, match="is given 784") as raised:
        load_network(small_pictures(), options=Options(input_size=32))
    assert "assumed" not in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "meant"), [("nets.py:Net", "nets:Net"), ("./models/nets.py:Net", "models.nets:Net")]
)
def test_a_file_in_place_of_a_module(spec: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=rf"name its module, from here or on PYTHONPATH: {meant}$"):
        load_network(spec)
