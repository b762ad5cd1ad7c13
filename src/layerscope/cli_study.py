"""The command `layerscope study`: the whole pipeline over an image set, and the check of what it made."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli_filters import chosen_channels, portray
from layerscope.command_line import (
    SOME_SKIPPED,
    building,
    building_options,
    computing,
    load_networks,
    networks_named,
    one_line,
    weights_of_each,
)

if TYPE_CHECKING:
    from layerscope.engine import Engine
    from layerscope.sources import Loading
    from layerscope.study import Study

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
@click.option("--strict", is_flag=True, help="Exit code 1 if any picture cannot be read.")
@click.option("--check", type=click.Path(path_type=Path), metavar="DIR", help="Only check the study in DIR.")
@computing
@building
def study(images: tuple[Path, ...], check: Path | None, out: Path | None, **options: Any) -> None:
    """Run IMAGES through each network once and keep what every layer shows, as a study in a folder.

    IMAGES are files, folders, one list file (.txt or .csv: path and perhaps label) or WebDataset shards (.tar).
    The study holds each filter's strongest patches, sparsity, statistics of every channel and predictions, as
    tables, and the portraits of filters: their patches with their reconstructions (`layerscope filters` adds more).

    Exit code: 0 all done, 3 done but some pictures could not be read, 1 failed, 130 interrupted.
    """
    if check is not None:
        _check(check)
        return
    if not images or not options["names"] or out is None:
        raise click.UsageError("a study needs IMAGES, --network and --out (or --check DIR)")
    made = _make(images, out, options)
    _summarise(made)
    if made.bad.num_rows:
        sys.exit(1 if options["strict"] else SOME_SKIPPED)


def _make(images: tuple[Path, ...], out: Path, options: dict[str, Any]) -> Study:
    from tqdm import tqdm

    from layerscope.imagesets import open_images
    from layerscope.pipeline import build_study, standard_reducers
    from layerscope.sources import remember_sources
    from layerscope.sweep import Pass

    channels = chosen_channels(options.pop("chosen"), none=True)
    settings = Pass(*(options.pop(name) for name in ("batch", "shard", "workers")))
    pictures = open_images(list(images), labels=options.pop("labels"))
    engine = _engine(options.pop("engine"), options.pop("address"))
    reducers = standard_reducers(top=options.pop("top"))
    loads = _loading(options)
    networks = load_networks(options.pop("names"), options.pop("weight_names"), options)
    with tqdm(total=len(pictures) * len(networks), unit="picture", disable=None) as bar:
        made = build_study(
            networks, pictures, reducers, out, settings=settings, engine=engine, progress=bar.update
        )
    named = zip((network.name for network in networks), loads, strict=True)
    made = remember_sources(made, images, dict(named))
    for network in networks if channels != () else ():
        made = portray(made, network, pictures, channels=channels)
    return made


def _loading(options: dict[str, Any]) -> list[Loading]:
    """How each of the networks is loaded again."""
    from layerscope.sources import Loading
    from layerscope.zoo import Options

    specs, build = options["names"], Options(**building_options(options))
    weights = weights_of_each(specs, options["weight_names"])
    return [Loading(spec, one, build) for spec, one in zip(specs, weights, strict=True)]


def _engine(name: str, address: str | None) -> Engine:
    from layerscope.engine import Local

    if name == "local":
        if address is not None:
            raise click.UsageError("--address is of a Ray cluster; add --engine ray")
        return Local()
    from layerscope.ray_engine import RayEngine

    return RayEngine(address)


def _check(folder: Path) -> None:
    from layerscope.study_check import check_study

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
