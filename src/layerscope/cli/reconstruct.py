"""The command `layerscope reconstruct`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.networks import class_named, load_networks, unit_named
from layerscope.cli.options import (
    NATIVE,
    SOME_SKIPPED,
    building,
    computing,
    display_choice,
    layers_option,
    networks_named,
    rule_choice,
    say,
    strict_option,
)
from layerscope.cli.progress import progress_bar
from layerscope.errors import one_line

if TYPE_CHECKING:
    from layerscope.gallery.folder import Gallery, Look, Native
    from layerscope.images.decoding import BadImage
    from layerscope.network.network import Network


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@networks_named
@layers_option("all")
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="LAYER:CHANNEL[@ROW,COLUMN]",
    help="Also one feature map, or one position of it.",
)
@click.option(
    "--class", "class_names", multiple=True, metavar="INDEX|NAME", help="Also a class, by its index or name."
)
@click.option(
    "--rule", default="deconvnet", show_default=True, type=rule_choice, help="How the signal passes a ReLU."
)
@click.option(
    "--overlap",
    default="sum",
    show_default=True,
    type=click.Choice(["sum", "overwrite"]),
    help="Where overlapping max-pool windows meet.",
)
@click.option(
    "--display",
    default="signed",
    show_default=True,
    type=display_choice,
    help="How a panel shows its values.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the results; a second run goes on where the first stopped.",
)
@strict_option
@computing
@building
def reconstruct(
    images: tuple[Path, ...], names: tuple[str, ...], out: Path, strict: bool, **options: Any
) -> None:
    """Project what each layer keeps of each picture back to pixels (the paper's Fig. 4 and 5).

    IMAGES are files and folders. Writes reconstructions.png and .pdf (per picture a row for each network: input,
    layers from low to high, top-5 predictions; many rows make numbered pages), every panel as a PNG of its own,
    and results.json.

    Exit code: 0 all done, 3 done but some pictures could not be read, 1 failed, 130 interrupted.
    """
    from layerscope.gallery.folder import Gallery, make_gallery
    from layerscope.images.finding import find_images

    files = find_images(images)
    native = options["input_size"] == NATIVE
    options["input_size"] = None if native else options["input_size"]
    read = load_networks(names, options.pop("weight_names"), options)
    gallery = Gallery(out, read, _look(read, options), _native(read) if native else None)
    with progress_bar() as progress:
        made, bad = make_gallery(gallery, files, progress=progress, report=_report_bad)
    _summarise(gallery, files, made, bad)
    if bad:
        sys.exit(1 if strict else SOME_SKIPPED)


def _native(networks: Sequence[Network]) -> Native:
    """The networks for pictures of a size, read once for each."""
    from functools import lru_cache

    from layerscope.zoo.native import native_network

    @lru_cache(4)
    def sized(sides: tuple[int, int]) -> tuple[Network, ...]:
        return tuple(native_network(network, sides) for network in networks)

    return sized


def _look(networks: Sequence[Network], options: dict[str, Any]) -> Look:
    from dataclasses import replace

    from layerscope.gallery.folder import Look
    from layerscope.reconstruction.rules import RULES

    return Look(
        layers=options["layers"],
        units=tuple(map(unit_named, options["units"])),
        classes=tuple(class_named(networks, text) for text in options["class_names"]),
        rule=replace(RULES[options["rule"]], overlap=options["overlap"]),
        display=options["display"],
    )


def _report_bad(bad: BadImage) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr):
        say(one_line(f"skipped {bad.path}: {bad.reason}"), err=True)


def _summarise(
    gallery: Gallery, files: Sequence[Path], made: Sequence[Path], bad: Sequence[BadImage]
) -> None:
    from layerscope.gallery.folder import FIGURE_PICTURES

    for called, network in zip(gallery.names, gallery.networks, strict=True):
        why = network.why_no_predictions
        say(f"{called}: {network.weights}" + (f"; no predictions: {why}" if why else ""))
    done = len(files) - len(bad)
    say(f"{done} of {len(files)} pictures" + (f", {len(bad)} skipped" if bad else ""))
    if done > FIGURE_PICTURES:
        say(f"the figure shows the first {FIGURE_PICTURES}; the panels of all are in the folder")
    for path in made:
        say(path)
