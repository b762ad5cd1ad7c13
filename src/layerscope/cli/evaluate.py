"""The command `layerscope evaluate`: how often networks are wrong over labelled pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from layerscope.cli.networks import load_networks
from layerscope.cli.options import (
    SOME_SKIPPED,
    batch_option,
    building,
    class_folders,
    computing,
    images_argument,
    networks_named,
    out_option,
    say,
    strict_option,
    workers_option,
)
from layerscope.cli.progress import progress_bar


@click.command()
@images_argument
@networks_named
@out_option("the results, a study")
@class_folders
@batch_option
@workers_option
@strict_option
@computing
@building
def evaluate(images: tuple[Path, ...], out: Path, strict: bool, **options: Any) -> None:
    """Say how often networks are wrong over labelled IMAGES, each by its centre, with intervals.

    IMAGES are class folders (--labels folders), one list file or shards, as for `layerscope study`. Makes the errors of
    every class and what is taken for what, as tables and a figure, and for each two networks McNemar's test.

    Exit code: 0 all done, 3 done but some pictures could not be read, 1 failed.
    """
    from layerscope.compare.evaluation import evaluate_networks
    from layerscope.images.sets import open_images
    from layerscope.sweep.one_pass import SweepOptions

    pictures = open_images(list(images), labels=options["labels"])
    settings = SweepOptions(options["batch"], options["workers"])
    networks = load_networks(options["names"], options["weight_names"], options)
    with progress_bar() as progress:
        study, findings = evaluate_networks(networks, pictures, out, settings=settings, progress=progress)
    for finding in findings:
        say(finding.text)
    say(study.path / "evaluation")
    if study.bad.num_rows:
        say(f"{study.bad.num_rows} pictures skipped; pictures.parquet has the reasons", err=True)
        sys.exit(1 if strict else SOME_SKIPPED)
