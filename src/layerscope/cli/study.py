"""The command `layerscope study`: the whole pipeline over an image set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.networks import load_networks
from layerscope.cli.options import (
    SOME_SKIPPED,
    batch_option,
    building,
    chosen_channels,
    chosen_pictures,
    computing,
    images_argument,
    networks_named,
    out_option,
    refuse_useless,
    say,
    strict_option,
    workers_option,
)
from layerscope.cli.progress import progress_bar
from layerscope.errors import PortraitError, one_line

if TYPE_CHECKING:
    from layerscope.pipeline import StudyOptions
    from layerscope.study.folder import Study

_SHOWN = 10  # bad pictures named at the end; the study lists them all


@click.command()
@images_argument
@networks_named
@out_option("the study")
@click.option(
    "--labels",
    type=click.Choice(["folders", "none"]),
    help="folders: IMAGES is one folder with a folder for each class. none: leave labels out that a list or "
    "shards have.",
)
@click.option(
    "--top", type=click.IntRange(1), default=9, show_default=True, help="Strongest patches per filter."
)
@batch_option
@workers_option
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
    default="none",
    show_default=True,
    metavar="none|all|0-31,77",
    help="Which filters of each convolution to portray, as `layerscope filters` does; the last lines say how many "
    "there are.",
)
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="LAYER",
    help="Also map the representation space of this layer, of the networks that have it, as `layerscope space make` "
    "does; repeat it for more.",
)
@click.option(
    "--pictures",
    callback=chosen_pictures,
    metavar="N|NAMES",
    help="Also add what pages show, as `layerscope pages` does, with so many pictures large, or those of these names.",
)
@strict_option
@computing
@building
def study(images: tuple[Path, ...], out: Path, strict: bool, **options: Any) -> None:
    """Run IMAGES through each network once and keep what every layer shows, as a study in a folder.

    IMAGES are files, folders, one list file (.txt or .csv: path and perhaps label) or WebDataset shards (.tar).
    The study holds each filter's strongest patches, sparsity, statistics of every channel and predictions, as
    tables; with --filters also the portraits of filters, their patches with their reconstructions, which take longer
    than all the rest.

    Exit code: 0 all done, 3 done but some pictures could not be read or a network's filters not be portrayed,
    1 failed, 130 interrupted.
    """
    from layerscope.study.folder import Study

    portrayed = True
    try:
        made = _make(images, out, options)
    except PortraitError as error:
        say(one_line(str(error)), err=True)
        made, portrayed = Study.open(out), False
    _summarise(made, options["spaces"])
    if options["pictures"] is not None:
        _summarise_pages(made)
    say(made.path)
    if made.bad.num_rows and strict:
        sys.exit(1)
    if made.bad.num_rows or not portrayed:
        sys.exit(SOME_SKIPPED)


def _make(images: tuple[Path, ...], out: Path, options: dict[str, Any]) -> Study:
    from layerscope.images.sets import open_images
    from layerscope.pipeline import make_study

    what = _options(options)
    pictures = open_images(list(images), labels=options["labels"])
    networks = load_networks(options["names"], options["weight_names"], options)
    with progress_bar() as progress:
        return make_study(networks, pictures, out, options=what, progress=progress)


def _options(options: dict[str, Any]) -> StudyOptions:
    """What is to be made; what is wrong is refused before anything is read."""
    from layerscope.filters.portraits import FilterOptions
    from layerscope.pages.options import PageOptions
    from layerscope.pipeline import StudyOptions
    from layerscope.sweep.engine import Local
    from layerscope.sweep.one_pass import SweepOptions
    from layerscope.sweep.ray_engine import RayEngine
    from layerscope.sweep.standard import standard_reducers

    if options["engine"] == "local":
        refuse_useless("--engine ray", "address")
    channels, pictures = chosen_channels(options["chosen"], none=True), options["pictures"]
    return StudyOptions(
        standard_reducers(top=options["top"]),
        SweepOptions(options["batch"], options["workers"]),
        Local() if options["engine"] == "local" else RayEngine(options["address"]),
        None if channels == () else FilterOptions(channels=channels),
        options["spaces"],
        pages=None if pictures is None else PageOptions(pictures),
    )


def _summarise(made: Study, spaces: tuple[str, ...]) -> None:
    from layerscope.filters.top_filters import count_filters

    for name in made.networks:
        about = made.network(name).about
        say(f"{name}: {about['weights']}, {about['layers']} layers")
    for name in made.networks if spaces else ():
        _summarise_spaces(made, name, spaces)
    bad = made.bad.select(["name", "reason"]).to_pylist()
    for row in bad[:_SHOWN]:
        say(one_line(f"skipped {row['name']}: {row['reason']}"), err=True)
    if len(bad) > _SHOWN:
        say(f"skipped {len(bad) - _SHOWN} more; pictures.parquet has the reasons", err=True)
    total = made.pictures.num_rows
    say(f"{total - len(bad)} of {total} pictures" + (f", {len(bad)} skipped" if bad else ""))
    waiting = {name: count_filters(made, name) for name in made.networks}
    if any(waiting.values()):
        counts = ", ".join(f"{count:,} filters of {name}" for name, count in waiting.items() if count)
        say(f"not portrayed: {counts}; `layerscope filters {made.path}` draws them, `--channels 0-7` a few")


def _summarise_pages(made: Study) -> None:
    from layerscope.pages.summary import summary_of

    for line in summary_of(made, made.networks):
        say(line)


def _summarise_spaces(made: Study, name: str, layers: tuple[str, ...]) -> None:
    from layerscope.cli.space_answers import summarise
    from layerscope.space.space import Space, spaces_of

    for layer in spaces_of(made, name):
        if layer in layers:
            summarise(Space.open(made, layer, name))
