"""Winograd's way gives what a convolution is defined to give, and a picture the same bits wherever it stands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.kernels.winograd import Filters, Winograd, suits
from layerscope.network.convolution import transpose
from layerscope.network.geometry import Window
from tests.oracles.network.convolving import convolve

AXES = (Window(3, 1, 1), Window(3, 1, 1))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pictures(*shape: int) -> Tensor:
    return drawn(*shape).contiguous(memory_format=torch.channels_last)


def distance(found: Tensor, right: np.ndarray) -> float:
    return float(np.linalg.norm(found.numpy() - right) / np.linalg.norm(right))


@pytest.mark.parametrize(
    ("size", "pads"),
    [
        ((9, 7), (1, 1)),
        ((8, 12), (1, 1)),
        ((1, 1), (1, 1)),
        ((3, 3), (0, 0)),
        ((5, 6), (2, 0)),
        ((4, 30), (3, 2)),
    ],
)
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (64, 16), (70, 130)])
def test_it_is_the_convolution(
    size: tuple[int, int], pads: tuple[int, int], inputs: int, outputs: int
) -> None:
    weight, bias = drawn(outputs, inputs, 3, 3, seed=1), drawn(outputs, seed=2)
    values = pictures(2, inputs, *size)
    right = convolve(values.double().numpy(), weight.double().numpy(), bias.double().numpy(), pads)
    way = Winograd(Filters(weight), bias, pads)
    assert distance(way(values), right) < 2e-6
    assert distance(way(values, rectify=True), np.maximum(right, 0)) < 2e-6
    plain = convolve(values.double().numpy(), weight.double().numpy(), np.zeros(outputs), pads)
    assert distance(Winograd(Filters(weight), None, pads)(values), plain) < 2e-6


def test_rounding_is_about_that_of_a_direct_convolution() -> None:
    """Of 512 channels after a rectification, as in VGG-16; the usual points 0, ±1, ±2 would be at 2.7e-6."""
    values, weight = pictures(1, 512, 14, 14).relu(), drawn(64, 512, 3, 3, seed=1)
    right = F.conv2d(values.double(), weight.double(), padding=1).numpy()
    direct = distance(F.conv2d(values, weight, padding=1), right)
    assert distance(Winograd(Filters(weight), None, (1, 1))(values), right) < 2 * max(direct, 7e-7)


def test_a_picture_gives_the_same_bits_wherever_it_stands() -> None:
    way = Winograd(Filters(drawn(128, 96, 3, 3, seed=1)), drawn(128, seed=2), (1, 1))
    values = pictures(33, 96, 13, 17)
    all_at_once = way(values)
    assert torch.equal(way(values.flip(0)), all_at_once.flip(0))
    for one in range(0, 33, 8):
        assert torch.equal(way(values[one : one + 1]), all_at_once[one : one + 1])


def test_nan_stays_and_stays_in_its_picture() -> None:
    values = pictures(3, 64, 8, 8)
    values[1, 5, 3, 3] = torch.nan
    found = Winograd(Filters(drawn(64, 64, 3, 3, seed=1)), None, (1, 1))(values, rectify=True)
    assert found[1, :, 2:5, 2:5].isnan().all()
    assert not found[[0, 2]].isnan().any()


def test_inside_and_outside_inference_mode_and_from_many_threads() -> None:
    way = Winograd(Filters(drawn(64, 64, 3, 3, seed=1)), None, (1, 1))
    values = [pictures(2, 64, 8 + i, 9) for i in range(8)]
    with torch.inference_mode():
        inside = [way(v) for v in values]
    outside = [way(v) for v in values]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(way, values * 4))
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(threaded, outside * 4, strict=True))


def test_it_is_used_for_deep_layers_only() -> None:
    """Many channels pay for the moving of operands; few do not, nor does one small map for fetching the filters."""
    deep = Winograd(Filters(drawn(256, 256, 3, 3)), None, (1, 1))
    assert deep.pays(torch.Size((1, 256, 56, 56)))
    assert not deep.pays(torch.Size((1, 256, 4, 4)))
    assert not Winograd(Filters(drawn(64, 64, 3, 3)), None, (1, 1)).pays(torch.Size((8, 64, 224, 224)))
    assert all(deep.pays(torch.Size((rows, 256, 56, 56))) for rows in (0, 2, 100))


def test_what_it_is_for() -> None:
    weight = drawn(8, 8, 3, 3)
    assert suits(weight, AXES, 1)
    assert not suits(weight.bfloat16(), AXES, 1)
    assert not suits(drawn(8, 4, 3, 3), AXES, 2)
    for other in (Window(3, 2, 1), Window(3, 1, 2, 2), Window(5, 1, 2)):
        assert not suits(weight, (AXES[0], other), 1)


def test_deep_convolutions_go_back_this_way() -> None:
    weight = drawn(256, 192, 3, 3)
    back = transpose(weight, AXES, 1, (32, 30))
    assert back.flipped is not None
    assert back.flipped.filters is not None
    signal = pictures(4, 256, 32, 30)
    assert Winograd(back.flipped.filters, None, (1, 1)).pays(signal.shape)
    right = F.conv_transpose2d(signal.double(), weight.double(), padding=1).numpy()
    assert distance(back(signal), right) < 2e-6
    assert "transformed" in vars(back.flipped.filters)  # it was used


def test_the_callers_defaults_change_nothing() -> None:
    """In threads of their own, whose memory is not there yet."""
    weight, values = drawn(70, 64, 3, 3, seed=1), pictures(2, 64, 9, 12)

    def computed() -> Tensor:
        return Winograd(Filters(weight), None, (1, 1))(values)

    def in_float64() -> Tensor:
        torch.set_default_dtype(torch.float64)  # for all threads
        return computed()

    def on_another_device() -> Tensor:
        with torch.device("meta"):
            return computed()

    right = computed()
    for changed in (in_float64, on_another_device):
        with ThreadPoolExecutor(1) as pool:
            try:
                found = pool.submit(changed).result()
            finally:
                torch.set_default_dtype(torch.float32)
        assert found.dtype == torch.float32
        assert torch.equal(found, right)
