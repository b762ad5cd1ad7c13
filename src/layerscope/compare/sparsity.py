"""Sparsity of the layers of one or more networks, from their studies: the paper's Fig. 6 and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, nan
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.compare.intervals import half_width
from layerscope.drawing.canvas import Page
from layerscope.drawing.charts import Curve, Panel, share_chart, share_panels
from layerscope.study.folder import NetworkResults, Study

Floats = npt.NDArray[np.float64]
_MAX_POOLS = ("max_pool2d", "adaptive_max_pool2d")
POOLS = (*_MAX_POOLS, "avg_pool2d", "adaptive_avg_pool2d")
_COLUMNS = ("layer", "kind", "sparsity", "dead_channels", "channels")


def sparsity_table(studies: Study | str | Path | Sequence[Study | str | Path]) -> pa.Table:
    """A row per convolution and pool of each network of the studies, in the order they run.

    Columns: network, layer, kind, sparsity (share of exact zeros, in [0, 1]), dead_channels (zero at every
    position of every picture), channels. Source: arXiv 1412.6631, Fig. 6.
    """
    parts = [_rows(results) for results in _networks(studies)]
    return pa.concat_tables(parts)


def show_sparsity(studies: Study | str | Path | Sequence[Study | str | Path]) -> Page:
    """The chart of sparsity over depth, a line for each network of the studies, with intervals where there are any."""
    return share_chart([Zeros(results).curve() for results in _networks(studies)], ZEROS)


def show_silence(networks: Sequence[Zeros]) -> Page:
    """Sparsity, dead channels and how few channels have the power, of networks that are of the same pictures."""
    panels = [Panel(ZEROS, [one.curve() for one in networks], 2.0)]
    panels.append(Panel("dead channels", [one.curve("dead") for one in networks]))
    told = [one for one in networks if one.strongest]
    if told:
        panels.append(Panel("power in strongest tenth", [one.curve("strongest") for one in told]))
    return share_panels(panels)


ZEROS = "zeros among activations"


def _networks(studies: Study | str | Path | Sequence[Study | str | Path]) -> list[NetworkResults]:
    given = [studies] if isinstance(studies, (Study, str, Path)) else list(studies)
    opened = [one if isinstance(one, Study) else Study.open(one) for one in given]
    return [study.network(name) for study in opened for name in study.networks]


def _rows(results: NetworkResults) -> pa.Table:
    kinds = dict(zip(*(results.layers[name].to_pylist() for name in ("layer", "kind")), strict=True))
    rows = results.table("sparsity")  # in the order of the network
    rows = rows.append_column(
        "kind", pa.array([kinds[name] for name in rows["layer"].to_pylist()], pa.string())
    )
    rows = rows.select(list(_COLUMNS)).filter(pc.is_in(rows["kind"], pa.array(["conv2d", *POOLS])))
    return rows.add_column(0, "network", pa.array([results.name] * len(rows), pa.string()))


@dataclass(frozen=True)
class Measured:
    """A value and the influence of each run of pictures on it; None: zeros were not counted by runs."""

    value: float
    influences: Floats | None

    def __sub__(self, other: Measured) -> Measured:
        """Of two values over the same runs of pictures: what one picture does to both is not counted twice."""
        both = None
        if self.influences is not None and other.influences is not None:
            both = self.influences - other.influences
        return Measured(self.value - other.value, both)

    @property
    def half(self) -> float:
        """Half of its 95 % interval; NaN: there is none."""
        return nan if self.influences is None else half_width(self.influences)

    @property
    def positive(self) -> bool | None:
        """Whether it is above 0: what its interval says, or without one its sign; None: it may be either."""
        if np.isnan(self.half):
            return self.value > 0
        return self.value > 0 if abs(self.value) > self.half else None


def mean_of(values: Sequence[Measured]) -> Measured:
    """The mean of several values over the same runs."""
    known = [one.influences for one in values if one.influences is not None]
    both = np.mean(known, axis=0) if len(known) == len(values) else None
    return Measured(float(np.mean([one.value for one in values])), both)


@dataclass(frozen=True)
class Zeros:
    """The zeros that a study counted of one network, layer by layer, and how its channels share the power."""

    results: NetworkResults

    @cached_property
    def table(self) -> pa.Table:
        """As `sparsity_table`."""
        return _rows(self.results)

    @property
    def any(self) -> bool:
        """Whether any value of a convolution or pool is exactly zero."""
        return any(share > 0 for share in self.table["sparsity"].to_pylist())

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the convolutions, in the order they run."""
        return self._of_kind("conv2d")

    @cached_property
    def max_pools(self) -> Mapping[str, str]:
        """The layer that each max-pool reads, by the name of the pool; of layers whose zeros were counted."""
        rows = self.results.layers.select(["layer", "inputs"]).to_pylist()
        read = {row["layer"]: row["inputs"] for row in rows}
        pools = [name for name in self._of_kind(*_MAX_POOLS) if len(read[name]) == 1]
        return {name: read[name][0] for name in pools if read[name][0] in self.shares}

    @cached_property
    def shares(self) -> Mapping[str, Measured]:
        """The share of zeros in each layer that was counted."""
        rows = self.results.table("sparsity").select(["layer", "count", "zeros", "sparsity"]).to_pylist()
        return {row["layer"]: Measured(row["sparsity"], self._influences(row)) for row in rows}

    @cached_property
    def strongest(self) -> Mapping[str, float]:
        """The share of a layer's power (mean square) that the strongest tenth of its channels has, rounded up.

        Empty if the study holds no statistics; NaN for a layer that is zero everywhere.
        """
        return {name: strongest_tenth(powers) for name, (_, powers) in self._statistics.items()}

    @cached_property
    def means(self) -> Mapping[str, float]:
        """The mean of all values of each layer; empty if the study holds no statistics."""
        return {name: float(means.mean()) for name, (means, _) in self._statistics.items()}

    def curve(self, of: str = "zeros") -> Curve:
        """Of the convolutions and pools: their zeros, or dead or strongest channels."""
        rows, low, high = self.table.to_pydict(), tuple[float, ...](), tuple[float, ...]()
        if of == "zeros":
            measured = [self.shares[name] for name in rows["layer"]]
            values = tuple(one.value for one in measured)
            low = tuple(float(np.maximum(0.0, one.value - one.half)) for one in measured)
            high = tuple(float(np.minimum(1.0, one.value + one.half)) for one in measured)
        elif of == "dead":
            values = tuple(d / n for d, n in zip(rows["dead_channels"], rows["channels"], strict=True))
        else:
            values = tuple(self.strongest.get(name, nan) for name in rows["layer"])
        pools = tuple(kind in POOLS for kind in rows["kind"])
        return Curve(self.results.name, tuple(rows["layer"]), pools, values, low, high)

    def halves(self) -> tuple[Measured, Measured]:
        """The mean share of zeros of the lower and of the upper half of the convolutions, of which there are two."""
        names = self.convolutions
        half = len(names) // 2
        lower, upper = ([self.shares[name] for name in part] for part in (names[:half], names[-half:]))
        return mean_of(lower), mean_of(upper)

    def _of_kind(self, *kinds: str) -> tuple[str, ...]:
        rows = self.table.select(["layer", "kind"]).to_pylist()
        return tuple(row["layer"] for row in rows if row["kind"] in kinds)

    @cached_property
    def _runs(self) -> Mapping[str, Mapping[str, list[int]]]:
        if "sparsity_runs" not in self.results.results:
            return {}
        found: dict[str, dict[str, list[int]]] = {}
        for row in self.results.table("sparsity_runs").to_pylist():
            own = found.setdefault(row["layer"], {"count": [], "zeros": []})
            own["count"].append(row["count"])
            own["zeros"].append(row["zeros"])
        return found

    def _influences(self, row: Mapping[str, float]) -> Floats | None:
        """Of each run on the quotient of zeros and count, by its derivative."""
        runs = self._runs.get(str(row["layer"]))
        if runs is None:
            return None
        zeros, count = np.array(runs["zeros"], np.float64), np.array(runs["count"], np.float64)
        found: Floats = (zeros - row["sparsity"] * count) / row["count"]
        return found

    @cached_property
    def _statistics(self) -> Mapping[str, tuple[Floats, Floats]]:
        """Mean and power of each channel, by layer; nothing if the study holds no statistics."""
        if "channel_statistics" not in self.results.results:
            return {}
        table = self.results.table("channel_statistics")
        mean = table["mean"].to_numpy()
        power = mean**2 + table["variance"].to_numpy()
        names = np.array(table["layer"].to_pylist(), object)
        return {name: (mean[names == name], power[names == name]) for name in dict.fromkeys(names)}


def strongest_tenth(powers: Floats) -> float:
    """The share of the whole that the largest tenth of the powers has, rounded up; NaN if all are 0."""
    total = powers.sum()
    return float(np.sort(powers)[-ceil(len(powers) / 10) :].sum() / total) if total > 0 else nan
