"""From the vectors of patches to points in a plane: PCA, nearest neighbours, affinities, t-SNE.

The only room that knows openTSNE and scikit-learn. Each stage gives plain arrays, so that a caller can keep them:
``project`` -> Projection, ``relate`` -> Affinities, ``lay_out`` -> Layout; ``embed`` goes all the way, and ``place``
puts new vectors among old points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.errors import EmbeddingError
from layerscope.plane.libraries import library
from layerscope.plane.nearest import nearest
from layerscope.progress import Count, Told

Real = npt.NDArray[np.floating[Any]]
Whole = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float32]

_LEAST = 2.0  #: perplexity; the width of a Gaussian over a single neighbour is not determined
_REACH = 3  #: neighbours per perplexity: what a Gaussian of that perplexity reaches
_FFT_FROM = 10_000  #: patches from which interpolation with the FFT beats Barnes-Hut
_EVERY = 10  #: iterations between two reports of progress
# openTSNE's own values for new points
_PLACING = {"learning_rate": 0.1, "exaggeration": 1.5, "momentum": 0.8, "max_grad_norm": 0.25}
_PLACED_PERPLEXITY, _PLACED_NEIGHBOURS, _PLACED_ITERATIONS = 5.0, 25, 250
_ROWS = 4096  #: rows worked on at a time where whole arrays would be too large


@dataclass(frozen=True)
class Tsne:
    """How to embed. The same vectors, options and libraries give the same points to the last bit.

    ``threads`` belongs to that: sums are split among them. ``perplexity`` is about how many neighbours each patch
    is held to; ``components`` the number of principal components kept; ``early`` and ``iterations`` the steps with
    and without exaggeration.
    Raises EmbeddingError for values out of range.
    """

    perplexity: float = 30.0
    components: int = 50
    seed: int = 0
    threads: int = 2
    early: int = 250
    iterations: int = 500

    def __post_init__(self) -> None:
        if not _LEAST <= self.perplexity < math.inf:
            raise EmbeddingError(f"a perplexity of {self.perplexity:g}: give {_LEAST:g} or more")
        least = {"components": 1, "seed": 0, "threads": 1, "early": 0, "iterations": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise EmbeddingError(f"{name} = {getattr(self, name)}: give {low} or more")

    @property
    def neighbours(self) -> int:
        """How many nearest neighbours of each patch are looked at."""
        return int(_REACH * self.perplexity)

    def check(self, patches: int, layer: str = "") -> None:
        """Raises EmbeddingError when a layer has too few patches for the perplexity; says which one would do."""
        if patches > self.neighbours:
            return
        least = math.ceil(_LEAST * _REACH) + 1
        fits = (patches - 1) // _REACH
        remedy = f"take a perplexity of {fits} or less, or" if patches >= least else "take"
        raise EmbeddingError(
            f"{patches} patches{layer and f' of {layer}'} are too few for a perplexity of {self.perplexity:g}, which "
            f"needs {self.neighbours + 1}: {remedy} more patches"
        )


@dataclass(frozen=True)
class Projection:
    """Vectors on their principal components: ``values`` (N, K) = (vectors - ``mean`` (C)) @ ``axes`` (K, C).T."""

    values: Floats
    mean: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Affinities:
    """How close patches are, as the rows of a symmetric sparse N x N matrix (CSR) that sums to 1."""

    indptr: npt.NDArray[np.integer[Any]]
    indices: npt.NDArray[np.integer[Any]]
    data: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Where t-SNE puts the patches: (N, 2), around zero, y downwards; their unit is t-SNE's own.

    ``kl`` is the divergence from affinities to closeness of the points, in nats: less is better, for the same
    patches and perplexity. ``method`` is "fft" or "bh" (Barnes-Hut).
    """

    points: Floats
    kl: float
    method: str


@dataclass(frozen=True)
class Kept:
    """Stages that were finished before."""

    projection: Projection | None = None
    affinities: Affinities | None = None


@dataclass(frozen=True)
class Embedding:
    """All stages of an embedding, and the options it was made with."""

    projection: Projection
    affinities: Affinities
    layout: Layout
    options: Tsne


