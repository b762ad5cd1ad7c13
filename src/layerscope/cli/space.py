"""The command `layerscope space`: the representation space of a study's layers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.options import SOME_SKIPPED, computing, networks_of, open_device, studied
from layerscope.cli.progress import progress_bar

if TYPE_CHECKING:
    from layerscope.images.sets import ImageSet
    from layerscope.network.network import Network
    from layerscope.space.making import SpaceOptions
    from layerscope.study.folder import Study


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
    help="The plane that --region and --nearest are on; default: one-to-one if there is one.",
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
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Name of the files of --place, or of --region (its patches, their table, its filters), without suffix.",
)
@computing
def space(study: Path, **options: Any) -> None:
    """Map the patches of a layer of STUDY by what the layer makes of them (the paper's Fig. 3).

    Adds to the study, for each layer: a sample of patches with their vectors, their t-SNE embedding, the plane filled
    as the paper does and with each patch exactly once (images, and tiles for a Deep Zoom viewer), regions worth a
    look with their filters, and measures of how true the plane is. A second run goes on where the first stopped.
    """
    from layerscope.study.folder import Study

    _refuse(options)
    found = Study.open(study)
    names = networks_of(found, options["names"], options["weights"])
    for name in names:
        _check_layers(found, name, options["layers"])
    whole = True
    for name in names:
        whole &= _one_network(found, name, options)
        found = Study.open(study)
    if not whole:
        sys.exit(SOME_SKIPPED)


def _refuse(options: dict[str, Any]) -> None:
    """Options that do not go together."""
    asked = [name for name in ("region", "nearest", "placed") if options[name]]
    if len(asked) > 1:
        raise click.UsageError("--region, --nearest and --place ask different things; give one at a time")
    if options["placed"] and options["out"] is None:
        raise click.UsageError("--place needs --out, the name of its files")
    if options["out"] is not None and asked not in (["region"], ["placed"]):
        raise click.UsageError(
            "--out names the files of --region or --place; a space has its place in the study"
        )
    if options["out"] is not None and not options["out"].name:
        raise click.BadParameter(f"{options['out']} is a folder; name the files in it", param_hint="--out")


def _check_layers(study: Study, name: str, layers: Sequence[str]) -> None:
    """Before anything is made for any network."""
    known = study.network(name).layers.column("layer").to_pylist()
    for layer in layers:
        if layer not in known:
            from layerscope.errors import StudyError

            others = "; take another layer, or other networks by --network" if len(study.networks) > 1 else ""
            raise StudyError(
                f"{name} has no layer {layer!r} in {study.path}; `layerscope layers` lists those it has{others}"
            )


def _one_network(study: Study, name: str, options: dict[str, Any]) -> bool:
    """Whether every picture could be read."""
    from layerscope.cli.space_answers import describe_patch, describe_region, draw_region, place
    from layerscope.space.space import Space
    from layerscope.study.sources import images_of

    layers, out, read = options["layers"], options["out"], True
    there = partial(Space.open, study, network=name)
    if options["nearest"] is not None:
        for layer in layers:
            describe_patch(there(layer), options["nearest"], options["arrangement"])
        return read
    if options["region"] is not None:
        found = [
            (space, space.region(options["region"], options["arrangement"])) for space in map(there, layers)
        ]
        for space, region in found:
            describe_region(space, region)
        if out is not None:
            network, images = _network(study, name, options), images_of(study, options["places"])
            for space, region in found:
                draw_region(space, region, network, images, out)
        return read
    network = _network(study, name, options)
    if options["placed"]:
        for layer in layers:
            read &= place(there(layer), network, options["placed"], out)
        return read
    map_layers(study, network, images_of(study, options["places"]), layers, _plan(options))
    return read


def _network(study: Study, name: str, options: dict[str, Any]) -> Network:
    import torch

    from layerscope.study.sources import network_of

    device, dtype = open_device(options["device"]), getattr(torch, options["dtype"])
    return network_of(study, name, weights=options["weights"], device=device, dtype=dtype)


def _plan(options: dict[str, Any]) -> SpaceOptions:
    from layerscope.plane.embedding import Tsne
    from layerscope.space.making import SpaceOptions

    tsne = Tsne(options["perplexity"], seed=options["seed"], threads=options["threads"])
    drawn = {name: options[name] for name in ("count", "where", "per_picture", "seed", "side", "cells")}
    return SpaceOptions(**drawn, tsne=tsne)


def map_layers(
    study: Study, network: Network, images: ImageSet, layers: Sequence[str], plan: SpaceOptions | None = None
) -> Study:
    """`make_spaces` with a bar, and what it made in words."""
    from layerscope.cli.space_answers import summarise
    from layerscope.space.making import make_spaces
    from layerscope.space.space import Space

    with progress_bar() as progress:
        made = make_spaces(study, network, images, layers, plan=plan, progress=progress)
    for layer in layers:
        summarise(Space.open(made, layer, network.name))
    return made
