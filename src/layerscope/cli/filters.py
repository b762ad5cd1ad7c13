"""The command `layerscope filters`: the portraits of a study's filters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope import choices
from layerscope.cli.networks import network_to_draw, networks_of
from layerscope.cli.options import (
    channels_option,
    device_option,
    display_choice,
    images_moved,
    layers_option,
    network_of_study,
    precision_choice,
    say,
    study_argument,
    weights_moved,
)
from layerscope.cli.progress import progress_bar

if TYPE_CHECKING:
    from layerscope.images.sets import ImageSet
    from layerscope.study.folder import Study


@click.command()
@study_argument
@network_of_study
@layers_option("conv")
@channels_option("Which filters.")
@click.option(
    "--rule",
    type=click.Choice((*choices.RULES, choices.PATCHES_ALONE)),
    help="How the signal passes a ReLU; none: patches alone; default: as in those that are there, else deconvnet.",
)
@click.option(
    "--display",
    type=display_choice,
    help="How a panel shows its values; default: as in those that are there, else signed.",
)
@click.option(
    "--dtype",
    type=precision_choice,
    help="Precision of the computation; default: as of those that are there, else the study's.",
)
@device_option
@images_moved
@weights_moved
def filters(study: Path, names: tuple[str, ...], places: tuple[Path, ...], **options: Any) -> None:
    """Show what excites each filter of STUDY, and what the filter keeps of it (the paper's Fig. 7).

    Adds to the study, for each network: a picture of every filter's top patches above their reconstructions, pages
    of filters for each layer (PNG and PDF), the weights of the first layer, and the table `filters`. A second run
    goes on where the first stopped, and adds to what is there; with another --rule, --display or --dtype it replaces
    what is there.
    """
    from layerscope.study.folder import Study
    from layerscope.study.sources import images_of

    found = Study.open(study)
    chosen = networks_of(found, names, options["weight_names"])
    images = images_of(found, places)
    for name, weights in chosen:
        found = _portray(found, name, weights, images, options)
        _summarise(found, name)


def _portray(
    study: Study, name: str, weights: str | None, images: ImageSet, options: dict[str, Any]
) -> Study:
    from layerscope.filters.portraits import drawing_of, make_portraits
    from layerscope.progress import of

    drawing = drawing_of(study, name, rule=options["rule"], display=options["display"])
    network = network_to_draw(study, name, weights, options)
    with progress_bar() as progress:
        return make_portraits(
            study,
            network,
            images,
            layers=options["layers"],
            channels=options["channels"],
            drawing=drawing,
            progress=of(name, progress),
        )


def _summarise(study: Study, name: str) -> None:
    table = study.network(name).table("filters")
    dead = sum(table.column("dead").to_pylist())
    layers = len(table.column("layer").unique())
    say(
        f"{name}: {table.num_rows} filter{'s'[: table.num_rows != 1]} of {layers} layer{'s'[: layers != 1]}"
        + (f", {dead} dead" if dead else "")
    )
    say(study.path / study.network(name).folder / "filters")
