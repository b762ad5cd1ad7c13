"""A picture of every filter: its patches, and what it keeps of them where that is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from layerscope.ahead import made_ahead
from layerscope.drawing.render import Panel, Pixels, Signal
from layerscope.drawing.sprites import encode_sprite
from layerscope.filters.painting import paint_with
from layerscope.filters.top_filters import Filter
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.network.views import View
from layerscope.pages.options import PageOptions
from layerscope.pages.patches import Rows, cut_rows
from layerscope.pages.shown import STEP, Shown, key_of
from layerscope.pages.views import ZERO
from layerscope.progress import Count, Told
from layerscope.reconstruction.rules import Rule
from layerscope.study.folder import Study

_FORMAT = 1  # of what a picture shows; raised when older ones are to be made anew
_QUALITY = 85  # of JPEG: VGG-16's c4 and c5 take 38 kB a filter with its reconstructions, 47 at 90
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

    Those that are there, made the same way, are kept, of other layers too, and with reconstructions if they have
    them. Raises StudyError for a picture that is not that of the study.
    """
    if "top_patches" not in study.network(network.name).results:
        return study
    shown = Shown(study, network, rule)
    chosen = shown.chosen(options)
    drawn = shown.drawn(chosen, options.filters)
    with study.open_step(STEP, network=network.name, options=step_options(network, rule)) as step:
        before = shown.found(step)
        bare = [one for one in chosen if key_of(one) not in drawn and key_of(one) not in before]
        full = [one for one in chosen if key_of(one) in drawn and before.get(key_of(one)) is None]
        step.expect(map(shown.file, (*bare, *full)))
        with cut_rows(study, network, images, shown.layouts, (*bare, *full), progress) as rows:
            step.put_all(_patches(shown, rows, bare, Count(progress, "patches", len(bare), "filters")))
            for name, content in _reconstructions(shown, images, rows, full, progress):
                step.put(name, content)
        found = shown.found(step)
        step.put(STEP, shown.table(found))
        step.finish(shown.file(one) for one in shown.filters if key_of(one) in found)
    return Study.open(study.path)


def _patches(shown: Shown, rows: Rows, filters: Sequence[Filter], done: Count) -> Iterator[tuple[str, bytes]]:
    """The file of each filter without reconstructions, made ahead while the one before is put in place."""

    def encode(one: Filter) -> bytes:
        ending = shown.layouts[
            one.layer.name
        ].ending  # photographs alone: colours at half resolution are enough
        return encode_sprite(rows.of(one), ending, {"white": None}, quality=_QUALITY, fine=False)

    with closing(made_ahead(encode, filters, 1, _AHEAD)) as made:
        for one, content in made:
            yield shown.file(one), content
            done()


def _reconstructions(
    shown: Shown, images: ImageSet, rows: Rows, filters: Sequence[Filter], progress: Told | None
) -> Iterator[tuple[str, bytes]]:
    """The file of each filter with reconstructions, as they are done."""
    units = Count(progress, "reconstructions of filters", sum(len(one.patches) for one in filters), "units")

    def draw(one: Filter, view: View, _: Pixels, signal: Signal) -> Panel:
        return shown.layouts[one.layer.name].reconstruction(signal, view)

    for one, panels in paint_with(draw, shown.sitting, images, filters, lambda _: units()):
        layout = shown.layouts[one.layer.name]
        kept = np.full(layout.row, ZERO, np.uint8)
        for rank, panel in enumerate(panels):
            kept[layout.place(rank)] = panel.pixels
        about = {"white": [float(f"{panel.scale:.7g}") for panel in panels]}
        both = np.concatenate([rows.of(one), kept])
        yield shown.file(one), encode_sprite(both, layout.ending, about, quality=_QUALITY)
