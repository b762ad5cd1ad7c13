"""A torch.autocast around a call changes nothing: not what is read of a network, nor what is computed of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from layerscope.network.network import Network, Unit
from layerscope.reconstruction.descent import Class, reconstruct
from layerscope.reconstruction.rules import GRADIENT
from layerscope.reconstruction.units import UnitAt, reconstruct_units
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.one_pass import SweepOptions, sweep_images
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.top_patches import TopPatches
from tests.support.descent import noise
from tests.support.small_networks import conv
from tests.support.watching import SIZE, given, small_network
from tests.support.watching import noise as images


def autocast() -> AbstractContextManager[object]:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def network() -> Network:
    """With convolutions that are prepared and, of stride 2, not; an operation that torch derives; scores."""
    torch.manual_seed(0)
    parts = (
        conv(3, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        conv(4, 6, stride=2),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(54, 5),
    )
    preprocessing = small_network().preprocessing
    return Network.from_module(nn.Sequential(*parts).eval(), name="small", preprocessing=preprocessing)


SUBJECT = network()
PICTURES = noise(2, 3, SIZE, SIZE).float()
FIRST, LAST = SUBJECT.layers[0].name, SUBJECT.layers[-1].name
UNITS = [UnitAt(i, Unit(SUBJECT.layers[2].name, 1, 1, 2)) for i in range(2)]


def _wholes() -> list[np.ndarray]:
    found = reconstruct(SUBJECT, PICTURES, [FIRST, LAST, Class(2)], rule=GRADIENT)
    return [signal.numpy() for signal in found.signals.values()]


def _units(forward: str) -> list[np.ndarray]:
    found = reconstruct_units(SUBJECT, PICTURES, UNITS, rule=GRADIENT, forward=forward)  # type: ignore[arg-type]
    return [one.signal.numpy() for one in found]


def _representations() -> list[np.ndarray]:
    layers = [layer.name for layer in SUBJECT.layers]
    return [values.numpy() for values in SUBJECT.representations(PICTURES, layers).values()]


def _predictions() -> list[np.ndarray]:
    return [np.array([[p.probability for p in row] for row in SUBJECT.predict(PICTURES)])]


def _pass() -> list[np.ndarray]:
    reducers = (TopPatches(3), Sparsity(), ChannelStatistics(), Predictions(top=2))
    swept = sweep_images(small_network(), given(images(9)), reducers, settings=SweepOptions(batch=4, shard=8))
    return [
        values
        for results in swept.results.values()
        for table in results.values()
        for values in _columns(table)
    ]


def _columns(table: Any) -> list[np.ndarray]:
    columns: list[np.ndarray] = (
        [column.to_numpy() for column in table.columns] if hasattr(table, "columns") else [table]
    )
    return columns


CALLS: Mapping[str, Callable[[], list[np.ndarray]]] = {
    "whole layers": _wholes,
    "units over pictures": lambda: _units("picture"),
    "units over windows": lambda: _units("patch"),
    "representations": _representations,
    "predictions": _predictions,
    "a pass": _pass,
}


@pytest.mark.parametrize("call", CALLS)
def test_what_is_computed_is_the_same(call: str) -> None:
    plain = CALLS[call]()
    with autocast():
        inside = CALLS[call]()
    assert plain
    for one, other in zip(plain, inside, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_what_is_read_is_the_same() -> None:
    with autocast():
        assert network().graph.digest == SUBJECT.graph.digest


def test_an_autocast_is_still_there_afterwards_and_would_be_seen() -> None:
    values, weight = noise(1, 3, 9, 9).float(), noise(4, 3, 3, 3).float()
    with autocast():
        reconstruct(SUBJECT, PICTURES, FIRST)
        assert F.conv2d(values, weight).dtype is torch.bfloat16
