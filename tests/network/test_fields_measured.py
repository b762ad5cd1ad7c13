"""Receptive fields of torchvision's networks, against what the gradient of their units reaches."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn

from layerscope.errors import GeometryError
from layerscope.network.geometry import Box
from layerscope.network.network import Network
from layerscope.network.positions import size_of
from layerscope.network.preprocessing import Preprocessing
from layerscope.zoo.paper import alexcnn, vggcnn
from tests.oracles.network.fields import Arrange, measured, with_positive_weights
from tests.support.small_networks import SMALL, Written, conv, shrunk

#: name -> height and width of the picture, arguments that make it cheaper, paths of modules, low to high
NETWORKS: dict[str, tuple[tuple[int, int], dict[str, object], str]] = {
    "alexnet": (
        (127, 96),
        {},
        "features.1 features.2 features.5 features.10 features.12 avgpool classifier.1",
    ),
    "vgg16": ((64, 96), {}, "features.2 features.4 features.9 features.16 features.23 features.30"),
    "vgg16_bn": ((64, 48), {}, "features.1 features.6 features.13 features.23 features.33 classifier.3"),
    "googlenet": (
        (96, 130),
        {"init_weights": False},
        "conv1 maxpool2 inception3a.branch1 inception3a inception3b.branch4 maxpool3 inception4a inception4e avgpool",
    ),
    "resnet18": (
        (97, 128),
        {},
        "maxpool layer1.0.conv1 layer1.1 layer2.0.downsample layer2.1 layer3.0 layer4.1 fc",
    ),
    "resnet50": (
        (96, 80),
        {},
        "bn1 layer1.0 layer1.2.conv2 layer2.0 layer2.3 layer3.0.downsample layer3.5 avgpool",
    ),
    "densenet121": (
        (64, 64),
        {},
        "features.pool0 features.denseblock1.denselayer1.conv2 features.denseblock1.denselayer6 "
        "features.transition1 features.denseblock2.denselayer12 features.transition2 features.denseblock4.denselayer1",
    ),
    "squeezenet1_1": (
        (100, 130),
        {},
        "features.2 features.3 features.3.expand1x1 features.5 features.9 classifier.1",
    ),
    "mobilenet_v2": (
        (160, 96),
        {"width_mult": 0.25},
        "features.0 features.2.conv.1 features.3 features.4 features.6 features.13 features.18",
    ),
    "inception_v3": (
        (75, 91),
        {"init_weights": False, "num_classes": 5},
        "maxpool1 maxpool2 Mixed_5b.branch_pool Mixed_5b Mixed_6a Mixed_6b.branch7x7_2 Mixed_6c Mixed_7a Mixed_7c",
    ),
    "mnasnet0_5": (
        (96, 128),
        {},
        "layers.0 layers.8.0 layers.8.2 layers.9.0.layers.3 layers.9.2 layers.11.1 layers.16",
    ),
    "shufflenet_v2_x0_5": (
        (128, 96),
        {},
        "conv1 maxpool stage2.0.branch1 stage2.0.branch2 stage2.0 stage2.3 stage3.0.branch2.3 stage3.4 conv5",
    ),
    "efficientnet_b0": (
        (96, 128),
        {},
        "features.0 features.1.0.block.0 features.1 features.2.0 features.3.1 avgpool",
    ),
}
PAPER = {
    "alexcnn": (alexcnn, "c1 p1 c2 p2 c3 c4 c5 p5 fc6"),
    "vggcnn": (vggcnn, "c1_2 p1 c2_2 p2 c3_3 p3 c4_3 p5 fc8"),
}


def build(name: str, arguments: dict[str, object]) -> nn.Module:
    """The network without values."""
    with torch.device("meta"):
        return shrunk(tv.get_model(name, weights=None, **arguments))


def places(height: int, width: int) -> list[tuple[int, int]]:
    """Two corners, so that every border is met, a border, the centre."""
    bottom, right = height - 1, width - 1
    return [(0, right), (bottom, 0), (bottom // 2, right), (height // 2, width // 2)]


def check(
    network: Network,
    module: nn.Module,
    paths: Sequence[str],
    *,
    held: bool = False,
    arrange: Arrange = lambda result: result,
) -> None:
    """The box of each unit is what was measured, and its field, cut to the picture, holds it."""
    channels, height, width = network.input_shape
    results = {path: network.graph.modules[path] for path in paths}
    units = {path: places(*size_of(network.graph.operations[index])) for path, index in results.items()}
    module = with_positive_weights(module)
    boxes = measured(module, (channels, height, width), units, held=held, arrange=arrange)
    geometry = network.feature_geometry if held else network.geometry
    for path, index in results.items():
        field = geometry.fields[index]
        for (row, column), edges in zip(units[path], boxes[path], strict=True):
            seen = geometry.seen(index, [row], [column])
            if seen.height == 0 or seen.width == 0:  # nothing but zeros of a border
                seen = Box(0, 0, 0, 0)
            assert seen == Box(*edges), f"{path} at {row},{column}"
            if field is not None:
                nominal = field.box(row, column).inside(height, width)
                assert _holds(nominal, Box(*edges)), f"{path} at {row},{column}: {nominal} is too small"


def _holds(outer: Box, inner: Box) -> bool:
    return inner.height == 0 or (
        outer.top <= inner.top
        and outer.left <= inner.left
        and outer.bottom >= inner.bottom
        and outer.right >= inner.right
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_units_see_what_their_gradient_reaches(name: str) -> None:
    (height, width), arguments, paths = NETWORKS[name]
    module = build(name, arguments)
    network = Network.from_module(module, preprocessing=Preprocessing(height=height, width=width))
    check(network, module, paths.split())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet18", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_units_see_what_their_gradient_reaches_at_full_size(name: str) -> None:
    """Eight modules from low to high, whatever they are."""
    module = build(name, NETWORKS[name][1])
    network = Network.from_module(module)
    paths = [path for path in network.graph.modules if path]
    check(network, module, paths[:: len(paths) // 8])


@pytest.mark.parametrize("name", PAPER)
def test_units_of_the_papers_networks(name: str) -> None:
    factory, paths = PAPER[name]
    with torch.device("meta"):
        module = factory(width=1 / 16, classes=3, input_size=(160, 224))
    network = Network.from_module(module, preprocessing=Preprocessing(height=160, width=224))
    check(network, module, paths.split())


@pytest.mark.parametrize(
    "name",
    [
        *(
            "zero pads",
            "pads",
            "circular pads",
            "mirrored at the border",
            "squeezed, then linear",
            "squeezed in place, and back",
            "crop",
            "pooled",
            "x += y",
            "split",
            "channels shuffled",
            "gate",
            "constants",
            "reused",
        ),
        *("view of part kept", "view with the batch size"),
    ],
)
def test_units_of_small_networks(name: str) -> None:
    """Crops, pads and merges, as the graph says them."""
    module = deepcopy(SMALL[name])
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    check(network, module, [path for path in network.graph.modules if path] + [""])


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_by_the_maps_own_values(mode: Literal["reflect", "replicate", "circular"]) -> None:
    """What is mirrored at a border is within the window, what comes in from the other side is not."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    field = network.layers[0].field
    assert (None if field is None else str(field)) == (None if mode == "circular" else "3/1")
    rows = {"reflect": (0, 2), "replicate": (0, 2), "circular": (0, 8)}[mode]
    assert network.geometry.seen(network.layers[0].result, [0], [3]) == Box(rows[0], 2, rows[1], 5)


