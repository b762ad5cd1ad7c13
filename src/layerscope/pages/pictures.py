"""A study's pictures as its networks see them: all of them small, on sheets, and chosen ones large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from layerscope.disk.tables import json_bytes, read_json
from layerscope.drawing.encoding import encode_jpeg
from layerscope.drawing.render import Pixels
from layerscope.images.bands import Decoded
from layerscope.images.sets import ImageSet
from layerscope.pages.views import ZERO, View, in_square, views_of
from layerscope.progress import Count, Told
from layerscope.study.folder import Study
from layerscope.study.pictures import find_pictures, read_again
from layerscope.study.steps import OpenStep

STEP = "pages/pictures"
ABOUT = "pages/pictures.json"

_FORMAT = 1  # of what is drawn; raised when older ones are to be made anew
_SIDE, _SMALLER_SIDE, _MANY = 96, 64, 5_000  # pixels; the smaller beyond so many pictures
_ACROSS = 16  # cells of a full sheet across, and down
_SHEET_QUALITY, _QUALITY = 75, 90
_TINY = 64  # pixels: up to so many, nothing but rounding is lost


@dataclass(frozen=True)
class Sheets:
    """How small pictures stand on sheets: cells of ``side`` pixels, by rows; a picture's cell is its number."""

    side: int
    columns: int
    rows: int

    @classmethod
    def of(cls, count: int) -> Sheets:
        """The sheets of so many pictures; all are of the same size."""
        side = _SIDE if count <= _MANY else _SMALLER_SIDE
        return cls(side, min(_ACROSS, count), min(_ACROSS, -(-count // _ACROSS)))

    @property
    def cells(self) -> int:
        """Pictures of a sheet."""
        return self.columns * self.rows

    def blank(self) -> Pixels:
        """A sheet without pictures."""
        return np.full((self.rows * self.side, self.columns * self.side, 3), ZERO, np.uint8)

    def paste(self, sheet: Pixels, cell: int, pixels: Pixels) -> None:
        """Put a picture into its cell."""
        y, x = (self.side * place for place in divmod(cell, self.columns))
        sheet[y : y + self.side, x : x + self.side] = pixels


def quality_of(pixels: Pixels) -> int:
    """Of the JPEG of a picture: the best where it is tiny, since pages enlarge it."""
    return 100 if max(pixels.shape[:2]) <= _TINY else _QUALITY


def chosen_before(study: Study) -> tuple[int, ...] | None:
    """The pictures that an earlier run chose; None: there was none."""
    if ABOUT not in study.manifest["files"]:
        return None
    return tuple(read_json(study.path / ABOUT)["chosen"])


def add_pictures(
    study: Study, images: ImageSet, chosen: Sequence[int], progress: Told | None = None
) -> Study:
    """The study with small pictures of all that can be read, and ``chosen`` ones large, as each view has them.

    What is there is kept; large pictures that are no longer chosen go. Raises StudyError if a picture is not what it
    was when the study was made.
    """
    drawer = _Drawer(study, images, progress)
    sheets = drawer.sheets
    with study.open_step(STEP, options={"format": _FORMAT, **asdict(sheets)}) as step:
        drawer.add_sheets(step)
        drawer.add_large(step, chosen)
        views = [{"height": view.height, "width": view.width} for view in drawer.views]
        view_of = {name: drawer.views.index(view) for name, view in drawer.view_of.items()}
        about = {"views": views, "view_of": view_of, "thumbs": asdict(sheets), "chosen": list(chosen)}
        step.put(ABOUT, json_bytes(about))
        step.finish([*drawer.sheet_names(), *drawer.large_names(chosen)])
    return Study.open(study.path)


@dataclass(frozen=True)
class _Drawer:
    """Draws what is missing of a study's pictures."""

    study: Study
    images: ImageSet
    progress: Told | None

    @cached_property
    def view_of(self) -> Mapping[str, View]:
        return views_of(self.study)

    @cached_property
    def views(self) -> tuple[View, ...]:
        return tuple(dict.fromkeys(self.view_of.values()))

    @cached_property
    def sheets(self) -> Sheets:
        return Sheets.of(self.study.pictures.num_rows)

    @cached_property
    def good(self) -> list[int]:
        rows = self.study.pictures.select(["picture", "reason"]).to_pylist()
        return [row["picture"] for row in rows if row["reason"] is None]

    def sheet_files(self, number: int) -> list[str]:
        """One for each view."""
        return [f"pages/thumbs/{view}/{number}.jpg" for view in range(len(self.views))]

    def sheet_names(self) -> Iterator[str]:
        for number in range(-(-self.study.pictures.num_rows // self.sheets.cells)):
            yield from self.sheet_files(number)

    def large_files(self, picture: int) -> list[str]:
        """One for each view."""
        return [f"pages/large/{view}/{picture}.jpg" for view in range(len(self.views))]

    def large_names(self, chosen: Sequence[int]) -> Iterator[str]:
        for picture in chosen:
            yield from self.large_files(picture)

    def add_sheets(self, step: OpenStep) -> None:
        """Those sheets that are missing of any view."""
        cells, sheets = self.sheets.cells, range(-(-self.study.pictures.num_rows // self.sheets.cells))
        missing = [number for number in sheets if not all(map(step.holds, self.sheet_files(number)))]
        groups = [[p for p in self.good if p // cells == number] for number in missing]
        wanted = [picture for group in groups for picture in group]
        done = Count(self.progress, "small pictures", len(self.good), before=len(self.good) - len(wanted))
        with closing(self._read(wanted, self._small)) as read:
            for number, group in zip(missing, groups, strict=True):
                drawn = [self.sheets.blank() for _ in self.views]
                for picture, small in (next(read) for _ in group):
                    for sheet, pixels in zip(drawn, small, strict=True):
                        self.sheets.paste(sheet, picture % cells, pixels)
                    done()
                encoded = (encode_jpeg(Image.fromarray(sheet), _SHEET_QUALITY, fine=True) for sheet in drawn)
                step.put_all(zip(self.sheet_files(number), encoded, strict=True))

    def add_large(self, step: OpenStep, chosen: Sequence[int]) -> None:
        """Those chosen pictures that are missing of any view."""
        missing = [picture for picture in chosen if not all(map(step.holds, self.large_files(picture)))]
        done = Count(self.progress, "large pictures", len(chosen), before=len(chosen) - len(missing))
        with closing(self._read(missing, self._large)) as read:
            for picture, encoded in read:
                step.put_all(zip(self.large_files(picture), encoded, strict=True))
                done()

    def _read(self, wanted: Sequence[int], prepare: Any) -> Any:
        places = find_pictures(self.study, self.images, wanted)
        return read_again(self.study, self.images, places, wanted, prepare)

    def _small(self, picture: Decoded) -> list[Pixels]:
        return [in_square(view.seen(picture), self.sheets.side) for view in self.views]

    def _large(self, picture: Decoded) -> list[bytes]:
        shown = [view.seen(picture) for view in self.views]
        return [encode_jpeg(one, quality_of(np.asarray(one)), fine=True) for one in shown]
