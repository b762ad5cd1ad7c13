"""The command `layerscope space`: the representation space of a study's layers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.command_line import SOME_SKIPPED, computing, networks_of, open_device, studied

if TYPE_CHECKING:
    from layerscope.network import Network
    from layerscope.space import Space
    from layerscope.spaces import Plan
    from layerscope.study import Study

_FILTERS = 10  # of a region, printed


def _outline(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """left,top,right,bottom, or the corners of a polygon: x,y x,y x,y ..."""
    if value is None:
        return None
    try:
        corners = [tuple(map(float, corner.split(","))) for corner in value.split()]
    except ValueError:
        corners = []
    if len(corners) == 1 and len(corners[0]) == 4:
        return corners[0]
    if len(corners) > 2 and all(len(corner) == 2 for corner in corners):
        return corners
    raise click.BadParameter(
        f'{value!r}: give "left,top,right,bottom" or three or more corners "x,y x,y x,y"'
    )


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--layer", "-l", "layers", multiple=True, required=True, help="Whose space; repeat it for more."
)
@studied
@click.option(
    "--patches",
    "count",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Patches of each layer.",
)
@click.option(
    "--where",
    type=click.Choice(["auto", "inside", "all"]),
    default="auto",
    show_default=True,
    help="inside: only patches that lie in the picture. all: at borders too. auto: inside where the layer has any.",
)
@click.option("--per-picture", type=click.IntRange(1), help="At most so many patches of one picture.")
@click.option(
    "--perplexity", type=click.FloatRange(2), default=30.0, show_default=True, help="Of t-SNE: how many "
    "neighbours a patch is held to.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the sample and of t-SNE."
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Of t-SNE; other numbers, other planes.",
)
@click.option("--cells", type=click.IntRange(1), help="Cells of the plane at least; default: one per patch.")
@click.option(
    "--side", type=click.IntRange(8, 256), default=48, show_default=True, help="Pixels along a cell."
)
@click.option(
    "--region",
    callback=_outline,
    metavar="BOX",
    help='Say what is in a region of the plane that is there: "left,top,right,bottom" or "x,y x,y x,y", in cells.',
)
@click.option(
    "--arrangement",
    type=click.Choice(["fill", "one-to-one"]),
    default="one-to-one",
    show_default=True,
    help="The plane that --region is on.",
)
@click.option(
    "--place",
    "placed",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Show where the network sees these pictures on the plane that is there; needs --out.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Name of the files of --place, without suffix.")
@computing
def space(study: Path, **options: Any) -> None:
    """Map the patches of a layer of STUDY by what the layer makes of them (the paper's Fig. 3).

    Adds to the study, for each layer: a sample of patches with their vectors, their t-SNE embedding, the plane filled
    as the paper does and with each patch exactly once (images, and tiles for a Deep Zoom viewer), regions worth a
    look with their filters, and measures of how true the plane is. A second run goes on where the first stopped.
    """
    from layerscope.study import Study

    found = Study.open(study)
    names = networks_of(found, options["names"], options["weights"])
    if options["placed"] and options["out"] is None:
        raise click.UsageError("--place needs --out, the name of its files")
    if options["out"] is not None and not options["out"].name:
        raise click.BadParameter(f"{options['out']} is a folder; name the files in it", param_hint="--out")
    for name in names:
        _one_network(found, name, options)
        found = Study.open(study)


def _one_network(study: Study, name: str, options: dict[str, Any]) -> None:
    from layerscope.space import Space

    if options["region"] is not None:
        for layer in options["layers"]:
            _describe(Space.open(study, layer, name), options["region"], options["arrangement"])
        return
    network = _network(study, name, options)
    if options["placed"]:
        for layer in options["layers"]:
            _place(Space.open(study, layer, name), network, options)
        return
    made = _make(study, network, options)
    for layer in options["layers"]:
        _summarise(Space.open(made, layer, name))


def _network(study: Study, name: str, options: dict[str, Any]) -> Network:
    import torch

    from layerscope.sources import network_of

    device, dtype = open_device(options["device"]), getattr(torch, options["dtype"])
    return network_of(study, name, weights=options["weights"], device=device, dtype=dtype)


def _plan(options: dict[str, Any]) -> Plan:
    from layerscope.embedding import Tsne
    from layerscope.spaces import Plan

    tsne = Tsne(options["perplexity"], seed=options["seed"], threads=options["threads"])
    drawn = {name: options[name] for name in ("count", "where", "per_picture", "seed", "side", "cells")}
    return Plan(**drawn, tsne=tsne)


def _make(study: Study, network: Network, options: dict[str, Any]) -> Study:
    from tqdm import tqdm

    from layerscope.sources import images_of
    from layerscope.spaces import make_spaces

    images = images_of(study, options["places"])
    with tqdm(total=1.0, disable=None, bar_format=_BAR) as bar:
        progress = _Shown(bar)
        return make_spaces(study, network, images, options["layers"], plan=_plan(options), progress=progress)


class _Shown:
    """A bar for one thing after the other."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.what, self.share = bar, "", 0.0

    def __call__(self, what: str, share: float) -> None:
        """As `make_spaces` calls it."""
        if what != self.what:
            self.what, self.share = what, 0.0
            self.bar.reset()
            self.bar.set_description_str(what)
        self.bar.update(share - self.share)
        self.share = share


_BAR = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


def _summarise(space: Space) -> None:
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


def _describe(space: Space, outline: Any, arrangement: str) -> None:
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


def _place(space: Space, network: Network, options: dict[str, Any]) -> None:
    import torch

    from layerscope.canvas import save_figure
    from layerscope.errors import ImageError
    from layerscope.images import find_images, load_image
    from layerscope.placing import place_pictures, show_placed
    from layerscope.tables import publish_content

    names, loaded, bad = [], [], 0
    for path in find_images(list(options["placed"])):
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
    out: Path = options["out"].with_name(f"{options['out'].name}-{space.results.folder}-{layer}")
    table, _ = publish_content(out, named)
    short = [Path(name).name for name in names]
    page = show_placed(space, placed, short if len(set(short)) == len(short) else names)
    for path in (table, *save_figure(page, out)):
        click.echo(path)
    if bad:
        sys.exit(SOME_SKIPPED)
