"""What surrounds a network while it is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from layerscope import load_network, reconstruct
from layerscope.network.source import Options
from layerscope.network.tracing import FLOAT32

pytestmark = pytest.mark.filterwarnings(
    "ignore:Please use the new API"
)  # torch 2.9, of what is its user's choice
BACKENDS: Any = torch.backends
CUDNN: Any = torch.backends.cudnn


@pytest.fixture
def as_before() -> Iterator[None]:
    yield
    BACKENDS.fp32_precision = "none"
    CUDNN.conv.fp32_precision = CUDNN.rnn.fp32_precision = "tf32"
    CUDNN.allow_tf32 = True


def flags() -> tuple[str, str, bool]:
    return CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision, CUDNN.deterministic


SETTINGS: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "the older way": lambda: setattr(CUDNN, "allow_tf32", False),
    "all, the newer way": lambda: setattr(BACKENDS, "fp32_precision", "tf32"),
    "convolutions, the newer way": lambda: setattr(CUDNN.conv, "fp32_precision", "ieee"),
    "another kind, the newer way": lambda: setattr(CUDNN.rnn, "fp32_precision", "ieee"),
}


@pytest.mark.parametrize("set_up", SETTINGS.values(), ids=SETTINGS.keys())
def test_float32_is_float32_whatever_was_set_and_is_as_before_afterwards(
    set_up: Callable[[], object], as_before: None
) -> None:
    set_up()
    before = flags()
    with FLOAT32:
        assert CUDNN.conv.fp32_precision in ("ieee", "none")
        assert CUDNN.deterministic
    assert flags() == before


def test_a_network_is_read_and_computed_inside(as_before: None) -> None:
    with FLOAT32:
        network = load_network("alexcnn", options=Options(width=0.05, input_size=64, classes=7))
        assert reconstruct(network, torch.ones(1, 3, 64, 64), ["c1"])["c1"].isfinite().all()


def test_the_last_one_out_puts_it_back() -> None:
    """Of threads whose times overlap."""
    before = flags()
    FLOAT32.__enter__()
    FLOAT32.__enter__()
    FLOAT32.__exit__(None, None, None)
    assert CUDNN.deterministic
    FLOAT32.__exit__(None, None, None)
    assert flags() == before
