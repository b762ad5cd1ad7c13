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
    named = None if classes is None else tuple(classes)
    images = replace(given(noise(10)), labels=tuple(labels), classes=named)
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


def ranks(network: Network, labels: Sequence[int], classes: Sequence[str] | None) -> list[tuple[Any, Any]]:
    """Answer and rank of each of the ten pictures."""
    named = None if classes is None else tuple(classes)
    images = replace(given(noise(10)), labels=tuple(labels), classes=named)
    rows = table(network, images, "prediction_ranks")
    assert [row["picture"] for row in rows] == list(range(10))
    return [(row["answer"], row["rank"]) for row in rows]


def test_the_rank_of_the_right_class(network: Network) -> None:
    whole = sweep_images(network, given(noise(10)), [Predictions(6)], settings=SMALL).results["predictions"]
    rows = whole["predictions"]
    assert isinstance(rows, pa.Table)
    order = np.reshape(rows["class"].to_numpy(), (10, 6)).tolist()
    labels = [0, 1, 2, 3, 4, 5, 0, 1, -1, 2]
    expected = [
        (None, None) if label < 0 else (label, order[i].index(label)) for i, label in enumerate(labels)
    ]
    assert ranks(network, labels, "abcdef") == expected
    assert len({rank for _, rank in expected}) > 3
    by_name = ["zyxwvu".index(OUTPUTS[label]) if label >= 0 else -1 for label in labels]
    assert ranks(network, by_name, "zyxwvu") == expected
    right = [rank == 0 for _, rank in expected if rank is not None]
    assert errors(network, labels, "abcdef")["top1_error"] == pytest.approx(1 - np.mean(right))


def test_ranks_of_what_nobody_can_say(network: Network) -> None:
    assert ranks(network, [0, 1] * 5, "ab") == [(None, None)] * 10  # none of the network's classes
    assert ranks(network, [7, *[-1] * 9], None) == [
        (7, None),
        *[(None, None)] * 9,
    ]  # an output it does not have
    assert errors(network, [7, *[-1] * 9], None)["top1_error"] == 1
    assert table(replace(network, trunk=True), given(noise(2)), "prediction_ranks") == []
