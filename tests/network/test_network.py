"""Layers by name, units, preprocessing and predictions."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.models as tv
from PIL import Image
from torch import Tensor, nn
from torch.testing import assert_close

from layerscope.errors import GeometryError, NetworkError
from layerscope.network.geometry import Box
from layerscope.network.network import Network, Unit
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import GRADIENT
from layerscope.zoo.loading import load_network, network_names, read_architecture
from tests.support.small_networks import SMALL, Written, conv

VGG16 = "c1_1 c1_2 p1 c2_1 c2_2 p2 c3_1 c3_2 c3_3 p3 c4_1 c4_2 c4_3 p4 c5_1 c5_2 c5_3 p5 fc6 fc7 fc8"  #: the paper's
VGG11 = "c1_1 p1 c2_1 p2 c3_1 c3_2 p3 c4_1 c4_2 p4 c5_1 c5_2 p5 fc6 fc7 fc8"
VGG19 = (
    "c1_1 c1_2 p1 c2_1 c2_2 p2 c3_1 c3_2 c3_3 c3_4 p3 c4_1 c4_2 c4_3 c4_4 p4 "
    "c5_1 c5_2 c5_3 c5_4 p5 fc6 fc7 fc8"
)
ALEX = "c1 p1 c2 p2 c3 c4 c5 p5 fc6 fc7 fc8"
NAMES = {"vggcnn": VGG16, "vgg16": VGG16, "vgg16_bn": VGG16, "vgg11": VGG11, "vgg19_bn": VGG19}
NAMES |= {"alexcnn": ALEX, "alexnet": ALEX}


architecture = cache(read_architecture)


def small(name: str, *, size: tuple[int, int] = (8, 8), channels: int = 3) -> Network:
    preprocessing = Preprocessing(
        height=size[0], width=size[1], mean=(0.5,) * channels, deviation=(1.0,) * channels
    )
    return Network.from_module(SMALL[name], name="small", preprocessing=preprocessing)


def names(network: Network) -> str:
    return " ".join(layer.name for layer in network.layers)


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_networks_and_their_kin_have_the_papers_names(name: str) -> None:
    assert names(architecture(name)) == NAMES[name]


@pytest.mark.parametrize(
    ("name", "alias", "layer"),
    [
        ("vgg16", "features.0", "c1_1"),
        ("vgg16", "features.1", "c1_1"),  # the ReLU that follows
        ("vgg16_bn", "features.2", "c1_1"),
        ("vgg16", "features", "p5"),
        ("vgg16", "classifier.6", "fc8"),
        ("vgg16", "classifier.2", "fc6"),  # dropout changes nothing
        ("alexnet", "features.12", "p5"),
        ("vggcnn", "c5_3", "c5_3"),
        ("resnet18", "layer1.0.relu", "layer1.0"),  # the last time it runs
        ("resnet18", "layer1", "layer1.1"),
        ("resnet18", "bn1", "conv1"),
        ("googlenet", "inception3a", "inception3a"),
    ],
)
def test_a_modules_path_finds_the_layer_of_its_result(name: str, alias: str, layer: str) -> None:
    assert architecture(name).layer(alias).name == layer


def test_other_networks_layers_are_named_by_path() -> None:
    network = architecture("resnet18")
    assert names(network).startswith("conv1 maxpool layer1.0.conv1 layer1.0.conv2 layer1.0 layer1.1.conv1")
    assert len({layer.name for layer in network.layers}) == len(network.layers)
    assert [layer.operation for layer in network.layers[:5]] == [
        "conv 7x7/2 + batch norm + relu",
        "max pool 3x3/2",
        "conv 3x3 + batch norm + relu",
        "conv 3x3 + batch norm",
        "add + relu",
    ]


def test_a_module_used_again_is_numbered() -> None:
    network = small("reused")
    assert names(network) == "a pool b pool@2 c pool@3"
    assert [layer.size for layer in network.layers] == [(8, 8), (4, 4), (4, 4), (2, 2), (2, 2), (1, 1)]
    assert network.layer("pool@2").inputs == ("b",)


@pytest.mark.parametrize(
    ("name", "layer", "inputs"),
    [
        ("resnet18", "conv1", ()),
        ("resnet18", "layer2.0", ("layer2.0.conv2", "layer2.0.downsample.0")),
        ("resnet18", "layer2.0.downsample.0", ("layer1.1",)),
        (
            "googlenet",
            "inception3a",
            (".branch1.conv", ".branch2.1.conv", ".branch3.1.conv", ".branch4.1.conv"),
        ),
        ("vgg16", "fc6", ("p5",)),
        ("shufflenet_v2_x0_5", "stage2.1.cat", ("stage2.0.cat", "stage2.1.branch2.5")),
    ],
)
def test_a_layer_knows_the_layers_it_reads(name: str, layer: str, inputs: tuple[str, ...]) -> None:
    full = {f"{layer}{source}" if source.startswith(".") else source for source in inputs}
    assert set(architecture(name).layer(layer).inputs) == full


def test_constants_and_numbers_are_no_layers() -> None:
    assert names(small("constants")) == "c"
    assert str(small("constants").layer("c").field) == "3/1"
    assert names(small("view with the batch size")) == "c f"


def test_the_parts_of_a_result_are_layers_and_the_whole_is_none() -> None:
    def forward(s: Any, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(s.a(x), 1, keepdim=True)
        y: Tensor = s.b((x - mean) / (variance + 1))
        return y

    module = Written(forward, a=conv(), b=conv())
    network = Network.from_module(module, preprocessing=Preprocessing(resize=None, height=8, width=8))
    found = [(layer.name, layer.kind, layer.operation, layer.inputs) for layer in network.layers]
    assert found[1:3] == [
        ("var_mean", "var_mean", "var_mean + add", ("a",)),
        ("var_mean@2", "var_mean", "var_mean", ("a",)),
    ]
    pictures = torch.randn(2, 3, 8, 8)
    made = network.representations(pictures, ["var_mean@2"])["var_mean@2"]
    assert_close(made, network.representations(pictures, ["a"])["a"].mean(1, keepdim=True))
    every = reconstruct(network, pictures[:1], [layer.name for layer in network.layers], rule=GRADIENT)
    assert all(every[layer.name].any() for layer in network.layers)


def test_the_larger_and_the_smaller_of_two_maps_have_one_name() -> None:
    halves = Written(lambda s, x: torch.max(s.a(x), torch.min(s.a(x), s.b(x))), a=conv(), b=conv())
    network = Network.from_module(halves, preprocessing=Preprocessing(resize=None, height=8, width=8))
    kinds = [operation.kind for operation in network.graph.operations]
    assert kinds[-2:] == ["minimum", "maximum"]
    assert network.layers[-1].field is not None


def test_every_torchvision_name_is_known() -> None:
    assert {"alexcnn", "vggcnn", "vgg16", "googlenet", "resnet50", "mobilenet_v2"} <= set(network_names())


def test_an_unknown_layer_gets_a_suggestion() -> None:
    network = architecture("vggcnn")
    assert network.find_layer("c6_1") is None
    with pytest.raises(NetworkError, match=r"vggcnn has no layer 'c5_4'; did you mean .*c5_3") as caught:
        network.layer("c5_4")
    assert "\n" not in str(caught.value)
    with pytest.raises(NetworkError, match="it has c1_1 to fc8"):
        network.layer("@@")
    with pytest.raises(NetworkError, match="no layer at all"):
        small("the picture itself").layer("c")


def test_layers_are_selected_by_word_or_by_name() -> None:
    network = architecture("vggcnn")
    assert network.select_layers("all") == network.layers
    even = [layer.name for layer in network.select_layers("even")]
    assert even == ["c1_1", "c2_1", "c3_1", "c3_3", "c4_2", "c5_1", "c5_3", "fc8"]
    assert [layer.name for layer in network.select_layers(["fc6", "p1", "c1_1", "p1"])] == [
        "c1_1",
        "p1",
        "fc6",
    ]
    assert [layer.name for layer in network.select_layers("p5")] == ["p5"]
    assert network.select_layers([]) == ()
    with pytest.raises(NetworkError, match="no layer 'odd'"):
        network.select_layers("odd")


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (Unit("c3", 384), r"c3 has channels 0 to 383, not 384"),
        (Unit("c3", -1), r"c3 has channels 0 to 383, not -1"),
        (Unit("c3", 0, 13, 0), r"c3 is 13x13: it has no position 13,0"),
        (Unit("c3", 0, 0, -1), r"c3 is 13x13: it has no position 0,-1"),
        (Unit("c3", 0, row=1), r"needs both row and column"),
        (Unit("fc8", 0, 0, 1), r"fc8 is 1x1"),
        (Unit("c9", 0), r"no layer 'c9'"),
    ],
)
def test_a_unit_that_does_not_exist_is_refused(unit: Unit, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        architecture("alexcnn").check_unit(unit)


def test_a_unit_has_an_exact_box() -> None:
    network = architecture("alexcnn")
    assert network.check_unit(Unit("c3", 383, 12, 0)).name == "c3"
    assert network.box(Unit("c1", 0, 0, 54)) == Box(top=-2, left=214, bottom=9, right=225)
    assert network.box(Unit("c1", 0, 0, 54)).outside(224, 224) == (2, 0, 0, 1)
    assert network.box(Unit("fc8", 999, 0, 0)) == Box(0, 0, 224, 224)
    with pytest.raises(GeometryError, match="whole feature map; give it a row and a column"):
        network.box(Unit("c1", 0))
    assert (str(Unit("c1", 3)), str(Unit("c1", 3, 4, 5))) == ("c1:3", "c1:3@4,5")


def test_a_layer_without_one_field_has_no_box() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(5), conv())
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    with pytest.raises(GeometryError, match=r"1 \(conv 3x3\) has no receptive field of one size"):
        network.box(Unit("1", 0, 0, 0))


def test_representations_are_what_the_modules_hand_on() -> None:
    torch.manual_seed(0)
    module = tv.resnet18(num_classes=4).eval()
    network = Network.from_module(module, preprocessing=Preprocessing(height=64, width=48))
    pictures = torch.randn(10, 3, 64, 48)  # more than one batch
    kept: dict[str, Tensor] = {}
    paths = {
        "conv1": "relu",
        "layer1.0": "layer1.0",
        "layer3.0.downsample.0": "layer3.0.downsample",
        "fc": "fc",
    }
    for layer, path in paths.items():

        def keep(_: nn.Module, inputs: Any, result: Tensor, layer: str = layer) -> None:
            kept.setdefault(layer, result.clone())

        module.get_submodule(path).register_forward_hook(keep)
    with torch.no_grad():
        module(pictures)
    found = network.representations(pictures, paths)
    assert list(found) == list(paths)
    for layer, representation in found.items():
        assert_close(representation, kept[layer], rtol=1e-4, atol=1e-4)
    assert network.representations(pictures, []) == {}


@pytest.mark.parametrize("count", [1, 9])  # in one batch, in two
def test_representations_are_ordinary_tensors(count: int) -> None:
    network = small("functional relu")
    found = network.representations(torch.randn(count, 3, 8, 8), ["c"])["c"]
    weight = torch.ones(4, requires_grad=True)
    found.add_(1)
    torch.autograd.backward((found * weight.view(1, 4, 1, 1)).sum())
    assert_close(weight.grad, found.sum((0, 2, 3)))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 3, 8, 9), (1, 1, 8, 8), (2, 3, 8)])
def test_pictures_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        NetworkError, match=f"takes pictures of batch x 3x8x8, not {'x'.join(map(str, shape))}"
    ):
        small("functional relu").representations(torch.zeros(shape), ["c"])


def test_a_network_that_ends_in_maps_says_why_it_does_not_predict() -> None:
    network = small("functional relu")
    assert network.why_no_predictions == "small ends in feature maps, not in one score per class"
    with pytest.raises(NetworkError, match="use whole weights to predict"):
        network.predict(torch.zeros(1, 3, 8, 8))
    assert architecture("vggcnn").why_no_predictions is None


def test_another_precision_is_another_network() -> None:
    network = load_network("alexcnn", "random", options=Options(width=1 / 16, classes=10, input_size=96))
    half = network.to(dtype=torch.bfloat16)
    assert (network.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    pictures = torch.randn(2, 3, 96, 96)
    full, found = (n.representations(pictures, ["c3"])["c3"] for n in (network, half))
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), full, rtol=0.1, atol=0.1)
    assert half.layers == network.layers
    assert all(math.isfinite(p.probability) for p in half.predict(pictures)[0])


def test_whole_numbers_keep_their_type_in_another_precision() -> None:
    module = Written(lambda s, x: s.c(x).index_select(1, s.index), c=conv())
    module.register_buffer("index", torch.tensor([0, 1, 0, 2]))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8)).to(
        dtype=torch.bfloat16
    )
    kinds = {tensor.dtype for tensor in network.graph.tensors.values()}
    assert kinds == {torch.int64, torch.bfloat16}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_precision_named_in_forward_does_not_hinder_another(dtype: torch.dtype) -> None:
    def forward(s: Any, x: Tensor) -> Tensor:
        y = s.c(x.float()) + torch.arange(4.0).view(1, 4, 1, 1)
        y = s.norm(y.float()).relu()
        y = s.grouped(y.float()).float()
        return s.f(y.mean((2, 3)).float())  # type: ignore[no-any-return]

    torch.manual_seed(0)
    parts = {"norm": nn.BatchNorm2d(4), "grouped": nn.Conv2d(4, 4, 3, groups=4), "f": nn.Linear(4, 5)}
    network = Network.from_module(
        Written(forward, c=conv(), **parts), preprocessing=Preprocessing(height=8, width=8)
    )
    pictures = torch.randn(2, 3, 8, 8)
    other = network.to(dtype=dtype)
    found, right = (n.representations(pictures, ["grouped", "f"]) for n in (other, network))
    assert found["f"].dtype == dtype
    for name in right:
        assert_close(found[name].float(), right[name], rtol=0.05, atol=0.05)


def photograph(width: int, height: int) -> Image.Image:
    """Smooth, with some noise."""
    generator = np.random.default_rng(width * 1000 + height)
    waves = np.sin(np.arange(height)[:, None, None] / 9 + np.arange(width)[None, :, None] / (7, 11, 17))
    pixels = 127 + 90 * waves + generator.normal(0, 10, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "size", [(224, 224), (256, 256), (500, 333), (333, 500), (97, 301), (1024, 683), (640, 21)]
)
@pytest.mark.parametrize(
    "weights",
    [
        tv.VGG16_Weights.IMAGENET1K_V1,
        tv.AlexNet_Weights.IMAGENET1K_V1,
        tv.EfficientNet_B1_Weights.IMAGENET1K_V1,
        tv.MobileNet_V2_Weights.IMAGENET1K_V1,
    ],
)
def test_pictures_are_prepared_as_torchvision_does(weights: Any, size: tuple[int, int]) -> None:
    name = weights.__class__.__name__.removesuffix("_Weights").lower()
    ours = architecture(name).preprocessing.apply(photograph(*size))
    theirs = weights.transforms()(photograph(*size))
    assert ours.dtype == torch.float32
    _within_a_grey_level(ours, theirs, 0.224)


def _within_a_grey_level(ours: Tensor, theirs: Tensor, deviation: float) -> None:
    """Pillow takes the box that is seen in float32, so one value in some hundreds differs by one grey level."""
    assert_close(ours, theirs, rtol=0, atol=1 / 255 / deviation + 1e-5)
    assert (ours - theirs).abs().gt(1e-5).float().mean() < 0.05


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_of_other_trainers_get_what_torchvision_makes_of_it(name: str) -> None:
    """Torchvision changes ImageNet's mean into these networks' own within the network."""
    entry = tv.get_model_weights(name).DEFAULT
    picture = photograph(400, 300)
    theirs = entry.transforms()(picture)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    within = theirs * (deviation / 0.5) + (mean - 0.5) / 0.5
    _within_a_grey_level(architecture(name).preprocessing.apply(picture), within, 0.5)


def test_an_input_can_be_shown_as_the_pixels_it_came_from() -> None:
    preprocessing = Preprocessing(height=60, width=80, resize=70)
    picture = photograph(120, 90)
    shown = preprocessing.picture(preprocessing.apply(picture))
    assert np.array_equal(shown, np.asarray(preprocessing.crop(picture)))


def test_one_channel_is_grey() -> None:
    preprocessing = Preprocessing(height=20, width=30, resize=None, mean=(0.4,), deviation=(0.2,))
    grey = photograph(90, 60).convert("L")
    values = preprocessing.apply(photograph(90, 60))
    assert values.shape == preprocessing.shape == (1, 20, 30)
    assert np.array_equal(preprocessing.picture(values)[..., 0], np.asarray(preprocessing.crop(grey)))


def test_a_crop_fits_whatever_the_shapes() -> None:
    """The whole picture is covered where its shape is the crop's; nothing is ever stretched or missing."""
    for size in [(10, 10), (1000, 37), (37, 1000), (61, 59)]:
        for height, width in [(24, 24), (16, 40), (40, 16)]:
            cropped = Preprocessing(height=height, width=width, resize=20).crop(photograph(*size))
            assert cropped.size == (width, height)
    assert Preprocessing(resize=None, height=50, width=100).crop(photograph(100, 50)).tobytes() == (
        photograph(100, 50).tobytes()
    )


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.ReLU6(), "relu6"),
        (nn.Hardtanh(0, 6), "relu6"),
        (nn.Hardtanh(), "hardtanh -1 to 1"),
        (nn.Hardtanh(0, 0.5), "hardtanh 0 to 0.5"),
    ],
)
def test_a_hardtanh_is_a_relu6_only_from_0_to_6(module: nn.Module, words: str) -> None:
    network = Network.from_module(
        nn.Sequential(nn.Conv2d(3, 4, 3), module), preprocessing=Preprocessing(resize=None, height=8, width=8)
    )
    assert [layer.operation for layer in network.layers] == [f"conv 3x3 + {words}"]


def test_networks_are_read_in_several_threads() -> None:
    """torch.export itself is at one network at a time."""
    modules = [nn.Sequential(conv(), nn.ReLU(), conv(4, 4 + number)) for number in range(12)]
    preprocessing = Preprocessing(height=8, width=8)
    with ThreadPoolExecutor(4) as pool:
        networks = list(
            pool.map(lambda module: Network.from_module(module, preprocessing=preprocessing), modules)
        )
    assert [network.layers[-1].channels for network in networks] == [4 + number for number in range(12)]
