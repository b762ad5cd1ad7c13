"""Each stage of an embedding against its twin; the same bits twice; what comes too few, too dead or too often."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA

from layerscope import LayerscopeError
from layerscope.plane import embedding
from layerscope.plane.embedding import (
    Affinities,
    Embedding,
    Kept,
    Projection,
    Tsne,
    embed,
    lay_out,
    place,
    project,
    relate,
)
from layerscope.progress import Progress
from tests.oracles.plane import planes

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

QUICK = Tsne(perplexity=5, components=8, early=60, iterations=100)


def clusters(number: int, channels: int = 24, groups: int = 6, seed: int = 0) -> tuple[Floats, Labels]:
    """Rectified vectors around a few centres, many of them zero, and which centre each is of."""
    rng = np.random.default_rng(seed)
    centres = np.maximum(rng.normal(size=(groups, channels)), 0) * 4
    labels = rng.integers(groups, size=number)
    spread = rng.normal(size=(number, channels)) * 0.7 - 0.3
    return np.maximum(centres[labels] + spread, 0).astype(np.float32), labels


def purity(points: Floats, labels: Labels) -> float:
    """Share of the ten nearest others in the plane that are of the same cluster."""
    near = cKDTree(points).query(points, 11)[1][:, 1:]
    return float((labels[near] == labels[:, None]).mean())


def dense(affinities: Affinities) -> npt.NDArray[np.float64]:
    size = len(affinities.indptr) - 1
    table: npt.NDArray[np.float64] = csr_matrix(
        (affinities.data, affinities.indices, affinities.indptr), (size, size)
    ).toarray()
    return table


@cache
def made() -> tuple[Floats, Labels, Embedding]:
    vectors, labels = clusters(600)
    return vectors, labels, embed(vectors, QUICK)


# ------------------------------------------------------------------ the stages


@pytest.mark.parametrize(("number", "channels"), [(200, 24), (100, 5), (30, 64), (9000, 3)])
def test_components_are_those_of_a_full_decomposition(number: int, channels: int) -> None:
    vectors, _ = clusters(number, channels)
    found = project(vectors, replace(QUICK, components=20))
    few = min(20, number, channels)
    peer = PCA(few, svd_solver="full").fit(vectors.astype(np.float64))
    sure = peer.explained_variance_ > 1e-9 * peer.explained_variance_[0]
    signs = np.sign((found.axes * peer.components_).sum(axis=1, keepdims=True))
    assert found.values.shape == (number, few)
    assert np.allclose(found.mean, peer.mean_)
    assert np.allclose(found.axes[sure], (signs * peer.components_)[sure], atol=1e-6)
    assert np.allclose(found.values, peer.transform(vectors.astype(np.float64)) * signs.T, atol=1e-4)
    largest = np.abs(found.axes).argmax(axis=1)
    assert (found.axes[np.arange(few), largest] > 0).all()


@pytest.mark.parametrize("perplexity", [3.0, 5.0, 10.0])
def test_affinities_are_the_twin(perplexity: float) -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    found = relate(values, replace(QUICK, perplexity=perplexity))
    expected = planes.affinities(values.tolist(), perplexity)
    assert np.abs(dense(found) - expected).max() < 1e-4 * expected.max()
    assert found.data.sum() == pytest.approx(1)


@pytest.mark.parametrize(("method", "fft_from", "close"), [("bh", 10_000, 0.02), ("fft", 1, 0.05)])
def test_divergence_is_that_of_the_points(
    method: str, fft_from: int, close: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_FFT_FROM", fft_from)
    vectors, _ = clusters(150)
    made = embed(vectors, QUICK)
    assert made.layout.method == method
    assert made.layout.points.dtype == np.float32
    assert made.layout.kl == pytest.approx(
        planes.divergence(dense(made.affinities), made.layout.points.tolist()), rel=close
    )
    assert (
        made.layout.kl
        < planes.divergence(dense(made.affinities), made.projection.values[:, :2].tolist()) - 0.1
    )


# ------------------------------------------------------------------ what comes out


def test_clusters_stay_together_and_shuffled_vectors_do_not() -> None:
    vectors, labels, done = made()
    assert purity(done.layout.points, labels) > 0.95
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(channel) for channel in vectors.T], axis=1)
    assert purity(embed(shuffled, QUICK).layout.points, labels) < 0.45


@pytest.mark.slow
@pytest.mark.parametrize("fft_from", [10_000, 1])
def test_the_same_bits_again_and_from_kept_stages(
    fft_from: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedding, "_FFT_FROM", fft_from)
    vectors, _ = clusters(200)
    first = embed(vectors, QUICK)
    again = embed(vectors, QUICK)
    assert first.layout.points.tobytes() == again.layout.points.tobytes()
    assert first.layout.kl == again.layout.kl
    mapped = reopened(first, tmp_path)
    for kept in (Kept(mapped.projection), Kept(mapped.projection, mapped.affinities)):
        resumed = embed(vectors, QUICK, kept=kept)
        assert resumed.layout.points.tobytes() == first.layout.points.tobytes()
    assert embed(vectors, replace(QUICK, seed=1)).layout.points.tobytes() != first.layout.points.tobytes()


def reopened(done: Embedding, folder: Path) -> Embedding:
    """The same arrays, as they come mapped from disk: they cannot be written to."""

    def again(part: Any, *names: str) -> Any:
        arrays = {}
        for name in names:
            np.save(folder / f"{name}.npy", getattr(part, name))
            arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
        return replace(part, **arrays)

    return replace(
        done,
        projection=again(done.projection, "values", "mean", "axes"),
        affinities=again(done.affinities, "indptr", "indices", "data"),
        layout=again(done.layout, "points"),
    )


def test_vectors_may_be_mapped_from_disk(tmp_path: Path) -> None:
    vectors, _, done = made()
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = project(np.load(tmp_path / "vectors.npy", mmap_mode="r"), QUICK)
    assert mapped.values.tobytes() == done.projection.values.tobytes()


def test_kept_stages_are_used() -> None:
    vectors, _, done = made()
    fewer = Projection(done.projection.values[:, :3], done.projection.mean, done.projection.axes[:3])
    assert embed(vectors, QUICK, kept=Kept(fewer)).projection is fewer
    assert embed(vectors, QUICK, kept=Kept(None, done.affinities)).affinities is done.affinities


def test_progress_rises_to_one_and_stops_nothing() -> None:
    _, _, done = made()
    told: list[Progress] = []

    def tell(progress: Progress) -> bool:
        told.append(progress)
        return True  # as a progress bar does

    layout = lay_out(done.affinities, done.projection.values, QUICK, tell)
    shares = [one.share for one in told]
    assert (shares[0], shares[-1], len(shares)) == (0, 1, 17)
    assert shares == sorted(shares)
    assert layout.points.tobytes() == done.layout.points.tobytes()


@pytest.mark.parametrize("calls", [1, 9])
def test_an_interruption_gets_out_and_leaves_everything_as_it_was(calls: int) -> None:
    _, _, done = made()
    before = done.affinities.data.copy()
    told: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        told.append(progress)
        if len(told) == calls:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lay_out(done.affinities, done.projection.values, QUICK, interrupt)
    assert len(told) == calls
    assert np.array_equal(done.affinities.data, before)


# ------------------------------------------------------------------ placing new vectors


def test_what_is_placed_again_lands_where_it_was(tmp_path: Path) -> None:
    """Everywhere in the plane, and from nothing but the arrays on disk."""
    vectors, _, done = made()
    kept = reopened(done, tmp_path)
    points = kept.layout.points
    told: list[Progress] = []
    there = place(vectors, kept.projection, points, QUICK, told.append)
    assert there.dtype == np.float32
    apart = np.linalg.norm(there - points, axis=1)
    near = cKDTree(points).query(points, 11)[0][:, 10]
    assert (apart < near).mean() > 0.99
    assert np.median(apart) < 0.3 * np.median(near)
    assert np.linalg.norm(there - np.roll(points, 1, axis=0), axis=1).mean() > 10 * apart.mean()
    assert [one.share for one in told] == sorted(one.share for one in told)
    assert told[-1].share == 1


def test_new_vectors_land_among_their_like() -> None:
    vectors, labels, done = made()
    rng = np.random.default_rng(5)
    new = np.maximum(vectors[:100] + rng.normal(size=(100, 24)) * 0.3, 0).astype(np.float32)
    there = place(new, done.projection, done.layout.points, QUICK)
    near = cKDTree(done.layout.points).query(there, 10)[1]
    assert (labels[near] == labels[:100, None]).mean() > 0.95
    assert place(new, done.projection, done.layout.points, QUICK).tobytes() == there.tobytes()
    assert np.allclose(place(new[:3], done.projection, done.layout.points, QUICK), there[:3], atol=1e-3)
    assert place(new[:0], done.projection, done.layout.points, QUICK).shape == (0, 2)


def test_placing_that_is_interrupted_gets_out() -> None:
    vectors, _, done = made()

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place(vectors[:5], done.projection, done.layout.points, QUICK, interrupt)


def test_only_vectors_of_the_same_layer_are_placed() -> None:
    _, _, done = made()
    with pytest.raises(LayerscopeError, match="23 channels among those of 24"):
        place(np.zeros((2, 23)), done.projection, done.layout.points, QUICK)
    with pytest.raises(LayerscopeError, match="patch 1 is not finite"):
        place(np.full((2, 24), [[0], [np.nan]]), done.projection, done.layout.points, QUICK)


# ------------------------------------------------------------------ odd input


def odd(name: str) -> Floats:
    vectors, _ = clusters(120)
    if name == "half of them zero":
        vectors[::2] = 0
    if name == "each forty times":
        vectors = np.tile(vectors[:3], (40, 1))
    if name == "all but one the same":
        vectors[1:] = vectors[0] + 1
    if name == "one channel":
        vectors = vectors[:, :1] + np.float32(0.1)
    if name == "sixteen patches":
        vectors = vectors[:16]
    if name == "tiny":
        vectors *= np.float32(1e-20)
    if name == "huge":
        vectors *= np.float32(1e15)
    return vectors


@pytest.mark.parametrize(
    "name",
    [
        "half of them zero",
        "each forty times",
        "all but one the same",
        "one channel",
        "sixteen patches",
        "tiny",
        "huge",
    ],
)
def test_odd_vectors_are_embedded(name: str) -> None:
    vectors = odd(name)
    done = embed(vectors, QUICK)
    assert done.layout.points.shape == (len(vectors), 2)
    assert np.isfinite(done.layout.points).all()
    assert np.isfinite(done.layout.kl)
    assert np.isfinite(place(vectors[:4], done.projection, done.layout.points, QUICK)).all()


def test_equal_vectors_lie_together() -> None:
    done = embed(odd("each forty times"), QUICK)
    assert purity(done.layout.points, np.tile(np.arange(3), 40)) > 0.95


@pytest.mark.parametrize("patches", [1, 6, 7, 15, 60, 90])
def test_too_few_patches_say_which_perplexity_would_do(patches: int) -> None:
    vectors, _ = clusters(patches)
    for stage in (lambda: embed(vectors), lambda: relate(vectors, Tsne())):
        with pytest.raises(
            LayerscopeError, match=f"^{patches} patches .* perplexity of 30.* needs 91"
        ) as caught:
            stage()
    fits = [int(word) for word in str(caught.value).split() if word.isdigit()][-1]
    if patches < 7:
        assert str(caught.value).endswith("91: take more patches")
        return
    embed(vectors, replace(QUICK, perplexity=fits))
    with pytest.raises(LayerscopeError, match="too few"):
        embed(vectors, replace(QUICK, perplexity=fits + 1))


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (np.zeros((100, 4)), "all 100 patches are zero, a dead layer"),
        (np.ones((100, 4)), "all 100 patches are the same"),
        (np.full((100, 4), 0.1, np.float32), "all 100 patches are the same"),
        (np.where(np.arange(5000)[:, None] == 4500, np.inf, np.ones((5000, 4))), "patch 4500 is not finite"),
        (np.zeros((100, 4, 2)), r"\(100, 4, 2\)"),
    ],
)
def test_vectors_that_cannot_be_embedded(vectors: npt.NDArray[np.float64], says: str) -> None:
    with pytest.raises(LayerscopeError, match=says):
        embed(vectors)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("perplexity", 1.9),
        ("perplexity", float("nan")),
        ("components", 0),
        ("threads", 0),
        ("seed", -1),
        ("iterations", 0),
    ],
)
def test_options_out_of_range(option: str, value: float) -> None:
    with pytest.raises(LayerscopeError, match=rf"{option}.*{value}.*or more"):
        Tsne(**{option: value})  # type: ignore[arg-type]


def test_opentsne_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _, done = made()
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    for stage in (lambda: embed(vectors), lambda: place(vectors, done.projection, done.layout.points, QUICK)):
        with pytest.raises(LayerscopeError, match=r"pip install 'layerscope\[space\]'"):
            stage()


@pytest.mark.slow
def test_ten_thousand_patches() -> None:
    vectors, labels = clusters(10_000, 64, groups=30)
    done = embed(vectors)
    assert done.layout.method == "fft"
    assert purity(done.layout.points, labels) > 0.95
    there = place(vectors[:200], done.projection, done.layout.points, Tsne())
    assert np.median(np.linalg.norm(there - done.layout.points[:200], axis=1)) < 0.2
