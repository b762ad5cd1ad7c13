"""CKA by sums against all pictures by all pictures; what it must not depend on; what chance gives; what is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest

from layerscope.compare.representations import Representations
from layerscope.compare.similarity import compare_layers, partners
from layerscope.errors import ComparisonError
from tests.oracles.compare import similarity as naive

Values = npt.NDArray[np.float64]


def made(layers: Mapping[str, Values], network: str = "one") -> Representations:
    """Layers of (pictures, channels) or (pictures, positions, channels), rounded to float32."""
    shaped = {name: (v if v.ndim == 3 else v[:, None]).astype(np.float32) for name, v in layers.items()}
    pictures = tuple(f"picture {i}" for i in range(len(next(iter(shaped.values())))))
    return Representations(network, pictures, shaped)


def related(pictures: int, channels: tuple[int, int], seed: int = 0) -> tuple[Values, Values]:
    random = np.random.default_rng(seed)
    x = np.maximum(random.normal(size=(pictures, channels[0])), 0)
    mixed = x @ random.normal(size=channels) + 2 * random.normal(size=(pictures, channels[1]))
    return _rounded(x), _rounded(np.maximum(mixed, 0) + 7)  # far from the origin


def _rounded(values: Values) -> Values:
    return values.astype(np.float32).astype(np.float64)


def row_of(x: Values, y: Values, *, biased: bool = False) -> dict[str, float]:
    (row,) = compare_layers(made({"x": x}), made({"y": y}, "other"), biased=biased).table.to_pylist()
    return dict(row)


@pytest.mark.parametrize("pictures", [4, 5, 37, 1024, 1500])
def test_sums_equal_all_pictures_by_all_pictures(pictures: int) -> None:
    x, y = related(pictures, (24, 13))
    row = row_of(x, y, biased=True)
    assert row["cka"] == pytest.approx(naive.cka(x, y), abs=1e-9)
    assert row["biased"] == pytest.approx(naive.biased_cka(x, y), abs=1e-9)
    assert row["procrustes"] == pytest.approx(naive.procrustes(x, y), abs=1e-9)
    wrong = y[partners([f"picture {i}" for i in range(pictures)])]
    assert row["shuffled"] == pytest.approx(naive.cka(x, wrong), abs=1e-9)
    assert row["procrustes_shuffled"] == pytest.approx(naive.procrustes(x, wrong), abs=1e-9)
    heaviest = [naive.shares(*pair) for pair in ((x, y), (x, x), (y, y))]
    assert row["share"] == pytest.approx(max(share.max() for share in heaviest), abs=1e-9)


def test_on_a_grid_no_product_of_a_picture_with_itself_counts() -> None:
    random = np.random.default_rng(1)
    x = _rounded(random.normal(size=(7, 1, 3)) + 0.3 * random.normal(size=(7, 4, 3)) + 2)
    y = _rounded(x[:, :, :2] ** 2 + random.normal(size=(7, 4, 2)))
    assert row_of(x, y)["cka"] == pytest.approx(naive.cka_on_positions(x, y), abs=1e-9)
    flat, other = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    assert naive.hsic_on_positions(flat, other) == pytest.approx(
        naive.song(flat[:, 0] @ flat[:, 0].T, other[:, 0] @ other[:, 0].T)
    )


def test_pictures_alike_within_are_not_taken_for_more_pictures() -> None:
    """Unrelated layers whose positions nearly repeat each other: Song's formula on positions would say .8."""
    random = np.random.default_rng(2)
    x, y = (
        np.repeat(random.normal(size=(60, 1, 200)), 9, axis=1) + 0.01 * random.normal(size=(60, 9, 200))
        for _ in range(2)
    )
    assert abs(row_of(x, y)["cka"]) < 0.1
    assert naive.cka(x.reshape(540, 200), y.reshape(540, 200)) > 0.5


