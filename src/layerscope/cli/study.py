"""The command `layerscope study`: the whole pipeline over an image set, and the check of what it made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.filters import chosen_channels, portray
from layerscope.cli.options import (
    SOME_SKIPPED,
    building,
    building_options,
    computing,
    load_networks,
    networks_named,
    one_line,
    weights_of_each,
)
from layerscope.cli.progress import progress_bar
from layerscope.cli.space import map_layers

if TYPE_CHECKING:
    from layerscope.images.sets import ImageSet
    from layerscope.network.network import Network
    from layerscope.study.folder import Study
    from layerscope.study.sources import Loading
    from layerscope.sweep.engine import Engine

_SHOWN = 10  # bad pictures named at the end; the study lists them all


@click.command()
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@partial(networks_named, required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the study; a second run goes on where the first stopped.",
)
@click.option(
    "--labels",
    type=click.Choice(["folders", "none"]),
    help="folders: IMAGES is one folder with a folder for each class. none: leave labels out that a list or "
    "shards have.",
)
@click.option(
    "--top", type=click.IntRange(1), default=9, show_default=True, help="Strongest patches per filter."
)
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Pictures at once.")
@click.option(
    "--shard",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Pictures between checkpoints; a multiple of the batch.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Decoding threads.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where shards run: here, or as tasks of a Ray cluster.",
)
@click.option("--address", help="Of the Ray cluster; without it one is started here.")
@click.option(
    "--filters",
    "chosen",
    default="all",
    show_default=True,
    metavar="all|none|0-31,77",
    help="Which filters of each convolution to portray, as `layerscope filters` does.",
)
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="LAYER",
    help="Also map the representation space of this layer, of the networks that have it, as `layerscope space` does; "
    "repeat it for more.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 if any picture cannot be read.")
@click.option("--check", type=click.Path(path_type=Path), metavar="DIR", help="Only check the study in DIR.")
@computing
@building
def study(images: tuple[Path, ...], check: Path | None, out: Path | None, **options: Any) -> None:
    """Run IMAGES through each network once and keep what every layer shows, as a study in a folder.

    IMAGES are files, folders, one list file (.txt or .csv: path and perhaps label) or WebDataset shards (.tar).
    The study holds each filter's strongest patches, sparsity, statistics of every channel and predictions, as
    tables, and the portraits of filters: their patches with their reconstructions (`layerscope filters` adds more).

    Exit code: 0 all done, 3 done but some pictures could not be read or a network's filters not be portrayed,
    1 failed, 130 interrupted.
    """
    if check is not None:
        _check(check)
        return
    if not images or not options["names"] or out is None:
        raise click.UsageError("a study needs IMAGES, --network and --out (or --check DIR)")
    made, portrayed = _make(images, out, options)
    _summarise(made)
    if made.bad.num_rows and options["strict"]:
        sys.exit(1)
    if made.bad.num_rows or not portrayed:
        sys.exit(SOME_SKIPPED)


def _make(images: tuple[Path, ...], out: Path, options: dict[str, Any]) -> tuple[Study, bool]:
    """The study, and whether all portraits that were asked for are in it."""
    from layerscope.images.sets import open_images
    from layerscope.pipeline import add_charts
    from layerscope.study.folder import Study
    from layerscope.study.sources import remember_sources

    channels, spaces = chosen_channels(options.pop("chosen"), none=True), options.pop("spaces")
    run = _prepared(out, options)
    pictures = open_images(list(images), labels=options.pop("labels"))
    loads = _loading(options)
    networks = load_networks(options.pop("names"), options.pop("weight_names"), options)
    _check_spaces(networks, spaces)
    named = zip((network.name for network in networks), loads, strict=True)
    made = add_charts(remember_sources(run(networks, pictures), images, dict(named)))
    done = [_portray(made, network, pictures, channels) for network in networks if channels != ()]
    for network in networks:
        own = [layer for layer in spaces if _has(network, layer)]
        if own:
            map_layers(Study.open(made.path), network, pictures, own)
    return Study.open(made.path), all(done)


def _prepared(out: Path, options: dict[str, Any]) -> Callable[[Sequence[Network], ImageSet], Study]:
    """The pass over the pictures, with a bar; wrong options are refused before anything is read."""
    from layerscope.pipeline import standard_reducers
    from layerscope.sweep.making import make_study
    from layerscope.sweep.one_pass import SweepOptions

    settings = SweepOptions(*(options.pop(name) for name in ("batch", "shard", "workers")))
    engine = _engine(options.pop("engine"), options.pop("address"))
    reducers = standard_reducers(top=options.pop("top"))

    def run(networks: Sequence[Network], pictures: ImageSet) -> Study:
        with progress_bar() as progress:
            return make_study(
                networks, pictures, reducers, out, settings=settings, engine=engine, progress=progress
            )

    return run


def _has(network: Network, layer: str) -> bool:
    return any(known.name == layer for known in network.layers)


def _check_spaces(networks: Sequence[Network], spaces: Sequence[str]) -> None:
    """Before the pass: whether there are such layers, and the libraries."""
    from layerscope.errors import NetworkError
    from layerscope.plane.embedding import check_embedding_libraries
    from layerscope.plane.grid import check_plane_libraries

    for layer in spaces:
        if not any(_has(network, layer) for network in networks):
            names = " and ".join(network.name for network in networks)
            raise NetworkError(
                f"{names}: no layer {layer!r} to map; `layerscope layers` lists those there are"
            )
    if spaces:
        check_embedding_libraries()
        check_plane_libraries()


def _portray(study: Study, network: Network, pictures: ImageSet, channels: tuple[int, ...] | None) -> bool:
    """Portray the filters of the convolutions as those that are there; whether the rule covers them."""
    from layerscope.errors import UnsupportedOperationError
    from layerscope.filters.portraits import drawing_of, precision_of

    if not any(layer.kind == "conv2d" for layer in network.layers):
        return True
    drawing = drawing_of(study, network.name)
    network = network.to(dtype=precision_of(study, network.name))
    try:
        portray(study, network, pictures, channels=channels, drawing=drawing)
    except UnsupportedOperationError as error:
        click.echo(
            one_line(f"no portraits of {network.name}: {error}{_another_rule(study, network)}"), err=True
        )
        return False
    return True


def _another_rule(study: Study, network: Network) -> str:
    """What makes portraits by a rule that covers all convolutions; nothing if none does."""
    from layerscope.reconstruction.rules import RULES
    from layerscope.reconstruction.units import covers

    layers = [layer.name for layer in network.layers if layer.kind == "conv2d"]
    rules = [name for name, rule in RULES.items() if covers(network, layers, rule)]
    return (
        f"; `layerscope filters {study.path} -n {network.name} --rule {rules[0]}` makes them" if rules else ""
    )


def _loading(options: dict[str, Any]) -> list[Loading]:
    """How each of the networks is loaded again."""
    from layerscope.study.sources import Loading
    from layerscope.zoo.loading import Options

    specs, build = options["names"], Options(**building_options(options))
    weights = weights_of_each(specs, options["weight_names"])
    return [Loading(spec, one, build) for spec, one in zip(specs, weights, strict=True)]


def _engine(name: str, address: str | None) -> Engine:
    from layerscope.sweep.engine import Local

    if name == "local":
        if address is not None:
            raise click.UsageError("--address is of a Ray cluster; add --engine ray")
        return Local()
    from layerscope.sweep.ray_engine import RayEngine

    return RayEngine(address)


def _check(folder: Path) -> None:
    from layerscope.study.check import check_study

    faults = check_study(folder)
    for fault in faults:
        click.echo(one_line(str(fault)), err=True)
    if faults:
        sys.exit(1)
    click.echo(f"{folder}: whole")


def _summarise(made: Study) -> None:
    for name in made.networks:
        about = made.network(name).about
        click.echo(f"{name}: {about['weights']}, {about['layers']} layers")
    bad = made.bad.select(["name", "reason"]).to_pylist()
    for row in bad[:_SHOWN]:
        click.echo(one_line(f"skipped {row['name']}: {row['reason']}"), err=True)
    if len(bad) > _SHOWN:
        click.echo(f"skipped {len(bad) - _SHOWN} more; pictures.parquet has the reasons", err=True)
    total = made.pictures.num_rows
    click.echo(f"{total - len(bad)} of {total} pictures" + (f", {len(bad)} skipped" if bad else ""))
    click.echo(made.path)
