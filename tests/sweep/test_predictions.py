"""Labels beside what the network says: by name, by place, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.sweep.one_pass import SweepOptions, class_outputs, sweep_images
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.reducers import NO_OUTPUT
from tests.support.watching import given, noise, small_network

OUTPUTS = tuple("uvwxyz")  # of the small network
SMALL = SweepOptions(batch=4, shard=8)


def table(network: Network, images: ImageSet, name: str) -> list[dict[str, Any]]:
    found = sweep_images(network, images, [Predictions(1)], settings=SMALL).results["predictions"][name]
    assert isinstance(found, pa.Table)
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def errors(network: Network, labels: Sequence[int], classes: Sequence[str] | None) -> dict[str, Any]:
    """The errors for the same ten pictures, whose labels are indices of these classes."""
    images = replace(given(noise(10), labels=labels), classes=None if classes is None else tuple(classes))
    (row,) = table(network, images, "prediction_errors")
    return row


@pytest.fixture(scope="module")
def network() -> Network:
    return replace(small_network(), classes=OUTPUTS)


@pytest.fixture(scope="module")
def first(network: Network) -> list[int]:
    """The output that is largest for each picture."""
    found = [row["class"] for row in table(network, given(noise(10)), "predictions")]
    assert len(set(found)) > 1
    return found


@pytest.mark.parametrize("order", ["zyxwvu", "xuzwvy", "uvwxyz"])
def test_classes_are_the_outputs_of_the_same_names(network: Network, first: list[int], order: str) -> None:
    labels = [order.index(OUTPUTS[output]) for output in first]
    assert errors(network, labels, order)["top1_error"] == 0
    wrong = [*labels[:8], (labels[8] + 1) % 6, (labels[9] + 1) % 6]
    assert errors(network, wrong, order)["top1_error"] == 0.2
    assert errors(network, [*wrong[:9], -1], order)["top1_error"] == pytest.approx(1 / 9)


def test_some_of_the_classes_by_their_names(network: Network, first: list[int]) -> None:
    classes = sorted({OUTPUTS[output] for output in first}, reverse=True)
    assert len(classes) < len(OUTPUTS)
    labels = [classes.index(OUTPUTS[output]) for output in first]
    found = errors(network, labels, classes)
    assert (found["labelled"], found["top1_error"], found["reason"]) == (10, 0, None)


@pytest.mark.parametrize("names", [None, OUTPUTS, ("u", "u", "w", "x", "y", "z")])
def test_as_many_other_classes_are_outputs_by_their_places(
    network: Network, first: list[int], names: tuple[str, ...] | None
) -> None:
    network = replace(network, classes=names)
    assert errors(network, first, "abcdef")["top1_error"] == 0
    assert errors(network, first, None)["top1_error"] == 0
    assert errors(network, [(output + 1) % 6 for output in first], "abcdef")["top1_error"] == 1


@pytest.mark.parametrize("classes", ["ab", "abcdefg", ("u", "none such"), ("u", "U")])
def test_classes_that_are_none_of_the_network_are_not_compared(
    network: Network, classes: Sequence[str]
) -> None:
    found = errors(network, [0, 1] * 4 + [-1, -1], classes)
    assert (found["pictures"], found["labelled"]) == (10, 8)
    assert (found["top1_error"], found["top5_error"]) == (None, None)
    assert "neither named as outputs of small nor as many (6)" in found["reason"]
    assert errors(network, [-1] * 10, classes)["reason"] is None


def test_a_name_of_two_outputs_is_the_name_of_none(network: Network) -> None:
    twice = replace(network, classes=("u", "u", "w", "x", "y", "z"))
    assert same(class_outputs(twice, ("w", "z")), [2, 5])
    assert same(class_outputs(twice, ("w", "u")), [NO_OUTPUT] * 2)
    assert class_outputs(replace(network, trunk=True), ("w", "u")) is None


def same(found: npt.NDArray[np.int64] | None, expected: Sequence[int]) -> bool:
    return found is not None and found.tolist() == list(expected)
