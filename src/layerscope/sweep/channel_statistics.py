"""How much of a layer is silent, and what values its channels take: counts and sums, exact under any split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.kernels.bins import EDGES
from layerscope.kernels.exact_sums import add_exactly, exact_zeros, mean_and_variance
from layerscope.network.network import Network
from layerscope.sweep.reducers import LayerBatch, Reducer, Results, State, Target, every_layer

RUNS = 32  #: of neighbouring pictures, whose zeros are counted apart: intervals are made from them


@dataclass(frozen=True)
class Sparsity(Reducer):
    """The share of exact zeros of each layer and of each channel; a dead channel was zero everywhere.

    State: ``zeros`` per channel and ``count``, the values each channel had (int64); ``runs`` (RUNS, 2): pictures and
    zeros of each run of neighbours, as long as each other within one. Results: ``sparsity``, one row per layer,
    ``channel_sparsity``, one per channel, and ``sparsity_runs``, one per layer and run; shares are in [0, 1].
    """

    layers: str | tuple[str, ...] = "all"

    name: ClassVar[str] = "sparsity"
    needs: ClassVar[frozenset[str]] = frozenset({"peaks"})

    def targets(self, network: Network) -> tuple[Target, ...]:
        """Every layer, or those chosen."""
        return every_layer(network, self.layers)

    def update(self, state: State | None, seen: LayerBatch) -> State:
        """Count the zeros of each channel."""
        count = np.array(len(seen.pictures) * seen.target.positions, np.int64)
        new = {"zeros": seen.zeros.sum(axis=0), "count": count, "runs": _runs(seen)}
        return new if state is None else self.merge(state, new)

    def merge(self, one: State, other: State) -> State:
        """Counts add up; what an older version began has no runs, and gets none."""
        return {name: np.asarray(one[name] + other[name]) for name in one if name in other}

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        """Both tables; layers in the order of the network."""
        seen = [t for t in self.targets(network) if t.name in states]
        channels = [_channel_rows(t, states[t.name]) for t in seen]
        layers = [_layer_row(t, states[t.name]) for t in seen]
        return {
            "sparsity": pa.Table.from_pylist(layers, _LAYERS),
            "channel_sparsity": pa.concat_tables([_CHANNELS.empty_table(), *channels]),
            **_all_runs([(t, states[t.name]) for t in seen]),
        }


_LAYERS = pa.schema(
    [
        ("layer", pa.string()),
        ("channels", pa.int32()),
        ("dead_channels", pa.int32()),
        ("count", pa.int64()),
        ("zeros", pa.int64()),
        ("sparsity", pa.float64()),
    ]
)
_CHANNELS = pa.schema(
    [
        ("layer", pa.string()),
        ("channel", pa.int32()),
        ("count", pa.int64()),
        ("zeros", pa.int64()),
        ("sparsity", pa.float64()),
    ]
)


_RUNS = pa.schema(
    [
        ("layer", pa.string()),
        ("run", pa.int32()),
        ("pictures", pa.int64()),
        ("count", pa.int64()),
        ("zeros", pa.int64()),
    ]
)


def _runs(seen: LayerBatch) -> npt.NDArray[np.int64]:
    """Pictures and zeros of each run, of the seen pictures."""
    runs = np.zeros((RUNS, 2), np.int64)
    of = seen.pictures if seen.batch.total < RUNS else seen.pictures * RUNS // seen.batch.total
    np.add.at(runs, of, np.stack([np.ones_like(of), seen.zeros.sum(axis=1)], axis=1))
    return runs


def _all_runs(seen: Sequence[tuple[Target, State]]) -> Results:
    """The table of the runs that have a picture; none where an older version began to count."""
    if any("runs" not in state for _, state in seen):
        return {}
    return {"sparsity_runs": pa.concat_tables([_RUNS.empty_table(), *(_run_rows(*one) for one in seen)])}


def _run_rows(target: Target, state: State) -> pa.Table:
    run = np.flatnonzero(state["runs"][:, 0]).astype(np.int32)
    pictures, zeros = state["runs"][run].T
    count = pictures * target.positions * target.channels
    return pa.table([pa.repeat(target.name, len(run)), run, pictures, count, zeros], schema=_RUNS)


def _layer_row(target: Target, state: State) -> dict[str, object]:
    zeros, count = state["zeros"], int(state["count"])
    total = count * target.channels
    return {
        "layer": target.name,
        "channels": target.channels,
        "dead_channels": int((zeros == count).sum()),
        "count": total,
        "zeros": int(zeros.sum()),
        "sparsity": int(zeros.sum()) / total,
    }


def _channel_rows(target: Target, state: State) -> pa.Table:
    n = target.channels
    count = np.full(n, state["count"])
    shares = state["zeros"] / count
    columns = [pa.repeat(target.name, n), np.arange(n, dtype=np.int32), count, state["zeros"], shares]
    return pa.table(columns, schema=_CHANNELS)


@dataclass(frozen=True)
class ChannelStatistics(Reducer):
    """Mean, variance (of the population), extremes and a histogram of the values of each channel.

    State: ``count``; ``sums`` and ``squares``, exact (see `exact_sums`) from each picture's float64 sums;
    ``least``, ``most`` (float32); ``histogram`` (channels, BINS), int64. Results: the table
    ``channel_statistics``; the array ``histograms``, one row of counts per row of the table; and
    ``histogram_edges``, the ends of its bins, which are the same for every network (`reduction.EDGES`).
    """

    layers: str | tuple[str, ...] = "all"

    name: ClassVar[str] = "channel_statistics"
    needs: ClassVar[frozenset[str]] = frozenset({"peaks", "moments", "histogram"})

    def targets(self, network: Network) -> tuple[Target, ...]:
        """Every layer, or those chosen."""
        return every_layer(network, self.layers)

    def update(self, state: State | None, seen: LayerBatch) -> State:
        """Each picture's own sums join the exact ones."""
        moments, channels = seen.moments, seen.target.channels
        infinite: npt.NDArray[np.bool_] = np.any(~np.isfinite(moments.squares), axis=1)
        seen.refuse(infinite, "infinity")
        new = {
            "count": np.array(len(seen.pictures) * seen.target.positions, np.int64),
            "sums": add_exactly(exact_zeros(channels), moments.sums),
            "squares": add_exactly(exact_zeros(channels), moments.squares),
            "least": moments.least.min(axis=0),
            "most": seen.peaks.values.max(axis=0),
            "histogram": seen.histogram,
        }
        return new if state is None else self.merge(state, new)

    def merge(self, one: State, other: State) -> State:
        """Integers add up; extremes are compared."""
        joined = dict.fromkeys(one, np.add) | {"least": np.minimum, "most": np.maximum}
        return {name: np.asarray(join(one[name], other[name])) for name, join in joined.items()}

    def finish(self, states: Mapping[str, State], network: Network) -> Results:
        """The table in the order of the network, and the histograms beside it."""
        seen = [t for t in self.targets(network) if t.name in states]
        empty = np.zeros((0, len(EDGES) - 1), np.int64)
        return {
            "channel_statistics": pa.concat_tables(
                [_STATISTICS.empty_table(), *(_statistics_rows(t, states[t.name]) for t in seen)]
            ),
            "histograms": np.concatenate([empty, *(states[t.name]["histogram"] for t in seen)]),
            "histogram_edges": EDGES,
        }


_STATISTICS = pa.schema(
    [
        ("layer", pa.string()),
        ("channel", pa.int32()),
        ("count", pa.int64()),
        ("mean", pa.float64()),
        ("variance", pa.float64()),
        ("min", pa.float32()),
        ("max", pa.float32()),
    ]
)


def _statistics_rows(target: Target, state: State) -> pa.Table:
    n, count = target.channels, int(state["count"])
    means, variances = mean_and_variance(state["sums"], state["squares"], count)
    columns = [pa.repeat(target.name, n), np.arange(n, dtype=np.int32), np.full(n, count), means, variances]
    return pa.table([*columns, state["least"], state["most"]], schema=_STATISTICS)
