"""The pass: shards, padding, bad pictures, labels, and a reducer of a user's own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from layerscope import GeometryError, LayerscopeError, Network, NetworkError
from layerscope.progress import Progress
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.one_pass import (
    Sweep,
    SweepOptions,
    Watcher,
    finish,
    merge_shards,
    run_shard,
    sweep_images,
)
from layerscope.sweep.patch_sample import PatchSample
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.reducers import LayerBatch, Reducer, Results, State, Target, every_layer
from layerscope.sweep.top_patches import TopPatches
from tests.oracles.sweep import reducing
from tests.support.small_networks import Written, conv
from tests.support.watching import SIZE, given, noise, small_network

REDUCERS = [
    TopPatches(3),
    Sparsity(),
    ChannelStatistics(),
    PatchSample(("0", "3"), 10, seed=1),
    Predictions(top=2),
]
SMALL = SweepOptions(batch=4, shard=8)


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


def activations(network: Network, pictures: list[object], layer: str) -> list[np.ndarray]:
    """Picture by picture, as often as the pass does it: four at once, the same four times."""
    found = []
    for picture in pictures:
        one = network.preprocessing.apply(picture)  # type: ignore[arg-type]
        result = network.representations(torch.stack([one] * 4), [layer])[layer][0]
        found.append(result.float().numpy().reshape(result.shape[0], *(result.shape[1:] or (1, 1))))
    return found


def table(swept: Sweep, reducer: str, name: str) -> list[dict[str, Any]]:
    found = swept.results[reducer][name]
    assert isinstance(found, pa.Table)
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def same(one: Mapping[str, Results], other: Mapping[str, Results]) -> bool:
    pairs = [(one[r][n], other[r][n]) for r in one for n in one[r]]
    return [list(one[r]) for r in one] == [list(other[r]) for r in other] and all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) else a.equals(b) for a, b in pairs
    )


def rows_of(content: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = content.to_pylist()
    return rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_whole_pass_against_the_twin(dtype: torch.dtype) -> None:
    network, pictures = small_network(dtype), noise(11)
    swept = sweep_images(network, given(pictures), [TopPatches(3), Sparsity()], settings=SMALL)
    top = rows_of(swept.results["top_patches"]["top_patches"])
    silent = rows_of(swept.results["sparsity"]["channel_sparsity"])
    layers = rows_of(swept.results["sparsity"]["sparsity"])
    assert [row["layer"] for row in layers] == [layer.name for layer in network.layers]
    for layer, summary in zip(network.layers, layers, strict=True):
        maps = activations(network, list(pictures), layer.name)
        zeros = [reducing.zeros(maps, c) for c in range(layer.channels)]
        count = 11 * maps[0][0].size
        assert [row["zeros"] for row in silent if row["layer"] == layer.name] == zeros
        assert summary["sparsity"] == sum(zeros) / (count * layer.channels)
        assert summary["dead_channels"] == sum(z == count for z in zeros)
        for c in range(layer.channels):
            rows = [row for row in top if row["layer"] == layer.name and row["channel"] == c]
            found = [(r["picture"], r["row"] * layer.size[1] + r["column"], r["value"]) for r in rows]
            assert found == reducing.strongest(maps, c, 3)
            assert [row["rank"] for row in rows] == [0, 1, 2]
    assert layers[0]["dead_channels"] == 1


def test_what_others_read_is_not_rectified_for_them() -> None:
    """A convolution's result goes through a relu, and is read again; another relu's operand is read by it alone."""
    torch.manual_seed(0)

    def forward(s: Any, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = s.c(x)
        return s.p(torch.relu(y) - y) + torch.relu(s.d(x))  # type: ignore[no-any-return]

    module = Written(forward, c=conv(), d=conv(), p=torch.nn.MaxPool2d(3, 1, 1))
    network = Network.from_module(module, preprocessing=small_network().preprocessing)
    pictures = noise(8)
    swept = sweep_images(network, given(pictures), [Sparsity()], settings=SMALL)
    rows = table(swept, "sparsity", "sparsity")
    with torch.no_grad():
        inputs = torch.stack([network.preprocessing.apply(picture) for picture in pictures])
        y = module.get_submodule("c")(inputs)
        expected = {
            "c": y,
            "d": torch.relu(module.get_submodule("d")(inputs)),
            "p": module.get_submodule("p")(torch.relu(y) - y),
            "add": module(inputs),
        }
    zeros = {row["layer"]: row["zeros"] for row in rows}
    for name, values in expected.items():
        if name in zeros:
            assert zeros[name] == int((values == 0).sum()), name
    assert {"d", "p"} <= set(zeros)


@pytest.mark.parametrize(
    "settings", [SweepOptions(4, shard=4), SweepOptions(4, 1, shard=12), SweepOptions(4, shard=400)]
)
def test_shards_do_not_show(network: Network, settings: SweepOptions) -> None:
    images = given(noise(21), labels=[i % 6 for i in range(21)])
    assert same(
        sweep_images(network, images, REDUCERS, settings=SMALL).results,
        sweep_images(network, images, REDUCERS, settings=settings).results,
    )


def test_merging_in_any_grouping_gives_the_same_states(network: Network) -> None:
    images = given(noise(37))
    parts = [run_shard(network, images, shard, REDUCERS, SMALL) for shard in SMALL.shards(37)]
    whole = merge_shards(REDUCERS, parts)
    left = parts[0]
    for part in parts[1:]:
        left = merge_shards(REDUCERS, [left, part])
    assert list(whole.states) == list(left.states)
    assert all(reducing.same_bits(whole.states[key], left.states[key]) for key in whole.states)
    assert reducing.same_bits(whole.pictures, left.pictures)
    assert whole.pictures["index"].tolist() == list(range(37))


def test_bad_pictures_leave_no_trace(network: Network) -> None:
    """Results with bad pictures in between equal those of the good ones alone, but for their places in the set."""
    good = noise(9)
    names = [f"picture {i}" for i in range(9)]
    mixed: list[object] = list(good)
    mixed_names = list(names)
    for at in (9, 4, 4, 0):
        mixed.insert(at, "truncated; copy it again")
        mixed_names.insert(at, f"bad {len(mixed)}")
    with_bad = sweep_images(network, given(mixed, mixed_names), REDUCERS, settings=SMALL)  # type: ignore[arg-type]
    alone = sweep_images(network, given(good, names), REDUCERS, settings=SMALL)
    places = [mixed_names.index(name) for name in names]
    assert with_bad.pictures["reason"].to_pylist().count(None) == 9
    assert with_bad.pictures["reason"][0].as_py() == "truncated; copy it again"
    assert with_bad.pictures["width"].to_pylist() == [0 if "bad" in n else SIZE for n in mixed_names]
    for reducer, results in alone.results.items():
        for name, expected in results.items():
            found = with_bad.results[reducer][name]
            if isinstance(expected, np.ndarray):
                assert np.array_equal(found, expected)
                continue
            place = "run" if name == "sparsity_runs" else "picture"  # of so few pictures each is a run
            moved = [{**row, place: places[row[place]]} if place in row else row for row in rows_of(expected)]
            assert rows_of(found) == moved


def test_a_set_of_bad_pictures_gives_empty_results(network: Network) -> None:
    swept = sweep_images(network, given(["empty file", "empty file"]), REDUCERS, settings=SMALL)
    tables = [c for results in swept.results.values() for n, c in results.items() if n != "histogram_edges"]
    assert {len(table) for table in tables[:-1]} == {0}
    errors = rows_of(swept.results["predictions"]["prediction_errors"])
    assert errors == [{"pictures": 0, "labelled": 0, "top1_error": None, "top5_error": None, "reason": None}]
    assert swept.pictures["reason"].to_pylist() == ["empty file", "empty file"]


def test_predictions_are_those_of_the_network(network: Network) -> None:
    pictures = noise(10)
    inputs = torch.stack([network.preprocessing.apply(picture) for picture in pictures])
    expected = network.predict(inputs, top=2)
    right = [row[0].index for row in expected]
    labels = [right[0], right[1], *[(i + 1) % 6 for i in right[2:8]], -1, -1]
    swept = sweep_images(network, given(pictures, labels=labels), [Predictions(top=2)], settings=SMALL)
    rows = rows_of(swept.results["predictions"]["predictions"])
    assert [row["class"] for row in rows] == [p.index for row in expected for p in row]
    probabilities = [p.probability for row in expected for p in row]
    assert [row["probability"] for row in rows] == pytest.approx(probabilities, rel=1e-4)
    (errors,) = rows_of(swept.results["predictions"]["prediction_errors"])
    assert (errors["pictures"], errors["labelled"], errors["top1_error"]) == (10, 8, 6 / 8)
    assert errors["top5_error"] <= 6 / 8
    assert swept.pictures["label"].to_pylist() == [*labels[:8], None, None]


def test_a_network_without_predictions_says_why(network: Network) -> None:
    swept = sweep_images(replace(network, trunk=True), given(noise(2)), [Predictions()], settings=SMALL)
    (errors,) = rows_of(swept.results["predictions"]["prediction_errors"])
    assert "trunk" in errors["reason"]
    assert table(swept, "predictions", "predictions") == []


def test_inside_samples_what_sees_the_picture_alone(network: Network) -> None:
    swept = sweep_images(network, given(noise(3)), [PatchSample("0", 1000, where="inside")], settings=SMALL)
    rows = rows_of(swept.results["patch_sample"]["patches"])
    inside = set(range(1, SIZE - 1))
    assert {row["row"] for row in rows} == {row["column"] for row in rows} == inside
    assert len(rows) == 3 * len(inside) ** 2
    vectors = swept.results["patch_sample"]["patches/0"]
    assert isinstance(vectors, np.ndarray)
    maps = activations(network, list(noise(3)), "0")
    for row, vector in zip(rows, vectors, strict=True):
        assert vector.tolist() == maps[row["picture"]][:, row["row"], row["column"]].tolist()


def test_inside_needs_a_position_inside(network: Network) -> None:
    wide = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 15, padding=7), torch.nn.AdaptiveAvgPool2d(5))
    module = Network.from_module(wide, preprocessing=network.preprocessing)
    for layer in ("0", "1"):
        with pytest.raises(GeometryError, match=f'^{layer} has no|no position of {layer} .*where="all"'):
            sweep_images(module, given(noise(1)), [PatchSample(layer, 5, where="inside")], settings=SMALL)


@dataclass(frozen=True)
class Brightest(Reducer):
    """A user's own: the greatest sum of a channel's map, over all pictures."""

    name = "brightest"

    def targets(self, network: Network) -> tuple[Target, ...]:
        return every_layer(network)

    def update(self, state: State | None, seen: LayerBatch) -> State:
        new = {"sum": seen.values.float().flatten(2).sum(2).amax(0).numpy()}
        return new if state is None else self.merge(state, new)

    def merge(self, one: State, other: State) -> State:
        return {"sum": np.maximum(one["sum"], other["sum"])}

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        return {f"brightest/{layer}": state["sum"] for layer, state in states.items()}


def test_a_reducer_of_ones_own(network: Network) -> None:
    convolutions = replace(network, graph=replace(network.graph, operations=network.graph.operations[:6]))
    found = sweep_images(convolutions, given(noise(5)), [Brightest(), Sparsity()], settings=SMALL)
    for layer in convolutions.layers:
        maps = activations(network, list(noise(5)), layer.name)
        expected = [max(float(values[c].sum()) for values in maps) for c in range(layer.channels)]
        got = found.results["brightest"][f"brightest/{layer.name}"]
        assert isinstance(got, np.ndarray)
        assert got.tolist() == pytest.approx(expected, rel=1e-5)


def test_progress_counts_every_picture(network: Network) -> None:
    told: list[Progress] = []
    images = given([*noise(5), "bad", *noise(5, 1)])
    sweep_images(network, images, [Sparsity()], settings=SMALL, progress=told.append)
    assert [one.detail for one in told[:3]] == ["0 of 11 pictures", "4 of 11 pictures", "5 of 11 pictures"]
    assert [one.share for one in told] == sorted({one.share for one in told})
    assert (told[-1].detail, told[-1].share) == ("11 of 11 pictures", 1)


@pytest.mark.parametrize("after", [1, 6])
def test_an_interrupt_leaves_no_thread_behind(network: Network, after: int) -> None:
    told: list[Progress] = []

    def interrupt(step: Progress) -> None:
        told.append(step)
        if len(told) == after:
            raise KeyboardInterrupt

    before = {t.name for t in threading.enumerate() if "pictures" in t.name}
    with pytest.raises(KeyboardInterrupt):
        sweep_images(network, given(noise(40)), REDUCERS, settings=SMALL, progress=interrupt)
    assert {t.name for t in threading.enumerate() if "pictures" in t.name} == before
    assert len(told) == after


@pytest.mark.parametrize("settings", [(0, 8, 1), (4, 0, 1), (4, 6, 1), (4, 8, 0)])
def test_a_pass_that_cannot_be_is_refused(settings: tuple[int, int, int]) -> None:
    with pytest.raises(LayerscopeError, match=r"no multiple|at least one"):
        SweepOptions(*settings)


def test_two_reducers_of_one_name_are_refused(network: Network) -> None:
    with pytest.raises(LayerscopeError, match="two reducers have the same name"):
        Watcher(network, [TopPatches(1), TopPatches(2)])
    with pytest.raises(LayerscopeError, match="two reducers have the same name"):
        merge_shards([Sparsity(), Sparsity()], [])


def test_nothing_at_all_merges_to_nothing(network: Network) -> None:
    merged = merge_shards(REDUCERS, [])
    assert merged.states == {}
    assert len(merged.pictures["index"]) == 0
    assert set(finish(network, REDUCERS, merged.states)) == {r.name for r in REDUCERS}


def test_nan_names_layer_and_picture(network: Network) -> None:
    tensors = {n: t.clone() for n, t in network.graph.tensors.items()}
    next(iter(tensors.values())).flatten()[0] = float("nan")
    broken = replace(network, graph=replace(network.graph, tensors=tensors))
    with pytest.raises(NetworkError, match="0 gives NaN for 'picture 0'"):
        sweep_images(broken, given(noise(2)), [TopPatches()], settings=SMALL)


def places_of(name: str, dtype: torch.dtype) -> None:
    """Every layer's bits of a picture, alone among zeros, first, and in the middle of others."""
    import torchvision.models as tv

    torch.manual_seed(0)
    network = Network.from_module(tv.get_model(name, weights=None), name=name).to(dtype=dtype)
    pictures = torch.randn(4, *network.input_shape)

    def bits(order: list[int]) -> dict[str, bytes]:
        batch = torch.stack([pictures[i] if i >= 0 else torch.zeros_like(pictures[0]) for i in order])
        results = network.representations(batch, [layer.name for layer in network.layers])
        at = order.index(0)
        return {n: r[at].float().numpy().tobytes() for n, r in results.items()}

    assert bits([0, -1, -1, -1]) == bits([0, 1, 2, 3]) == bits([3, 2, 0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_a_pictures_activations_do_not_depend_on_its_neighbours(name: str, dtype: torch.dtype) -> None:
    places_of(name, dtype)
