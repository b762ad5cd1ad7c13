"""Is the plane true? Every measure against its twin, its control, and inputs that leave it little to measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array
from sklearn.manifold import trustworthiness

from layerscope.errors import TruthError
from layerscope.plane.distances import Vectors
from layerscope.plane.embedding import Affinities
from layerscope.plane.grid import EMPTY, Grid, arrange, fill
from layerscope.plane.scores import NORM, distance_preservation
from layerscope.plane.truth import Effort, Embedded, Measure, measure_truth, truth_table
from tests.oracles.plane import truth

ALL = Effort(queries=10**6, cells=10**6, pairs=10**5)


def clusters(total: int = 60, seed: int = 0, kinds: int = 4, noise: float = 0.5) -> Embedded:
    """Patches in clusters, embedded well, with rough planes, a class per cluster, five a picture, any affinities."""
    random = np.random.default_rng(seed)
    centres, places = random.random((kinds, 12)) * 4, random.random((kinds, 2)) * 20
    classes = random.integers(0, kinds, total)
    vectors = np.maximum(0, centres[classes] + noise * random.standard_normal((total, 12))).astype(np.float32)
    points = (places[classes] + random.standard_normal((total, 2))).astype(np.float32)
    grid = Grid.around(points)
    planes = {"filled": fill(points, grid), "one-to-one": arrange(points, Grid.around(points, total + 9))}
    rows = np.repeat(np.arange(total), 8)
    columns = (rows + random.integers(1, total, 8 * total)) % total
    weights: Any = coo_array((random.random(8 * total), (rows, columns)), (total, total)).tocsr()
    affinities = Affinities(weights.indptr, weights.indices, weights.data)
    return Embedded(vectors, points, random.integers(0, total // 5 + 1, total), planes, classes, affinities)


def found(patches: Embedded, effort: Effort = ALL) -> dict[tuple[str, str], Measure]:
    measures = measure_truth(patches, effort)
    by_name = {(m.name, m.of): m for m in measures}
    assert len(by_name) == len(measures)
    for m in measures:
        assert (m.value is None) == bool(m.missing)
        assert m.value is None or np.isfinite(m.value)
        assert m.control is None or np.isfinite(m.control)
    return by_name


def shuffled(effort: Effort, total: int) -> np.ndarray:
    """Patch i's control: its vector at the point of patch [i]."""
    return effort.random(4).permutation(total)


@pytest.mark.parametrize("seed", range(3))
def test_the_embedding_as_the_twin_sees_it(seed: int) -> None:
    patches = clusters(41 + seed, seed)
    vectors, points, k = patches.vectors, patches.points, 7
    measures = found(patches, replace(ALL, k=k, seed=seed))
    other = points[shuffled(replace(ALL, seed=seed), len(points))]
    for name, twin in (("neighbour recall", truth.recall), ("trustworthiness", truth.trustworthiness)):
        measure = measures[name, "embedding"]
        assert measure.value == pytest.approx(twin(vectors, points, k), abs=1e-12)
        assert measure.control == pytest.approx(twin(vectors, other, k), abs=1e-12)
        assert measure.sample is None
    peer = trustworthiness(vectors, points, n_neighbors=k)
    assert measures["trustworthiness", "embedding"].value == pytest.approx(peer, abs=1e-12)
    assert patches.affinities is not None
    indptr, indices, data = patches.affinities.indptr, patches.affinities.indices, patches.affinities.data
    dense = csr_array((data, indices, indptr)).toarray()
    kl = measures["KL divergence", "embedding"]
    assert kl.value == pytest.approx(truth.divergence(dense, points), rel=1e-9)
    assert kl.control == pytest.approx(truth.divergence(dense, other), rel=1e-9)


@pytest.mark.parametrize("unlabelled", [0.0, 0.3])
def test_purity_as_the_twin_sees_it(unlabelled: float) -> None:
    patches = clusters(45, 5)
    assert patches.classes is not None
    classes = patches.classes.copy()
    classes[np.random.default_rng(1).random(45) < unlabelled] = -1
    measures = found(replace(patches, classes=classes), replace(ALL, k=6))
    for space, where in (("representation", patches.vectors), ("embedding", patches.points)):
        for name, labels, pictures in (
            ("picture", patches.pictures, None),
            ("class", classes, None),
            ("class, other pictures", classes, patches.pictures),
        ):
            measure = measures[f"purity by {name}", space]
            assert measure.value == pytest.approx(truth.purity(where, labels, 6, pictures), abs=1e-12)
            everyone = truth.purity(where, labels, len(where), pictures)  # as likely as any other: chance
            assert measure.control == pytest.approx(everyone, abs=1e-12)


