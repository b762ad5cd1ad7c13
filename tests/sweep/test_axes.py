"""A pass over a network whose channels are the last axis finds what it finds in torch's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from layerscope.errors import NetworkError, NetworkWarning
from layerscope.images.sets import open_images
from layerscope.sweep.making import sweep_study
from layerscope.sweep.one_pass import SweepOptions, sweep_images
from layerscope.sweep.patch_sample import PatchSample
from layerscope.sweep.standard import standard_reducers
from tests.support.channels_last import SIZE, summing, twins
from tests.support.descent import small_network
from tests.support.pictures import noise, saved
from tests.support.small_networks import Written, conv

SETTINGS = SweepOptions(batch=2, shard=4, workers=1)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for seed in range(5):
        saved(noise(SIZE[1], SIZE[0], seed=seed), tmp_path / "pictures" / f"{seed}.png")
    return tmp_path / "pictures"


def test_a_pass_finds_the_channels_of_the_network_in_torchs_order(pictures: Path) -> None:
    reducers = (*standard_reducers(top=3), PatchSample(("wide", "more"), 40))
    found: list[dict[str, Any]] = []
    for network in twins():
        swept = sweep_images(
            network.to(dtype=torch.float32), open_images(pictures), reducers, settings=SETTINGS
        )
        found.append({n: c for results in swept.results.values() for n, c in results.items()})
    last, first = found
    for name, numbers in [("top_patches", "value"), ("channel_statistics", "mean"), ("sparsity", "sparsity")]:
        one, other = (_of(tables[name], ("stem", "wide", "more", "end")) for tables in (last, first))
        assert one.drop_columns([numbers]).num_rows == other.num_rows
        np.testing.assert_allclose(one[numbers].to_numpy(), other[numbers].to_numpy(), rtol=1e-4, atol=1e-6)
    one, other = (_of(tables["top_patches"], ("wide", "more")) for tables in (last, first))
    assert one.drop_columns(["value"]).equals(other.drop_columns(["value"]))
    for layer, channels in (("wide", 8), ("more", 4)):
        assert last[f"patches/{layer}"].shape == (40, channels)
        np.testing.assert_allclose(last[f"patches/{layer}"], first[f"patches/{layer}"], rtol=1e-4, atol=1e-5)


def _of(table: Any, layers: tuple[str, ...]) -> Any:
    names = table["layer"].to_pylist()
    return table.filter([name in layers for name in names])


def test_what_is_rectified_at_one_position_is_read_by_its_channels(pictures: Path) -> None:
    """Its memory looks as that of a map would, of one channel."""

    def forward(s: Any, x: Tensor) -> Tensor:
        pooled = s.c(x).mean((2, 3), keepdim=True).permute(0, 2, 3, 1)
        return torch.relu(s.f(pooled))

    network = small_network(Written(forward, c=conv(), f=nn.Linear(4, 8)), SIZE).to(dtype=torch.float32)
    swept = sweep_images(network, open_images(pictures), standard_reducers(), settings=SETTINGS)
    found = _of(swept.results["channel_statistics"]["channel_statistics"], ("f",))
    inputs = [network.preprocessing.apply(open_images(pictures).load(i).image) for i in range(5)]
    means = network.representations(torch.stack(inputs), ["f"])["f"].mean((0, 2, 3))
    np.testing.assert_allclose(found["mean"].to_numpy(), means.numpy(), rtol=1e-5, atol=1e-7)


def test_class_tokens_are_set_apart(pictures: Path) -> None:
    """A pass finds of tokens what it finds of the map they are made of, whatever stands before or after them."""

    def mapped(s: Any, x: Tensor) -> Tensor:
        y: Tensor = s.c(x)
        return torch.relu(s.f(y.permute(0, 2, 3, 1)))

    def apart(s: Any, x: Tensor) -> Tensor:
        y = s.c(x)
        pooled = 9 + y.amax((2, 3))[:, None]
        tokens = torch.cat([pooled, y.flatten(2).transpose(1, 2), -pooled, pooled], 1)
        found = torch.relu(s.f(tokens))
        return found

    convolution, linear = conv(), nn.Linear(4, 8)
    reducers = (*standard_reducers(top=3), PatchSample("f", 30))
    swept, sampled = [], []
    for forward in (mapped, apart):
        network = small_network(Written(forward, c=convolution, f=linear), SIZE).to(dtype=torch.float32)
        results = sweep_images(network, open_images(pictures), reducers, settings=SETTINGS).results
        swept.append([results[r.name][r.name] for r in reducers[:3]])
        sampled.append(results["patch_sample"])
    assert network.layer("f").apart == 3
    for one, other in zip(*swept, strict=True):
        rows = [_of(table, ("f",)) for table in (one, other)]
        assert rows[0].num_rows
        for name in rows[0].column_names:
            left, right = (table[name].to_pylist() for table in rows)
            assert left == (pytest.approx(right, rel=1e-4, abs=1e-5) if name != "layer" else right)
    tables = [one["patches"] for one in sampled]
    assert isinstance(tables[0], pa.Table)
    assert tables[0].equals(tables[1])
    np.testing.assert_allclose(sampled[0]["patches/f"], sampled[1]["patches/f"], rtol=1e-4, atol=1e-5)


def test_layers_whose_axes_are_not_known_are_left_out_and_said(pictures: Path, tmp_path: Path) -> None:
    network = summing().to(dtype=torch.float32)
    unknown = {layer.name for layer in network.layers if layer.axes is None}
    assert "o" in unknown
    assert "f" not in unknown
    words = f"{len(unknown)} of {len(network.layers)} layers are left out .* not known which axes"
    with pytest.warns(NetworkWarning, match=words):
        study = sweep_study(
            [network], open_images(pictures), standard_reducers(), tmp_path / "study", settings=SETTINGS
        )
    results = study.network(network.name)
    rows = {row["layer"]: row for row in results.layers.to_pylist()}
    assert rows["o"]["channels"] is None is rows["o"]["rows"]
    assert (rows["f"]["channels"], rows["f"]["rows"], rows["f"]["columns"]) == (4, *SIZE)
    swept = set(results.table("channel_statistics")["layer"].to_pylist())
    assert swept == {layer.name for layer in network.layers} - unknown


def test_such_a_layer_asked_for_by_name_is_refused(pictures: Path) -> None:
    with pytest.raises(NetworkError, match=r"^o \(linear\) gives 140x4 numbers"):
        sweep_images(
            summing().to(dtype=torch.float32),
            open_images(pictures),
            [PatchSample("o", 5)],
            settings=SETTINGS,
        )
