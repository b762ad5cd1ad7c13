"""What `layerscope space` says of a space that is there: measures, regions, neighbours, places of new pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import torch

from layerscope.disk.tables import publish_content
from layerscope.drawing.canvas import save_figure
from layerscope.errors import ImageError
from layerscope.images.decoding import load_image
from layerscope.images.finding import find_images
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.plane.regions import Region
from layerscope.space.drawn import region_patches, show_region
from layerscope.space.placing import place_pictures, show_placed
from layerscope.space.sheets import class_names
from layerscope.space.space import Space

_FILTERS = _NEIGHBOURS = 10  # printed


def summarise(space: Space) -> None:
    """How true its planes are."""
    pictures = len(set(space.pictures.tolist()))
    click.echo(
        f"{space.network}, {space.layer}: {len(space.points):,} patches of {pictures:,} pictures, "
        f"{len(space.suggested)} regions suggested"
    )
    for row in space.truth.to_pylist():
        value, control = (_number(row[name]) for name in ("value", "control"))
        click.echo(f"  {row['name'] + ', ' + row['of']:<52} {value:>7}   by chance {control:>7}")
    click.echo(space.results.study.path / space.results.folder / space.folder)


def _count(number: int, things: str) -> str:
    return f"{number:,} {things if number != 1 else {'patches': 'patch', 'pictures': 'picture'}[things]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def describe_region(space: Space, region: Region) -> None:
    """Whose patches are in it, and its filters: by contrast, and by mean."""
    label = "" if region.label is None else (
        f", {region.label_share:.0%} of the class {class_names(space)[region.label]}"
    )  # fmt: skip
    click.echo(
        f"{space.network}, {space.layer}: {_count(len(region.members), 'patches')} of "
        f"{_count(region.pictures, 'pictures')}{label}"
    )
    _filters("more here than elsewhere", space.filters(region))
    _filters("most here", space.filters(region, by="mean"))


def _filters(title: str, table: pa.Table) -> None:
    click.echo(f"{title}\nfilter  contrast  fires here  elsewhere  mean here  elsewhere")
    for row in table.slice(0, _FILTERS).to_pylist():
        rest = [row[name] for name in ("fires", "fires_elsewhere", "mean", "mean_elsewhere")]
        shown = "".join(f"  {_number(value):>9}" for value in rest)
        click.echo(f"{row['channel']:>6}  {row['contrast']:>8.3f} {shown}")


def draw_region(space: Space, region: Region, network: Network, images: ImageSet, out: Path) -> None:
    """Its patches as a figure and as a table, its filters as another, named after ``out``."""
    out = _named(space, out)
    table, _ = publish_content(out, region_patches(space, region))
    filters, _ = publish_content(out.with_name(f"{out.name}-filters"), space.filters(region))
    for path in (table, filters, *save_figure(show_region(space, network, images, region), out)):
        click.echo(path)


def _named(space: Space, out: Path) -> Path:
    """Of files outside the study: they say whose they are."""
    return out.with_name(f"{out.name}-{space.results.folder}-{space.folder.rpartition('/')[2]}")


def describe_patch(space: Space, cell: tuple[float, float], arrangement: str | None) -> None:
    """The patch that a cell shows, its filters, and its neighbours in the representation and on the plane."""
    patch, most = space.patch_at(*cell, arrangement), min(_NEIGHBOURS, len(space.points) - 1)
    filters = ", ".join(f"{c} ({space.vectors[patch, c]:.3g})" for c in space.strongest(patch).tolist())
    click.echo(f"{space.network}, {space.layer}: {_patch(space, patch)}; filters {filters or 'none'}")
    alike = space.nearest(patch, most)
    beside = space.nearest(patch, most, on="plane", arrangement=arrangement)
    for title, found in (
        ("nearest in the representation, and the distance", alike),
        ("nearest on the plane, and the distance in cells", beside),
    ):
        click.echo(title)
        for one, distance in zip(found.patches.tolist(), found.distances.tolist(), strict=True):
            click.echo(f"  {distance:>9.3f}  {_patch(space, one)}")
    click.echo(
        f"{len(np.intersect1d(alike.patches, beside.patches))} of these {len(alike.patches)} are in both"
    )


def _patch(space: Space, patch: int) -> str:
    row = space.patches.slice(patch, 1).to_pylist()[0]
    name = space.results.study.pictures["name"][row["picture"]].as_py()
    return f"patch {patch}, row {row['row']}, column {row['column']} of {name}"


def place(space: Space, network: Network, paths: Sequence[Path], out: Path) -> bool:
    """Put pictures on the plane: a figure and a table named after ``out``. Whether all could be read."""
    names, loaded, bad = [], [], 0
    for path in find_images(list(paths)):
        try:
            loaded.append(network.preprocessing.apply(load_image(path)))
            names.append(str(path))
        except ImageError as error:
            click.echo(f"skipped: {error}", err=True)
            bad += 1
    if not loaded:
        raise ImageError("none of the pictures to place can be read; give others")
    placed = place_pictures(space, network, torch.stack(loaded))
    named = placed.append_column("name", [[names[picture] for picture in placed["picture"].to_pylist()]])
    out = _named(space, out)
    table, _ = publish_content(out, named)
    short = [Path(name).name for name in names]
    page = show_placed(space, placed, short if len(set(short)) == len(short) else names)
    for path in (table, *save_figure(page, out)):
        click.echo(path)
    return not bad
