"""Beside Captum: equal wherever it is right, right where it is silently wrong; and the peers' other known defects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from captum.attr import Deconvolution, GuidedBackprop, Saliency
from torch import Tensor, nn

from layerscope.reconstruction import switches
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED, RULES, Rule
from layerscope.zoo.paper import PaperCNN, alexcnn
from tests.oracles.reconstruction.hooked import whole_layer
from tests.support.descent import Function, lively, noise, small_network
from tests.support.marks import slow_but

SIZE = (80, 64)
pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations:UserWarning")


class Projected(nn.Module):
    """A score whose gradient at the body's result is that result: Captum then projects the whole of it back."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, pictures: Tensor) -> Tensor:
        result: Tensor = self.body(pictures)
        return (result * result.detach()).flatten(1).sum(1)


def captums(body: nn.Module, pictures: Tensor, rule: Rule) -> Tensor:
    given = pictures.clone().requires_grad_()
    if rule is GRADIENT:
        signal: Tensor = Saliency(Projected(body)).attribute(given, abs=False)
    else:
        signal = {DECONVNET: Deconvolution, GUIDED: GuidedBackprop}[rule](Projected(body)).attribute(given)
    return signal.detach()


def ours(body: nn.Module, pictures: Tensor, rule: Rule) -> Tensor:
    network = small_network(body, SIZE)
    layer = next(layer.name for layer in network.layers if layer.result == network.graph.output)
    return reconstruct(network, pictures, [layer], rule=rule)[layer]


def cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.cosine_similarity(one.flatten(), other.flatten(), dim=0))


def features(network: nn.Module, count: int) -> nn.Module:
    """The first modules of a torchvision network's trunk, with plain ReLUs."""
    trunk = nn.Sequential(*list(network.features.children())[:count])  # type: ignore[union-attr]
    for part in trunk.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return trunk


def stages(network: nn.Module, *names: str) -> nn.Module:
    return nn.Sequential(*[network.get_submodule(name) for name in names])


