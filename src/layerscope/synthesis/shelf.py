"""A folder of pictures that say themselves what they are of: a run that finds one does not make it again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.disk.locks import lock
from layerscope.disk.tables import csv_bytes, publish, table_bytes
from layerscope.disk.whole import remove_partials, written, written_whole
from layerscope.drawing.canvas import Page, save_figure
from layerscope.drawing.render import Pixels, as_rgb
from layerscope.drawing.sprites import encode_sprite, read_about, read_sprite
from layerscope.errors import ImageError, OutputError

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
            raise OutputError(_in_the_way(path))
        return found if found["key"] == key_of(*parts) else None

    def there(self, below: str, names: str) -> dict[str, Mapping[str, Any]]:
        """What all pictures ``below`` (as */*), that such a run made, say of themselves, by name.

        ``names``: a pattern of those that such a run gives. Raises OutputError for one of them that is damaged.
        """
        found = dict[str, Mapping[str, Any]]()
        for path in sorted(self.folder.glob(f"{below}.png")):
            name, about = path.relative_to(self.folder).with_suffix("").as_posix(), read_about(path)
            if "key" in about:
                found[name] = about
            elif re.fullmatch(names, name) and not _is_readable(path):
                raise OutputError(_in_the_way(path))
        return found

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
        """Write the table as ``stem``.parquet and .csv, and the figures, as PNG and PDF; older figures go.

        The table is first: by it the figures are known as such a run's.
        """
        publish(self.folder / f"{stem}.parquet", [table_bytes(table)])
        publish(self.folder / f"{stem}.csv", [csv_bytes(table)])
        with written(self.folder):
            for old in [path for path in self.folder.iterdir() if _is_figure(path, figures)]:
                old.unlink()
        for name, pages in figures.items():
            save_figure(pages, self.folder / name)


def _is_figure(path: Path, names: Iterable[str]) -> bool:
    return any(re.fullmatch(rf"{re.escape(name)}(-\d+)?\.(png|pdf)", path.name) for name in names)


def _is_ours(table: Path) -> bool:
    """Whether a table is there that such a run wrote."""
    try:
        return "file" in pq.read_schema(table).names
    except (OSError, pa.ArrowException):
        return False


def _is_readable(path: Path) -> bool:
    try:
        read_sprite(path)
    except ImageError:
        return False
    return True


def _in_the_way(path: Path) -> str:
    return (
        f"{path} is in the way: it was not made here, or is damaged; move it elsewhere, or name a new folder"
    )


def key_of(*parts: object) -> str:
    """What a picture is made of, all of it in one word."""
    return hashlib.sha256(repr((_FORMAT, *parts)).encode()).hexdigest()[:32]


@contextmanager
def open_shelf(folder: Path, *figures: str) -> Iterator[Shelf]:
    """Make the folder and hold it, for such figures and the table named as the first of them.

    Raises OutputError if another process holds it, if it cannot be written, or if a file that is not of such a run is
    where one will be.
    """
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tables = [folder / f"{figures[0]}.{ending}" for ending in ("parquet", "csv")]
        taken = [path for path in folder.iterdir() if path in tables or _is_figure(path, figures)]
    if taken and not _is_ours(tables[0]):
        raise OutputError(_in_the_way(min(taken)))
    with lock(folder):
        remove_partials(folder)
        yield Shelf(folder)
