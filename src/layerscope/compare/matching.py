"""Which filters of two networks answer alike over the same pictures, and which are matched by none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.compare.cross_sums import centred, cross_sums
from layerscope.compare.pairs import deviations
from layerscope.compare.representations import Representations
from layerscope.compare.similarity import Similarities, partners
from layerscope.errors import ComparisonError

Correlations = npt.NDArray[np.float32]

_SCHEMA = pa.schema(
    [
        ("layer", pa.string()),
        ("channel", pa.int32()),
        ("other_layer", pa.string()),
        ("other_channel", pa.int32()),
        ("correlation", pa.float32()),
        ("mutual", pa.bool_()),
    ]
)


@dataclass(frozen=True, eq=False)
class Matches:
    """The filters of one network with those of another that answer most like them.

    ``best`` and ``other_best``: a row per filter of the one, of the other, with its best match (Pearson's
    correlation) and whether each is the other's best; without a match where a filter never changes. ``pairs``: one
    to one, over both networks, by the greatest sum of correlations; filters that find no partner are left out.
    """

    best: pa.Table
    other_best: pa.Table
    pairs: pa.Table

    @property
    def mutual(self) -> pa.Table:
        """The rows of ``best`` in which each is the other's best, the strongest first."""
        rows = self.best.filter(self.best["mutual"])
        order = np.argsort(-rows["correlation"].to_numpy(), kind="stable")
        return rows.take(pa.array(order))

    def unmatched(self, least: float = 0.5) -> tuple[pa.Table, pa.Table]:
        """Filters of either network whose best match correlates less than that, or that have none; weakest first."""
        return _weaker(self.best, least), _weaker(self.other_best, least)


def match_filters(similarities: Similarities) -> Matches:
    """Match every filter of one network with every filter of the other, from their correlations.

    Raises ComparisonError if those were not asked for, or if SciPy is not installed.
    """
    found = _correlations(similarities)
    one, other = _filters(similarities.one), _filters(similarities.other)
    return Matches(_best(found, one, other), _best(found.T, other, one), _pairs(found, one, other))


def chance_of(one: Representations, other: Representations) -> tuple[Correlations, Correlations]:
    """The best correlation of each filter of either network when pictures are paired wrongly: what chance gives.

    NaN for a filter that never changes.
    """
    left, right = (
        [centred(f"{name} of {side.network}", values) for name, values in side.layers.items()]
        for side in (one, other)
    )
    sums = cross_sums(left, right, partners(one.pictures), exact=False)
    rows, columns = (np.concatenate([deviations(layer) for layer in side]) for side in (left, right))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = sums.products.numpy() / sums.pictures / rows[:, None] / columns
    found = np.where(np.isfinite(found), found, -np.inf)
    best = (np.where(scale > 0, found.max(axis=axis), np.nan) for scale, axis in ((rows, 1), (columns, 0)))
    mine, its = (values.astype(np.float32) for values in best)
    return mine, its


def match_partially(
    similarities: Similarities, layer: str, other_layer: str, *, mass: float = 0.5
) -> tuple[pa.Table, npt.NDArray[np.float64]]:
    """Partial soft matching of the filters of two layers: only a share ``mass`` of them must be matched.

    The table has a row per filter of ``layer``: channel, matched (the share of it that is, in [0, 1]), and the channel
    that takes most of it with their correlation. The array (channels, other channels) is the plan; it sums to
    ``mass``. Filters that never change have no weight. Source: arXiv 2602.19331. Raises ComparisonError if POT is
    not installed, or mass is not in (0, 1].
    """
    if not 0 < mass <= 1:
        raise ComparisonError(f"a share of {mass} of the filters; ask for one above 0, up to 1")
    found = _correlations(similarities)
    rows, columns = _place(similarities.one, layer), _place(similarities.other, other_layer)
    part = found[rows, columns].astype(np.float64)
    live, other_live = ~np.isnan(part).all(axis=1), ~np.isnan(part).all(axis=0)
    plan = np.zeros(part.shape)
    if live.any() and other_live.any():
        plan[np.ix_(live, other_live)] = _transported(1 - part[np.ix_(live, other_live)], mass)
    weights = np.where(live, 1 / max(1, live.sum()), 1)
    to = plan.argmax(axis=1)
    matched = plan.sum(axis=1) / weights
    nothing = matched == 0
    names = ("channel", "matched", "other_channel", "correlation")
    channels = np.arange(len(part), dtype=np.int32)
    chosen = pa.array(to.astype(np.int32), mask=nothing)
    strength = pa.array(part[channels, to].astype(np.float32), mask=nothing)
    return pa.table([channels, matched.clip(0, 1), chosen, strength], names=list(names)), plan


