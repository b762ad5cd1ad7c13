"""The commands `layerscope maximise` and `layerscope invert`: pictures made from a network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.cli.options import (
    SOME_SKIPPED,
    building,
    channels_option,
    class_named,
    computing,
    layers_option,
    load_networks,
    networks_named,
    out_option,
    say,
    strict_option,
    together,
    unit_named,
)
from layerscope.cli.progress import progress_bar
from layerscope.errors import one_line

if TYPE_CHECKING:
    from layerscope.network.network import Network, Unit
    from layerscope.reconstruction.descent import Class

_prior = click.option(
    "--prior",
    default="fourier",
    show_default=True,
    type=click.Choice(["fourier", "none"]),
    help="Fourier coefficients in decorrelated colours, or plain pixels.",
)
_seed = click.option("--seed", default=0, show_default=True, help="Of the pixels that it begins with.")


def _steps(default: int) -> Any:
    return click.option(
        "--steps", default=default, show_default=True, type=click.IntRange(1), help="Of gradient ascent."
    )


@click.command()
@networks_named
@click.option(
    "--unit", "units", multiple=True, metavar="LAYER:CHANNEL", help="A channel; repeat it for several."
)
@layers_option(None, required=False)
@channels_option("Of --layers.")
@click.option(
    "--class", "class_names", multiple=True, metavar="INDEX|NAME", help="A class, by its index or name."
)
@click.option(
    "--each", default=1, show_default=True, type=click.IntRange(1), help="Pictures of each, that differ."
)
@click.option(
    "--margin", default=16, show_default=True, type=click.IntRange(0), help="Pixels around what a unit sees."
)
@click.option(
    "--decay",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Weight of the mean square of the input.",
)
@together(_prior, _steps(256), _seed)
@out_option("pictures")
@computing
@building
def maximise(names: tuple[str, ...], out: Path, units: tuple[str, ...], **options: Any) -> None:
    """Make the pictures that excite channels, or classes, of networks most.

    Only as many pixels as a unit sees, and a margin, are changed. Writes a PNG for each, maximised.png and .pdf with
    all of them, and the table maximised.parquet and .csv; a folder for each network if there are several.
    """
    from layerscope.progress import of
    from layerscope.synthesis import MaximiseOptions, make_maximised

    own = ("layers", "channels", "class_names", "prior", "steps", "seed", "each", "margin", "decay")
    chosen = {name: options.pop(name) for name in own}
    if not (units or chosen["layers"] or chosen["class_names"]):
        raise click.UsageError("say what to excite: --unit LAYER:CHANNEL, --layers, or --class")
    read = load_networks(names, options.pop("weight_names"), options)
    how = MaximiseOptions(**{name: chosen[name] for name in own[3:]})
    for network in read:
        place = out / network.name if len(read) > 1 else out
        with progress_bar() as progress:
            table = make_maximised(
                network,
                _seeds(network, units, chosen),
                place,
                options=how,
                progress=of(network.name, progress),
            )
        say(f"{network.name}: {table.num_rows} picture{'s'[: table.num_rows != 1]}")
        say(place / "maximised.png")


def _seeds(network: Network, units: Sequence[str], chosen: dict[str, Any]) -> list[Unit | Class]:
    """Units named one by one, then those of layers, then classes; each once."""
    from layerscope.network.network import Unit
    from layerscope.reconstruction.descent import Class

    found: list[Unit | Class] = [unit_named(text) for text in units]
    for layer in network.select_layers(chosen["layers"]) if chosen["layers"] else ():
        channels = chosen["channels"] if chosen["channels"] is not None else range(layer.channels)
        found.extend(Unit(layer.name, channel) for channel in channels)
    found.extend(Class(class_named([network], text)) for text in chosen["class_names"])
    return list(dict.fromkeys(found))


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@networks_named
@layers_option("even")
@click.option(
    "--starts", default=2, show_default=True, type=click.IntRange(1), help="From how many different pixels."
)
@together(_prior, _steps(400), _seed)
@out_option("pictures")
@strict_option
@computing
@building
def invert(images: tuple[Path, ...], names: tuple[str, ...], out: Path, strict: bool, **options: Any) -> None:
    """Make pictures that layers of networks find like IMAGES: what a layer keeps, without the picture's switches.

    IMAGES are files and folders. Writes inverted.png and .pdf (per picture and network the deconvnet's
    reconstructions, and beneath a row for each start), every picture as a PNG, inversion-errors.png and .pdf, and the
    table inverted.parquet and .csv.

    Exit code: 0 all done, 3 done but some pictures could not be read, 1 failed, 130 interrupted.
    """
    from layerscope.images.finding import find_images
    from layerscope.synthesis import InvertOptions, make_inverted

    files = find_images(images)
    how = InvertOptions(**{name: options.pop(name) for name in ("prior", "steps", "seed", "starts")})
    layers = options.pop("layers")
    read = load_networks(names, options.pop("weight_names"), options)
    with progress_bar() as progress:
        table, bad = make_inverted(read, files, out, layers=layers, options=how, progress=progress)
    for one in bad:
        say(one_line(f"skipped {one.path}: {one.reason}"), err=True)
    say(f"{len(files) - len(bad)} of {len(files)} pictures, {table.num_rows} inversions")
    say(out / "inverted.png")
    if bad:
        sys.exit(1 if strict else SOME_SKIPPED)
