"""The commands `layerscope space ...`: the representation space of a study's layers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.networks import networks_of, open_device
from layerscope.cli.options import (
    SOME_SKIPPED,
    computing,
    images_moved,
    layers_option,
    network_of_study,
    refuse_useless,
    say,
    strict_option,
    study_argument,
    together,
    weights_moved,
)
from layerscope.cli.progress import progress_bar

if TYPE_CHECKING:
    from layerscope.network.network import Network
    from layerscope.space.making import SpaceOptions
    from layerscope.space.space import Space
    from layerscope.study.folder import Study

_COORDINATES = {"ignore_unknown_options": True}  # -1,0 is a place, not an option


class _Outline(click.ParamType[Any]):
    """left,top,right,bottom, or the corners of a polygon: x,y x,y x,y ..."""

    name = "outline"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A box as four numbers, a polygon as pairs of them."""
        try:
            corners = [tuple(map(float, corner.split(","))) for corner in value.split()]
        except ValueError:
            corners = []
        if len(corners) == 1 and len(corners[0]) == 4:
            return corners[0]
        if len(corners) > 2 and all(len(corner) == 2 for corner in corners):
            return corners
        self.fail(f'{value!r}: give "left,top,right,bottom" or three or more corners "x,y x,y x,y"')


class _Cell(click.ParamType[Any]):
    """x,y"""

    name = "cell"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Two numbers."""
        try:
            x, y = map(float, value.split(","))
        except ValueError:
            self.fail(f'{value!r}: give "x,y"')
        return x, y


def _stem(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not value.name:
        raise click.BadParameter(f"{value} is a folder; name the files in it")
    return value


arrangement_option = click.option(
    "--arrangement",
    type=click.Choice(["fill", "one-to-one"]),
    help="The plane that is meant; default: one-to-one if there is one.",
)
spaces_there = together(
    study_argument,
    layers_option("all", "; here, those whose space is in the study"),
    network_of_study,
)  #: which spaces of a study
moved = together(computing, images_moved, weights_moved)


@click.group()
def space() -> None:
    """Map what the layers of a study hold to be alike (the paper's Fig. 3), and ask the map."""


@space.command("make")
@study_argument
@layers_option(None)
@network_of_study
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
    "--perplexity",
    type=click.FloatRange(2),
    default=30.0,
    show_default=True,
    help="Of t-SNE: how many neighbours a patch is held to.",
)
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
@moved
def make(study: Path, names: tuple[str, ...], layers: Any, **options: Any) -> None:
    """Map the patches of layers of STUDY by what the layers make of them.

    Adds to the study, for each layer: a sample of patches with their vectors, their t-SNE embedding, the plane filled
    as the paper does and with each patch exactly once (images, and tiles for a Deep Zoom viewer), regions worth a
    look with their filters, and measures of how true the plane is. A second run goes on where the first stopped.
    """
    from layerscope.cli.space_answers import summarise
    from layerscope.progress import of
    from layerscope.space.making import make_spaces
    from layerscope.space.space import Space, check_layers
    from layerscope.study.folder import Study
    from layerscope.study.sources import images_of

    found = Study.open(study)
    chosen = networks_of(found, names, options["weight_names"])
    for name, _ in chosen:
        check_layers(found, name, layers)
    for name, weights in chosen:
        network = _network(found, name, weights, options)
        wanted = [layer.name for layer in network.select_layers(layers)]
        images = images_of(found, options["places"])
        with progress_bar() as progress:
            found = make_spaces(
                found, network, images, wanted, options=_plan(options), progress=of(name, progress)
            )
        for layer in wanted:
            summarise(Space.open(found, layer, name))


@space.command("region", context_settings=_COORDINATES)
@spaces_there
@click.argument("outline", type=_Outline())
@arrangement_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=_stem,
    help="Name of files for its patches, their table and its filters, without suffix.",
)
@moved
def region(study: Path, outline: Any, arrangement: str | None, out: Path | None, **options: Any) -> None:
    """Say what is in a region of the plane that is there.

    OUTLINE: "left,top,right,bottom" or the corners "x,y x,y x,y" of a polygon, in cells.
    """
    from layerscope.cli.space_answers import describe_region
    from layerscope.space.drawn import save_region
    from layerscope.study.sources import images_of

    if out is None:
        refuse_useless("--out", "device", "dtype", "places", "weight_names")
    found = [
        (weights, space, space.region(outline, arrangement)) for weights, space in _spaces(study, options)
    ]
    for _, space, region in found:
        describe_region(space, region)
    for weights, space, region in found if out is not None else ():
        whole = space.results.study
        network, images = (
            _network(whole, space.network, weights, options),
            images_of(whole, options["places"]),
        )
        assert out is not None
        for path in save_region(space, network, images, region, out):
            say(path)


@space.command("nearest", context_settings=_COORDINATES)
@spaces_there
@click.argument("cell", type=_Cell())
@arrangement_option
def nearest(study: Path, cell: tuple[float, float], arrangement: str | None, **options: Any) -> None:
    """Say which patches are alike to the one that a CELL "x,y" of the plane shows."""
    from layerscope.cli.space_answers import describe_patch

    for _, space in _spaces(study, options):
        describe_patch(space, cell, arrangement)


@space.command("place")
@spaces_there
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    callback=_stem,
    help="Name of the figure and the table, without suffix.",
)
@strict_option
@computing
@weights_moved
def place(study: Path, pictures: tuple[Path, ...], out: Path, strict: bool, **options: Any) -> None:
    """Show where the network sees new PICTURES on the plane that is there.

    Exit code: 0 all done, 3 done but some pictures could not be read, 1 failed.
    """
    from layerscope.errors import one_line
    from layerscope.progress import of
    from layerscope.space.placing import place_files

    skipped: set[str] = set()
    for weights, space in _spaces(study, options):
        network = _network(space.results.study, space.network, weights, options)
        with progress_bar() as progress:
            made, bad = place_files(
                space, network, pictures, out, progress=of(f"{space.network}: {space.layer}", progress)
            )
        for reason in bad:
            if reason not in skipped:
                say(one_line(f"skipped: {reason}"), err=True)
        skipped.update(bad)
        for path in made:
            say(path)
    if skipped:
        sys.exit(1 if strict else SOME_SKIPPED)


def _spaces(path: Path, options: dict[str, Any]) -> Iterator[tuple[str | None, Space]]:
    """The spaces that the options mean, each with the weights of its network; those of one network first."""
    from layerscope.space.space import Space, select_spaces
    from layerscope.study.folder import Study

    study = Study.open(path)
    for name, weights in networks_of(study, options["names"], options.get("weight_names", ())):
        for layer in select_spaces(study, name, options["layers"]):
            yield weights, Space.open(study, layer, name)


def _network(study: Study, name: str, weights: str | None, options: dict[str, Any]) -> Network:
    import torch

    from layerscope.study.sources import network_of

    device, dtype = open_device(options["device"]), getattr(torch, options["dtype"])
    return network_of(study, name, weights=weights, device=device, dtype=dtype)


def _plan(options: dict[str, Any]) -> SpaceOptions:
    from layerscope.plane.embedding import Tsne
    from layerscope.space.making import SpaceOptions

    tsne = Tsne(options["perplexity"], seed=options["seed"], threads=options["threads"])
    drawn = {name: options[name] for name in ("count", "where", "per_picture", "seed", "side", "cells")}
    return SpaceOptions(**drawn, tsne=tsne)
