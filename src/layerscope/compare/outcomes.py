"""What each network says of every picture, as its study keeps it: right or wrong, and how networks differ in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.compare.alignment import chain_lengths
from layerscope.errors import ComparisonError
from layerscope.study.folder import NetworkResults, Study

LAST = 1 << 31  #: the rank of what is no output
_WEIGHTS = ("conv2d", "linear")
Array = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Of one network, a row per picture that could be read, in their order.

    ``classes`` and ``probabilities``: (pictures, k), the most probable first. ``answers``: the output that is right,
    ``ranks``: its place among all; -1 in both where nobody can say, LAST as the rank of what is no output.
    ``silent``: why it predicts nothing; ``unjudged``: why its errors are not known; None where that is not so.
    """

    network: str
    outputs: int
    depth: int  #: convolutions and fully-connected layers, one after another
    pictures: Array
    classes: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]
    answers: Array
    ranks: Array
    silent: str | None
    unjudged: str | None

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Of which pictures the right class is known."""
        return self.answers >= 0

    def wrong(self, top: int) -> npt.NDArray[np.bool_]:
        """Whether the right class is not among the ``top`` most probable ones; of known pictures it says something."""
        return self.ranks >= top


def read_outcomes(study: Study, network: str) -> Outcomes:
    """Of one network of a study whose pass kept predictions. Raises StudyError if it did not."""
    results = study.network(network)
    outputs = _outputs(results)
    rows = results.table("predictions")
    kept = int(rows["rank"].to_numpy().max()) + 1 if len(rows) else 0
    pictures = rows["picture"].to_numpy().reshape(-1, max(1, kept))[:, 0]
    (errors,) = results.table("prediction_errors").to_pylist()
    answers, ranks = _right(results, pictures)
    silent = None if kept else errors["reason"] or "no picture could be read"
    return Outcomes(
        network=network,
        outputs=outputs,
        depth=_depth(results),
        pictures=pictures,
        classes=rows["class"].to_numpy().reshape(len(pictures), kept),
        probabilities=rows["probability"].to_numpy().reshape(len(pictures), kept),
        answers=answers,
        ranks=ranks,
        silent=silent,
        unjudged=silent or errors["reason"] or _why_unjudged(results, errors, int((answers >= 0).sum())),
    )


def _right(results: NetworkResults, pictures: Array) -> tuple[Array, Array]:
    if "prediction_ranks" not in results.results:
        return np.full(len(pictures), -1), np.full(len(pictures), -1)
    table = results.table("prediction_ranks")
    answers = table["answer"].fill_null(-1).to_numpy()
    ranks = table["rank"].cast("int64").fill_null(LAST).to_numpy()
    return answers, np.where(answers < 0, -1, ranks)


def _why_unjudged(results: NetworkResults, errors: dict[str, Any], known: int) -> str | None:
    if known:
        return None
    if errors["labelled"]:
        return (
            f"{results.study.path} was made before the rank of the right class was kept; make the study anew"
        )
    return "no picture had a label when its study was made; give labels, in a list or as folders"


def _outputs(results: NetworkResults) -> int:
    last = results.layers.slice(results.layers.num_rows - 1).select(["channels", "rows", "columns"])
    return prod(last.to_pylist()[0].values()) if len(last) else 0


def _depth(results: NetworkResults) -> int:
    names, kinds, inputs = (results.layers[name].to_pylist() for name in ("layer", "kind", "inputs"))
    weighs = {name: kind in _WEIGHTS for name, kind in zip(names, kinds, strict=True)}
    return max(chain_lengths(dict(zip(names, inputs, strict=True)), weighs).values(), default=0)


def why_not_common(study: Study, outcomes: Sequence[Outcomes]) -> str | None:
    """Why the classes of networks are not the same ones; None if they are: by their names, or as many by place."""
    first, *others = outcomes
    names = {one.network: study.manifest["inputs"]["networks"][one.network]["classes"] for one in outcomes}
    for one in others:
        if one.outputs != first.outputs:
            return f"{first.network} has {first.outputs:,} classes and {one.network} {one.outputs:,}"
    named = {network: digest for network, digest in names.items() if digest is not None}
    if len(set(named.values())) > 1:
        strange = next(network for network, digest in named.items() if digest != next(iter(named.values())))
        return f"the classes of {next(iter(named))} and {strange} have other names"
    return None


# ------------------------------------------------------------------ errors, and whether they differ


@dataclass(frozen=True)
class Share:
    """So many of so many, and Wilson's 95 % interval of the share."""

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def counted(cls, marked: npt.NDArray[np.bool_]) -> Share:
        """Of pictures that are marked or not, at least one. Raises ComparisonError if SciPy is not installed."""
        count, of = int(marked.sum()), len(marked)
        low, high = _binomial(count, of).proportion_ci(confidence_level=0.95, method="wilson")
        return cls(count, of, float(low), float(high))

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.count / self.of


