"""Rows of patches for many filters at once, cut from a study's pictures: each picture is decoded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import numpy as np
import numpy.typing as npt

from layerscope.disk.room import bytes_on_disk
from layerscope.drawing.render import Pixels
from layerscope.filters.top_filters import Filter
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.network.views import view_of
from layerscope.pages.panels import Layout
from layerscope.pages.shown import Key, key_of
from layerscope.pages.views import ZERO, views_of
from layerscope.progress import Count, Told
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures, read_again


@dataclass(frozen=True)
class Rows:
    """The row of patches of each filter, in one array on the disk; ``starts``: where each begins, by `key_of`."""

    layouts: Mapping[str, Layout]
    starts: Mapping[Key, int]
    held: npt.NDArray[np.uint8]

    def of(self, one: Filter) -> Pixels:
        """The pixels of a filter's row."""
        shape, start = self.layouts[one.layer.name].row, self.starts[key_of(one)]
        return self.held[start : start + prod(shape)].reshape(shape)


@contextmanager
def cut_rows(
    study: Study,
    network: Network,
    images: ImageSet,
    layouts: Mapping[str, Layout],
    filters: Sequence[Filter],
    progress: Told | None = None,
) -> Iterator[Rows]:
    """The patches of each filter side by side, as their layer's layout says; ``progress`` is told of each patch.

    Raises StudyError for a picture that is not that of the study, OutputError if the disk has no room for them.
    """
    sizes = [prod(layouts[one.layer.name].row) for one in filters]
    with bytes_on_disk(study.path, (sum(sizes),)) as held:
        starts = dict(zip(map(key_of, filters), accumulate(sizes, initial=0), strict=False))
        rows = Rows(layouts, starts, held)
        _fill(study, network, images, filters, rows, progress)
        yield rows


def _fill(
    study: Study,
    network: Network,
    images: ImageSet,
    filters: Sequence[Filter],
    rows: Rows,
    progress: Told | None,
) -> None:
    wanted: dict[int, list[tuple[Filter, int]]] = {}
    for one in filters:
        rows.of(one)[:, rows.layouts[one.layer.name].place(len(one.patches))[1].start :] = ZERO
        for rank, patch in enumerate(one.patches):
            wanted.setdefault(patch.picture, []).append((one, rank))
    order, view = sorted(wanted), views_of(study)[network.name]
    done = Count(progress, "cutting patches", sum(map(len, wanted.values())), "patches")
    places = find_pictures(study, images, order)
    read = read_again(study, images, places, order, lambda picture: np.asarray(view.seen(picture)))
    with closing(read):
        for picture, pixels in read:
            for one, rank in wanted[picture]:
                layout, patch = rows.layouts[one.layer.name], one.patches[rank]
                shown = view_of(one.layer, patch.row, patch.column, pixels.shape[:2])
                rows.of(one)[layout.place(rank)] = layout.patch(pixels, shown)
            done(len(wanted[picture]))
