"""Predictions: of the scores, whatever follows them, and none where there are no classes to choose from."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from layerscope.errors import NetworkError
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.reconstruction.descent import Class, reconstruct
from layerscope.reconstruction.rules import RULES
from tests.support.descent import Function
from tests.support.small_networks import conv


def classifier(end: nn.Module, classes: int = 6) -> tuple[Network, nn.Module]:
    torch.manual_seed(1)
    module = nn.Sequential(
        conv(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes), end
    )
    words = [f"word {i}" for i in range(classes)]
    preprocessing = Preprocessing(height=8, width=8)
    return Network.from_module(
        module, name="small", preprocessing=preprocessing, classes=words
    ), module.eval()


@pytest.mark.parametrize(
    "end", [nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.Softmax(1), nn.LogSoftmax(-1), nn.Dropout()]
)
def test_predictions_are_those_of_the_scores_whatever_follows_them(end: nn.Module) -> None:
    network, module = classifier(end)
    pictures = torch.randn(9, 3, 8, 8)
    assert isinstance(module, nn.Sequential)
    with torch.no_grad():
        probabilities = module[:5](pictures).softmax(1)
    for row, expected in zip(network.predict(pictures), probabilities, strict=True):
        assert [p.index for p in row] == expected.argsort(descending=True)[:5].tolist()
        assert_close(torch.tensor([p.probability for p in row]), expected.sort(descending=True).values[:5])
        assert all(p.name == f"word {p.index}" for p in row)


@pytest.mark.parametrize(
    "end",
    [
        lambda maps: maps.softmax(1).flatten(1),
        lambda maps: maps.softmax(1).squeeze(),
        lambda maps: maps.flatten(1).softmax(1).clamp(1e-7, 1),
        lambda maps: maps.flatten(1).softmax(1).log(),
        lambda maps: torch.log_softmax(maps, 1).view(maps.shape[0], -1),
    ],
)
def test_a_softmax_that_is_reshaped_or_clipped_is_one(end: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(1)
    module = Function(lambda x, one, two: end(two(one(x).relu())), conv(), nn.Conv2d(4, 6, 8))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    pictures = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        expected = module(pictures).reshape(3, 6)
    expected = expected.exp() if bool((expected < 0).any()) else expected
    for row, probabilities in zip(network.predict(pictures, 6), expected, strict=True):
        found = torch.tensor([p.probability for p in row])
        assert_close(found, probabilities.sort(descending=True).values, atol=1e-6, rtol=1e-5)
    plain = Network.from_module(
        Function(lambda x, one, two: two(one(x).relu()).flatten(1), *module.parts),
        preprocessing=Preprocessing(height=8, width=8),
    )
    for rule in RULES.values():
        ours, theirs = (reconstruct(n, pictures, Class(2), rule=rule)[Class(2)] for n in (network, plain))
        assert_close(ours, theirs)


def test_scores_are_what_goes_into_the_last_softmax_alone() -> None:
    for end in (nn.Sequential(nn.Tanh(), nn.Softmax(1)), nn.Sequential(nn.Softmax(1), nn.Softmax(1))):
        network, module = classifier(end)
        pictures = torch.randn(3, 3, 8, 8)
        with torch.no_grad():
            expected = module(pictures)
        for row, probabilities in zip(network.predict(pictures), expected, strict=True):
            found = torch.tensor([p.probability for p in row])
            assert_close(found, probabilities.sort(descending=True).values[:5])


@pytest.mark.parametrize(
    "end",
    [lambda maps: maps.sigmoid().flatten(1), lambda maps: maps.sigmoid().view(maps.shape[0], -1).clamp(0, 1)],
)
def test_a_sigmoid_that_is_reshaped_predicts_nothing(end: Callable[[Tensor], Tensor]) -> None:
    module = Function(lambda x, one, two: end(two(one(x).relu())), conv(), nn.Conv2d(4, 6, 8))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    assert "ends in a sigmoid" in str(network.why_no_predictions)
    assert network.graph.operations[network.scores].kind == "conv2d"


def test_a_hardtanh_below_zero_is_part_of_the_scores() -> None:
    network, module = classifier(nn.Hardtanh(-0.1, 0.1))
    assert network.scores == network.graph.output
    pictures = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        expected = module(pictures).softmax(1).max(1).values
    assert_close(torch.tensor([row[0].probability for row in network.predict(pictures)]), expected)
    network, _ = classifier(nn.Hardtanh(0, 0.1))
    assert network.graph.operations[network.scores].kind == "linear"


def test_probabilities_fall_and_sum_to_at_most_one() -> None:
    network, _ = classifier(nn.ReLU())
    pictures = torch.randn(2, 3, 8, 8)
    for row in network.predict(pictures, top=3):
        assert len(row) == 3
        assert all(a.probability >= b.probability for a, b in pairwise(row))
        assert sum(p.probability for p in row) < 1
    for row in network.predict(pictures, top=99):
        assert len(row) == 6
        assert math.isclose(sum(p.probability for p in row), 1, abs_tol=1e-5)


def test_class_names_must_fit() -> None:
    network, _ = classifier(nn.Identity())
    unnamed = Network(network.name, network.graph, network.preprocessing)
    assert unnamed.predict(torch.zeros(1, 3, 8, 8), top=1)[0][0].name.startswith("class ")
    misnamed = Network(network.name, network.graph, network.preprocessing, ("one", "two"))
    with pytest.raises(NetworkError, match="6 outputs but 2 class names"):
        misnamed.predict(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("end", "classes", "words"),
    [
        (nn.Identity(), 1, "small gives one score, not one per class"),
        (nn.Softmax(1), 1, "small gives one score"),
        (nn.Flatten(0), 1, "small gives one score"),
        (nn.Sigmoid(), 1, "small gives one score"),
        (nn.Sigmoid(), 6, "small ends in a sigmoid: its classes do not exclude each other"),
        (nn.Hardsigmoid(), 6, "small ends in a sigmoid"),
    ],
)
def test_no_probabilities_are_invented(end: nn.Module, classes: int, words: str) -> None:
    network, _ = classifier(end, classes)
    assert (network.why_no_predictions or "").startswith(words)
    with pytest.raises(NetworkError, match=words):
        network.predict(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("end", [nn.Sigmoid(), nn.Hardsigmoid()])
def test_the_scores_are_those_before_a_sigmoid(end: nn.Module) -> None:
    network, _ = classifier(end)
    assert network.graph.operations[network.scores].kind == "linear"
    assert classifier(nn.Identity(), 1)[0].scores == network.scores
