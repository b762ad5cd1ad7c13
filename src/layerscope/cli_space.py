"""The command `layerscope space`: the representation space of a study's layers."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.command_line import SOME_SKIPPED, computing, networks_of, open_device, studied

if TYPE_CHECKING:
    from layerscope.network import Network
    from layerscope.spaces import Plan
    from layerscope.study import Study


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


def _cell(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        x, y = map(float, value.split(","))
    except ValueError as error:
        raise click.BadParameter(f'{value!r}: give "x,y"') from error
    return x, y


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
    help="The plane that --region and --nearest are on.",
)
@click.option(
    "--nearest",
    callback=_cell,
    metavar="X,Y",
    help="Say which patches are alike to the one in this cell of the plane that is there.",
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
    whole = True
    for name in names:
        whole &= _one_network(found, name, options)
        found = Study.open(study)
    if not whole:
        sys.exit(SOME_SKIPPED)


def _one_network(study: Study, name: str, options: dict[str, Any]) -> bool:
    """Whether every picture could be read."""
    from layerscope.cli_space_answers import describe_patch, describe_region, place, summarise
    from layerscope.space import Space

    arrangement, there = options["arrangement"], partial(Space.open, study, network=name)
    for layer in options["layers"] if options["region"] is not None else ():
        describe_region(there(layer), options["region"], arrangement)
    for layer in options["layers"] if options["nearest"] is not None else ():
        describe_patch(there(layer), options["nearest"], arrangement)
    if options["region"] is not None or options["nearest"] is not None:
        return True
    network = _network(study, name, options)
    if options["placed"]:
        placed, out = options["placed"], options["out"]
        read = [place(there(layer), network, placed, out) for layer in options["layers"]]
        return all(read)
    made = _make(study, network, options)
    for layer in options["layers"]:
        summarise(Space.open(made, layer, name))
    return True


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
