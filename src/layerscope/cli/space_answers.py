"""What `layerscope space` says of a space that is there: measures, regions, neighbours, places of new pictures."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from layerscope.cli.options import say
from layerscope.plane.regions import Region
from layerscope.space.sheets import class_names
from layerscope.space.space import Space

_FILTERS = _NEIGHBOURS = 10  # printed


def summarise(space: Space) -> None:
    """How true its planes are."""
    pictures = len(set(space.pictures.tolist()))
    say(
        f"{space.network}, {space.layer}: {len(space.points):,} patches of {pictures:,} pictures, "
        f"{len(space.suggested)} regions suggested"
    )
    if space.shortfall:
        say(f"  {space.shortfall}")
    for row in space.truth.to_pylist():
        value, control = (_number(row[name]) for name in ("value", "control"))
        say(f"  {row['name'] + ', ' + row['of']:<52} {value:>7}   by chance {control:>7}")
    say(space.results.study.path / space.results.folder / space.folder)


def _count(number: int, things: str) -> str:
    return f"{number:,} {things if number != 1 else {'patches': 'patch', 'pictures': 'picture'}[things]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def describe_region(space: Space, region: Region) -> None:
    """Whose patches are in it, and its filters: by contrast, and by mean."""
    label = "" if region.label is None else (
        f", {region.label_share:.0%} of the class {class_names(space)[region.label]}"
    )  # fmt: skip
    say(
        f"{space.network}, {space.layer}: {_count(len(region.members), 'patches')} of "
        f"{_count(region.pictures, 'pictures')}{label}"
    )
    _filters("more here than elsewhere", space.filters(region))
    _filters("most here", space.filters(region, by="mean"))


def _filters(title: str, table: pa.Table) -> None:
    say(f"{title}\nfilter  contrast  fires here  elsewhere  mean here  elsewhere")
    for row in table.slice(0, _FILTERS).to_pylist():
        rest = [row[name] for name in ("fires", "fires_elsewhere", "mean", "mean_elsewhere")]
        shown = "".join(f"  {_number(value):>9}" for value in rest)
        say(f"{row['channel']:>6}  {row['contrast']:>8.3f} {shown}")


def describe_patch(space: Space, cell: tuple[float, float], arrangement: str | None) -> None:
    """The patch that a cell shows, its filters, and its neighbours in the representation and on the plane."""
    patch, most = space.patch_at(*cell, arrangement), min(_NEIGHBOURS, len(space.points) - 1)
    filters = ", ".join(f"{c} ({space.vectors[patch, c]:.3g})" for c in space.strongest(patch).tolist())
    say(f"{space.network}, {space.layer}: {_patch(space, patch)}; filters {filters or 'none'}")
    alike = space.nearest(patch, most)
    beside = space.nearest(patch, most, on="plane", arrangement=arrangement)
    for title, found in (
        ("nearest in the representation, and the distance", alike),
        ("nearest on the plane, and the distance in cells", beside),
    ):
        say(title)
        for one, distance in zip(found.patches.tolist(), found.distances.tolist(), strict=True):
            say(f"  {distance:>9.3f}  {_patch(space, one)}")
    say(f"{len(np.intersect1d(alike.patches, beside.patches))} of these {len(alike.patches)} are in both")


def _patch(space: Space, patch: int) -> str:
    row = space.patches.slice(patch, 1).to_pylist()[0]
    name = space.results.study.pictures["name"][row["picture"]].as_py()
    return f"patch {patch}, row {row['row']}, column {row['column']} of {name}"