def test_what_is_mirrored_further_than_the_window_reaches_has_no_field() -> None:
    module = nn.Sequential(nn.ReflectionPad2d(4), conv(), nn.ReLU())
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    assert network.layers[0].field is None
    assert network.geometry.seen(network.layers[0].result, [0], [0]) == Box(3, 3, 5, 5)


@pytest.mark.parametrize(("side", "field"), [(3, None), (9, None), (11, "8/0")])
def test_positions_of_uneven_windows_have_a_field_where_all_see_the_same(
    side: int, field: str | None
) -> None:
    """Of three that read 8 positions, the first reads 0 to 2, the last 5 to 7."""
    module = nn.Sequential(nn.Conv2d(3, 4, side, padding=side // 2), nn.AdaptiveAvgPool2d(3))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    check(network, module, ["1"])
    found = network.layers[-1].field
    assert (None if found is None else str(found)) == field


def test_what_is_not_known_has_no_field_whatever_is_added_to_it() -> None:
    module = Written(lambda s, x: s.c(x).cumsum(2) + s.c(x).mean((2, 3), keepdim=True), c=conv())
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    assert network.geometry.fields[network.graph.output] is None


@pytest.mark.filterwarnings("ignore::layerscope.errors.NetworkWarning")  # as is said when it is read
def test_a_batch_norm_of_the_pictures_at_hand_has_no_field() -> None:
    """Each of its positions sees all others, and other pictures."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    assert network.layers[-1].field is None


def along_rows(s: Any, x: Tensor) -> Tensor:
    return torch.cat([x, s.c(x)], dim=2)


@pytest.mark.parametrize(
    "forward",
    [
        along_rows,
        lambda s, x: s.c(x).cumsum(dim=2),
        lambda s, x: s.c(x).flip(2),
        lambda s, x: s.c(x)[:, :, [5, 4, 3]],
        lambda s, x: s.c(x)[:, [0, 1, 2], [5, 4, 3]],
        lambda s, x: torch.nn.functional.glu(s.c(x)[:, :, :6], 2),
        lambda s, x: torch.nn.functional.fold(torch.nn.functional.unfold(s.c(x), 2), (8, 8), 2),
    ],
)
def test_what_moves_positions_in_ways_geometry_does_not_know_has_no_field(forward: Any) -> None:
    module = Written(forward, c=conv(3, 3))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    assert network.geometry.fields[network.graph.output] is None
    with pytest.raises(GeometryError, match="no receptive field is known"):
        network.geometry.seen(network.graph.output, [0], [0])


def _space_to_depth(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x)
    y = y.view(y.size(0), 4, 4, 2, 4, 2).permute(0, 3, 5, 1, 2, 4).contiguous().view(y.size(0), 16, 4, 4)
    return torch.nn.functional.conv2d(y, s.w, padding=1)


def _blocks_of_many_rows(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x).reshape(-1, 4, 4, 2, 2, 4)
    return y.permute(0, 2, 4, 1, 3, 5).flatten(3).transpose(1, 3).transpose(2, 3)


def _mixed_along_tokens(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x).flatten(2)
    z: Tensor = y * torch.nn.functional.linear(y, s.t)
    return z.reshape(-1, 4, 8, 8)


def _mixed_into_others(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x).flatten(2)
    z = F.linear(F.gelu(F.linear(y, s.t[:16])), s.t[:, :16])
    return (y + z).reshape(-1, 4, 8, 8)


def _in_blocks(s: Any, x: Tensor) -> Tensor:
    """Summed over all that is at the same place of a block of 2x2, and multiplied by that."""
    y: Tensor = s.c(x).reshape(-1, 4, 4, 2, 4, 2).permute(0, 1, 3, 5, 2, 4).reshape(-1, 4, 4, 16)
    y = y * y.sum(-1, keepdim=True)
    return y.reshape(-1, 4, 2, 2, 4, 4).permute(0, 1, 4, 2, 5, 3).reshape(-1, 4, 8, 8)


def _in_groups(s: Any, x: Tensor) -> Tensor:
    """Over the deviation of two channels each, which is copied to where they are."""
    y: Tensor = s.c(x)
    groups = y.reshape(-1, 2, 2, 8, 8)
    deviation = (groups.var((2, 3, 4), keepdim=True) + 1e-3).sqrt().expand(groups.shape)
    return y / deviation.reshape(y.shape)


def _beside_zeros(s: Any, x: Tensor) -> Tensor:
    """As a class token has no place in a map, zeros stand for it."""
    y: Tensor = F.pad(s.c(x).flatten(2), (2, 1))
    return y[:, :, 2:66].reshape(-1, 4, 8, 8)


def _attended_in_a_row(s: Any, x: Tensor) -> Tensor:
    """By what is pooled two rows at a time."""
    y: Tensor = s.c(x).flatten(2)
    pooled = F.avg_pool1d(y, 16).transpose(1, 2)
    z = F.scaled_dot_product_attention(y.transpose(1, 2), pooled, pooled)
    return z.transpose(1, 2).reshape(-1, 4, 8, 8)


def _normalised(s: Any, x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(s.c(x), dim=1)


def _times_a_matrix(s: Any, x: Tensor) -> Tensor:
    y: Tensor = s.c(x).permute(0, 2, 3, 1) @ s.t[:4, :6]
    return y.permute(0, 3, 1, 2)


def checked(forward: Any, **parts: nn.Module) -> Network:
    """The network of a forward that may use a fixed kernel ``w`` and a fixed matrix ``t``, its fields measured."""
    module = Written(forward, **parts)
    module.w = nn.Parameter(torch.rand(2, 16, 3, 3))
    module.t = nn.Parameter(torch.rand(64, 64))
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    check(network, module, [""])
    return network


FOLDED: dict[str, tuple[Any, str]] = {
    "space to depth": (_space_to_depth, "8/2"),
    "blocks of many rows": (_blocks_of_many_rows, "4x6/2x4"),
    "mixed along tokens": (_mixed_along_tokens, "8/0"),
    "mixed into others": (_mixed_into_others, "8/0"),
    "in blocks": (_in_blocks, "8/0"),
    "zeros beside tokens": (_beside_zeros, "3/1"),
    "half a row each": (lambda s, x: F.avg_pool1d(s.c(x).flatten(2), 4).reshape(-1, 4, 8, 2), "3x6/1x4"),
    "attended, two rows each": (_attended_in_a_row, "8/0"),
    "normalised in groups": (_in_groups, "8/0"),
    "normalised along channels": (_normalised, "3/1"),
    "times a matrix": (_times_a_matrix, "3/1"),
    "local response norm": (lambda s, x: F.local_response_norm(s.c(x), 3), "3/1"),
    "a gate of half the channels": (lambda s, x: F.glu(s.c(x), 1), "3/1"),
    "channels in another order": (lambda s, x: s.c(x[:, [2, 1, 0]]), "3/1"),
    "channels turned round": (lambda s, x: s.c(x.flip(1)), "3/1"),
    "channels chosen": (lambda s, x: s.c(x).index_select(1, torch.tensor([3, 0, 0])), "3/1"),
    "chosen by a mask": (lambda s, x: torch.where(s.c(x) > -1e9, s.c(x), 0.0), "3/1"),
}


@pytest.mark.parametrize("name", FOLDED)
def test_blocks_as_channels_and_sums_over_positions(name: str) -> None:
    forward, field = FOLDED[name]
    network = checked(forward, c=conv())
    assert str(network.geometry.fields[network.graph.output]) == field


def test_one_place_of_each_block_sees_no_more_than_those() -> None:
    network = checked(_in_blocks, c=nn.Conv2d(3, 4, 1))
    output = network.graph.output
    assert network.geometry.seen(output, [2], [5]) == Box(0, 1, 7, 8)
    assert str(network.geometry.fields[output]) == "8/0"


@pytest.mark.parametrize(
    "forward",
    [
        _in_groups,
        lambda s, x: s.c(x) / s.c(x).std((2, 3), keepdim=True),
        lambda s, x: (y := s.c(x)) - y.mean((2, 3), keepdim=True),
    ],
)
def test_a_norm_written_out_keeps_the_field_through_the_features(forward: Any) -> None:
    network = checked(forward, c=conv())
    output = network.graph.output
    assert str(network.geometry.fields[output]) == "8/0"
    assert str(network.feature_geometry.fields[output]) == "3/1"


def test_a_mean_over_channels_keeps_the_field() -> None:
    module = Written(lambda s, x: s.c(x).mean(dim=1, keepdim=True), c=conv())
    network = Network.from_module(module, preprocessing=Preprocessing(height=8, width=8))
    assert str(network.geometry.fields[network.graph.output]) == "3/1"


class Double(nn.Sequential):
    """Two convolutions, as in a U-Net."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(conv(inputs, outputs), nn.ReLU(), conv(outputs, outputs), nn.ReLU())


def unet(how: str) -> nn.Module:
    """Two levels; ``how`` the map below is made larger: transposed, nearest, bilinear, bilinear aligned, shuffled."""

    def larger(channels: int) -> nn.Module:
        if how.startswith("transposed"):
            kernel, pad = {"transposed": (2, 0), "transposed, overlapping": (4, 1)}[how]
            return nn.ConvTranspose2d(channels, channels // 2, kernel, stride=2, padding=pad)
        if how == "shuffled":
            return nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.PixelShuffle(2))
        aligned = True if how.endswith("aligned") else None
        mode = how.removesuffix(" aligned")
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode=mode, align_corners=aligned),
            nn.Conv2d(channels, channels // 2, 1),
        )

    def forward(s: Any, x: Tensor) -> Tensor:
        a = s.inc(x)
        b = s.down1(torch.nn.functional.max_pool2d(a, 2))
        c = s.down2(torch.nn.functional.max_pool2d(b, 2))
        found: Tensor = s.up2(torch.cat([a, s.larger2(s.up1(torch.cat([b, s.larger1(c)], 1)))], 1))
        return found

    down = {"inc": Double(3, 2), "down1": Double(2, 4), "down2": Double(4, 8)}
    up = {"up1": Double(8, 4), "up2": Double(4, 2)}
    return Written(forward, **down, **up, larger1=larger(8), larger2=larger(4))


UPWARDS = {
    "transposed": 47,
    "transposed, overlapping": 53,
    "nearest": 47,
    "bilinear": 53,
    "bilinear aligned": 53,
    "bicubic": 65,
    "shuffled": 47,
}  #: by hand, the side of the last layer's field: 5, 6, 14, 16 and 32 on the way down, then half a step or more each


@pytest.mark.parametrize("how", UPWARDS)
def test_units_of_a_unet(how: str) -> None:
    module = unet(how)
    network = Network.from_module(module, preprocessing=Preprocessing(height=64, width=72))
    check(network, module, ["down2", "larger1", "up1", "larger2", "up2"])
    assert str(network.layers[-1].field) == f"{UPWARDS[how]}/1"


LARGER = {
    "nearest by 3": nn.Upsample(scale_factor=3),
    "nearest to a size": nn.Upsample(size=(13, 20)),
    "bilinear, smaller": nn.Upsample(scale_factor=0.5, mode="bilinear"),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "dilated and transposed": nn.ConvTranspose2d(4, 4, 3, stride=2, dilation=2, padding=1, output_padding=1),
    "transposed with gaps": nn.ConvTranspose2d(4, 4, 2, stride=3),
    "transposed, stride 1": nn.ConvTranspose2d(4, 4, (3, 5), padding=(2, 0)),
    "unshuffled": nn.PixelUnshuffle(2),
    "groups normalised": nn.GroupNorm(2, 4),
    "instances normalised": nn.InstanceNorm2d(4),
}


@pytest.mark.parametrize("name", LARGER)
def test_units_of_what_changes_the_size(name: str) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), deepcopy(LARGER[name]), nn.Conv2d(4, 4, 3, dilation=2)
    )
    if name == "unshuffled":
        module[2] = nn.Conv2d(16, 4, 3)
    network = Network.from_module(module, preprocessing=Preprocessing(height=25, width=33))
    check(network, module, ["0", "1", "2"])


