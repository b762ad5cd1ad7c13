"""A folder of pictures that say themselves what they are of: a run that finds one does not make it again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from layerscope.disk.locks import lock
from layerscope.disk.tables import csv_bytes, publish, table_bytes
from layerscope.disk.whole import remove_partials, written, written_whole
from layerscope.drawing.canvas import Page, save_figure
from layerscope.drawing.render import Pixels, as_rgb
from layerscope.drawing.sprites import encode_sprite, read_about, read_sprite
from layerscope.errors import OutputError

_FORMAT = 1  # of what a picture shows; raised when older ones are to be made anew


@dataclass(frozen=True)
class Shelf:
    """A folder that this process holds. Names of pictures are below it, without their ending."""

    folder: Path

    def path(self, name: str) -> Path:
        """Where a picture is or would be."""
        return self.folder / f"{name}.png"

    def about(self, name: str, *parts: object) -> Mapping[str, Any] | None:
        """What the picture says of itself, if it is there and was made of the same parts.

        Raises OutputError if a file that is not of such a run has its name.
        """
        path = self.path(name)
        found = read_about(path) if path.exists() else {"key": ""}
        if "key" not in found:
            raise OutputError(
                f"{path} is in the way: it was not made here; move it elsewhere, or name a new folder"
            )
        return found if found["key"] == key_of(*parts) else None

    def there(self) -> dict[str, Mapping[str, Any]]:
        """What all pictures in folders of this one, that such a run made, say of themselves, by name."""
        found = {f"{path.parent.name}/{path.stem}": read_about(path) for path in self.folder.glob("*/*.png")}
        return {name: about for name, about in sorted(found.items()) if "key" in about}

    def remove(self, name: str) -> None:
        """Take a picture away."""
        with written(self.path(name)):
            self.path(name).unlink()

    def put(self, name: str, pixels: Pixels, about: Mapping[str, Any], *parts: object) -> Mapping[str, Any]:
        """Put a picture in place, with what it says of itself."""
        whole = {**about, "key": key_of(*parts)}
        with written_whole(self.path(name)) as partial:
            partial.write_bytes(encode_sprite(as_rgb(pixels), ".png", whole))
        return whole

    def read(self, name: str) -> Pixels:
        """The pixels of a picture. Raises ImageError if it is damaged."""
        return read_sprite(self.path(name))

    def finish(self, stem: str, figures: Mapping[str, Sequence[Page]], table: pa.Table) -> None:
        """Write the figures, as PNG and PDF, and the table as ``stem``.parquet and .csv; older figures go."""
        with written(self.folder):
            for name in figures:
                for old in (
                    path for path in self.folder.iterdir() if _figure_file(name).fullmatch(path.name)
                ):
                    old.unlink()
        for name, pages in figures.items():
            save_figure(pages, self.folder / name)
        publish(self.folder / f"{stem}.parquet", [table_bytes(table)])
        publish(self.folder / f"{stem}.csv", [csv_bytes(table)])


def _figure_file(stem: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(stem)}(-\d+)?\.(png|pdf)")


def key_of(*parts: object) -> str:
    """What a picture is made of, all of it in one word."""
    return hashlib.sha256(repr((_FORMAT, *parts)).encode()).hexdigest()[:32]


@contextmanager
def open_shelf(folder: Path) -> Iterator[Shelf]:
    """Make the folder and hold it. Raises OutputError if another process does, or if it cannot be written."""
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        remove_partials(folder)
        yield Shelf(folder)
