"""The command `layerscope filters`: the portraits of a study's filters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.options import (
    DISPLAY_NAMES,
    PRECISIONS,
    RULE_NAMES,
    device_option,
    listed,
    networks_of,
    open_device,
    studied,
)
from layerscope.cli.progress import progress_bar

if TYPE_CHECKING:
    from layerscope.filters.portraits import Drawing
    from layerscope.images.sets import ImageSet
    from layerscope.network.network import Network
    from layerscope.study.folder import Study


def chosen_channels(text: str, *, none: bool = False) -> tuple[int, ...] | None:
    """The channels that 0-31,77 means; None: all; () for the word none, if that may be said."""
    if text == "all":
        return None
    if text == "none" and none:
        return ()
    found: set[int] = set()
    for part in text.split(","):
        ends = part.strip().split("-")
        if len(ends) > 2 or not all(end.isdecimal() for end in ends) or int(ends[0]) > int(ends[-1]):
            words = "all, none," if none else "all,"
            raise click.BadParameter(f"{text!r}: {words} or numbers and ranges such as 0-31,77")
        found.update(range(int(ends[0]), int(ends[-1]) + 1))
    return tuple(sorted(found))


def _channels(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...] | None:
    return chosen_channels(value)


def portray(study: Study, network: Network, images: ImageSet, **what: Any) -> Study:
    """`make_portraits` with a bar."""
    from layerscope.filters.portraits import make_portraits
    from layerscope.progress import of

    with progress_bar() as progress:
        return make_portraits(study, network, images, progress=of(network.name, progress), **what)


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@studied
@click.option(
    "--layers",
    default="conv",
    show_default=True,
    help="conv (every convolution), all, even (every second convolution and the last FC layer), or names with "
    "commas.",
)
@click.option(
    "--channels",
    default="all",
    show_default=True,
    callback=_channels,
    metavar="all|0-31,77",
    help="Which filters.",
)
@click.option(
    "--rule",
    type=RULE_NAMES,
    help="How the signal passes a ReLU; default: as in those that are there, else deconvnet.",
)
@click.option(
    "--display",
    type=DISPLAY_NAMES,
    help="How a panel shows its values; default: as in those that are there, else signed.",
)
@device_option
@click.option(
    "--dtype",
    type=PRECISIONS,
    help="Precision of the computation; default: as of those that are there, else the study's.",
)
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
    chosen = networks_of(found, names, options["weights"])
    images = images_of(found, places)
    for name in chosen:
        found = _portray(found, name, images, options)
        _summarise(found, name)


def _portray(study: Study, name: str, images: ImageSet, options: dict[str, Any]) -> Study:
    import torch

    from layerscope.filters.portraits import precision_of
    from layerscope.study.sources import network_of

    drawing = _drawing(study, name, options["rule"], options["display"])
    precision = getattr(torch, options["dtype"]) if options["dtype"] else precision_of(study, name)
    device = open_device(options["device"])
    network = network_of(study, name, weights=options["weights"], device=device, dtype=precision)
    named: str = options["layers"]
    return portray(
        study,
        network,
        images,
        layers=named if named in ("conv", "all", "even") else listed(named),
        channels=options["channels"],
        drawing=drawing,
    )


def _drawing(study: Study, name: str, rule: str | None, display: str | None) -> Drawing:
    """As asked for; what is not asked for as the portraits that are there."""
    from layerscope.filters.portraits import Drawing, drawing_of
    from layerscope.reconstruction.rules import RULES

    if rule is not None and display is not None:
        return Drawing(RULES[rule], display)
    there = drawing_of(study, name)
    other = None if rule == there.rule.name else rule
    return Drawing(RULES[other] if other else there.rule, display or there.display)


def _summarise(study: Study, name: str) -> None:
    table = study.network(name).table("filters")
    dead = sum(table.column("dead").to_pylist())
    layers = len(table.column("layer").unique())
    click.echo(
        f"{name}: {table.num_rows} filter{'s'[: table.num_rows != 1]} of {layers} layer{'s'[: layers != 1]}"
        + (f", {dead} dead" if dead else "")
    )
    click.echo(study.path / study.network(name).folder / "filters")
