"""The paper's two networks, exactly, and how they are initialised."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.zoo.loading import build_module, load_network, read_architecture
from layerscope.zoo.paper import alexcnn, vggcnn

ALEXCNN = (
    "c1 96 55, p1 96 28, c2 256 26, p2 256 13, c3 384 13, c4 384 13, c5 256 13, p5 256 7, "
    "fc6 4096 1, fc7 4096 1, fc8 1000 1"
)


VGGCNN = (
    "c1_1 64 224, c1_2 64 224, p1 64 112, c2_1 128 112, c2_2 128 112, p2 128 56, c3_1 256 56, c3_2 256 56, "
    "c3_3 256 56, p3 256 28, c4_1 512 28, c4_2 512 28, c4_3 512 28, p4 512 14, c5_1 512 14, c5_2 512 14, "
    "c5_3 512 14, p5 512 7, fc6 4096 1, fc7 4096 1, fc8 1000 1"
)


def parameters(module: nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.parameters())


@pytest.mark.parametrize(("name", "table"), [("alexcnn", ALEXCNN), ("vggcnn", VGGCNN)])
def test_the_papers_networks_have_the_papers_sizes(name: str, table: str) -> None:
    layers = read_architecture(name).layers
    assert ", ".join(f"{layer.name} {layer.channels} {layer.size[0]}" for layer in layers) == table
    assert all(layer.size[0] == layer.size[1] for layer in layers)


@pytest.mark.parametrize("name", ["alexcnn", "vggcnn"])
def test_a_relu_follows_every_weight_layer(name: str) -> None:
    for layer in read_architecture(name).layers:
        assert layer.operation.endswith(" + relu") == (layer.kind != "max_pool2d")


def test_the_number_of_parameters() -> None:
    """VGG-16's is well known; AlexCNN's by hand: weights, then biases."""
    with torch.device("meta"):
        assert parameters(vggcnn()) == 138_357_544
        weights = 96 * 3 * 121 + 256 * 96 * 25 + 384 * 256 * 9 + 384 * 384 * 9 + 256 * 384 * 9
        weights += 4096 * 256 * 49 + 4096 * 4096 + 1000 * 4096
        assert parameters(alexcnn()) == weights + 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000


@pytest.mark.parametrize("name", ["alexcnn", "vggcnn"])
def test_options_of_the_papers_networks(name: str) -> None:
    options = Options(classes=7, channels=1, width=0.25, input_size=(96, 160))
    network = read_architecture(name, options=options)
    plain = read_architecture(name)
    assert network.input_shape == network.preprocessing.shape == (1, 96, 160)
    assert [layer.name for layer in network.layers] == [layer.name for layer in plain.layers]
    channels = [layer.channels for layer in plain.layers]
    assert [layer.channels for layer in network.layers] == [*(n // 4 for n in channels[:-1]), 7]
    assert all(n.size[0] < n.size[1] for n in network.layers[:-3])
    assert [layer.field for layer in network.layers[:-3]] == [layer.field for layer in plain.layers[:-3]]


def test_a_margin_around_the_crop_stays_in_proportion() -> None:
    preprocessing = read_architecture("alexcnn", options=Options(input_size=112)).preprocessing
    assert (preprocessing.resize, preprocessing.height, preprocessing.width) == (128, 112, 112)
    assert read_architecture("vgg16", options=Options(input_size=(96, 64))).input_shape == (3, 96, 64)


def fit(module: nn.Module, steps: int) -> float:
    """The share of 32 tiny pictures whose random labels the module learns."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(32, 3, 67, 67, generator=generator)
    labels = torch.randint(0, 4, (32,), generator=generator)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward(F.cross_entropy(module.train()(pictures), labels))
        optimiser.step()
    with torch.no_grad():
        found: Tensor = module.eval()(pictures).argmax(1)
    return float((found == labels).float().mean())


def test_the_initialisation_trains() -> None:
    torch.manual_seed(0)
    assert fit(alexcnn(classes=4, width=1 / 8, input_size=67), steps=60) > 0.9


def test_without_it_nothing_is_learnt() -> None:
    """The control: from zeros only fc8's bias gets a gradient."""
    module = alexcnn(classes=4, width=1 / 8, input_size=67)
    for tensor in module.parameters():
        nn.init.zeros_(tensor)
    assert fit(module, steps=60) < 0.6


def test_the_initialisation_keeps_the_scale_through_all_layers() -> None:
    torch.manual_seed(0)
    module = vggcnn(classes=10, width=1 / 4, input_size=64).eval()
    network = Network.from_module(module, preprocessing=Preprocessing(height=64, width=64))
    names = [layer.name for layer in network.layers if layer.kind == "conv2d"]
    values = network.representations(torch.randn(4, 3, 64, 64), names)
    scales = [float(values[name].pow(2).mean().sqrt()) for name in names]
    assert 0.1 < min(scales) <= max(scales) < 10
    biases = [tensor for name, tensor in module.named_parameters() if name.endswith("bias")]
    assert not any(bias.any() for bias in biases)


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone() -> None:
    options = Options(width=1 / 32, classes=3, input_size=64)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other = (load_network("alexcnn", "random", options=options) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.weights == "random, seed 0"
    assert all(torch.equal(tensor, other.graph.tensors[name]) for name, tensor in one.graph.tensors.items())
    torch.manual_seed(6)
    unsaid = load_network("alexcnn", options=options)
    assert unsaid.weights == "random, seed 0"
    assert torch.equal(unsaid.graph.tensors["c1.weight"], one.graph.tensors["c1.weight"])
    assert float(one.graph.tensors["c1.weight"].std()) > 0


def test_random_weights_are_the_same_whatever_other_threads_load() -> None:
    """torch has one generator for all threads."""
    options = Options(width=0.25, classes=3, input_size=64)

    def weights(_: int) -> Tensor:
        module, _preparation = build_module("alexcnn", options=options)
        return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

    alone = weights(0)
    with ThreadPoolExecutor(4) as threads:
        assert all(torch.equal(found, alone) for found in threads.map(weights, range(8)))


def test_scores_are_plain_and_the_reading_of_them_is_the_papers() -> None:
    torch.manual_seed(0)
    module = alexcnn(classes=20, width=1 / 16, input_size=64)
    pictures = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        scores = module.eval()(pictures)
        assert (scores < 0).any()
        state = module.state_dict()
        rectified = alexcnn(classes=20, width=1 / 16, input_size=64, final_relu=True).eval()
        rectified.load_state_dict(state)
        assert torch.equal(rectified(pictures), scores.clamp(min=0))
    read = load_network("alexcnn", options=Options(classes=20, width=1 / 16, input_size=64))
    assert read.layer("fc8").operation == "linear + relu"
