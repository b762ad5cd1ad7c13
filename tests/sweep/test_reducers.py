"""Reducers on made-up layers: each against its twin, and the same bits under any split."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope import LayerscopeError, NetworkError
from layerscope.kernels.bins import BINS, EDGES, OCTAVES, SMALLEST
from layerscope.kernels.exact_sums import add_exactly, exact_value, exact_zeros, mean_and_variance
from layerscope.kernels.reduction import (
    can_rectify,
    rectify_and_reduce,
    reduce_activations,
    reduce_with_torch,
)
from layerscope.sweep.channel_statistics import ChannelStatistics, Sparsity
from layerscope.sweep.patch_sample import PatchSample, position_keys
from layerscope.sweep.predictions import Predictions
from layerscope.sweep.reducers import Reducer
from layerscope.sweep.top_patches import TopPatches
from tests.oracles.sweep import reducing
from tests.support.watching import layer_batch, state_of

REDUCERS = [
    TopPatches(1),
    TopPatches(3),
    Sparsity(),
    ChannelStatistics(),
    PatchSample("layer", 7),
    PatchSample("layer", 5, seed=3, per_picture=2),
    Predictions(top=3),
]
KINDS = ["rectified", "negative", "few values", "constant", "dead", "wild"]


def maps(
    kind: str, pictures: int, channels: int = 4, size: tuple[int, int] = (5, 7), seed: int = 0
) -> torch.Tensor:
    shape = (pictures, channels, *size)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    changed = {
        "rectified": values.relu(),
        "negative": -values.abs() - 0.01,
        "few values": values.round().clamp(-1, 1) * -1.0,  # with both zeros
        "constant": torch.full(shape, 0.25),
        "dead": torch.zeros(shape),
        "wild": values * 10.0 ** torch.randint(-35, 36, shape, generator=torch.Generator().manual_seed(seed)),
    }
    return changed[kind].contiguous(memory_format=torch.channels_last)


def as_arrays(values: torch.Tensor) -> list[np.ndarray]:
    return list(values.float().numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["rectified", "negative", "few values", "constant", "dead"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (9, 31), (20, 20)])
def test_one_walk_finds_what_a_loop_finds(kind: str, size: tuple[int, int], dtype: torch.dtype) -> None:
    values = maps(kind, 3, 5, size).to(dtype)
    reduced = reduce_activations(values, moments=True, histogram=True)
    assert reduced.moments is not None
    assert reduced.histogram is not None
    histogram = np.zeros((5, BINS), int)
    for p, picture in enumerate(as_arrays(values)):
        for c in range(5):
            flat = picture[c].ravel().tolist()
            best, place = reducing.peak(flat)
            assert (reduced.peaks.values[p, c], reduced.peaks.positions[p, c]) == (best, place)
            assert reduced.zeros[p, c] == reducing.zeros([picture], c)
            assert reduced.moments.least[p, c] == min(flat)
            assert reduced.moments.sums[p, c] == pytest.approx(float(sum(map(Fraction, flat))), rel=1e-13)
            squares = float(sum(Fraction(v) ** 2 for v in flat))
            assert reduced.moments.squares[p, c] == pytest.approx(squares, rel=1e-13)
            for value in flat:
                histogram[c, reducing.bin_of(value, SMALLEST, OCTAVES)] += 1
    assert np.array_equal(reduced.histogram, histogram)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 1), (17, 19)])
@pytest.mark.parametrize("channels", [5, 64, 130])
def test_torch_finds_the_same_bits(
    kind: str, dtype: torch.dtype, size: tuple[int, int], channels: int
) -> None:
    values = maps(kind, 3, channels, size).to(dtype)
    compiled = reduce_activations(values, moments=True, histogram=True)
    rows = values.movedim(1, -1).reshape(3, -1, channels)
    by_torch = reduce_with_torch(rows, moments=True, histogram=True)
    assert compiled.moments is not None
    assert by_torch.moments is not None
    for one, other in (
        (vars(compiled.peaks), vars(by_torch.peaks)),
        (vars(compiled.moments), vars(by_torch.moments)),
        ({"h": compiled.histogram, "z": compiled.zeros}, {"h": by_torch.histogram, "z": by_torch.zeros}),
    ):
        assert reducing.same_bits(one, other)


@pytest.mark.parametrize("kind", ["negative", "few values", "wild"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 16)])
def test_rectifying_on_the_way_is_rectifying_first(
    kind: str, dtype: torch.dtype, size: tuple[int, int]
) -> None:
    values = maps(kind, 5, size=size).to(dtype)
    expected = torch.relu(values)
    first = reduce_activations(expected, moments=True, histogram=True)
    assert can_rectify(values)
    at_once = rectify_and_reduce(values, moments=True, histogram=True)
    assert torch.equal(values, expected)
    assert torch.equal(values.signbit(), expected.signbit())  # of zeros too
    assert reducing.same_bits(vars(at_once.peaks), vars(first.peaks))
    assert reducing.same_bits(vars(at_once.moments), vars(first.moments))
    assert np.array_equal(at_once.zeros, first.zeros)
    assert np.array_equal(at_once.histogram, first.histogram)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("place", [0, 17, 34])
def test_rectifying_keeps_nan_and_reports_it(dtype: torch.dtype, sign: float, place: int) -> None:
    nan = torch.copysign(torch.tensor(float("nan")), torch.tensor(sign)).to(dtype)
    values = maps("negative", 3).to(dtype)
    values[1, 2, place // 7, place % 7] = nan
    reduced = rectify_and_reduce(values)
    assert reduced.undefined.tolist() == [False, True, False]
    assert values.isnan().sum() == values[1, 2, place // 7, place % 7].isnan() == 1


def test_what_cannot_be_rectified_on_the_way() -> None:
    values = maps("rectified", 2)
    assert not can_rectify(values.contiguous())
    assert not can_rectify(values.half())
    assert not can_rectify(values.to("meta"))
    assert can_rectify(values[:, :, 0, 0].contiguous())


def test_layout_does_not_matter() -> None:
    values = maps("rectified", 2)
    one, other = (reduce_activations(v, moments=True).moments for v in (values, values.contiguous()))
    assert one is not None
    assert other is not None
    assert reducing.same_bits(vars(one), vars(other))


def test_vectors_are_maps_of_one_position() -> None:
    values = maps("negative", 3, size=(1, 1))
    flat, mapped = (reduce_activations(v).peaks for v in (values[:, :, 0, 0], values))
    assert reducing.same_bits(vars(flat), vars(mapped))


def test_bins_lie_between_their_edges() -> None:
    inside = [-5e3, -3.0, -1e-9, 0.0, -0.0, 1e-40, 1.0, 1.5, 2.0, 5e3]
    values = torch.tensor(inside).view(1, 1, 2, 5)
    histogram = reduce_activations(values, histogram=True).histogram
    assert histogram is not None
    for value in inside:
        found = reducing.bin_of(value, SMALLEST, OCTAVES)
        assert EDGES[found] <= value <= EDGES[found + 1]
        assert histogram[0, found] > 0
    assert histogram.sum() == len(inside)
    assert histogram[0, OCTAVES] == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("reducer", REDUCERS, ids=lambda r: r.name)
@pytest.mark.parametrize("place", [0, 34])
def test_nan_is_refused_with_the_names(reducer: Reducer, dtype: torch.dtype, place: int) -> None:
    values = maps("rectified", 3, size=(1, 1) if isinstance(reducer, Predictions) else (5, 7)).to(dtype)
    values[1].view(values[1].shape[0], -1)[2, place % (values[1].numel() // 4)] = float("nan")
    if isinstance(reducer, Predictions):
        values = values[:, :, 0, 0]
    if isinstance(reducer, PatchSample):
        reducer = PatchSample("layer", 1000)
    with pytest.raises(NetworkError, match="layer gives NaN for 'picture 1'"):
        state_of(reducer, values)


@pytest.mark.parametrize("reducer", REDUCERS, ids=lambda r: f"{r.name}-{r.options()}"[:40])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_split_gives_the_same_bits(reducer: Reducer, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    pictures = data.draw(st.integers(1, 12))
    values = maps(kind, pictures, seed=data.draw(st.integers(0, 3)), size=(2, 3))
    if isinstance(reducer, Predictions):
        values = values[:, :, 0, 0]
    whole = state_of(reducer, values)
    cut = st.lists(st.integers(1, pictures), max_size=5)
    parts = []
    ends = [0, *sorted({*data.draw(cut), pictures})]
    for start, end in pairwise(ends):
        parts.append(state_of(reducer, values[start:end], data.draw(cut), start, pictures))
    while len(parts) > 1:
        at = data.draw(st.integers(0, len(parts) - 2))
        parts[at : at + 2] = [reducer.merge(parts[at], parts[at + 1])]
    assert reducing.same_bits(parts[0], whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 4, 30])
def test_top_patches_against_the_twin(kind: str, k: int) -> None:
    values = maps(kind, 9, size=(3, 3))
    state = state_of(TopPatches(k), values, [2, 3, 7])
    for channel in range(4):
        expected = reducing.strongest(as_arrays(values), channel, k)
        rows = zip(*(state[n][channel].tolist() for n in ("pictures", "positions", "values")), strict=True)
        assert list(rows) == expected


def test_states_are_not_changed() -> None:
    values = maps("rectified", 6)
    for reducer in REDUCERS:
        given_values = values[:, :, 0, 0] if isinstance(reducer, Predictions) else values
        one, other = (
            state_of(reducer, given_values[:3], total=6),
            state_of(reducer, given_values[3:], first=3, total=6),
        )
        copies = [{name: array.copy() for name, array in state.items()} for state in (one, other)]
        reducer.merge(one, other)
        reducer.update(one, layer_batch(given_values[3:], 3, reducer=reducer, total=6))
        assert reducing.same_bits(one, copies[0])
        assert reducing.same_bits(other, copies[1])


@pytest.mark.parametrize("kind", KINDS)
def test_sparsity_counts(kind: str) -> None:
    values = maps(kind, 4)
    state = state_of(Sparsity(), values, [1])
    assert state["zeros"].tolist() == [reducing.zeros(as_arrays(values), c) for c in range(4)]
    assert state["count"] == 4 * 35


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_against_exact_fractions(kind: str) -> None:
    values = maps(kind, 4)
    state = state_of(ChannelStatistics(), values, [1])
    means, variances = mean_and_variance(state["sums"], state["squares"], int(state["count"]))
    for c in range(4):
        mean, variance = reducing.mean_and_variance(as_arrays(values), c)
        assert means[c] == pytest.approx(mean, rel=1e-12)
        assert variances[c] == pytest.approx(variance, rel=1e-9)
    assert np.array_equal(state["most"], values.amax((0, 2, 3)).numpy())
    assert np.array_equal(state["least"], values.amin((0, 2, 3)).numpy())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_exact_sums_are_exact(numbers: list[float]) -> None:
    rows = np.array(numbers)
    with np.errstate(under="ignore"):
        both = np.stack([rows, rows * rows], axis=1)
    digits = add_exactly(exact_zeros(2), both)
    assert exact_value(digits[0]) == sum(map(Fraction, both[:, 0]), Fraction(0))
    assert exact_value(digits[1]) == sum(map(Fraction, both[:, 1]), Fraction(0))


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 1e300, 1e-300])
def test_exact_sums_refuse_what_they_cannot_hold(number: float) -> None:
    with pytest.raises(OverflowError):
        add_exactly(exact_zeros(1), np.array([[1.0], [number]]))


def test_infinite_activations_have_no_statistics() -> None:
    values = maps("rectified", 2)
    values[1, 2, 0, 0] = float("inf")
    with pytest.raises(NetworkError, match="layer gives infinity"):
        state_of(ChannelStatistics(), values)
    assert state_of(TopPatches(1), values)["values"][2, 0] == np.inf


@pytest.mark.parametrize(("count", "per_picture"), [(1, None), (20, None), (20, 3), (1000, None), (1000, 2)])
def test_sample_against_the_twin(count: int, per_picture: int | None) -> None:
    values = maps("rectified", 9)
    reducer = PatchSample("layer", count, seed=5, per_picture=per_picture)
    state = state_of(reducer, values, [4, 5])
    names = [f"picture {i}" for i in range(9)]
    expected = reducing.sample(5, "layer", names, range(35), count, per_picture)
    columns = (state[n].tolist() for n in ("keys", "pictures", "positions"))
    assert list(zip(*columns, strict=True)) == expected
    for row, (_, picture, place) in enumerate(expected):
        assert state["vectors"][row].tolist() == values[picture, :, place // 7, place % 7].tolist()


def test_a_sample_is_uniform_and_its_seed_counts() -> None:
    keys = position_keys(1, "layer", "a", np.arange(40_000, dtype=np.int32))
    shares = np.histogram(keys.astype(float) / 2.0**64, bins=16, range=(0, 1))[0] / 40_000
    assert np.abs(shares - 1 / 16).max() < 0.006  # four deviations
    others = (
        position_keys(2, "layer", "a", np.arange(9, dtype=np.int32)),
        position_keys(1, "lay", "a", np.arange(9, dtype=np.int32)),
        position_keys(1, "layer", "b", np.arange(9, dtype=np.int32)),
    )
    assert all(not np.isin(other, keys).any() for other in others)


def test_a_shard_keeps_its_share_of_a_large_sample() -> None:
    values = maps("rectified", 4, 1, (50, 50))
    state = state_of(PatchSample("layer", 2000), values, total=100)
    kept = len(state["keys"])
    assert 0.04 * 2000 < kept < 0.04 * 2000 * 2  # 4 pictures of 100; all of them have 10,000 positions
    everything = state_of(PatchSample("layer", 2000), maps("rectified", 100, 1, (50, 50)), [50])
    names = [f"picture {i}" for i in range(100)]
    assert len(everything["keys"]) == 2000
    assert everything["keys"].tolist() == [
        k for k, _, _ in reducing.sample(0, "layer", names, range(2500), 2000, None)
    ]


def test_predictions_against_the_twin() -> None:
    scores = maps("few values", 7, 8, (1, 1))[:, :, 0, 0]
    reducer = Predictions(top=3)
    labels = [0, 1, 2, -1, 7, 99, 3]
    state = reducer.update(None, layer_batch(scores, 0, labels=labels))
    for i, row in enumerate(scores.tolist()):
        expected = reducing.ranked(row)
        assert state["classes"][i].tolist() == [c for c, _ in expected[:3]]
        assert state["probabilities"][i].tolist() == pytest.approx([p for _, p in expected[:3]], rel=1e-6)
        order = [c for c, _ in expected]
        assert state["ranks"][i] == (order.index(labels[i]) if labels[i] in order else -1)


def test_options_say_what_the_result_depends_on() -> None:
    assert TopPatches(4).options() == {"k": 4, "layers": "all"}
    assert PatchSample(("a",), 3).options() == {
        "count": 3, "layers": ("a",), "per_picture": None, "seed": 0, "where": "all",
    }  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: TopPatches(0),
        lambda: Predictions(0),
        lambda: PatchSample("a", 0),
        lambda: PatchSample("a", 1, per_picture=0),
    ],
)
def test_nothing_to_look_for_is_refused(make: type) -> None:
    with pytest.raises(LayerscopeError, match=r"ask for (at least 1|1 or more)"):
        make()


def test_zeros_are_counted_by_runs_of_neighbouring_pictures() -> None:
    values = maps("few values", 4)
    state = state_of(Sparsity(), values, [1], first=37, total=64)
    zeros = [reducing.zeros([picture], c) for picture in as_arrays(values) for c in range(4)]
    found = {run: row.tolist() for run, row in enumerate(state["runs"]) if row.any()}
    expected: dict[int, list[int]] = {}
    for place in range(len(values)):
        row = expected.setdefault((37 + place) // 2, [0, 0])
        row[0] += 1
        row[1] += sum(zeros[4 * place : 4 * place + 4])
    assert found == expected


def test_what_an_older_version_began_gets_no_runs() -> None:
    state = state_of(Sparsity(), maps("few values", 4), [1])
    old = {name: state[name] for name in ("zeros", "count")}
    merged = [Sparsity().merge(*pair) for pair in ((old, state), (state, old))]
    assert [set(one) for one in merged] == [{"zeros", "count"}] * 2
    assert (merged[0]["zeros"] == 2 * state["zeros"]).all()
