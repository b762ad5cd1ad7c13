"""Single units in the window they see, beside the crop of their whole picture's reconstruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from layerscope.errors import NetworkError, UnsupportedOperationError
from layerscope.network.geometry import Box
from layerscope.network.network import Network, Unit
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import DECONVNET, RULES, Rule
from layerscope.reconstruction.units import ForwardOver, UnitAt, covers, reconstruct_units, stream_units
from layerscope.zoo.paper import alexcnn, vggcnn
from tests.oracles.reconstruction.units import cropped
from tests.support.descent import lively, noise, small_network
from tests.support.marks import slow_but
from tests.support.small_networks import Written, conv

PASSES: tuple[ForwardOver, ...] = ("picture", "patch", "auto")
OVERWRITE = Rule("overwriting deconvnet", clamp=True, mask=False, overlap="overwrite")


def _residual(s: Any, x: Tensor) -> Tensor:
    y = s.pool(F.relu(s.norm(s.a(x))))
    z = F.relu(s.b(y) + s.short(y))
    return F.relu(s.d(s.c(z)) + z)


def _inception(s: Any, x: Tensor) -> Tensor:
    y = F.relu(s.a(x))
    branches = [F.relu(s.one(y)), F.relu(s.three(y)), s.one(s.pool(y)), s.mean(y)]
    return F.relu(s.last(torch.cat(branches, dim=1)))


def _split(s: Any, x: Tensor) -> Tensor:
    one, other = F.relu(s.a(x)).chunk(2, dim=1)
    return F.relu(s.b(torch.cat([other * 0.5, -one], dim=1)))


class Ramp(nn.Module):
    """Multiplies each column by a number of its own."""

    factors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factors", torch.linspace(0.5, 1.5, 13))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factors


MODULES: dict[str, Callable[[], nn.Module]] = {
    "ceil-mode pools": lambda: nn.Sequential(
        conv(3, 4, stride=2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), conv(4, 5), nn.ReLU(), nn.MaxPool2d(2)
    ),
    "overlapping pools": lambda: nn.Sequential(
        conv(), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(4, 5, (3, 1)), nn.ReLU6(), nn.MaxPool2d(3, 2, 1)
    ),
    "dilated in groups": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, padding="same", dilation=2, groups=3), nn.ReLU(), nn.Conv2d(6, 4, 4, 3, 2), nn.ReLU()
    ),
    "average pools": lambda: nn.Sequential(
        conv(), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), conv(4, 4), nn.ReLU(), nn.AvgPool2d(3, 1, 1), conv(4, 2)
    ),
    "pads wider than filters": lambda: nn.Sequential(nn.Conv2d(3, 4, 1, padding=1), nn.ReLU(), conv(4, 3), nn.ReLU()),
    "residual": lambda: Written(
        _residual, a=conv(3, 4, stride=2), norm=nn.BatchNorm2d(4), pool=nn.MaxPool2d(3, 1, 1), b=conv(4, 6),
        short=nn.Conv2d(4, 6, 1), c=conv(6, 6), d=nn.BatchNorm2d(6),
    ),
    "inception": lambda: Written(
        _inception, a=conv(), one=nn.Conv2d(4, 3, 1), three=nn.Conv2d(4, 3, 5, padding=2),
        pool=nn.MaxPool2d(3, 1, 1, ceil_mode=True), mean=nn.AvgPool2d(3, 1, 1), last=conv(13, 4),
    ),
    "channels split": lambda: Written(_split, a=conv(), b=conv(4, 3)),
    "averages without their padding": lambda: nn.Sequential(
        conv(), nn.ReLU(), nn.AvgPool2d(3, 2, 1, count_include_pad=False), conv(4, 3), nn.ReLU()
    ),
    "pads of another kind": lambda: nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3), nn.ReLU(), conv(4, 2)),
    "values over the map": lambda: nn.Sequential(conv(), nn.ReLU(), Ramp(), conv(4, 2)),
    "a constant made anew": lambda: Written(
        lambda s, x: s.b(F.relu(s.a(x)) + x.shape[0] * torch.linspace(0.5, 1.5, 13)), a=conv(), b=conv(4, 2)
    ),
    "smooth rectifiers": lambda: nn.Sequential(conv(), nn.SiLU(), nn.MaxPool2d(2), conv(4, 4), nn.GELU(), conv(4, 2)),
    "squeeze and excitation": lambda: Written(
        lambda s, x: s.b((y := F.relu(s.a(x))) * s.g(y.mean((2, 3), True)).sigmoid()), a=conv(), b=conv(4, 2),
        g=nn.Conv2d(4, 4, 1)),
    "a gate over the map": lambda: Written(
        lambda s, x: s.b((y := F.relu(s.a(x))) * s.g(y).sigmoid()), a=conv(), b=conv(4, 2), g=nn.Conv2d(4, 1, 1)),
    "kernels mixed for each picture": lambda: Written(_mixed, a=conv(), b=conv(4, 2), r=nn.Linear(4, 3),
        e=nn.Embedding(3, 4 * 4 * 9)),
    "channels last": lambda: Written(
        lambda s, x: s.b(F.gelu(s.l(s.n(s.a(x).permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)), a=conv(), b=conv(4, 2),
        n=nn.LayerNorm(4), l=nn.Linear(4, 4)),
    "group norm": lambda: nn.Sequential(conv(), nn.GroupNorm(2, 4), nn.ReLU(), conv(4, 2)),
    "a maximum of maps": lambda: Written(
        lambda s, x: s.b(torch.maximum(s.a(x), s.c(x))), a=conv(), c=conv(), b=conv(4, 2)),
    "upsampled": lambda: Written(
        lambda s, x: s.b(F.interpolate(F.relu(s.a(x)), scale_factor=2.0)), a=conv(), b=conv(4, 2)),
}  # fmt: skip
GATED = frozenset({"squeeze and excitation", "a gate over the map", "kernels mixed for each picture"})
WITHOUT_WINDOW = GATED | {"a constant made anew"}  # in each pass: always over the whole picture
WHOLE: dict[str, Callable[[Tensor], Tensor]] = {
    "groups folded into the batch": lambda y: F.avg_pool2d(y.reshape(-1, 2, 17, 13), 3, 1, 1).reshape(-1, 4, 17, 13),
    "windows": lambda y: torch.unflatten(y, 3, (13, 1)).movedim(3, 1).reshape(-1, 4, 17, 1).square().reshape(
        -1, 13, 4, 17).permute(0, 2, 3, 1),
    "over the largest": lambda y: y / y.abs().max(),
    "without the mean": lambda y: y - y.mean((0, 2, 3), keepdim=True),
    "variance and mean": lambda y: torch.cat(torch.var_mean(y, 1, keepdim=True), 1).repeat(1, 2, 1, 1),
    "sorted": lambda y: y.sort(1)[0],
    "unpooled": lambda y: F.max_unpool2d(*F.max_pool2d(y, 2, return_indices=True), (2, 2), output_size=(17, 13)),
}  # fmt: skip


def _mixed(s: Any, x: Tensor) -> Tensor:
    y = F.relu(s.a(x))
    count, _, rows, columns = y.shape
    kernels = (s.r(y.mean((2, 3))).sigmoid() @ s.e.weight).view(count * 4, 4, 3, 3)
    y = F.conv2d(y.reshape(1, count * 4, rows, columns), kernels, groups=count).permute(1, 0, 2, 3)
    return s.b(F.relu(y.reshape(count, 4, rows - 2, columns - 2)))  # type: ignore[no-any-return]


def all_positions(network: Network, pictures: Tensor) -> list[UnitAt]:
    """The strongest channel of every position of every layer, in each picture."""
    units = []
    for name, values in network.representations(pictures, [layer.name for layer in network.layers]).items():
        for picture, value in enumerate(values):
            best = value.argmax(0)
            if best.ndim == 0:
                units.append(UnitAt(picture, Unit(name, int(best))))
                continue
            units += [
                UnitAt(picture, Unit(name, int(best[row, column]), row, column))
                for row in range(best.shape[0])
                for column in range(best.shape[1])
            ]
    return units


def assert_crops(
    network: Network, pictures: Tensor, units: Sequence[UnitAt], *, rule: Rule = DECONVNET,
    forward: ForwardOver = "auto", tolerance: float = 1e-10, chunk_bytes: int | None = None,
) -> None:  # fmt: skip
    """Each unit equals the crop of the whole; some of them are not nothing."""
    found = reconstruct_units(network, pictures, units, rule=rule, forward=forward, chunk_bytes=chunk_bytes)
    assert [one.at for one in found] == list(units)
    wholes = [
        reconstruct(network, pictures[i : i + 1], [at.unit for at in units if at.picture == i], rule=rule)
        for i in range(len(pictures))
    ]
    strengths = []
    for one in found:
        expected = cropped(wholes[one.at.picture][one.at.unit][0], one.box)
        assert one.signal.shape == expected.shape
        assert (one.signal - expected).norm() <= tolerance * expected.norm(), one.at
        strengths.append(float(expected.norm()))
    assert max(strengths) > 0


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("forward", PASSES)
@pytest.mark.parametrize("name", MODULES)
def test_every_position_equals_the_crop(name: str, forward: ForwardOver) -> None:
    network = small_network(lively(MODULES[name]()), (17, 13))
    pictures = noise(2, 3, 17, 13)
    if forward == "patch" and name in WITHOUT_WINDOW:
        forward = "auto"
    assert_crops(network, pictures, all_positions(network, pictures)[::3], forward=forward)


@pytest.mark.filterwarnings("ignore::layerscope.errors.NetworkWarning")  # as is said when it is read
@pytest.mark.parametrize("forward", ["picture", "auto"])
@pytest.mark.parametrize("name", WHOLE)
def test_what_only_whole_pictures_have(name: str, forward: ForwardOver) -> None:
    network = small_network(Written(lambda s, x: s.b(WHOLE[name](s.a(x))), a=conv(), b=conv(4, 2)), (17, 13))
    pictures = noise(2, 3, 17, 13)
    units = [UnitAt(picture, Unit("b", 1, row, 6)) for picture in (0, 1) for row in (0, 8, 9)]
    for rule in (rule for rule in RULES.values() if covers(network, ["b"], rule)):
        assert_crops(network, pictures, units, rule=rule, forward=forward)
        with pytest.raises(NetworkError, match="b cannot be computed from its patch alone; use"):
            reconstruct_units(network, pictures, units, rule=rule, forward="patch")


@pytest.mark.parametrize("rule", [*RULES.values(), OVERWRITE], ids=lambda rule: rule.name)
@pytest.mark.parametrize("forward", ["picture", "patch"])
def test_every_rule(rule: Rule, forward: ForwardOver) -> None:
    for name in ("overlapping pools", "residual"):
        network = small_network(lively(MODULES[name]()), (17, 13))
        pictures = noise(2, 3, 17, 13)
        assert_crops(network, pictures, all_positions(network, pictures)[::5], rule=rule, forward=forward)


@pytest.mark.parametrize("chunk_bytes", [1, 20_000])
def test_small_batches(chunk_bytes: int) -> None:
    network = small_network(MODULES["ceil-mode pools"](), (17, 13))
    pictures = noise(3, 3, 17, 13)
    assert_crops(network, pictures, all_positions(network, pictures), chunk_bytes=chunk_bytes)


Size = tuple[int, int]
NAMED: dict[str, Callable[[Size], nn.Module]] = {
    "alexcnn": lambda size: alexcnn(width=0.25, input_size=size),
    "vggcnn": lambda size: vggcnn(width=0.25, input_size=size),
    "alexnet": lambda _: torchvision.models.alexnet().features,
    "vgg16": lambda _: torchvision.models.vgg16().features,
    "resnet18": lambda _: torchvision.models.resnet18(),
    "googlenet": lambda _: torchvision.models.googlenet(init_weights=False, aux_logits=False),
}


def some_units(network: Network, pictures: Tensor, per_layer: int = 2) -> list[UnitAt]:
    """Corners, edges and middles of every layer."""
    everywhere = all_positions(network, pictures)
    units = []
    for layer in network.layers:
        mine = [at for at in everywhere if at.unit.layer == layer.name]
        units += [mine[0], mine[-1], *mine[len(mine) // 3 :: max(1, len(mine) // per_layer)]]
    return list(dict.fromkeys(units))


@pytest.mark.parametrize("name", slow_but(["alexcnn", "resnet18"], NAMED))
def test_named_networks(name: str) -> None:
    size = (95, 79)
    network = small_network(lively(NAMED[name](size)), size)
    pictures = noise(1, 3, *size)
    assert_crops(network, pictures, some_units(network, pictures)[:: 5 if name == "googlenet" else 3])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_named_networks_in_float32(name: str) -> None:
    torch.set_num_threads(2)
    size = (224, 224)
    network = small_network(lively(NAMED[name](size)), size).to(dtype=torch.float32)
    pictures = noise(1, 3, *size).float()
    units = some_units(network, pictures, 1)[:: 9 if name == "googlenet" else 3]
    assert_crops(network, pictures, units, forward="picture", tolerance=1e-5)


def test_bfloat16_stays_close() -> None:
    network = small_network(MODULES["ceil-mode pools"](), (17, 13)).to(dtype=torch.bfloat16)
    pictures = noise(2, 3, 17, 13)
    units = all_positions(network, pictures)[::3]
    assert_crops(network, pictures, units, forward="picture", tolerance=2e-2)
    assert {one.signal.dtype for one in reconstruct_units(network, pictures, units)} == {torch.float32}


@pytest.mark.parametrize("forward", ["patch", "auto"])
def test_nothing_outside_the_window_is_looked_at(forward: ForwardOver) -> None:
    network = small_network(MODULES["overlapping pools"](), (33, 33))
    pictures = noise(1, 3, 33, 33)
    at = UnitAt(0, Unit(network.layers[0].name, 1, 5, 6))
    (clean,) = reconstruct_units(network, pictures, [at], forward="picture")
    inside = torch.zeros(33, 33, dtype=torch.bool)
    inside[clean.box.top : clean.box.bottom, clean.box.left : clean.box.right] = True
    poisoned = pictures.masked_fill(~inside, torch.nan)
    (alone,) = reconstruct_units(network, poisoned, [at], forward=forward)
    torch.testing.assert_close(alone.signal, clean.signal, rtol=1e-12, atol=0)
    poisoned[..., 5, 6] = torch.nan
    assert reconstruct_units(network, poisoned, [at], forward=forward)[0].signal.isnan().any()


def test_the_pass_that_is_less_work_is_taken() -> None:
    """One unit has a pass over its window; many of a picture share one over that."""
    network = small_network(MODULES["ceil-mode pools"](), (33, 33))
    top = network.layers[-1]
    pictures = noise(1, 3, 33, 33)
    units = [
        UnitAt(0, Unit(top.name, 0, *divmod(place, top.size[1])))
        for place in range(top.size[0] * top.size[1])
    ]
    asked: list[int] = []
    ran = network.graph.run

    def counted(*arguments: Any) -> Any:
        asked.append(arguments[1])
        return ran(*arguments)

    object.__setattr__(network.graph, "run", counted)
    reconstruct_units(network, pictures, units[:1])
    assert asked == []
    reconstruct_units(network, pictures, units * 3)
    assert asked == [top.result]


def test_pictures_are_asked_for_once_and_in_order() -> None:
    network = small_network(MODULES["ceil-mode pools"](), (17, 13))
    pictures = noise(4, 3, 17, 13)
    units = all_positions(network, pictures)[::-7]
    asked: list[int] = []

    def load(index: int) -> Tensor:
        asked.append(index)
        return pictures[index]

    lazily = dict(stream_units(network, load, units))
    assert asked == [0, 1, 2, 3]
    assert sorted(lazily) == list(range(len(units)))
    for place, one in enumerate(reconstruct_units(network, pictures, units)):
        assert lazily[place].at == one.at == units[place]
        assert torch.equal(lazily[place].signal, one.signal)


def test_the_same_unit_twice() -> None:
    network = small_network(MODULES["ceil-mode pools"](), (17, 13))
    at = UnitAt(0, Unit(network.layers[-1].name, 1, 0, 0))
    one, other = reconstruct_units(network, noise(1, 3, 17, 13), [at, at])
    assert torch.equal(one.signal, other.signal)


def test_no_units() -> None:
    assert reconstruct_units(small_network(conv()), noise(1, 3, 9, 7), []) == ()


def test_a_fully_connected_unit_sees_the_whole_picture() -> None:
    network = small_network(
        nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 5)), (9, 7)
    )
    (one,) = reconstruct_units(network, noise(1, 3, 9, 7), [UnitAt(0, Unit("4", 2))])
    assert one.box == Box(0, 0, 9, 7)
    assert_crops(network, noise(1, 3, 9, 7), [UnitAt(0, Unit("4", channel)) for channel in range(5)])


def test_the_box_is_the_receptive_field() -> None:
    network = small_network(MODULES["ceil-mode pools"](), (17, 13))
    unit = Unit(network.layers[1].name, 0, 0, 3)
    (one,) = reconstruct_units(network, noise(1, 3, 17, 13), [UnitAt(0, unit)])
    assert one.box == network.box(unit)
    assert one.box.top < 0
    assert not one.signal[:, : -one.box.top].any()


@pytest.mark.parametrize(
    ("unit", "picture", "forward", "message"),
    [
        (Unit("conv2d", 0), 0, "auto", "whole feature map; give it a row and a column"),
        (Unit("conv2d", 4, 0, 0), 0, "auto", "has channels 0 to 3, not 4"),
        (Unit("conv2d", 0, 9, 0), 0, "auto", "it has no position 9,0"),
        (Unit("conv2d", 0, 0, 0), 2, "auto", "there is no picture 2 for unit conv2d:0@0,0; there are 2"),
        (Unit("conv2d", 0, 0, 0), -1, "auto", "there is no picture -1"),
        (Unit("conv2d", 0, 0, 0), 0, "sideways", "one of auto, picture, patch, not 'sideways'"),
    ],
)
def test_what_is_not_there(unit: Unit, picture: int, forward: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        stream_units(small_network(conv()), noise(2, 3, 9, 7), [UnitAt(picture, unit)], forward=forward)


def test_a_sum_over_positions_is_a_channel() -> None:
    mixed = Written(lambda s, x: s.b(s.a(x).flatten(2)), a=conv(), b=nn.Linear(63, 5))
    network, pictures = small_network(mixed, (9, 7)), noise(2, 3, 9, 7)
    assert network.layers[-1].channels == 4 * 5
    unit = Unit(network.layers[-1].name, 7, 0, 0)
    (found,) = reconstruct_units(network, pictures, [UnitAt(1, unit)])
    whole = reconstruct(network, pictures, unit)[unit][1]
    torch.testing.assert_close(found.signal.to(whole.dtype), whole, rtol=1e-10, atol=1e-12)
    assert whole.any()


def test_a_layer_whose_axes_are_not_known_is_refused() -> None:
    mixed = Written(lambda s, x: s.a(x).flatten(1, 2) * s.a(x).flatten(1, 2).cumsum(1), a=conv())
    network = small_network(mixed, (9, 7))
    unit = Unit(network.layers[-1].name, 2, 0, 0)
    with pytest.raises(NetworkError, match=r"gives 36x7 numbers, and it is not known which axes"):
        stream_units(network, noise(2, 3, 9, 7), [UnitAt(0, unit)])


def test_what_has_no_rule_is_refused_before_any_work() -> None:
    network = small_network(nn.Sequential(conv(), nn.Hardtanh(), conv(4, 4)))

    def load(index: int) -> Tensor:
        raise AssertionError("asked for a picture")

    with pytest.raises(UnsupportedOperationError, match="deconvnet has no rule for hardtanh"):
        stream_units(network, load, [UnitAt(0, Unit("2", 0, 1, 1))])


def test_a_window_that_cannot_be_is_refused() -> None:
    network = small_network(MODULES["a constant made anew"](), (17, 13))
    at = UnitAt(0, Unit(network.layers[-1].name, 0, 1, 1))
    with pytest.raises(NetworkError, match="use forward='picture'"):
        reconstruct_units(network, noise(1, 3, 17, 13), [at], forward="patch")


def test_a_unit_after_a_gate_is_shown_in_what_its_features_see() -> None:
    """By the gradient a signal goes through the gate, too, to the whole picture: the box is cut out of that."""

    def gated(s: Any, x: Tensor) -> Tensor:
        y = F.relu(s.a(x))
        return F.relu(s.b(y * torch.sigmoid(s.g(y.mean((2, 3), keepdim=True)))))

    network = small_network(Written(gated, a=conv(), b=conv(4, 4), g=nn.Conv2d(4, 4, 1)), (17, 13))
    top = network.layers[-1]
    assert (str(top.field), str(top.field_in_all)) == ("5/1", "17x13/0")
    pictures = noise(1, 3, 17, 13)
    unit = Unit(top.name, 1, 8, 0)
    whole = reconstruct(network, pictures, unit, rule=RULES["gradient"])[unit][0]
    (alone,) = reconstruct_units(network, pictures, [UnitAt(0, unit)], rule=RULES["gradient"])
    assert alone.box == Box(6, -2, 11, 3)
    assert whole[:, :6].any()
    torch.testing.assert_close(alone.signal[:, :, 2:], whole[:, 6:11, :3])
    assert not alone.signal[:, :, :2].any()
