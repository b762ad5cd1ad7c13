"""What pictures of a network's filters there can be: whose, where they go, how they are laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from layerscope.disk.names import folders
from layerscope.drawing.sprites import read_about
from layerscope.errors import StudyError
from layerscope.filters.painting import Drawing, Sitting
from layerscope.filters.sheets import STEP as PORTRAITS
from layerscope.filters.top_filters import Filter, top_filters
from layerscope.network.network import Network
from layerscope.pages.options import PageOptions, spread
from layerscope.pages.panels import Layout
from layerscope.reconstruction.descent import reversible
from layerscope.reconstruction.rules import Rule
from layerscope.study.folder import Study
from layerscope.study.steps import OpenStep

STEP = "pages/filters"

Key = tuple[str, int]  #: layer and channel
Found = Mapping[
    Key, list[float] | None
]  #: pictures that are there; what is white in reconstructions, if drawn


def key_of(one: Filter) -> Key:
    """Which filter it is."""
    return one.layer.name, one.channel


@dataclass(frozen=True)
class Shown:
    """The filters of a network that can have a picture, and the rule by which reconstructions are made."""

    study: Study
    network: Network
    rule: Rule

    @property
    def sitting(self) -> Sitting:
        """As those who paint take it."""
        return Sitting(self.study, self.network, Drawing(self.rule))

    @cached_property
    def filters(self) -> tuple[Filter, ...]:
        """All that ever fire, and see something."""
        return tuple(one for one in self._swept if one.patches and 0 not in self.sitting.size(one.layer))

    @cached_property
    def _swept(self) -> tuple[Filter, ...]:
        return top_filters(self.study, self.network, "swept")

    @cached_property
    def layouts(self) -> Mapping[str, Layout]:
        """How the pictures of each layer are laid out."""
        most: dict[str, int] = {}
        for one in self.filters:
            most[one.layer.name] = max(most.get(one.layer.name, 0), len(one.patches))
        sizes = {name: self.sitting.size(self.network.layer(name)) for name in most}
        return {name: Layout(sizes[name], count) for name, count in most.items()}

    @cached_property
    def folders(self) -> Mapping[str, str]:
        """The name of each layer's folder."""
        return folders(layer.name for layer in self.network.layers)

    def chosen(self, options: PageOptions) -> list[Filter]:
        """Those that are to be shown; of too many the portrayed, and of the others as many of each layer as can be,
        evenly spaced. Raises StudyError for a layer named that the study has no top patches of.
        """
        names = {layer.name for layer in options.layers_of(self.network)}
        swept = {one.layer.name for one in self._swept}
        if options.named and (absent := sorted(names - swept)):
            raise StudyError(
                f"{self.study.path} has no top patches of {absent[0]} of {self.network.name}; name other layers"
            )
        found = [one for one in self.filters if one.layer.name in names]
        if options.most is None or len(found) <= options.most:
            return found
        portrayed = {place for place, one in enumerate(found) if key_of(one) in self._portrayed}
        layers = {name: number for number, name in enumerate(self.layouts)}
        others = [(n, layers[one.layer.name]) for n, one in enumerate(found) if n not in portrayed]
        kept = portrayed.union(spread(others, max(0, options.most - len(portrayed))))
        return [found[place] for place in sorted(kept)]

    def drawn(self, chosen: list[Filter], which: str) -> frozenset[Key]:
        """Those of them that are to have reconstructions: none where the rule does not go back from the layer."""
        if which == "none":
            return frozenset()
        kept, portrayed = reversible(self.network.graph, self.rule), self._portrayed
        return frozenset(
            key_of(one)
            for one in chosen
            if one.layer.result in kept and (which == "all" or key_of(one) in portrayed)
        )

    @cached_property
    def _portrayed(self) -> frozenset[Key]:
        results = self.study.network(self.network.name)
        rows = results.table(PORTRAITS).to_pylist() if PORTRAITS in results.results else []
        return frozenset((row["layer"], row["channel"]) for row in rows)

    def file(self, one: Filter) -> str:
        """The name of a picture, below the network's folder."""
        ending = self.layouts[one.layer.name].ending
        return f"{STEP}/{self.folders[one.layer.name]}/{one.channel}{ending}"

    def found(self, step: OpenStep) -> Found:
        """The pictures that are in place already."""
        there = [one for one in self.filters if step.holds(self.file(one))]
        abouts = {key_of(one): read_about(step.place(self.file(one))) for one in there}
        return {key: about["white"] for key, about in abouts.items() if "white" in about}

    def table(self, found: Found) -> pa.Table:
        """A row for each picture."""
        rows = [one for one in self.filters if key_of(one) in found]
        layouts = [self.layouts[one.layer.name] for one in rows]
        white = [found[key_of(one)] for one in rows]
        columns: dict[str, Any] = {
            "layer": pa.array([one.layer.name for one in rows], pa.string()),
            "channel": pa.array([one.channel for one in rows], pa.int32()),
            "file": pa.array([self.file(one).removeprefix("pages/") for one in rows], pa.string()),
            "height": pa.array([layout.panel[0] for layout in layouts], pa.int32()),
            "width": pa.array([layout.panel[1] for layout in layouts], pa.int32()),
            "columns": pa.array([layout.columns for layout in layouts], pa.int32()),
            "drawn": pa.array([values is not None for values in white], pa.bool_()),
            "white": pa.array(white, pa.list_(pa.float64())),
        }
        return pa.table(columns)