def last(result: Tensor) -> Tensor:
    """Channels first."""
    return result.movedim(-1, 1) if result.ndim == 4 else result


def tokens(result: Tensor) -> Tensor:
    """Tokens as a map, the class token left out; the rest as it is."""
    return result[:, 1:].reshape(len(result), 4, 4, -1).movedim(-1, 1) if result.ndim == 3 else result


def vit() -> nn.Module:
    """Of 4x4 patches and a class token."""
    made: nn.Module = tv.VisionTransformer(
        64, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3
    )
    return made


def swin() -> nn.Module:
    """Of windows of 4x4, every second time shifted by half of one."""
    made: nn.Module = tv.SwinTransformer([4, 4], 8, [2, 2], [2, 2], [4, 4], num_classes=3)
    return made


@pytest.mark.parametrize(
    ("make", "size", "arrange", "paths", "fields"),
    [
        (
            vit,
            (64, 64),
            tokens,
            "conv_proj encoder.layers.encoder_layer_0.ln_1 encoder.layers.encoder_layer_0.ln_2 encoder.ln heads",
            "16/16 16/16 64/0 64/0 64/0",
        ),
        (
            swin,
            (64, 96),
            last,
            "features.0 features.1.0.norm1 features.1.0 features.1.1 features.2 features.3.0 norm head",
            "4/4 4/4 28/4 ? ? ? 152x96/8x0 64x96/0",
        ),
    ],
)
def test_units_of_attention(
    make: Any, size: tuple[int, int], arrange: Arrange, paths: str, fields: str
) -> None:
    """Of all of a picture at once, and of windows that are shifted all around."""
    module = make()
    network = Network.from_module(module, preprocessing=Preprocessing(height=size[0], width=size[1]))
    check(network, module, paths.split(), arrange=arrange)
    found = (network.geometry.fields[network.graph.modules[path]] for path in paths.split())
    assert " ".join("?" if field is None else str(field) for field in found) == fields


