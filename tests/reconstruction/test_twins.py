"""Reconstructions equal the deconvnet written out in loops, and autograd with its rectifiers replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from layerscope.kernels import onednn
from layerscope.network.network import Network, Unit
from layerscope.reconstruction.descent import Class, reconstruct
from layerscope.reconstruction.rules import DECONVNET, GRADIENT, GUIDED, RULES, Rule
from layerscope.zoo.paper import PaperCNN, alexcnn, vggcnn
from tests.oracles.reconstruction import deconvnet as twin
from tests.oracles.reconstruction.hooked import whole_layer
from tests.support.descent import lively, noise, small_network
from tests.support.marks import slow_but

OVERWRITE = Rule("overwriting deconvnet", clamp=True, mask=False, overlap="overwrite")


class Chain(NamedTuple):
    """A network of modules in a row, and the index after the last module of each of its layers."""

    network: Network
    modules: tuple[nn.Module, ...]
    ends: dict[str, int]
    picture: Tensor


def chained(module: nn.Module, size: tuple[int, int]) -> Chain:
    network = small_network(module, size)
    modules = _modules(module)
    starts = [i for i, m in enumerate(modules) if isinstance(m, (nn.Conv2d, nn.Linear, nn.MaxPool2d))]
    rectified = [i + 1 < len(modules) and isinstance(modules[i + 1], nn.ReLU) for i in starts]
    ends = {
        layer.name: start + 1 + extra
        for layer, start, extra in zip(network.layers, starts, rectified, strict=True)
    }
    return Chain(network, modules, ends, noise(1, 3, *size))


def _modules(module: nn.Module) -> tuple[nn.Module, ...]:
    if isinstance(module, PaperCNN):
        trunk = [module.get_submodule(name) for name in module.trunk]
        parts = [p for m in trunk for p in ([m, nn.ReLU()] if isinstance(m, nn.Conv2d) else [m])]
        tops = [p for name in ("fc6", "fc7", "fc8") for p in (module.get_submodule(name), nn.ReLU())]
        return (*parts, nn.Flatten(), *tops)
    leaves = (part for part in module.modules() if not list(part.children()))
    parts = [part for part in leaves if not isinstance(part, (nn.Dropout, nn.AdaptiveAvgPool2d))]
    first = next((i for i, part in enumerate(parts) if isinstance(part, nn.Linear)), None)
    return tuple(parts) if first is None else (*parts[:first], nn.Flatten(), *parts[first:])


SMALL: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "alexcnn": (lambda: alexcnn(width=0.1, classes=7, final_relu=True, input_size=(95, 79)), (95, 79)),
    "vggcnn": (lambda: vggcnn(width=0.1, classes=7, final_relu=True, input_size=(65, 48)), (65, 48)),
    "alexnet's trunk": (lambda: torchvision.models.alexnet().features, (96, 79)),
    "vgg16's trunk": (lambda: torchvision.models.vgg16().features, (40, 33)),
}


@lru_cache(maxsize=len(SMALL))
def small(name: str) -> Chain:
    torch.manual_seed(0)
    build, size = SMALL[name]
    module = build()
    with (
        torch.no_grad()
    ):  # the paper's networks start without bias, which would hide a bias where none belongs
        for part in module.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)) and part.bias is not None:
                part.bias.uniform_(-0.1, 0.1)
    return chained(module, size)


def distance(ours: Tensor, theirs: Tensor | twin.Array) -> float:
    """Relative L2 difference."""
    expected = torch.as_tensor(theirs)
    assert ours.shape == expected.shape
    assert expected.any()
    return float((ours.double() - expected).norm() / expected.norm())


def project(
    chain: Chain, layer: str, signal: twin.Array, results: Sequence[twin.Array], *, overwrite: bool = False
) -> twin.Array:
    end = chain.ends[layer]
    return twin.deconvnet(chain.modules[:end], results[: end + 1], signal, overwrite=overwrite)


def forward(chain: Chain) -> list[twin.Array]:
    return twin.forward(chain.modules, chain.picture[0].numpy())


@pytest.mark.parametrize("rule", [DECONVNET, OVERWRITE], ids=lambda rule: rule.overlap)
@pytest.mark.parametrize("name", SMALL)
def test_every_layer_equals_the_twin(name: str, rule: Rule) -> None:
    chain = small(name)
    results = forward(chain)
    layers = [layer.name for layer in chain.network.layers]
    ours = reconstruct(chain.network, chain.picture, layers, rule=rule)
    for layer in layers:
        theirs = project(chain, layer, results[chain.ends[layer]], results, overwrite=rule is OVERWRITE)
        assert distance(ours[layer][0], theirs) < 1e-9, layer


@pytest.mark.parametrize("name", SMALL)
def test_in_float32_every_layer_equals_the_twin_that_has_the_same_switches(name: str) -> None:
    chain = small(name)
    single = chain.network.to(dtype=torch.float32)
    layers = [layer.name for layer in single.layers]
    ours = reconstruct(single, chain.picture, layers)
    results = as_computed(chain, single, layers)
    for layer in layers:
        theirs = project(chain, layer, results[chain.ends[layer]], results)
        assert ours[layer].dtype == torch.float32
        assert distance(ours[layer][0], theirs) < 1e-5, layer


def as_computed(chain: Chain, network: Network, layers: Sequence[str]) -> list[twin.Array]:
    """The results of each module as the network has them. What lies inside a layer is not looked at."""
    kept = network.representations(chain.picture, layers)
    by_end = {chain.ends[layer]: kept[layer][0].numpy() for layer in layers}
    results = [chain.picture[0].numpy()]
    for index, module in enumerate(chain.modules, start=1):
        flat = isinstance(module, nn.Flatten)
        results.append(results[-1].reshape(-1) if flat else by_end[index if index in by_end else index + 1])
    return results


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(partial(alexcnn, final_relu=True), id="alexcnn"),
        pytest.param(partial(vggcnn, width=0.25, final_relu=True), id="vggcnn"),
        torchvision.models.alexnet,
        torchvision.models.vgg16,
    ],
)
def test_layers_of_the_whole_networks_equal_the_twin(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    chain = chained(build(), (224, 224))
    layers = [layer.name for layer in chain.network.layers]
    some = (*layers[:-1:3], *layers[-3:])
    for network, limit in ((chain.network, 1e-9), (chain.network.to(dtype=torch.float32), 1e-5)):
        results = as_computed(chain, network, layers)
        ours = reconstruct(network, chain.picture, layers)
        for layer in some:
            assert (
                distance(ours[layer][0], project(chain, layer, results[chain.ends[layer]], results)) < limit
            ), layer


PLACES: dict[str, tuple[str, int | None, int | None]] = {
    "a corner of the first layer": ("c1", 0, 0),
    "its opposite corner": ("c1", 22, 18),
    "a border of a pool": ("p1", 11, 4),
    "the middle of a layer": ("c2", 5, 4),
    "deep": ("c5", 3, 2),
    "the last pool": ("p5", 2, 1),
    "a whole feature map": ("c3", None, None),
    "a fully-connected unit": ("fc6", None, None),
    "the last unit, by position": ("fc8", 0, 0),
}  #: of alexcnn for pictures 95x79


def strongest(results: Sequence[twin.Array], chain: Chain, place: str) -> Unit:
    """The unit there, of the channel that responds most."""
    layer, row, column = PLACES[place]
    whole = results[chain.ends[layer]]
    here = whole if whole.ndim == 1 else whole.sum((1, 2)) if row is None else whole[:, row, column]
    assert here.max() > 0
    return Unit(layer, int(here.argmax()), row, column)


def test_units_equal_the_twin_with_all_else_zero() -> None:
    chain = small("alexcnn")
    results = forward(chain)
    units = [strongest(results, chain, place) for place in PLACES]
    ours = reconstruct(chain.network, chain.picture, units)
    for unit in units:
        whole = results[chain.ends[unit.layer]]
        place = (
            (unit.channel,) if unit.row is None or whole.ndim == 1 else (unit.channel, unit.row, unit.column)
        )
        signal = np.zeros_like(whole)
        signal[place] = whole[place]
        assert distance(ours[unit][0], project(chain, unit.layer, signal, results)) < 1e-9, unit


@pytest.mark.parametrize("place", [place for place, (_, row, _) in PLACES.items() if row is not None])
def test_a_unit_lights_nothing_outside_its_box(place: str) -> None:
    chain = small("alexcnn")
    unit = strongest(forward(chain), chain, place)
    box = chain.network.box(unit)
    signal = reconstruct(chain.network, chain.picture, [unit])[unit][0]
    inside = signal[:, max(0, box.top) : box.bottom, max(0, box.left) : box.right]
    assert inside.any()
    assert int(inside.count_nonzero()) == int(signal.count_nonzero())


def test_the_maps_of_a_layer_add_up_to_the_whole_when_nothing_is_rectified_on_the_way() -> None:
    chain = small("alexcnn")
    channels = chain.network.layer("c1").channels
    units = [Unit("c1", channel) for channel in range(channels)]
    ours = reconstruct(chain.network, chain.picture, ["c1", *units])
    torch.testing.assert_close(sum(ours[unit] for unit in units), ours["c1"], rtol=1e-9, atol=1e-12)


def test_a_class_starts_with_one_at_its_score_before_the_last_rectification() -> None:
    chain = small("alexcnn")
    results = forward(chain)
    end = chain.ends["fc8"] - 1
    for index in range(7):
        seed = Class(index)
        ours = reconstruct(chain.network, chain.picture, [seed])[seed][0]
        theirs = twin.deconvnet(chain.modules[:end], results[: end + 1], np.eye(7)[index])
        assert distance(ours, theirs) < 1e-9


@pytest.mark.parametrize("name", ["alexcnn", "vggcnn"])
def test_a_class_under_the_gradient_is_the_gradient_of_its_score(name: str) -> None:
    chain = small(name)
    picture = chain.picture.clone().requires_grad_()
    scores = nn.Sequential(*chain.modules[:-1])(picture[0].unsqueeze(0))
    (expected,) = torch.autograd.grad(scores[0, 3], picture)
    ours = reconstruct(chain.network, chain.picture, [Class(3)], rule=GRADIENT)[Class(3)]
    assert distance(ours, expected) < 1e-9


# --- networks that are no chain -------------------------------------------------------------------------------


def _vgg16_bn() -> nn.Module:
    network: nn.Module = torchvision.models.vgg16_bn()
    network.classifier = nn.Linear(512 * 7 * 7, 10)  # the whole one takes a gigabyte
    return network


BRANCHED: dict[str, Callable[[], nn.Module]] = {
    "googlenet": lambda: torchvision.models.googlenet(init_weights=False),
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "resnet18": torchvision.models.resnet18,
    "resnet50": torchvision.models.resnet50,
    "densenet121": torchvision.models.densenet121,
    "squeezenet1_1": torchvision.models.squeezenet1_1,
    "vgg16_bn": _vgg16_bn,
    "shufflenet_v2_x1_0": torchvision.models.shufflenet_v2_x1_0,
}


@lru_cache(maxsize=1)
def branched(name: str) -> tuple[nn.Module, Network, tuple[str, ...]]:
    """A network and the paths of some modules whose result is a layer's representation."""
    torch.manual_seed(0)
    module = lively(BRANCHED[name]())
    network = small_network(module, (64, 48))
    results = {layer.result for layer in network.layers}
    paths: dict[int, str] = {}
    for path, index in network.graph.modules.items():
        if path and index in results:  # the outermost module: an inner ReLU may be used again elsewhere
            paths[index] = min(path, paths.get(index, path), key=len)
    found = [paths[index] for index in sorted(paths)]
    return module, network, (*found[:: max(1, len(found) // 5)], found[-1])


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", BRANCHED)
def test_branched_networks_equal_autograd_with_its_rectifiers_replaced(name: str, rule: Rule) -> None:
    module, network, paths = branched(name)
    pictures = noise(1, 3, 64, 48)
    layers = {path: network.layer(path).name for path in paths}
    ours = reconstruct(network, pictures, list(layers.values()), rule=rule, chunk_bytes=1 << 20)
    for path, layer in layers.items():
        there = partial(module.get_submodule, path)
        theirs = whole_layer(module, pictures, there, clamp=rule.clamp, mask=rule.mask)
        assert distance(ours[layer], theirs) < 1e-9, path


@pytest.mark.parametrize("name", slow_but(["resnet18", "squeezenet1_1"], BRANCHED))
def test_prepared_convolutions_give_what_plain_ones_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, as users run them: by oneDNN's layouts, beside torch's own."""
    network = branched(name)[1].to(dtype=torch.float32)
    pictures, layers = noise(2, 3, 64, 48).float(), [layer.name for layer in network.layers][::4]
    prepared = reconstruct(network, pictures, layers, rule=GUIDED)
    monkeypatch.setattr(onednn, "available", lambda dtype: False)
    plain = reconstruct(network, pictures, layers, rule=GUIDED)
    apart = [distance(prepared[layer].double(), plain[layer].double()) for layer in layers]
    assert 0 < max(apart) < 1e-2  # near-ties of a pool or a ReLU fall otherwise here and there
    assert sorted(apart)[len(apart) // 2] < 1e-4


def test_the_rules_differ() -> None:
    _, network, paths = branched("resnet18")
    layer = network.layer(paths[-2]).name
    results = [
        reconstruct(network, noise(1, 3, 64, 48), [layer], rule=r)[layer]
        for r in (DECONVNET, GUIDED, GRADIENT)
    ]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert distance(results[one], results[other]) > 0.1
