"""The command `layerscope compare`: networks side by side, as a folder that can be sent to a colleague."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerscope.choices import PARTS
from layerscope.cli.networks import open_device
from layerscope.cli.options import device_option, images_moved, layers_option, out_option, rule_choice, say
from layerscope.cli.progress import progress_bar


@click.command()
@click.argument("studies", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STUDY...")
@out_option("the comparison")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    help="Only this part; repeat it for more. All that the studies allow unless given.",
)
@click.option(
    "--pictures",
    default="4",
    show_default=True,
    metavar="N|NAMES",
    help="How many of those that the networks see most differently are shown, or names with commas.",
)
@click.option(
    "--rule", type=rule_choice, default="deconvnet", show_default=True, help="How the signal passes a ReLU."
)
@click.option(
    "--grid",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Representations are pooled into so many cells each way; 1: one vector for each picture.",
)
@click.option(
    "--filters",
    type=click.IntRange(0),
    default=18,
    show_default=True,
    help="How many pairs of filters that match are shown of two networks, and how many that nothing matches; of a "
    "training, how many filters.",
)
@images_moved
@layers_option(
    None, "; for reconstructions that are measured. Some that each part chooses unless given", required=False
)
@click.option(
    "--masks",
    metavar="PLACE",
    help="Masks of objects: a folder (DIR/PICTURE.png, white the object), a .csv (name,left,top,right,bottom) or alpha "
    "(the pictures' own). Files beside the pictures (PICTURE.mask.png, PICTURE_mask.png) unless given.",
)
@device_option
def compare(studies: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Compare all networks of one STUDY, or of several that are of the same pictures.

    Makes a folder of figures, tables and a report that opens in a browser: what each network keeps of chosen
    pictures, how sparse its layers are, which layers and filters are alike, and more. The folder is a study itself:
    `layerscope check` checks it.
    """
    from layerscope.compare.comparison import compare_studies
    from layerscope.compare.report import REPORT
    from layerscope.compare.subject import CompareOptions
    from layerscope.images.sets import open_images
    from layerscope.reconstruction.rules import RULES

    wanted = options["pictures"]
    what = CompareOptions(
        options["parts"] or None,
        int(wanted) if wanted.isdecimal() else tuple(name for name in wanted.split(",") if name),
        RULES[options["rule"]],
        options["grid"],
        options["layers"],
        options["masks"],
        filters=options["filters"],
    )
    images = open_images(list(options["places"]), labels="none") if options["places"] else None
    with progress_bar() as progress:
        made = compare_studies(
            list(studies),
            out,
            options=what,
            images=images,
            device=open_device(options["device"]),
            progress=progress,
        )
    say(made.path / REPORT)