def embed(
    vectors: Real, options: Tsne | None = None, progress: Told | None = None, kept: Kept | None = None
) -> Embedding:
    """All stages for vectors (N, C), except those already kept.

    Raises EmbeddingError for too few patches, and for vectors that are not finite or all the same.
    """
    options = Tsne() if options is None else options
    kept = Kept() if kept is None else kept
    projection = kept.projection or project(vectors, options)
    affinities = kept.affinities or relate(projection.values, options)
    return Embedding(
        projection, affinities, lay_out(affinities, projection.values, options, progress), options
    )


def project(vectors: Real, options: Tsne) -> Projection:
    """The first principal components of vectors (N, C): as many as asked for, or as there are.

    ``vectors`` may be mapped from disk: they are read a block at a time. The sign of an axis is such that its
    largest weight is positive.
    Raises EmbeddingError for too few patches, and for vectors that are not finite or all the same.
    """
    options.check(len(vectors))
    _check_finite(vectors)
    channels = vectors.shape[1]
    mean = sum((block.sum(axis=0) for block in _blocks(vectors)), np.zeros(channels)) / len(vectors)
    with _threads(options.threads):
        centred = (block - mean for block in _blocks(vectors))
        spread = sum((block.T @ block for block in centred), np.zeros((channels, channels)))
        if not spread.any():
            what = "the same" if mean.any() else "zero, a dead layer"
            raise EmbeddingError(f"the vectors of all {len(vectors)} patches are {what}; take another layer")
        axes = np.linalg.eigh(spread)[1].T[::-1][: min(options.components, *vectors.shape)]
        axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1))
        return Projection(_onto(vectors, mean, axes), mean, axes)


def relate(values: Floats, options: Tsne) -> Affinities:
    """Affinities of patches by their components (N, K): Gaussians over the nearest neighbours, made symmetric.

    The width of each Gaussian is such that its entropy is that of ``perplexity`` equal neighbours.
    Raises EmbeddingError for too few patches.
    """
    library = _opentsne()
    options.check(len(values))
    patches = np.arange(len(values))
    with _threads(options.threads):
        found, distances = _near(values, values, options.neighbours, (patches, patches))
    index = library.nearest_neighbors.PrecomputedNeighbors(found, distances)
    made = library.affinity.PerplexityBasedNN(
        knn_index=index, perplexity=options.perplexity, n_jobs=options.threads
    )
    made.P.sort_indices()
    return Affinities(made.P.indptr, made.P.indices, made.P.data)


def lay_out(affinities: Affinities, values: Floats, options: Tsne, progress: Told | None = None) -> Layout:
    """Points by t-SNE, from the first two components: early exaggeration, then the plain descent.

    Leaves what it is given as it is. What ``progress`` raises gets out.
    """
    library = _opentsne()
    method = "fft" if len(values) >= _FFT_FROM else "bh"
    steps = options.early + options.iterations
    with _threads(options.threads):
        tsne = library.TSNE(
            early_exaggeration_iter=options.early,
            n_iter=options.iterations,
            negative_gradient_method=method,
            n_jobs=options.threads,
            random_state=options.seed,
            **_watched(progress, "t-SNE", steps),
        )
        points = tsne.fit(affinities=_weights(affinities), initialization=_start(values, options.seed))
        points = points.optimize(0, n_jobs=1)  # the divergence again: threads add it up in any order
    return Layout(np.asarray(points, np.float32), float(points.kl_divergence), method)


def place(
    vectors: Real,
    projection: Projection,
    points: Floats,
    options: Tsne,
    progress: Told | None = None,
) -> Floats:
    """Where new vectors (M, C) lie among the points of an embedding: (M, 2).

    Each is held to its nearest old patches alone, and the old points stay: what else is placed makes no difference.
    Raises EmbeddingError for vectors that are not finite or of another number of channels.
    """
    _opentsne()
    _check_finite(vectors)
    if vectors.shape[1] != len(projection.mean):
        raise EmbeddingError(
            f"vectors of {vectors.shape[1]} channels among those of {len(projection.mean)}; take the same layer"
        )
    if not len(vectors):
        return np.empty((0, 2), np.float32)
    with _threads(options.threads):
        values = _onto(vectors, projection.mean, projection.axes)
        return _placed(values, projection.values, points, options, progress)


