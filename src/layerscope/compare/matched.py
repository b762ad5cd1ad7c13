"""Two networks filter by filter: which answer alike over the same pictures, which are shown, and what is kept of it."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.compare.common_pictures import Tops, chosen_alone, chosen_pairs, top_pictures
from layerscope.compare.matching import Matches, chance_of, match_filters, match_partially
from layerscope.compare.similarity import Similarities
from layerscope.compare.subject import Arrays, Kept, Subject, pair_name
from layerscope.progress import Count, of

Floats = npt.NDArray[np.float32]
MATCHED = 0.5  #: the correlation from which a filter counts as matched
MASS = 0.5  #: the share of filters that partial soft matching must match


class Matched:
    """The filters of two networks' convolutions, and how they match."""

    def __init__(self, subject: Subject, one: str, other: str) -> None:
        self._subject, self.names = subject, (one, other)
        self.name, self._most = pair_name(one, other), subject.options.filters

    @cached_property
    def similarities(self) -> Similarities:
        """Of the convolutions alone."""
        layers = [
            [layer.name for layer in network.select_layers("conv")]
            for name in self.names
            for network in self._subject.networks
            if network.name == name
        ]
        return self._subject.similarities(*self.names).of_layers(*layers)

    @cached_property
    def matches(self) -> Matches:
        """Each filter's best match, and pairs one to one."""
        return match_filters(self.similarities)

    @cached_property
    def tops(self) -> tuple[Tops, Tops]:
        """Which pictures excite each filter most, of either network."""
        one, other = (top_pictures(self._subject.study.network(name)) for name in self.names)
        return one, other

    @cached_property
    def chosen(self) -> list[dict[str, Any]]:
        """Rows of the pairs that are shown."""
        return chosen_pairs(self.matches.mutual, *self.tops, self._most)

    @cached_property
    def unmatched(self) -> tuple[pa.Table, pa.Table]:
        """Filters of either network whose best match correlates less than MATCHED; those that never change first."""
        return self.matches.unmatched(MATCHED)

    @cached_property
    def alone(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows of the filters that are shown as matched by none, of either network."""
        one, other = (
            chosen_alone(t, tops, self._most) for t, tops in zip(self.unmatched, self.tops, strict=True)
        )
        return one, other

    @cached_property
    def chance(self) -> tuple[Floats, Floats]:
        """The best correlation of each filter of either with pictures paired wrongly."""

        def make() -> Arrays:
            one, other = chance_of(self.similarities.one, self.similarities.other)
            return {"one": one, "other": other}

        found = self._kept.get("chance", make)
        return np.asarray(found["one"], np.float32), np.asarray(found["other"], np.float32)

    @property
    def _kept(self) -> Kept:
        return self._subject.kept(f"matches-{self.name}", {"grid": self._subject.options.grid})

    @cached_property
    def partial(self) -> pa.Table | None:
        """Partial soft matching of each layer of the one with its most similar layer of the other; None without POT."""
        if find_spec("ot") is None:
            return None
        best = {layer: to for layer, to in self.similarities.best.items() if to is not None}
        told = of(", ".join(self.names), self._subject.progress)
        done = Count(told, "partial matching", len(best), "layers")
        parts = []
        for number, (layer, to) in enumerate(best.items()):
            parts.append(self._partial(number, layer, to))
            done()
        return pa.concat_tables(parts) if parts else None

    def _partial(self, number: int, layer: str, to: str) -> pa.Table:
        def make() -> Arrays:
            table, _ = match_partially(self.similarities, layer, to, mass=MASS)
            filled = {"other_channel": -1, "correlation": np.nan}
            return {
                name: pc.fill_null(table[name], filled.get(name, 0)).to_numpy() for name in table.column_names
            }

        found = self._kept.get(f"partial-{number}", make)
        nothing = np.asarray(found["other_channel"], np.int32) < 0
        return pa.table(
            {
                "layer": pa.array([layer] * len(nothing), pa.string()),
                "channel": found["channel"],
                "matched": found["matched"],
                "other_layer": pa.array([to] * len(nothing), pa.string()),
                "other_channel": pa.array(found["other_channel"], mask=nothing),
                "correlation": pa.array(found["correlation"], mask=nothing),
            }
        )
