"""The commands `layerscope maximise` and `layerscope invert`: pictures made from a network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.choices import MOST_EACH
from layerscope.cli.networks import class_named, load_networks, network_to_draw, networks_of, unit_named
from layerscope.cli.options import (
    SOME_SKIPPED,
    building,
    channels_option,
    computing,
    images_moved,
    layers_option,
    networks_named,
    out_option,
    refuse_useless,
    say,
    strict,
    together,
    weights_option,
)
from layerscope.cli.progress import progress_bar
from layerscope.errors import one_line

if TYPE_CHECKING:
    import pyarrow as pa

    from layerscope.network.network import Network, Unit
    from layerscope.reconstruction.descent import Class
    from layerscope.synthesis import MaximiseOptions, Nature


_NAMED = 8  # channels, of many


def _prior(*more: str, words: str = "") -> Any:
    return click.option(
        "--prior",
        default="fourier",
        show_default=True,
        type=click.Choice(["fourier", *more, "none"]),
        help=f"fourier: waves in decorrelated colours; {words}none: plain pixels.",
    )


_seed = click.option("--seed", default=0, show_default=True, help="Of the pixels that it begins with.")


def _steps(default: int) -> Any:
    return click.option(
        "--steps", default=default, show_default=True, type=click.IntRange(1), help="Of gradient ascent."
    )


@click.command()
@click.argument("study", required=False, type=click.Path(path_type=Path))
@click.option(
    "--network",
    "-n",
    "names",
    multiple=True,
    help="A network; repeat it for several. Of STUDY: all unless given.",
)
@weights_option
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="LAYER:CHANNEL",
    help="A channel; repeat it for several. A position, @ROW,COLUMN, does not count.",
)
@layers_option(None, required=False)
@channels_option("Of --layers.")
@click.option(
    "--class", "class_names", multiple=True, metavar="INDEX|NAME", help="A class, by its index or name."
)
@click.option(
    "--each",
    default=1,
    show_default=True,
    type=click.IntRange(1, MOST_EACH),
    help="Pictures of each, that differ.",
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
@together(
    _prior("study", words="study: so, and like the channel's strongest patches in STUDY; "),
    _steps(64),
    _seed,
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Without STUDY: folder of pictures; a second run goes on where the first stopped.",
)
@images_moved
@computing
@building
def maximise(study: Path | None, **options: Any) -> None:
    """Make the pictures that excite channels, or classes, of networks most.

    Only as many pixels as a unit sees, and a margin, are changed. With STUDY they are added to it, for its networks,
    beside the strongest patches of each channel on pages, and its explorer shows them. Without, for each --network,
    writes into --out a PNG for each, maximised.png and .pdf with all of them, and the table maximised.parquet and
    .csv; a folder for each network if there are several. A second run goes on where the first stopped. Pictures of
    other channels that are there stay; those of the same channel, made with other options, are replaced.
    """
    from layerscope.synthesis import MaximiseOptions

    chosen = {name: options.pop(name) for name in ("units", "layers", "channels", "class_names")}
    if not (chosen["units"] or chosen["layers"] or chosen["class_names"]):
        raise click.UsageError("say what to excite: --unit LAYER:CHANNEL, --layers, or --class")
    if not chosen["layers"]:
        refuse_useless("--layers", "channels")
    own = ("prior", "steps", "seed", "each", "margin", "decay")
    how = MaximiseOptions(**{name: options.pop(name) for name in own})
    if study is None:
        _into_folder(chosen, how, options)
    else:
        _into_study(study, chosen, how, options)


def _into_folder(chosen: dict[str, Any], how: MaximiseOptions, options: dict[str, Any]) -> None:
    from layerscope.progress import of
    from layerscope.synthesis import make_maximised
    from layerscope.synthesis.maximising import check_seeds

    names, out = options.pop("names"), options.pop("out")
    refuse_useless("STUDY", "places")
    if not names or out is None:
        raise click.UsageError("name a STUDY to add to, or a --network and the folder --out")
    if how.prior == "study":
        raise click.UsageError(
            "--prior study takes its patches from a study; name the STUDY, or use --prior fourier"
        )
    options.pop("places")
    read = load_networks(names, options.pop("weight_names"), options)
    wanted = [(network, _seeds(network, chosen)) for network in read]
    for network, seeds in wanted:
        check_seeds(network, seeds, how, None)
    for network, seeds in wanted:
        place = out / network.name if len(read) > 1 else out
        with progress_bar() as progress:
            table = make_maximised(network, seeds, place, options=how, progress=of(network.name, progress))
        say(f"{network.name}: {table.num_rows} picture{'s'[: table.num_rows != 1]}")
        _say_still(network.name, table)
        say(place / "maximised.png")


def _into_study(path: Path, chosen: dict[str, Any], how: MaximiseOptions, options: dict[str, Any]) -> None:
    from layerscope.progress import of
    from layerscope.study.folder import Study
    from layerscope.study.sources import images_of
    from layerscope.synthesis import Nature, add_maximised

    if chosen["class_names"]:
        raise click.UsageError("a study shows channels; for a class give a --network and the folder --out")
    if options["out"] is not None:
        raise click.UsageError(
            "with STUDY pictures are added to it; leave out --out, or name a --network instead"
        )
    found = Study.open(path)
    networks = [
        network_to_draw(found, name, weights, options)
        for name, weights in networks_of(found, options["names"], options["weight_names"])
    ]
    images = images_of(found, options["places"])
    natures = [Nature(found, network, images) for network in networks]
    for network, units in [(nature.network, _units(nature, chosen, how)) for nature in natures]:
        with progress_bar() as progress:
            found = add_maximised(
                found, network, images, units, options=how, progress=of(network.name, progress)
            )
        results = found.network(network.name)
        rows = results.table("pages/maximised")
        say(f"{network.name}: {rows.num_rows} picture{'s'[: rows.num_rows != 1]}{_paths(rows)}")
        _say_still(network.name, rows)
        say(found.path / results.folder / "maximised")


def _say_still(network: str, table: pa.Table) -> None:
    """Which channels were not excited at all, and which by patches alone."""
    from layerscope.synthesis.stillness import is_dead, is_missed

    every = [(f"{row['layer']}:{row['channel']}", row) for row in table.to_pylist()]
    excited = {name for name, row in every if row["activation"] != 0}  # by one of several
    named = {name: row for name, row in every if name not in excited}
    if dead := [name for name, row in named.items() if is_dead(row)]:
        say(f"{network}: dead, nothing that was tried excites {_some(dead)}")
    if missed := [f"{name} ({row['strongest']:.4g})" for name, row in named.items() if is_missed(row)]:
        words = "not excited, but by patches (the strongest's activation): "
        say(f"{network}: {words}{_some(missed)}; give more --steps, or less --decay")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _units(nature: Nature, chosen: dict[str, Any], how: MaximiseOptions) -> list[Unit]:
    """Units of a study's network; checked, before any network's pictures are made."""
    from layerscope.network.network import Unit
    from layerscope.synthesis.maximising import check_seeds

    units = [seed for seed in _seeds(nature.network, chosen) if isinstance(seed, Unit)]
    if how.prior == "study":
        units = _with_patches(nature, units, chosen["units"])
    check_seeds(nature.network, units, how, nature)
    return units


def _paths(rows: pa.Table) -> str:
    """How like the paths of pictures are to those of patches, in words."""
    paths = [
        pair
        for pair in zip(*(rows[n].to_pylist() for n in ("path", "natural_path")), strict=True)
        if None not in pair
    ]
    if not paths:
        return ""
    own, natural = (sum(values) / len(paths) for values in zip(*paths, strict=True))
    return f"; paths {own:.2f} like those of patches, which are {natural:.2f} like each other"


def _with_patches(nature: Nature, units: Sequence[Unit], named: Sequence[str]) -> list[Unit]:
    """Without channels of whole layers that never fire, which have no patches to be like; says how many they are."""
    asked = {unit_named(text) for text in named}
    kept = [unit for unit in units if unit in asked or nature.filter(unit).patches]
    if missing := len(units) - len(kept):
        what = f"{missing} channel{'s are' if missing > 1 else ' is'} zero for all pictures, and left out"
        say(f"{nature.network.name}: {what}")
    return kept


def _seeds(network: Network, chosen: dict[str, Any]) -> list[Unit | Class]:
    """Units named one by one, then those of layers, then classes."""
    from layerscope.network.network import Unit
    from layerscope.reconstruction.descent import Class

    found: list[Unit | Class] = [unit_named(text) for text in chosen["units"]]
    for layer in network.select_layers(chosen["layers"]) if chosen["layers"] else ():
        channels = chosen["channels"] if chosen["channels"] is not None else range(layer.channels)
        found.extend(Unit(layer.name, channel) for channel in channels)
    found.extend(Class(class_named([network], text)) for text in chosen["class_names"])
    return found


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@networks_named
@layers_option("even")
@click.option(
    "--starts", default=2, show_default=True, type=click.IntRange(1), help="From how many different pixels."
)
@together(_prior(), _steps(400), _seed)
@out_option("pictures")
@strict("picture cannot be read, or has a layer that is zero for it")
@computing
@building
def invert(images: tuple[Path, ...], names: tuple[str, ...], out: Path, strict: bool, **options: Any) -> None:
    """Make pictures that layers of networks find like IMAGES: what a layer keeps, without the picture's switches.

    IMAGES are files and folders. Writes inverted.png and .pdf (per picture and network the deconvnet's
    reconstructions, and beneath a row for each start), every picture as a PNG, inversion-errors.png and .pdf, and the
    table inverted.parquet and .csv. A second run goes on where the first stopped. Inversions of other pictures and
    layers that are there stay; those of the same layer, made with other options, are replaced.

    Exit code: 0 all done, 3 done but some pictures could not be read or have layers that are zero for them, 1 failed,
    130 interrupted.
    """
    from layerscope.images.finding import find_images
    from layerscope.synthesis import InvertOptions, make_inverted
    from layerscope.synthesis.inverted_folder import zeros

    files = find_images(images)
    how = InvertOptions(**{name: options.pop(name) for name in ("prior", "steps", "seed", "starts")})
    layers = options.pop("layers")
    read = load_networks(names, options.pop("weight_names"), options)
    with progress_bar() as progress:
        table, bad = make_inverted(read, files, out, layers=layers, options=how, progress=progress)
    for one in bad:
        say(one_line(f"skipped {one.path}: {one.reason}"), err=True)
    left_out = zeros(table.to_pylist())
    for words in left_out:
        say(f"{words}, and left out", err=True)
    made = table.num_rows - table["file"].null_count
    say(f"{len(files) - len(bad)} of {len(files)} pictures, {made} inversions")
    say(out / "inverted.png")
    if bad or left_out:
        sys.exit(1 if strict else SOME_SKIPPED)
