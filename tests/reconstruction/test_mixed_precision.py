"""Networks whose parts compute in several precisions, beside the same in one."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.network.network import Network, Unit
from layerscope.network.preprocessing import Preprocessing
from layerscope.reconstruction.descent import Seed, reconstruct
from layerscope.reconstruction.rules import GRADIENT, RULES, Rule
from layerscope.reconstruction.units import UnitAt, reconstruct_units
from tests.support.small_networks import Written, conv

HALF = torch.bfloat16
FORWARDS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "a body": lambda s, x: s.b(F.max_pool2d(F.relu(s.a(x)), 2).float()),
    "a norm": lambda s, x: s.b(F.layer_norm(s.a(x).permute(0, 2, 3, 1).float(), (4,)).permute(0, 3, 1, 2)),
    "an upsampling": lambda s, x: s.b(F.interpolate(s.a(x).float(), scale_factor=2.0)),
    "a smooth rectifier": lambda s, x: s.b(F.gelu(s.a(x)).float()),
    "a matrix": lambda s, x: s.b((s.a(x).movedim(1, 3) @ s.m.weight).float().movedim(3, 1)),
    "two ways": lambda s, x: s.b(F.avg_pool2d(y := F.relu(s.a(x)), 3, 1, 1).float() + y),
    "a linear layer": lambda s, x: s.b(s.m(s.a(x).movedim(1, 3)).float().movedim(3, 1)),
    "a transposed convolution": lambda s, x: s.b(s.t(s.a(x)).float()),
}  # fmt: skip


def network_of(name: str, precision: torch.dtype) -> Network:
    """All but the last layer in one precision, that in float32."""
    torch.manual_seed(0)
    parts = {"a": conv(), "m": nn.Linear(4, 4), "t": nn.ConvTranspose2d(4, 4, 2, 2)}
    module = Written(FORWARDS[name], **{n: part.to(precision) for n, part in parts.items()}, b=conv(4, 2))
    return Network.from_module(deepcopy(module).eval(), preprocessing=Preprocessing(None, 8, 8))


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.parametrize("name", FORWARDS)
def test_signals_are_near_those_of_one_precision(name: str, rule: Rule) -> None:
    picture = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(HALF).float()
    unit = Unit("b", 1, 2, 1)
    seeds: list[Seed] = ["a", "b", unit]
    mixed = network_of(name, HALF)
    found, expected = (
        reconstruct(n, picture, seeds, rule=rule) for n in (mixed, network_of(name, torch.float32))
    )
    for seed in seeds:
        assert (found[seed] - expected[seed]).norm() < 0.05 * expected[seed].norm()
    (alone,) = reconstruct_units(mixed, picture, [UnitAt(0, unit)], rule=rule, forward="auto")
    box = alone.box.inside(8, 8)
    crop = found[unit][0, :, box.top : box.bottom, box.left : box.right]
    assert abs(alone.signal.norm() - crop.norm()) < 0.02 * crop.norm()


def test_a_network_that_names_a_precision_in_another_one() -> None:
    """Its head is brought to bfloat16, but what it is given stays in float32."""
    module = Written(lambda s, x: s.b(F.relu(s.a(x)).float()), a=conv(), b=conv(4, 2)).eval()
    network = Network.from_module(module, preprocessing=Preprocessing(None, 8, 8)).to(dtype=HALF)
    picture = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    unit = Unit("b", 1, 2, 1)
    (alone,) = reconstruct_units(network, picture, [UnitAt(0, unit)], rule=GRADIENT, forward="patch")
    whole = reconstruct(network, picture, unit, rule=GRADIENT)[unit][0]
    torch.testing.assert_close(alone.signal.norm(), whole.norm(), rtol=0.02, atol=0)
