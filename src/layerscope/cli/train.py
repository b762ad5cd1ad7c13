"""The command `layerscope train`: a network from labelled pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from layerscope.choices import RECIPES
from layerscope.cli.networks import build_options, open_device
from layerscope.cli.options import (
    building,
    class_folders,
    device_option,
    images_argument,
    out_option,
    say,
    workers_option,
)
from layerscope.cli.progress import progress_bar
from layerscope.errors import one_line


@click.command()
@click.argument("network")
@images_argument
@out_option("the training")
@class_folders
@click.option(
    "--validation",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Pictures that are not trained on, whose error is measured after each epoch; repeat it as IMAGES.",
)
@click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    default="short",
    show_default=True,
    help="short: one cycle of the rate, smoothed labels. paper: the rate falls in steps.",
)
@click.option(
    "--epochs", type=click.IntRange(1), help="How often each picture is seen; default: the recipe's."
)
@click.option(
    "--batch", type=click.IntRange(1), help="Pictures of a step, of all processes; default: the recipe's."
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Highest learning rate; default: the recipe's."
)
@click.option(
    "--mirror/--no-mirror",
    default=None,
    help="Whether pictures are mirrored half of the times: not where left and right differ, as in letters; "
    "default: the recipe's.",
)
@click.option("--weights", "-w", help="A file of weights to begin from, or fashion; random unless given.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of weights, order and crops."
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Precision of the computation; weights are float32.",
)
@workers_option
@click.option(
    "--interval",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds between checkpoints: what a killed run loses of its training at most.",
)
@click.option(
    "--keep",
    type=click.FloatRange(0),
    multiple=True,
    metavar="EPOCHS",
    help="Also keep the weights as they are after so many epochs (0, 0.5, 3); repeat it for more.",
)
@click.option("--tensorboard", is_flag=True, help="Also write the log for TensorBoard.")
@device_option
@building
def train(network: str, images: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Train NETWORK to tell the classes of IMAGES apart.

    IMAGES are class folders (--labels folders), one list file (.txt or .csv: path and label) or WebDataset shards
    (.tar). Makes weights.safetensors, which every command takes by --weights, log.csv, the curve of loss and error, and
    training.json. Started by torchrun, every process takes its share of each batch.
    """
    from layerscope.images.sets import open_images
    from layerscope.train.processes import speaks
    from layerscope.train.training import train_network

    labels = options["labels"]
    pictures = open_images(list(images), labels=labels)
    validation = open_images(list(options["validation"]), labels=labels) if options["validation"] else None
    with progress_bar(disable=None if speaks() else True) as progress:
        made = train_network(
            network, pictures, out, options=_options(options), validation=validation, progress=progress
        )
    if not speaks():
        return
    for reason in made.bad:
        say(one_line(f"skipped {reason}"), err=True)
    last = made.log.slice(made.log.num_rows - 1).to_pylist()[0]
    seen = "" if last["validation_error"] is None else f", validation error {last['validation_error']:.2%}"
    say(
        one_line(
            f"{network}: {last['epoch']} epochs, loss {last['loss']:.3f}, error {last['error']:.2%}{seen}"
        )
    )
    say(made.weights)


def _options(options: dict[str, Any]) -> Any:
    import torch

    from layerscope.train.plan import TrainOptions
    from layerscope.train.recipes import RECIPES as ALL

    changed = {
        name: options[name] for name in ("epochs", "batch", "rate", "mirror") if options[name] is not None
    }
    return TrainOptions(
        replace(ALL[options["recipe"]], **changed),
        build_options(options),
        options["weights"],
        options["seed"],
        getattr(torch, options["dtype"]),
        open_device(options["device"]),
        options["workers"],
        options["interval"],
        options["keep"],
        options["tensorboard"],
    )