RIGHT: dict[str, Callable[[], nn.Module]] = {
    "alexnet to its second pool": lambda: features(torchvision.models.alexnet(), 6),
    "alexnet to its last pool": lambda: features(torchvision.models.alexnet(), 13),
    "vgg16 to its second pool": lambda: features(torchvision.models.vgg16(), 10),
    "vgg16 to its fourth pool": lambda: features(torchvision.models.vgg16(), 24),
    "resnet18 to its second stage": lambda: stages(
        torchvision.models.resnet18(), "conv1", "bn1", "relu", "maxpool", "layer1", "layer2"
    ),
    "squeezenet1_1 to its eighth module": lambda: features(torchvision.models.squeezenet1_1(), 8),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.parametrize(
    "name", slow_but([name for name in RIGHT if name.startswith(("alexnet", "squeezenet"))], RIGHT)
)
def test_equal_to_captum_where_it_is_right(name: str, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the switches that Captum has: of a maximum and what is equal to it up to rounding, the maximum."""
    monkeypatch.setattr(switches, "least", lambda maxima: maxima)
    torch.manual_seed(0)
    body = lively(RIGHT[name]())
    pictures = noise(2, 3, *SIZE)
    theirs = captums(body, pictures, rule)
    assert float((ours(body, pictures, rule) - theirs).norm() / theirs.norm()) < 1e-10


WRONG: dict[str, Callable[[], nn.Module]] = {
    "googlenet, functional relu": lambda: stages(
        torchvision.models.googlenet(init_weights=False),
        "conv1",
        "maxpool1",
        "conv2",
        "conv3",
        "maxpool2",
        "inception3a",
    ),
    "mobilenet_v2, ReLU6": lambda: features(torchvision.models.mobilenet_v2(), 5),
}


@pytest.mark.parametrize("rule", [DECONVNET, GUIDED], ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", WRONG)
def test_known_defect_1_relu_as_a_function_and_relu6_are_rectified(name: str, rule: Rule) -> None:
    """Captum says nothing and gives the plain gradient; ours is what the hooked oracle says."""
    torch.manual_seed(0)
    body = lively(WRONG[name]())
    pictures = noise(2, 3, *SIZE)
    right = whole_layer(body, pictures, lambda: body, clamp=rule.clamp, mask=rule.mask)
    assert float((ours(body, pictures, rule) - right).norm() / right.norm()) < 1e-10
    theirs = captums(body, pictures, rule)
    assert cosine(theirs, right) < 0.9
    assert cosine(theirs, captums(body, pictures, GRADIENT)) > 0.999999


@pytest.mark.parametrize("kind", [nn.Sigmoid, nn.Tanh, nn.Softshrink, nn.Hardtanh])
def test_known_defect_1_what_has_no_rule_is_refused(kind: type[nn.Module]) -> None:
    network = small_network(nn.Sequential(nn.Conv2d(3, 4, 3), kind(), nn.Conv2d(4, 4, 3), nn.ReLU()))
    last = network.layers[-1].name
    for rule in (DECONVNET, GUIDED):
        with pytest.raises(Exception, match=rf"{rule.name} has no rule for \w+ in '1'; use rule gradient"):
            reconstruct(network, noise(1, 3, 9, 7), [last], rule=rule)
    assert reconstruct(network, noise(1, 3, 9, 7), [last], rule=GRADIENT)[last].any()


def test_known_defect_2_no_bias_on_the_way_down() -> None:
    torch.manual_seed(0)
    module = alexcnn(width=0.1, classes=5, final_relu=True, input_size=SIZE)
    pictures = noise(1, 3, *SIZE)
    _set_biases(module, -100.0)
    dark = small_network(module, SIZE)  # nothing is above zero: there is nothing to bring down
    layers = [layer.name for layer in dark.layers]
    silent = reconstruct(dark, pictures, layers)
    assert not any(silent[layer].any() for layer in layers)
    _set_biases(module, 0.1)
    network = small_network(module, SIZE)
    one, other = (reconstruct(network, pictures, layers) for _ in range(2))
    assert all(one[layer].any() and torch.equal(one[layer], other[layer]) for layer in layers)


def _set_biases(module: PaperCNN, value: float) -> None:
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            assert part.bias is not None
            part.bias.data.fill_(value)


def test_known_defect_3_values_that_meet_in_overlapping_pools_are_summed() -> None:
    torch.manual_seed(0)
    body = features(torchvision.models.alexnet(), 13).double()
    pictures = noise(2, 3, *SIZE)
    network = small_network(body, SIZE)
    overwriting = Rule("overwriting", clamp=True, mask=False, overlap="overwrite")
    pools = [layer.name for layer in network.layers if layer.kind == "max_pool2d"]
    assert len(pools) == 3
    summed, replaced = (reconstruct(network, pictures, pools, rule=rule) for rule in (DECONVNET, overwriting))
    for pool, end in zip(pools, (3, 6, 13), strict=True):
        theirs = captums(body[:end], pictures, DECONVNET)  # type: ignore[index]
        torch.testing.assert_close(summed[pool], theirs, rtol=1e-9, atol=1e-14)
        assert cosine(summed[pool], replaced[pool]) < 0.97


def test_known_defect_3_is_no_matter_where_windows_do_not_overlap() -> None:
    network = small_network(features(torchvision.models.vgg11(), 11), SIZE)
    pictures = noise(1, 3, *SIZE)
    last = network.layers[-1].name
    overwriting = Rule("overwriting", clamp=True, mask=False, overlap="overwrite")
    results = [reconstruct(network, pictures, [last], rule=rule)[last] for rule in (DECONVNET, overwriting)]
    assert torch.equal(*results)


IN_PLACE: dict[str, Callable[..., Tensor]] = {
    "read by two": lambda x, c, d: F.relu_(y := c(x)) + 0 * d(y),
    "read before": lambda x, c, d: d(y := c(x)) + F.relu_(y),
    "kept by the caller": lambda x, c, d: d(F.relu_(c(x).add_(x.mean(1, keepdim=True)))),
    "six": lambda x, c, d: d(F.hardtanh_(c(x), 0.0, 6.0)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_known_defect_6_an_operation_in_place_does_not_change_what_was_recorded(name: str) -> None:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
    picture = noise(2, 3, 9, 7)
    network = small_network(Function(IN_PLACE[name], *parts))
    copied = small_network(Function(_out_of_place(name), *parts))
    layers = [layer.name for layer in network.layers]
    assert layers == [layer.name for layer in copied.layers]
    recorded, plain = network.representations(picture, layers), copied.representations(picture, layers)
    alone = {layer: network.representations(picture, [layer])[layer] for layer in layers}
    for layer in layers:
        assert torch.equal(recorded[layer], plain[layer]), layer
        assert torch.equal(alone[layer], plain[layer]), layer
    one, other = reconstruct(network, picture, layers), reconstruct(copied, picture, layers)
    assert all(torch.equal(one[layer], other[layer]) for layer in layers)


def _out_of_place(name: str) -> Callable[..., Tensor]:
    plain: dict[str, Callable[..., Tensor]] = {
        "read by two": lambda x, c, d: (y := F.relu(c(x))) + 0 * d(y),
        "read before": lambda x, c, d: d(y := c(x)) + F.relu(y),
        "kept by the caller": lambda x, c, d: d(F.relu(c(x) + x.mean(1, keepdim=True))),
        "six": lambda x, c, d: d(F.hardtanh(c(x), 0.0, 6.0)),
    }
    return plain[name]


def test_known_defect_6_a_layer_read_before_an_operation_in_place_keeps_its_negative_values() -> None:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
    network = small_network(Function(IN_PLACE["read before"], *parts))
    picture = noise(2, 3, 9, 7)
    recorded = network.representations(picture, ["parts.0"])["parts.0"]
    assert (recorded < 0).any()
    torch.testing.assert_close(recorded, parts[0](picture).detach())
