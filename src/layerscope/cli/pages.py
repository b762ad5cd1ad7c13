"""The command `layerscope pages`: what the pages of a study show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerscope.cli.networks import network_to_draw, networks_of
from layerscope.cli.options import (
    chosen_pictures,
    device_option,
    images_moved,
    layers_option,
    network_of_study,
    precision_choice,
    refuse_useless,
    rule_choice,
    say,
    study_argument,
    weights_moved,
)
from layerscope.cli.progress import progress_bar


def _most(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    if value != "all" and not value.isdecimal():
        raise click.BadParameter(f"{value!r}: all, or a number such as 1000")
    return None if value == "all" else int(value)


@click.command()
@study_argument
@network_of_study
@click.option(
    "--pictures",
    callback=chosen_pictures,
    metavar="N|NAMES",
    help="Pictures shown large: so many, spread over the set and its classes, or names with commas; default: those "
    "that are there, else 24.",
)
@click.option("--add", is_flag=True, help="Add those --pictures to the ones that are shown large.")
@layers_option(None, "; default: all convolutions and linear layers", required=False)
@click.option(
    "--most",
    default="8192",
    show_default=True,
    callback=_most,
    metavar="N|all",
    help="Filters of a network that have a picture, at most: those portrayed, and others spread over its layers.",
)
@click.option(
    "--filters",
    type=click.Choice(["portrayed", "all", "none"]),
    default="portrayed",
    show_default=True,
    help="Which filters' reconstructions are drawn beneath their patches; portrayed: those with a portrait in STUDY.",
)
@click.option(
    "--rule",
    type=rule_choice,
    help="How the signal passes a ReLU; default: as in the portraits that are there, else deconvnet.",
)
@click.option(
    "--dtype",
    type=precision_choice,
    help="Precision of the computation; default: as of the portraits that are there, else the study's.",
)
@device_option
@images_moved
@weights_moved
def pages(study: Path, names: tuple[str, ...], places: tuple[Path, ...], **options: Any) -> None:
    """Add to STUDY the pictures that its pages show.

    These are all its pictures, small, as each network sees them; chosen ones, large, with what every layer keeps of
    them; and for every filter, or as many as --most says, its strongest patches in one picture. A second run goes on
    where the first stopped, and keeps what is there; with another --rule or --dtype it replaces what is there.
    """
    from layerscope.pages.making import add_pages
    from layerscope.pages.options import PageOptions
    from layerscope.pages.summary import summary_of
    from layerscope.reconstruction.rules import RULES
    from layerscope.study.folder import Study
    from layerscope.study.sources import images_of

    if options["pictures"] is None:
        refuse_useless("--pictures", "add")
    found = Study.open(study)
    chosen = networks_of(found, names, options["weight_names"])
    images = images_of(found, places)
    networks = [network_to_draw(found, name, weights, options) for name, weights in chosen]
    rule = RULES[options["rule"]] if options["rule"] else None
    what = PageOptions(
        options["pictures"], options["layers"], options["filters"], rule, options["add"], options["most"]
    )
    with progress_bar() as progress:
        found = add_pages(found, networks, images, what, progress)
    for line in summary_of(found, [network.name for network in networks]):
        say(line)
    say(found.path)
