"""What `layerscope space` says of a space that is there: measures, regions, neighbours, places of new pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from layerscope.network import Network
from layerscope.space import Space

_FILTERS = 10  # of a region, printed


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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def describe_region(space: Space, outline: npt.ArrayLike, arrangement: str) -> None:
    """Whose patches are in it, and its filters."""
    from layerscope.space_sheets import class_names

    region = space.region(outline, arrangement)
    label = "" if region.label is None else (
        f", {region.label_share:.0%} of the class {class_names(space)[region.label]}"
    )  # fmt: skip
    click.echo(
        f"{space.network}, {space.layer}: {len(region.members):,} patches of {region.pictures:,} pictures{label}"
    )
    click.echo("filter  contrast  fires here  elsewhere  mean here  elsewhere")
    for row in space.filters(region).slice(0, _FILTERS).to_pylist():
        rest = [row[name] for name in ("fires", "fires_elsewhere", "mean", "mean_elsewhere")]
        shown = "".join(f"  {_number(value):>9}" for value in rest)
        click.echo(f"{row['channel']:>6}  {row['contrast']:>8.3f} {shown}")


def describe_patch(space: Space, cell: tuple[float, float], arrangement: str) -> None:
    """The patch that a cell shows, its filters, and its neighbours in the representation and on the plane."""
    patch = space.patch_at(*cell, arrangement)
    filters = ", ".join(f"{c} ({space.vectors[patch, c]:.3g})" for c in space.strongest(patch).tolist())
    click.echo(f"{space.network}, {space.layer}: {_patch(space, patch)}; filters {filters or 'none'}")
    alike, beside = space.nearest(patch), space.nearest(patch, on="plane")
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
    import torch

    from layerscope.canvas import save_figure
    from layerscope.errors import ImageError
    from layerscope.images import find_images, load_image
    from layerscope.placing import place_pictures, show_placed
    from layerscope.tables import publish_content

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
    layer = space.folder.rpartition("/")[2]
    out = out.with_name(f"{out.name}-{space.results.folder}-{layer}")
    table, _ = publish_content(out, named)
    short = [Path(name).name for name in names]
    page = show_placed(space, placed, short if len(set(short)) == len(short) else names)
    for path in (table, *save_figure(page, out)):
        click.echo(path)
    return not bad
