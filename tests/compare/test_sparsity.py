"""Sparsity read from studies equals a count over the representations; the three facts of the paper's Fig. 6 hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
import torch

from layerscope.compare.parts.sparsity import deeper, falls, rises
from layerscope.compare.sparsity import Zeros, show_sparsity, sparsity_table, strongest_tenth
from layerscope.images.decoding import load_image
from layerscope.images.sets import open_images
from layerscope.kernels.ranks import rank_correlation
from layerscope.study.folder import NetworkResults, Study
from layerscope.sweep.channel_statistics import Sparsity
from layerscope.sweep.making import sweep_study
from layerscope.zoo.loading import load_network
from tests.support.studies import SETTINGS, small, write_pictures


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("sparsity")
    images = open_images(write_pictures(folder / "pictures", 5, ()))
    networks = [small("alexcnn"), small("vggcnn")]
    return sweep_study(networks, images, [Sparsity()], folder / "study", settings=SETTINGS)


def test_the_table_counts_zeros_of_convolutions_and_pools(study: Study) -> None:
    rows = sparsity_table(study).to_pylist()
    network = small("vggcnn")
    names = [layer.name for layer in network.layers if layer.kind in ("conv2d", "max_pool2d")]
    assert [row["layer"] for row in rows if row["network"] == "vggcnn"] == names
    paths = sorted(study.path.parent.glob("pictures/*"))
    pictures = torch.stack([network.preprocessing.apply(load_image(path)) for path in paths])
    values = network.representations(pictures, names)
    for row in (row for row in rows if row["network"] == "vggcnn"):
        zero = values[row["layer"]] == 0
        assert row["sparsity"] == pytest.approx(zero.double().mean().item(), abs=1e-3)
        assert row["dead_channels"] == int(zero.all(3).all(2).all(0).sum())
        assert row["channels"] == zero.shape[1]


def test_several_studies_make_one_chart(study: Study) -> None:
    both = show_sparsity([study, study.path])
    labels = [line.get_label() for line in both.axes[0].lines if not str(line.get_label()).startswith("_")]
    assert labels[:4] == ["alexcnn", "vggcnn", "alexcnn", "vggcnn"]


# ------------------------------------------------------------------ the part of a comparison


def told(
    name: str, shares: Sequence[Sequence[float]], kinds: str = "cpcp", *, runs: bool = True, count: int = 100
) -> Zeros:
    """Zeros of layers c0, p1, ... that are convolutions and pools, each of them of runs of one picture."""
    layers = [f"{kind}{i}" for i, kind in enumerate(kinds)]
    zeros = [[round(share * count) for share in row] for row in shares]
    total = [sum(row) for row in zeros]
    of = count * len(shares[0])
    tables = {
        "sparsity": pa.table(
            {
                "layer": layers,
                "channels": [10] * len(layers),
                "dead_channels": [int(kind == "c") for kind in kinds],
                "count": [of] * len(layers),
                "zeros": total,
                "sparsity": [number / of for number in total],
            }
        ),
        "sparsity_runs": pa.table(
            {
                "layer": [layer for layer in layers for _ in shares[0]],
                "count": [count for _ in layers for _ in shares[0]],
                "zeros": [number for row in zeros for number in row],
            }
        ),
    }
    known = {"c": "conv2d", "p": "max_pool2d", "l": "linear"}
    about = pa.table(
        {
            "layer": layers,
            "kind": [known[kind] for kind in kinds],
            "inputs": [layers[max(0, i - 1) : i] for i in range(len(layers))],
        }
    )
    results = SimpleNamespace(
        name=name,
        results=("sparsity", "sparsity_runs") if runs else ("sparsity",),
        layers=about,
        table=tables.__getitem__,
    )
    return Zeros(cast(NetworkResults, results))


RISING = [(0.2, 0.3, 0.25, 0.28), (0.1, 0.2, 0.15, 0.16), (0.7, 0.8, 0.75, 0.74), (0.6, 0.7, 0.62, 0.66)]


def test_an_interval_is_that_of_leaving_out_each_run() -> None:
    one = told("deep", RISING)
    runs = np.array(RISING[2])
    left_out = np.array([np.delete(runs, i).mean() for i in range(4)])
    half = 3.1824 * np.sqrt(3 / 4 * ((left_out - left_out.mean()) ** 2).sum())
    assert one.shares["c2"].half == pytest.approx(half, rel=0.01)
    lower, upper = one.halves()
    rise = np.array(RISING[2]) - np.array(RISING[0])
    assert (upper - lower).value == pytest.approx(rise.mean())
    assert (upper - lower).half == pytest.approx(3.1824 * rise.std(ddof=1) / 2, rel=0.01)


def test_each_fact_holds_or_fails_or_is_undecided() -> None:
    flat = told("flat", [RISING[2], RISING[3], RISING[0], RISING[2]])
    undecided = told(
        "undecided", [(0.5, 0.1, 0.4, 0.3), (0.1, 0.6, 0.2, 0.9), (0.6, 0.1, 0.2, 0.5), RISING[1]]
    )
    assert [rises(one).holds for one in (told("deep", RISING), flat, undecided)] == [True, False, None]
    assert [falls(one).holds for one in (told("deep", RISING), flat, undecided)] == [True, False, None]
    assert rises(undecided).warns
    assert "Zeros may or may not rise" in rises(undecided).text
    assert "at 1 of 2; least at p3, by -49.0 points (95 % interval -52.2 to -45.8)" in falls(flat).text


def test_the_deeper_network_is_sparser_at_its_top_or_it_depends() -> None:
    low, _, high, _ = RISING
    deep, flat = told("deep", [low, low, high, high], "cccc"), told("flat", [low, low], "cc")
    for pair in ((deep, flat), (flat, deep)):
        assert deeper(*pair).holds
        assert "in c3, the last of the 4 convolutions of deep" in deeper(*pair).text
    assert deeper(told("deep", [high, high, low, low], "cccc"), told("b", [high, high], "cc")).holds is False
    depends = deeper(told("deep", [low, low, low, high], "cccc"), told("b", [low, RISING[3]], "cc"))
    assert (depends.holds, depends.warns) == (None, True)
    assert "so it depends on which layers are called high" in depends.text


def test_what_cannot_be_asked_says_so() -> None:
    single = told("single", RISING[:1], "c")
    assert "has 1 convolution: whether zeros rise with depth cannot be asked" in rises(single).text
    assert "has 0 max-pools: whether zeros fall there cannot be asked" in falls(single).text
    one, other = told("a", RISING), told("b", RISING)
    assert "a has 2 convolutions, b 2: which is sparser for being deeper cannot" in deeper(one, other).text
    assert not told("smooth", [(0.0, 0.0)], "c").any
    assert all(f.holds is None for f in (rises(single), falls(single), deeper(one, other)))


def test_without_runs_signs_decide_and_nothing_is_said_of_intervals() -> None:
    old = told("old", RISING, runs=False)
    assert rises(old).holds
    assert falls(old).holds
    assert "interval" not in rises(old).text
    assert np.isnan(old.curve().low).all()
    assert np.isnan(told("one picture", [row[:1] for row in RISING]).curve().low).all()


def test_how_few_channels_have_the_power(study: Study) -> None:
    network = Zeros(study.network("alexcnn"))
    assert network.strongest == {}
    sizes = [2.0, 1, 0.5] + [0.1] * 9
    assert strongest_tenth(np.array(sizes)) == pytest.approx(3 / sum(sizes))
    assert np.isnan(strongest_tenth(np.zeros(3)))


def test_ranks_against_their_definition() -> None:
    assert rank_correlation([1, 2, 3, 5]) == pytest.approx(1)
    assert rank_correlation([5, 3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([2, 2, 2]) == 0
    values = [3.0, 1, 2, 2, 5, 4]
    ranks = np.array([4, 1, 2.5, 2.5, 6, 5])
    assert rank_correlation(values) == pytest.approx(np.corrcoef(ranks, np.arange(6))[0, 1])


@pytest.mark.slow
def test_the_three_facts_of_figure_6(tmp_path: Path) -> None:
    """Sparsity rises with depth, falls at each max-pool, and is higher in VGG-16's high layers than in AlexNet's."""
    data = Path(pytest.importorskip("skimage").__file__).parent / "data"
    names = (
        "astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg brick.png grass.png gravel.png"
    )
    networks = [load_network(name, "imagenet-trunk") for name in ("vgg16", "alexnet")]
    images = open_images([data / name for name in names.split()])
    study = sweep_study(networks, images, [Sparsity()], tmp_path / "study")
    rows = sparsity_table(study).to_pylist()
    shares = {n: {r["layer"]: r["sparsity"] for r in rows if r["network"] == n} for n in ("vgg16", "alexnet")}
    for found in shares.values():
        layers = list(found)
        for before, pool in ((layers[i - 1], name) for i, name in enumerate(layers) if name.startswith("p")):
            assert found[pool] < found[before]
        convolutions = [share for name, share in found.items() if name.startswith("c")]
        half = len(convolutions) // 2
        assert sum(convolutions[:half]) / half < sum(convolutions[half:]) / (len(convolutions) - half)
    assert shares["vgg16"]["p5"] > shares["alexnet"]["p5"]
    assert shares["vgg16"]["c5_3"] > shares["alexnet"]["c5"]