#: name -> module, arrangement of results, paths
LATER: dict[str, tuple[Any, Any, str, str]] = {
    "convnext": (
        lambda: tv.ConvNeXt([tv.convnext.CNBlockConfig(4, 6, 1), tv.convnext.CNBlockConfig(6, None, 2)]),
        lambda result: result,
        "features.0 features.1.0.block.0 features.1.0 features.2 features.3.0 features.3.1 avgpool classifier",
        "features.0 features.1.0 features.3.1",
    ),
    "convnext, inside": (
        lambda: tv.ConvNeXt([tv.convnext.CNBlockConfig(4, 6, 1), tv.convnext.CNBlockConfig(6, None, 2)]),
        last,
        "features.1.0.block.2 features.1.0.block.3 features.1.0.block.5 features.3.1.block.3",
        "features.1.0.block.3",
    ),
    "mobilenet_v3_small": (
        lambda: tv.mobilenet_v3_small(width_mult=0.25),
        lambda result: result,
        "features.0 features.1.block.0 features.1.block.1 features.1 features.2 features.4 avgpool",
        "features.1 features.2 features.3 features.4 features.6 features.8",
    ),
    "regnet_y_400mf": (
        tv.regnet_y_400mf,
        lambda result: result,
        "stem trunk_output.block1.block1-0.f.b trunk_output.block1 trunk_output.block2.block2-0",
        "trunk_output.block1 trunk_output.block2 trunk_output.block3.block3-0",
    ),
    "efficientnet_b0": (
        tv.efficientnet_b0,
        lambda result: result,
        "features.1",
        "features.1 features.2.0 features.2.1 features.3.1 features.4.0",
    ),
}


@pytest.mark.parametrize("held", [False, True], ids=["in all", "through the features"])
@pytest.mark.parametrize("name", LATER)
def test_units_of_later_networks(name: str, held: bool) -> None:
    made, arrange, paths, features = LATER[name]
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # its widths are computed by torch
        module = made()
    network = Network.from_module(module, preprocessing=Preprocessing(height=128, width=160))
    check(network, module, (features if held else paths).split(), held=held, arrange=arrange)
