"""Sparsity of the layers of one or more networks, from their studies: the paper's Fig. 6 and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from layerscope.drawing.canvas import Page
from layerscope.drawing.charts import Curve, share_chart
from layerscope.study.folder import NetworkResults, Study

_POOLS = ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d")
_COLUMNS = ("layer", "kind", "sparsity", "dead_channels", "channels")


def sparsity_table(studies: Study | str | Path | Sequence[Study | str | Path]) -> pa.Table:
    """A row per convolution and pool of each network of the studies, in the order they run.

    Columns: network, layer, kind, sparsity (share of exact zeros, in [0, 1]), dead_channels (zero at every
    position of every picture), channels. Source: arXiv 1412.6631, Fig. 6.
    """
    parts = [_rows(results) for results in _networks(studies)]
    return pa.concat_tables(parts)


def show_sparsity(studies: Study | str | Path | Sequence[Study | str | Path]) -> Page:
    """The chart of sparsity over depth, a line for each network of the studies."""
    return share_chart([_curve(results) for results in _networks(studies)], "zeros among activations")


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
    rows = rows.select(list(_COLUMNS)).filter(pc.is_in(rows["kind"], pa.array(["conv2d", *_POOLS])))
    return rows.add_column(0, "network", pa.array([results.name] * len(rows), pa.string()))


def _curve(results: NetworkResults) -> Curve:
    rows = _rows(results).to_pydict()
    pools = tuple(kind in _POOLS for kind in rows["kind"])
    return Curve(results.name, tuple(rows["layer"]), pools, tuple(rows["sparsity"]))