def test_a_layer_of_one_position_stands_at_all() -> None:
    random = np.random.default_rng(3)
    one = made({"map": random.normal(size=(9, 4, 3)), "vector": random.normal(size=(9, 1, 5))})
    repeated = made(
        {
            name: np.repeat(v, 4 // v.shape[1] if v.base is None else 1, axis=1)
            for name, v in one.layers.items()
        }
    )
    assert compare_layers(one, one).table.equals(compare_layers(repeated, repeated).table)


def test_itself_rotated_scaled_and_moved_is_itself() -> None:
    x, _ = related(300, (20, 2))
    turned, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(20, 20)))
    for other in (x, 1000 * x + 5, x @ turned):
        row = row_of(x, other)
        assert row["cka"] == pytest.approx(1, abs=1e-6)
        assert row["procrustes"] == pytest.approx(1, abs=1e-6)
        assert row["low"] <= row["cka"] <= row["high"]
        assert row["high"] - row["low"] < 1e-5
    assert row_of(x, np.maximum(x - 1, 0))["cka"] < 0.9


def test_unrelated_layers_are_unlike_but_for_the_bias_that_chance_gives() -> None:
    random = np.random.default_rng(5)
    row = row_of(random.normal(size=(1000, 512)), random.normal(size=(1000, 512)), biased=True)
    assert row["biased_chance"] == pytest.approx(0.339, abs=0.001)
    assert row["biased"] == pytest.approx(row["biased_chance"], abs=0.005)
    assert abs(row["cka"]) < 0.02
    assert row["low"] < 0 < row["high"]
    assert abs(row["shuffled"]) < 0.02


def test_one_picture_that_makes_the_value_is_named() -> None:
    random = np.random.default_rng(6)
    x, y = random.normal(size=(2, 400, 30))
    assert row_of(x, y)["share"] < 0.05
    x[123] *= 30
    y[123] *= 30
    found = compare_layers(made({"x": x}), made({"y": y}, "other"), biased=True)
    (row,) = found.table.to_pylist()
    assert row["share_picture"] == 123
    assert row["share"] > 0.05
    assert row["biased"] > 0.5
    assert abs(row["cka"]) < 0.3
    assert len(found.warnings) == 1
    assert "picture 123 alone has" in found.warnings[0]


def test_the_interval_is_that_of_leaving_out_runs_of_pictures() -> None:
    x, y = related(640, (24, 13), seed=7)
    row = row_of(x, y)
    expected = naive.jackknife_half_width(x, y, 32, 2.0395)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("channels", [3, 40])
def test_intervals_hold_the_value_of_many_pictures(channels: int) -> None:
    """95 in 100 are promised; 60 tries: fewer than 50 hits would be one chance in 1,000."""
    x, y = related(6000, (channels, channels), seed=8)
    truth = naive.cka(x, y)
    rows = [row_of(x[i : i + 100], y[i : i + 100]) for i in range(0, 6000, 100)]
    assert sum(row["low"] <= truth <= row["high"] for row in rows) >= 50
    assert np.mean([row["high"] - row["low"] for row in rows]) < 0.5


def test_constant_and_dead_layers_have_a_reason_in_place_of_a_value() -> None:
    x, y = related(50, (6, 4))
    one = made({"x": x, "dead": 0 * x, "flat": 0 * x + 0.1})
    found = compare_layers(one, made({"y": y, "dead": 0 * y}, "other"))
    rows = {(r["layer"], r["other_layer"]): r for r in found.table.to_pylist()}
    assert rows["x", "y"]["cka"] is not None
    assert rows["x", "y"]["reason"] is None
    assert rows["x", "dead"]["cka"] is None
    assert rows["x", "dead"]["reason"] == "dead of other is the same for all pictures"
    assert rows["flat", "y"]["reason"] == "flat of one is the same for all pictures"
    assert found.best == {"x": "y", "dead": None, "flat": None}
    assert found.correlations is not None
    assert np.isnan(found.correlations[6:]).all()
    assert np.isfinite(found.correlations[:6, :4]).all()


