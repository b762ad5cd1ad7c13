"""A picture of every filter: its patches, and what it keeps of them where that is drawn."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from layerscope.ahead import made_ahead
from layerscope.disk.names import folders
from layerscope.drawing.sprites import encode_sprite, read_about
from layerscope.filters.painting import Drawing, Sitting
from layerscope.filters.top_filters import Filter, top_filters
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.pages.options import PageOptions
from layerscope.pages.panels import Layout
from layerscope.pages.patches import Rows, cut_rows
from layerscope.progress import Count, Told
from layerscope.reconstruction.rules import Rule
from layerscope.study.folder import Study
from layerscope.study.steps import OpenStep

STEP = "pages/filters"

_FORMAT = 1  # of what a picture shows; raised when older ones are to be made anew
_AHEAD = 64  # pictures that wait to be put in place, at most


def step_options(network: Network, rule: Rule) -> dict[str, object]:
    """What the pictures of a network depend on, besides the study and what is shown."""
    dtype = str(network.dtype).removeprefix("torch.")
    return {"format": _FORMAT, "rule": rule.name, "overlap": rule.overlap, "dtype": dtype}


def add_filters(
    study: Study,
    network: Network,
    images: ImageSet,
    options: PageOptions,
    rule: Rule,
    progress: Told | None = None,
) -> Study:
    """The study with a picture of each filter that ever fires, of the layers chosen, and the table of all of them.

    Those that are there, made the same way, are kept, of other layers too. Raises StudyError for a picture that is
    not that of the study, NetworkError for a layer that the network does not have.
    """
    if "top_patches" not in study.network(network.name).results:
        return study
    shown = _Shown(study, network, rule)
    chosen = shown.chosen(options)
    with study.open_step(STEP, network=network.name, options=step_options(network, rule)) as step:
        before = shown.found(step)
        missing = [one for one in chosen if _key(one) not in before]
        step.expect(map(shown.file, missing))
        with cut_rows(study, network, images, shown.layouts, missing, progress) as rows:
            done = Count(progress, "filters", len(chosen), "filters", before=len(chosen) - len(missing))
            with closing(shown.encoded(rows, done)) as encoded:
                step.put_all(encoded)
        found = shown.found(step)
        step.put(STEP, shown.table(found))
        step.finish(shown.file(one) for one in shown.filters if _key(one) in found)
    return Study.open(study.path)


def _key(one: Filter) -> tuple[str, int]:
    return one.layer.name, one.channel


_Found = Mapping[
    tuple[str, int], list[float] | None
]  # pictures that are there; the values white means, if drawn


@dataclass(frozen=True)
class _Shown:
    """What pictures of a network's filters there can be, where they go and how they look."""

    study: Study
    network: Network
    rule: Rule

    @cached_property
    def filters(self) -> tuple[Filter, ...]:
        """All that ever fire, and see something."""
        swept = top_filters(self.study, self.network, "swept")
        return tuple(one for one in swept if one.patches and 0 not in self._frame(one))

    @cached_property
    def layouts(self) -> Mapping[str, Layout]:
        """How the pictures of each layer are laid out."""
        most: dict[str, int] = {}
        frames: dict[str, tuple[int, int]] = {}
        for one in self.filters:
            most[one.layer.name] = max(most.get(one.layer.name, 0), len(one.patches))
            frames[one.layer.name] = self._frame(one)
        return {name: Layout(frames[name], count) for name, count in most.items()}

    @cached_property
    def folders(self) -> Mapping[str, str]:
        return folders(layer.name for layer in self.network.layers)

    def _frame(self, one: Filter) -> tuple[int, int]:
        return Sitting(self.study, self.network, Drawing(self.rule)).size(one.layer)

    def chosen(self, options: PageOptions) -> list[Filter]:
        """Those that are to be shown."""
        names = {layer.name for layer in options.layers_of(self.network)}
        return [one for one in self.filters if one.layer.name in names]

    def file(self, one: Filter) -> str:
        """The name of a picture, below the network's folder."""
        ending = self.layouts[one.layer.name].ending
        return f"{STEP}/{self.folders[one.layer.name]}/{one.channel}{ending}"

    def found(self, step: OpenStep) -> _Found:
        """The pictures that are in place already."""
        abouts = {
            _key(one): read_about(step.place(self.file(one)))
            for one in self.filters
            if step.holds(self.file(one))
        }
        return {key: about["white"] for key, about in abouts.items() if "white" in about}

    def encoded(self, rows: Rows, done: Count) -> Generator[tuple[str, bytes], None, None]:
        """The file of each filter's picture, made ahead while the one before is put in place."""

        def encode(number: int) -> bytes:
            layout = self.layouts[rows.filters[number].layer.name]
            return encode_sprite(rows[number], layout.ending, {"white": None})

        with closing(made_ahead(encode, range(len(rows.filters)), 1, _AHEAD)) as made:
            for number, content in made:
                yield self.file(rows.filters[number]), content
                done()

    def table(self, found: _Found) -> pa.Table:
        """A row for each picture."""
        rows = [one for one in self.filters if _key(one) in found]
        layouts = [self.layouts[one.layer.name] for one in rows]
        white = [found[_key(one)] for one in rows]
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