def _transported(costs: npt.NDArray[np.float64], mass: float) -> npt.NDArray[np.float64]:
    try:
        from ot.partial import partial_wasserstein
    except ImportError as error:
        raise ComparisonError("partial matching needs POT; install layerscope[compare]") from error
    one, other = (np.full(n, 1 / n) for n in costs.shape)
    plan: npt.NDArray[np.float64] = partial_wasserstein(one, other, costs, m=mass)
    return plan


# ------------------------------------------------------------------ tables


def _correlations(similarities: Similarities) -> Correlations:
    if similarities.correlations is None:
        raise ComparisonError(
            "these similarities hold no correlations; compare the layers with correlations=True"
        )
    return similarities.correlations


def _filters(side: Representations) -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """Layer and channel of every filter, in order."""
    sizes = {name: values.shape[2] for name, values in side.layers.items()}
    names = np.repeat(np.array(list(sizes), object), list(sizes.values()))
    return pa.array(names, pa.string()), np.concatenate(
        [np.arange(n, dtype=np.int32) for n in sizes.values()]
    )


def _place(side: Representations, layer: str) -> slice:
    start = 0
    for name, values in side.layers.items():
        if name == layer:
            return slice(start, start + values.shape[2])
        start += values.shape[2]
    raise ComparisonError(f"{side.network} has no layer {layer!r} here; it has {', '.join(side.layers)}")


Filters = tuple[pa.Array, npt.NDArray[np.int32]]


def _best(found: Correlations, one: Filters, other: Filters) -> pa.Table:
    known = np.where(np.isnan(found), -np.inf, found)
    best, back = known.argmax(axis=1), known.argmax(axis=0)
    every = np.arange(len(found))
    strength, mutual = known[every, best], back[best] == every
    return _table(one, other, every, best, strength, mutual)


def _table(
    one: Filters,
    other: Filters,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    strength: npt.NDArray[np.float32],
    mutual: npt.NDArray[np.bool_],
) -> pa.Table:
    none = ~np.isfinite(strength)
    chosen = pa.array(columns, mask=none)
    parts = [
        one[0].take(pa.array(rows)),
        one[1][rows],
        other[0].take(chosen),
        pa.array(other[1]).take(chosen),
    ]
    return pa.table([*parts, pa.array(strength, mask=none), mutual & ~none], schema=_SCHEMA)


def _pairs(found: Correlations, one: Filters, other: Filters) -> pa.Table:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ComparisonError("one-to-one matching needs SciPy; install layerscope[compare]") from error
    rows, columns = (np.flatnonzero(~np.isnan(found).all(axis=axis)) for axis in (1, 0))
    costs = found[np.ix_(rows, columns)]
    i, j = linear_sum_assignment(costs, maximize=True)
    strength = costs[i, j]
    best = np.where(np.isnan(found), -np.inf, found)
    mutual = (best.argmax(axis=1)[rows[i]] == columns[j]) & (best.argmax(axis=0)[columns[j]] == rows[i])
    return _table(one, other, rows[i], columns[j], strength, mutual)


def _weaker(best: pa.Table, least: float) -> pa.Table:
    strength = best["correlation"].to_numpy()
    weak = np.flatnonzero(~(strength >= least))
    order = np.argsort(np.where(np.isnan(strength[weak]), -np.inf, strength[weak]), kind="stable")
    return best.take(pa.array(weak[order]))