def _placed(values: Floats, old: Floats, points: Floats, options: Tsne, progress: Told | None) -> Floats:
    """openTSNE's transform, from plain arrays: it takes no more from the old embedding than these."""
    library = _opentsne()
    perplexity = min(_PLACED_PERPLEXITY, options.perplexity)
    found, distances = _near(values, old, min(_PLACED_NEIGHBOURS, len(old)))
    near = int(_REACH * perplexity)
    shares = library.affinity.joint_probabilities_nn(
        found[:, :near],
        distances[:, :near],
        [perplexity],
        symmetrize=False,
        normalization="point-wise",
        n_reference_samples=len(old),
        n_jobs=options.threads,
    )
    there = _reference(np.asarray(points, np.float64))
    partial = library.tsne.PartialTSNEEmbedding(np.median(there[found], axis=1), there, shares)
    moved = partial.optimize(
        _PLACED_ITERATIONS,
        negative_gradient_method="bh",  # with the FFT, one new point in ten came to lie somewhere else
        n_jobs=options.threads,
        **_watched(progress, "placing", _PLACED_ITERATIONS),
        **_PLACING,
    )
    return np.asarray(moved, np.float32)


def _near(
    queries: Floats, values: Floats, number: int, apart: tuple[Whole, Whole] | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The nearest rows of ``values`` to each query, and their distances as openTSNE takes them, in float32."""
    found, _ = nearest(queries, values, number, apart=apart)
    distances = np.empty(found.shape)
    for part in _parts(len(queries)):
        apart_by = values[found[part]] - queries[part, None]
        distances[part] = np.sqrt(np.einsum("nkc,nkc->nk", apart_by, apart_by))
    return found, distances


def _onto(vectors: Real, mean: npt.NDArray[np.float64], axes: npt.NDArray[np.float64]) -> Floats:
    values = [((block - mean) @ axes.T).astype(np.float32) for block in _blocks(vectors)]
    return np.concatenate(values)


def _start(values: Floats, seed: int) -> npt.NDArray[np.float64]:
    """The first two components, as small as t-SNE wants them and shaken a little, so that no two points coincide."""
    scheme = _opentsne().initialization
    first = np.zeros((len(values), 2))
    first[:, : values.shape[1]] = values[:, :2]
    started: npt.NDArray[np.float64] = scheme.jitter(scheme.rescale(first), random_state=seed)
    return started


def _weights(affinities: Affinities) -> Any:
    """A copy, since openTSNE exaggerates in place."""
    from scipy.sparse import csr_matrix

    patches = len(affinities.indptr) - 1
    matrix = csr_matrix(
        (affinities.data, affinities.indices, affinities.indptr), (patches, patches), copy=True
    )
    return _opentsne().affinity.PrecomputedAffinities(matrix, normalize=False)


def _reference(points: npt.NDArray[np.float64]) -> Any:
    """Old points as openTSNE wants them; their affinities are not asked for."""
    nothing = Affinities(np.zeros(len(points) + 1, np.int32), np.zeros(0, np.int32), np.zeros(0))
    return _opentsne().tsne.TSNEEmbedding(points, _weights(nothing))


def _watched(progress: Told | None, stage: str, steps: int) -> dict[str, Any]:
    """openTSNE's options for telling of progress; it counts each of its phases from 1 anew, we do not."""
    if progress is None:
        return {}
    advance = Count(progress, stage, steps, "iterations")

    def called(_iteration: int, _error: float, _points: object) -> None:
        advance(_EVERY)  # what it returns would stop openTSNE

    return {"callbacks": called, "callbacks_every_iters": _EVERY}


def _parts(rows: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, rows, _ROWS))


def _blocks(vectors: Real) -> Iterator[npt.NDArray[np.float64]]:
    return (np.asarray(vectors[part], np.float64) for part in _parts(len(vectors)))


def _check_finite(vectors: Real) -> None:
    if vectors.ndim != 2:
        raise EmbeddingError(f"vectors of shape {vectors.shape}: give (patches, channels)")
    for part in _parts(len(vectors)):
        bad = np.flatnonzero(~np.isfinite(vectors[part]).all(axis=1))
        if len(bad):
            raise EmbeddingError(
                f"the vector of patch {part.start + bad[0]} is not finite; look at the network's weights"
            )


@contextmanager
def _threads(limit: int) -> Iterator[None]:
    """Linear algebra and loops in so many threads: how sums are split shows in their last bits."""
    with library("threadpoolctl", "an embedding").threadpool_limits(limit):
        yield


def _opentsne() -> Any:
    for module in ("affinity", "initialization", "nearest_neighbors", "tsne"):
        library(f"openTSNE.{module}", "an embedding")
    return library("openTSNE", "an embedding")