def test_of_tied_vectors_the_lowest_numbers_are_neighbours() -> None:
    random = np.random.default_rng(6)
    vectors, pictures = random.integers(0, 3, (70, 3)).astype(np.float32), random.integers(0, 9, 70)
    measures = found(
        Embedded(vectors, random.random((70, 2)), pictures, classes=pictures % 3), replace(ALL, k=4)
    )
    for name, labels, apart in (
        ("picture", pictures, None),
        ("class, other pictures", pictures % 3, pictures),
    ):
        twin = truth.purity(vectors, labels, 4, apart)
        assert measures[f"purity by {name}", "representation"].value == pytest.approx(twin, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_planes_as_the_twin_sees_them(seed: int) -> None:
    patches = clusters(40, seed)
    effort = replace(ALL, seed=seed)
    measures, order = found(patches, effort), shuffled(effort, 40)
    for name, plane in patches.planes.items():
        other = np.where(plane == EMPTY, EMPTY, order[plane])
        dpq = measures["DPQ", name]
        assert dpq.value == pytest.approx(truth.distance_preservation(patches.vectors, plane, NORM), rel=1e-5)
        assert dpq.control == pytest.approx(
            truth.distance_preservation(patches.vectors, other, NORM), rel=1e-5
        )
        for suffix, different in (("", False), (", different patches", True)):
            near = measures[f"neighbour distance{suffix}", name]
            for value, cells in ((near.value, plane), (near.control, other)):
                twin = truth.adjacent_distance(patches.vectors, cells, different)
                twin /= truth.typical_distance(patches.vectors, cells)
                assert value == pytest.approx(twin, rel=0.015)  # of any two cells 100,000 pairs are drawn
        repeated = measures["duplicate neighbours", name]
        assert repeated.control == pytest.approx(truth.same_by_chance(plane), abs=1e-12)
        shown = measures["patches shown", name]
        assert shown.value == len(set(plane.ravel().tolist()) - {EMPTY}) / 40
    assert measures["duplicate neighbours", "filled"].value > 0.2  # type: ignore[operator]
    assert measures["duplicate neighbours", "one-to-one"].value == 0


def test_random_cells_show_what_chance_says() -> None:
    patches = clusters(50)
    control = found(patches)["patches shown", "filled"].control
    random, cells = np.random.default_rng(0), patches.planes["filled"].size
    drawn = [len(np.unique(random.integers(0, 50, cells))) / 50 for _ in range(4000)]
    assert control == pytest.approx(np.mean(drawn), abs=0.005)


def test_a_sample_comes_close_and_says_its_size() -> None:
    patches = clusters(3000, 2, kinds=30)
    whole = found(patches, replace(ALL, pairs=10**6))
    part = found(patches, Effort(queries=600, cells=300, pairs=2000, terms=600 * 3000))
    for key, measure in part.items():
        assert measure.value == pytest.approx(whole[key].value, rel=0.05, abs=0.03), key
    sizes = {
        name: measure.sample for (name, of), measure in part.items() if of in ("embedding", "one-to-one")
    }
    assert sizes["neighbour recall"] == sizes["purity by class"] == sizes["KL divergence"] == 600
    assert (sizes["DPQ"], sizes["neighbour distance"]) == (300, 2000)
    assert whole["DPQ", "filled"].sample is None
    again = found(patches, Effort(queries=600, cells=300, pairs=2000, terms=600 * 3000))
    assert again == part


def test_what_is_kept_scores_and_what_is_lost_does_not() -> None:
    """A plane that is the representation, one that is noise, and each one's control."""
    random = np.random.default_rng(3)
    points = random.random((900, 2))
    grid = Grid.around(points)
    planes = {"one-to-one": arrange(points, grid)}
    pictures = np.arange(900) // 3
    true = found(
        Embedded(points @ random.random((2, 8)), points @ np.array([[0, 1], [-1, 0]]), pictures, planes)
    )
    same = found(Embedded(np.pad(points, ((0, 0), (0, 5))), points, pictures, planes))
    noise = found(Embedded(random.random((900, 8)), points, pictures, planes))
    assert same["neighbour recall", "embedding"].value == 1
    assert same["trustworthiness", "embedding"].value == 1
    assert true["trustworthiness", "embedding"].value > 0.9  # type: ignore[operator]
    assert same["DPQ", "one-to-one"].value > 0.9  # type: ignore[operator]
    assert same["neighbour distance", "one-to-one"].value < 0.1  # type: ignore[operator]
    for measures in (same, true, noise):
        assert measures["neighbour recall", "embedding"].control < 0.04  # type: ignore[operator]
        assert measures["trustworthiness", "embedding"].control == pytest.approx(0.5, abs=0.03)
        assert measures["neighbour distance", "one-to-one"].control == pytest.approx(1, abs=0.06)
    assert noise["neighbour recall", "embedding"].value < 0.04  # type: ignore[operator]
    assert noise["DPQ", "one-to-one"].value < 0.3  # type: ignore[operator]


def test_repetitions_alone_raise_dpq() -> None:
    """Noise, filled: the control shows how much of the score is a patch beside itself."""
    patches = clusters(400, 1)
    measures = found(replace(patches, vectors=np.random.default_rng(0).random((400, 6))))
    filled, single = (measures["DPQ", name].control for name in ("filled", "one-to-one"))
    assert filled > 0.5 > single  # type: ignore[operator]


@pytest.mark.parametrize("total", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("kind", ["dead", "equal", "different"])
def test_little_to_measure(total: int, kind: str) -> None:
    random = np.random.default_rng(total)
    vectors = {
        "dead": np.zeros((total, 4)),
        "equal": np.full((total, 4), 0.1),
        "different": random.random((total, 4)),
    }
    points = random.random((total, 2))
    grid = Grid.around(points)
    planes = {
        "filled": fill(points, grid),
        "one": arrange(points, grid),
        "none": np.full((2, 2), EMPTY, np.int32),
    }
    zeros = Affinities(np.zeros(total + 1, int), np.zeros(0, int), np.zeros(0))
    ids = np.zeros(total, int)
    measures = found(Embedded(vectors[kind].astype(np.float32), points, ids, planes, ids - 1, zeros))
    assert measures["KL divergence", "embedding"].value is None
    recall = measures["neighbour recall", "embedding"]
    assert (recall.value is None) == (total < 3)
    if kind != "different" and total > 2:
        assert (recall.value, recall.control) == (
            1,
            1,
        )  # all tie: nothing can be wrong, and the control says so
        assert measures["DPQ", "one"].value is None
        assert measures["neighbour distance", "one"].missing == "all cells show equal vectors"
    if total > 2:
        assert measures["purity by picture", "embedding"].value == 1
        assert measures["purity by picture", "embedding"].control == 1
        assert measures["purity by class", "representation"].value is None
        assert measures["purity by class, other pictures", "representation"].value is None
    assert measures["patches shown", "none"].value == 0
    assert measures["DPQ", "none"].value is None
    assert truth_table(tuple(measures.values())).num_rows == len(measures)


@pytest.mark.parametrize("magnitude", [1e-30, 1.0, 1e30])
def test_equal_vectors_tie_and_size_does_not_matter(magnitude: float) -> None:
    values = np.repeat(np.random.default_rng(0).random((40, 700)), 2, axis=0).astype(np.float32)
    scaled = (values * magnitude).astype(np.float32)
    prepared, doubles = Vectors.of(scaled), scaled.astype(np.float64)
    assert np.allclose(prepared.squares, np.square(doubles / prepared.scale).sum(axis=1), rtol=1e-14)
    for row, distances in prepared.walk(np.arange(80)):
        assert np.flatnonzero(distances == 0).tolist() == [row // 2 * 2, row // 2 * 2 + 1]
        assert np.isfinite(distances).all()
    plane = np.arange(80, dtype=np.int32).reshape(8, 10)
    one, other = (distance_preservation(Vectors.of(v), plane, np.arange(80)) for v in (values, scaled))
    assert one == pytest.approx(other, rel=1e-4)


def test_a_table_keeps_what_is_missing() -> None:
    table = truth_table(measure_truth(clusters(2))).to_pylist()
    assert table[0]["name"] == "neighbour recall"
    assert table[0]["value"] is None
    assert table[0]["missing"] == "neighbours need 3 patches or more"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": np.zeros((59, 2))}, r"points of shape \(59, 2\): 60 patches need \(60, 2\)"),
        ({"points": np.full((60, 2), np.nan)}, "points are not finite"),
        ({"pictures": np.zeros(3, int)}, "pictures of shape"),
        ({"classes": np.zeros(61, int)}, "classes of shape"),
        ({"planes": {"mine": np.full((2, 2), 60)}}, "the plane mine holds other numbers"),
        ({"vectors": np.zeros((60, 3, 3))}, r"vectors of shape \(60, 3, 3\)"),
        ({"vectors": np.full((60, 3), np.inf)}, "a vector of patches 0 to 59 is not finite"),
    ],
)
def test_what_cannot_be_measured(change: dict[str, Any], said: str) -> None:
    with pytest.raises(TruthError, match=said):
        measure_truth(replace(clusters(), **change))


def test_no_effort() -> None:
    with pytest.raises(TruthError, match="queries=0: ask for 1 or more"):
        Effort(queries=0)


@pytest.mark.slow
def test_a_hundred_thousand_patches() -> None:
    """Full scale: all vectors of a patch's cluster are nearer than any other, in both spaces."""
    patches = clusters(100_000, 0, kinds=50, noise=0.05)
    measures = found(patches, Effort(queries=300, cells=100))
    assert measures["purity by class", "representation"].value == 1
    assert measures["neighbour recall", "embedding"].control < 0.01  # type: ignore[operator]
    assert measures["DPQ", "one-to-one"].value > 0.5  # type: ignore[operator]