def test_what_differs_by_rounding_alone_is_the_same() -> None:
    x, y = related(50, (6, 4))
    noise = 0.7 * (1 + 1e-7 * np.random.default_rng(0).normal(size=(50, 3)))
    x[:, 2] = noise[:, 0]
    found = compare_layers(made({"x": x, "noise": noise}), made({"y": y}, "other"))
    rows = {row["layer"]: row for row in found.table.to_pylist()}
    assert rows["noise"]["reason"] == "noise of one is the same for all pictures"
    assert rows["x"]["cka"] == pytest.approx(naive.cka(np.delete(_rounded(x), 2, axis=1), y), abs=1e-6)
    assert found.correlations is not None
    assert np.isnan(found.correlations[[2, 6, 7, 8]]).all()
    small = compare_layers(made({"x": x + 1000}), made({"y": y}, "other")).table.to_pylist()[0]
    assert small["cka"] == pytest.approx(rows["x"]["cka"], abs=1e-3)


def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = related(90, (30, 20))
    one, other = made({"a": x, "b": x[:, :7], "c": x[:, 5:]}), made({"d": y, "e": y[:, :3]}, "other")
    whole = compare_layers(one, other)
    monkeypatch.setattr("layerscope.compare.similarity._SIDE", 10)
    parts = compare_layers(one, other)
    for name in ("cka", "low", "shuffled", "share", "procrustes"):
        assert parts.matrix(name) == pytest.approx(whole.matrix(name), abs=1e-12)
    assert parts.correlations == pytest.approx(whole.correlations, abs=1e-6)
    assert whole.matrix("cka").shape == (3, 2)


def test_correlations_are_pearsons() -> None:
    x, y = related(200, (5, 4))
    found = compare_layers(made({"x": x}), made({"y": y}, "other")).correlations
    assert found == pytest.approx(np.corrcoef(x.T, y.T)[:5, 5:], abs=1e-6)


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_too_few_pictures_are_refused(pictures: int) -> None:
    x, y = related(pictures, (3, 2))
    with pytest.raises(
        ComparisonError, match=f"^{pictures} good pictures: the unbiased HSIC needs at least 4"
    ):
        row_of(x, y)


def test_what_cannot_be_compared_is_refused() -> None:
    x, y = related(8, (3, 2))
    one = made({"x": x})
    with pytest.raises(ComparisonError, match="were shown other pictures"):
        compare_layers(one, made({"y": y[:7]}, "other"))
    grid = made({"y": np.repeat(y[:, None], 4, axis=1)}, "other")
    with pytest.raises(ComparisonError, match="gather both on the same grid"):
        compare_layers(one, grid)
    with pytest.raises(ComparisonError, match="no closed form"):
        compare_layers(grid, grid, biased=True)
    x[2, 1] = np.nan
    with pytest.raises(ComparisonError, match="x of one has NaN or infinity"):
        compare_layers(made({"x": x}), made({"y": y}, "other"))
    with pytest.raises(ComparisonError, match="y of other is 7x1x2; give it 8 pictures"):
        Representations("other", one.pictures, {"y": y[:7, None].astype(np.float32)})
    with pytest.raises(ComparisonError, match="has no layer to compare"):
        Representations("other", one.pictures, {})


def test_partners_are_others_and_each_is_taken_once() -> None:
    names = [f"{i:03d}.png" for i in range(101)]
    found = partners(names)
    assert sorted(found.tolist()) == list(range(101))
    assert (found != np.arange(101)).all()
    backwards = partners(names[::-1])
    assert [names[::-1][i] for i in backwards] == [names[i] for i in found[::-1]]


def test_thingsvision_says_the_same() -> None:
    peer = peers_cka().CKANumPy(m=300, kernel="linear", unbiased=True)
    x, y = related(300, (40, 30))
    assert row_of(x, y)["cka"] == pytest.approx(float(peer.compare(X=x, Y=y)), abs=1e-5)


def peers_cka() -> ModuleType:
    """The file of thingsvision that computes it, without the package around it, which needs much and older."""
    found = find_spec("thingsvision")
    if found is None or not found.submodule_search_locations:
        pytest.skip("thingsvision, the peer, is not installed (pip install --no-deps thingsvision)")
    package = ModuleType("peers_cka")
    package.__path__ = [str(Path(found.submodule_search_locations[0]) / "core" / "cka")]
    with patch.dict(sys.modules, {package.__name__: package}):
        return import_module("peers_cka.cka_numpy")