@dataclass(frozen=True)
class Difference:
    """How two networks' errors differ over the same pictures. ``alone`` and ``other_alone``: wrong in it only;
    ``p``: of a split at least as uneven if neither erred more, two-sided. Source: McNemar 1947, exact."""

    wrong: int
    other_wrong: int
    pictures: int
    alone: int
    other_alone: int
    p: float


def compare_errors(one: Outcomes, other: Outcomes, top: int) -> Difference:
    """Over the pictures whose right class is known for both, at least one. Raises ComparisonError without SciPy."""
    both = one.known & other.known
    mine, its = one.wrong(top)[both], other.wrong(top)[both]
    alone, other_alone = int((mine & ~its).sum()), int((its & ~mine).sum())
    p = float(_binomial(alone, alone + other_alone).pvalue) if alone + other_alone else 1.0
    return Difference(int(mine.sum()), int(its.sum()), int(both.sum()), alone, other_alone, p)


def holm(values: Sequence[float]) -> list[float]:
    """Values of p for several questions at once, raised so that .05 is the chance of any wrong answer. Source: Holm
    1979."""
    order = sorted(range(len(values)), key=values.__getitem__)
    raised, least = [0.0] * len(values), 0.0
    for done, place in enumerate(order):
        least = max(least, min(1.0, (len(values) - done) * values[place]))
        raised[place] = least
    return raised


def _binomial(count: int, of: int) -> Any:
    try:
        from scipy.stats import binomtest
    except ImportError as error:
        raise ComparisonError("intervals of errors need SciPy: pip install 'layerscope[compare]'") from error
    return binomtest(count, of)


# ------------------------------------------------------------------ what they say, right or wrong


def same_first(one: Outcomes, other: Outcomes) -> tuple[npt.NDArray[np.bool_], float]:
    """For each picture whether both name the same class first; and the share that would, were the classes of one
    dealt out among the pictures by lot."""
    first, its = one.classes[:, 0], other.classes[:, 0]
    mine, others = (np.bincount(each, minlength=one.outputs) for each in (first, its))
    return first == its, float(mine @ others / len(first) ** 2)


def divergences(outcomes: Sequence[Outcomes]) -> npt.NDArray[np.float64]:
    """For each picture how far the networks' probabilities lie apart: 0 the same, 1 nothing in common.

    Jensen-Shannon divergence, as a share of the most that so many networks can reach. Of each network the study
    keeps some classes; what is left of its probability is spread evenly over its others. They have the same classes.
    Source: Lin 1991.
    """
    outputs, kept = outcomes[0].outputs, [_whole(one.probabilities.astype(np.float64)) for one in outcomes]
    others = [outputs - own.shape[1] for own in kept]
    spread = [
        np.clip(1 - own.sum(axis=1), 0, 1) / max(1, count) for own, count in zip(kept, others, strict=True)
    ]
    each = sum(_information(own).sum(axis=1) for own in kept)
    each += sum(count * _information(own) for own, count in zip(spread, others, strict=True))
    mixed, union = np.zeros(len(each)), np.zeros(len(each))
    for one in outcomes:
        places = [one.classes[:, :, None] == other.classes[:, None] for other in outcomes]
        keepers = sum(place.any(axis=2).astype(int) for place in places)  # a class counts once among several
        shares = [
            np.where(place.any(axis=2), (place * own[:, None]).sum(axis=2), even[:, None])
            for place, own, even in zip(places, kept, spread, strict=True)
        ]
        mixed += (_information(np.mean(shares, axis=0)) / keepers).sum(axis=1)
        union += (1 / keepers).sum(axis=1)
    mixed += (outputs - union) * _information(np.mean(spread, axis=0))
    found: npt.NDArray[np.float64] = (mixed - each / len(outcomes)) / np.log(max(2, len(outcomes)))
    bounded: npt.NDArray[np.float64] = np.clip(found, 0, 1)
    return bounded


def _whole(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows of shares, scaled where they are more than all by a rounding."""
    scaled: npt.NDArray[np.float64] = shares / np.maximum(1, shares.sum(axis=1, keepdims=True))
    return scaled


def _information(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return -shares * logs
