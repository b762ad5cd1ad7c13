"""Without oneDNN's layouts, as where torch has renamed what makes them, the main paths give the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch import Tensor, nn

from layerscope.kernels import onednn
from layerscope.network.convolution import prepare_forward
from layerscope.network.network import Network, Unit
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import RULES
from layerscope.reconstruction.units import ForwardOver, UnitAt, reconstruct_units
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.one_pass import SweepOptions, sweep_images
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.top_patches import TopPatches
from tests.support import watching
from tests.support.descent import noise, small_network
from tests.support.small_networks import conv

PRECISIONS = {torch.float32: 1e-5, torch.bfloat16: 5e-2}
PASSES: tuple[ForwardOver, ...] = ("picture", "patch")


@pytest.fixture
def take_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Call it, and torch's private operation is gone."""

    def gone(*arguments: Any, **options: Any) -> Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_convolution_pointwise'")

    def take() -> None:
        onednn.available.cache_clear()
        monkeypatch.setattr(onednn, "convolve", gone)

    yield take
    onednn.available.cache_clear()


def network(dtype: torch.dtype) -> Network:
    torch.manual_seed(0)
    parts = (
        conv(3, 8, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        conv(8, 16),
        nn.ReLU(),
        conv(16, 6),
        nn.ReLU(),
    )
    return small_network(nn.Sequential(*parts), (33, 29)).to(dtype=dtype)


def alike(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    return bool(one.any()) and bool((one - other).norm() <= PRECISIONS[dtype] * one.norm())


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_whole_layers_and_units(dtype: torch.dtype, take_away: Callable[[], None]) -> None:
    subject, pictures = network(dtype), noise(2, 3, 33, 29).float()
    names = [layer.name for layer in subject.layers]
    units = [UnitAt(i, Unit(name, 2, 3, 2)) for i in range(2) for name in names]
    wholes = {rule: reconstruct(subject, pictures, names, rule=rule) for rule in RULES.values()}
    parts = {way: reconstruct_units(subject, pictures, units, forward=way) for way in PASSES}
    take_away()
    assert not prepare_forward(subject.graph, subject.graph.output, frozenset())
    for rule, whole in wholes.items():
        again = reconstruct(subject, pictures, names, rule=rule)
        assert all(alike(whole[name], again[name], dtype) for name in names)
    for way, found in parts.items():
        assert any(one.signal.any() for one in found)
        anew = reconstruct_units(subject, pictures, units, forward=way)
        for one, other in zip(found, anew, strict=True):
            assert (one.signal - other.signal).norm() <= PRECISIONS[dtype] * one.signal.norm()


def test_the_pass(take_away: Callable[[], None]) -> None:
    subject, images = watching.small_network(), watching.given(watching.noise(11))
    reducers = (TopPatches(3), Sparsity(), ChannelStatistics(), Predictions(top=2))
    before = sweep_images(subject, images, reducers, settings=SweepOptions(batch=4, shard=8))
    take_away()
    assert not prepare_forward(subject.graph, subject.graph.output, frozenset())
    after = sweep_images(subject, images, reducers, settings=SweepOptions(batch=4, shard=8))
    for reducer, tables in before.results.items():
        assert tables
        for name, expected in tables.items():
            assert_alike(after.results[reducer][name], expected)


def assert_alike(found: Any, expected: Any) -> None:
    """Tables and arrays: numbers up to rounding, the rest the same."""
    if hasattr(expected, "to_pydict"):
        assert found.num_rows == expected.num_rows > 0
        found, expected = found.to_pandas(), expected.to_pandas()
        pandas.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
