"""What is left of reconstructions when weights are random: the measures, the cascade, and the part that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from layerscope.compare.comparison import compare_studies
from layerscope.compare.parts.randomisation import MOST, _stages
from layerscope.compare.randomisation import (
    as_shown,
    entropy,
    shown_layers,
    similarities,
)
from layerscope.compare.reinitialised import reinitialise
from layerscope.compare.subject import CompareOptions
from layerscope.errors import ComparisonError
from layerscope.images.decoding import load_image
from layerscope.images.sets import open_images
from layerscope.kernels.ranks import correlate_ranks
from layerscope.kernels.structural_similarity import structural_similarity
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.progress import Progress
from layerscope.reconstruction.descent import reconstruct
from layerscope.reconstruction.rules import DECONVNET, GRADIENT
from layerscope.study.check import check_study
from layerscope.study.folder import Study
from layerscope.sweep.channel_statistics import Sparsity
from layerscope.sweep.making import sweep_study
from tests.oracles.compare.randomisation import spearman, ssim
from tests.support.studies import SETTINGS, bytes_of, small, write_pictures


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


class TestMeasures:
    def test_ssim_equals_its_twin(self) -> None:
        one, other = as_shown(noise(1, 14, 17)), as_shown(noise(1, 14, 17, seed=1))
        for second in (other, 0.7 * one + 0.2 * other, 1 - one, one):
            wanted = ssim(one[0].numpy(), second[0].numpy())
            assert structural_similarity(one, second) == pytest.approx(wanted, abs=1e-12)
        assert structural_similarity(one, one) == pytest.approx(1)

    def test_ssim_equals_that_of_scikit_image(self) -> None:
        peer = pytest.importorskip("skimage.metrics", reason="scikit-image, the peer, is not installed")
        one, other = as_shown(noise(3, 40, 33)), as_shown(noise(3, 40, 33, seed=1))
        mixed = (one + other) / 2
        wanted = peer.structural_similarity(
            one.numpy(), mixed.numpy(), gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            data_range=1, channel_axis=0,
        )  # fmt: skip
        assert structural_similarity(one, mixed) == pytest.approx(wanted, abs=1e-10)

    def test_ranks_equal_their_twin(self) -> None:
        random = np.random.default_rng(0)
        one, other = random.integers(0, 9, 60).astype(float), random.normal(size=60)
        assert correlate_ranks(one, other) == pytest.approx(spearman(one, other), abs=1e-12)
        assert correlate_ranks(one.reshape(6, 10), one**3) == pytest.approx(1)
        assert correlate_ranks(np.ones(5), np.arange(5)) == 0

    def test_entropy_is_that_of_a_histogram(self) -> None:
        assert entropy(torch.arange(200.0)) == pytest.approx(np.log(100))
        assert entropy(torch.tensor([0.0, 0, 0, 1])) == pytest.approx(
            -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
        )
        assert entropy(torch.zeros(3, 4, 4)) == 0
        spiky = torch.zeros(3, 20, 20)
        spiky[0, 3, 3] = 1
        assert entropy(spiky) < entropy(noise(3, 20, 20))

    def test_of_a_signal_and_itself_its_opposite_and_another(self) -> None:
        one, other = noise(3, 30, 30), noise(3, 30, 30, seed=1)
        assert dict(similarities(one, 5 * one)) == pytest.approx({"ssim": 1, "rank": 1, "place": 1})
        opposite = similarities(one, -one)
        assert opposite["rank"] == pytest.approx(-1)
        assert opposite["ssim"] < -0.9
        assert opposite["place"] == pytest.approx(1)
        assert all(abs(value) < 0.1 for value in similarities(one, other).values())

    def test_flat_and_small_signals(self) -> None:
        zeros, one = torch.zeros(3, 12, 12), noise(3, 12, 12)
        assert (as_shown(zeros) == 0.5).all()
        one[0, 0, :2] = torch.tensor([-9.0, 9.0])
        assert as_shown(100 * one)[0, 0, :2].tolist() == [0, 1]
        assert similarities(zeros, one)["rank"] == 0
        assert similarities(zeros, zeros)["ssim"] == pytest.approx(1)
        assert np.isnan(similarities(noise(3, 10, 40), noise(3, 10, 40))["ssim"])


def test_layers_chosen() -> None:
    assert [layer.name for layer in shown_layers(small("vggcnn"), DECONVNET)] == ["c2_2", "c4_1", "c5_3"]
    assert [layer.name for layer in shown_layers(small(), DECONVNET)] == ["c1", "c3", "c5"]
    assert [layer.name for layer in shown_layers(small(), DECONVNET, ("p2", "fc7", "none"))] == ["p2", "fc7"]
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh())
    network = Network.from_module(module, preprocessing=Preprocessing(None, 8, 8))
    assert shown_layers(network, DECONVNET) == ()
    assert len(shown_layers(network, GRADIENT)) == 1


def test_boundaries() -> None:
    assert _stages(1) == (0,)
    assert _stages(5) == (0, 1, 2, 3, 4)
    many = _stages(101)
    assert many[:2] == (0, 1)
    assert many[-1] == 100
    assert len(many) <= MOST + 1


# ------------------------------------------------------------------ the part


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("photographs"), 5, (1,))


@pytest.fixture(scope="module")
def study(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    out = tmp_path_factory.mktemp("study") / "study"
    networks = [small(), small("vggcnn")]
    return sweep_study(networks, open_images(photographs), [Sparsity()], out, settings=SETTINGS)


@pytest.fixture(scope="module")
def compare(study: Study, photographs: Path) -> Callable[..., Study]:
    def compared(out: Path, progress: Any = None, **options: Any) -> Study:
        chosen = CompareOptions(parts=("randomisation",), **{"layers": ("c2", "c5", "c2_1"), **options})
        return compare_studies(
            study, out, options=chosen, networks=[small(), small("vggcnn")], images=open_images(photographs),
            progress=progress,
        )  # fmt: skip

    return compared


def findings(made: Study) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((made.path / "randomisation/section.json").read_bytes())[
        "findings"
    ]
    return found


def test_the_cascade_and_what_is_said_of_it(
    compare: Callable[..., Study], photographs: Path, tmp_path: Path
) -> None:
    made = compare(tmp_path / "out")
    assert not check_study(made.path)
    rows = pq.read_table(made.path / "randomisation/randomisation.parquet").to_pylist()
    network = small()
    picture = network.preprocessing.apply(load_image(photographs / "003.png"))[None]
    trained = reconstruct(network, picture, ["c2", "c5"])
    for order, boundary, random in (
        ("top-down", "c1", ("c1", "c2", "c3", "c4", "c5")),
        ("top-down", "c4", ("c4", "c5")),
        ("top-down", "c2", ("c2", "c3", "c4", "c5")),
        ("bottom-up", "c1", ("c1",)),
        ("bottom-up", "c3", ("c1", "c2", "c3")),
    ):
        found = reconstruct(reinitialise(network, random), picture, ["c2", "c5"])
        for layer in ("c2", "c5"):
            own = [
                row for row in rows
                if (row["network"], row["order"], row["boundary"]) == ("alexcnn", order, boundary)
                and (row["layer"], row["name"]) == (layer, "003.png")
            ]  # fmt: skip
            reached = layer == "c5" or boundary in ("c1", "c2")
            assert len(own) == reached
            if reached:
                wanted = similarities(found[layer][0], trained[layer][0])
                assert own[0]["random_layers"] == len(random)
                assert {name: own[0][name] for name in wanted} == pytest.approx(dict(wanted))
                rise = entropy(found[layer][0]) / entropy(trained[layer][0]) - 1
                assert own[0]["rise"] == pytest.approx(rise)
    ends = [
        [row["rank"] for row in rows if row["network"] == "alexcnn" and row["layer"] == "c5"
         and (row["order"], row["boundary"]) == end]
        for end in (("top-down", "c1"), ("bottom-up", "c5"))
    ]  # fmt: skip
    assert len(ends[0]) == 4
    assert ends[0] == ends[1]
    said = findings(made)
    assert said[1]["numbers"]["rank"] == pytest.approx(np.mean(ends[0]))
    assert "with all 5 weighted layers random the reconstruction of c5 still correlates" in said[1]["text"]
    others = [row for row in rows if row["order"] == "another picture" and row["layer"] == "c5"]
    assert said[1]["numbers"]["other"] == pytest.approx(np.mean([row["rank"] for row in others]))


def test_it_goes_on_to_the_same_bytes(compare: Callable[..., Study], tmp_path: Path) -> None:
    whole = compare(tmp_path / "whole", pictures=2)
    count = 0

    class StopError(Exception):
        pass

    def stopping(progress: Progress) -> None:
        nonlocal count
        count += progress.stage == "alexcnn: randomisation"
        if count == 4:
            raise StopError

    with pytest.raises(StopError):
        compare(tmp_path / "out", stopping, pictures=2)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npz")}
    assert len(kept) == 4  # of another picture, and three networks
    shares = []

    def seen(progress: Progress) -> None:
        if progress.stage == "alexcnn: randomisation":
            shares.append(progress.share)
            assert {path: path.stat().st_mtime_ns for path in kept} == kept

    compare(tmp_path / "out", seen, pictures=2)
    assert shares[0] == pytest.approx(0.3)
    assert bytes_of(tmp_path / "out") == bytes_of(whole.path)


def test_one_picture_and_named_ones(compare: Callable[..., Study], tmp_path: Path) -> None:
    said = findings(compare(tmp_path / "one", pictures=("003.png",)))
    assert "on 1 pictures" in said[0]["text"]
    assert "another picture" not in said[1]["text"]
    assert not any("nan" in finding["text"] for finding in said)


def test_what_is_refused(compare: Callable[..., Study], tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match="goes back from no chosen layer of vggcnn"):
        compare(tmp_path / "out", layers=("c5",))
    with pytest.raises(ComparisonError, match="no picture is called 'none'"):
        compare(tmp_path / "out", pictures=("none",))
