"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import click

from layerscope._version import __version__
from layerscope.cli.check import check
from layerscope.cli.compare import compare
from layerscope.cli.evaluate import evaluate
from layerscope.cli.export import export
from layerscope.cli.filters import filters
from layerscope.cli.networks import build_options
from layerscope.cli.options import OneLineErrors, building, say
from layerscope.cli.pages import pages
from layerscope.cli.reconstruct import reconstruct
from layerscope.cli.serve import serve
from layerscope.cli.space import space
from layerscope.cli.study import study
from layerscope.cli.synthesis import invert, maximise
from layerscope.cli.train import train
from layerscope.errors import NetworkWarning


@click.group(
    cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="layerscope")
def main() -> None:
    """Show what every layer of a convolutional network represents.

    NETWORK is alexcnn or vggcnn (the paper's), any torchvision classifier by name (`layerscope networks` lists
    them), timm:NAME, net.onnx, net.pt2, or package.module:factory or file.py:Net, a function or class of yours
    that makes a torch module, with its arguments if it needs any: "file.py:Net(width=2)".
    """
    plain = warnings.formatwarning

    def in_one_line(message: Any, category: type[Warning], *where: Any) -> str:
        return f"{message}\n" if issubclass(category, NetworkWarning) else plain(message, category, *where)

    warnings.formatwarning = in_one_line  # type: ignore[assignment]


@main.command()
@click.argument("network")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@building
def layers(network: str, as_json: bool, **building: Any) -> None:
    """Print name, operation, channels, output size and receptive field of each layer of NETWORK.

    Size, stride and start of the receptive field are in pixels; start is the centre of the first position.
    """
    from layerscope.gallery.overview import layer_records, layer_table
    from layerscope.zoo.loading import read_architecture

    read = read_architecture(network, options=build_options(building))
    if as_json:
        say(
            json.dumps(
                {"network": read.name, "input": read.input_shape, "layers": layer_records(read)}, indent=1
            )
        )
    else:
        say(layer_table(read))


@main.command()
@click.argument("network")
@click.option("--out", type=click.Path(path_type=Path), help="Name of the two files; default: NETWORK.")
@building
def architecture(network: str, out: Path | None, **building: Any) -> None:
    """Draw the architecture of NETWORK, with layer sizes and receptive fields, as PNG and PDF."""
    from layerscope.drawing.canvas import save_figure
    from layerscope.gallery.overview import show_architecture
    from layerscope.zoo.loading import read_architecture

    read = read_architecture(network, options=build_options(building))
    stem = out or Path(network.replace(":", "."))
    if stem.suffix.lower() in (".png", ".pdf"):
        stem = stem.with_suffix("")
    if not stem.name:
        raise click.BadParameter(f"{stem} is a folder; name the files in it", param_hint="--out")
    for path in save_figure(show_architecture(read), stem):
        say(path)


@main.command()
def networks() -> None:
    """List the networks that have a name."""
    from layerscope.zoo.loading import network_names

    say("\n".join(network_names()))


@main.group(invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="One line for each of torchvision's networks.")
@click.pass_context
def weights(context: click.Context, every: bool) -> None:
    """List the weights that have a name, where they come from and whether they are here.

    `layerscope weights fetch NETWORK` downloads them. LAYERSCOPE_CACHE names the folder they are kept in.
    """
    if context.invoked_subcommand is not None:
        if every:
            raise click.UsageError(
                f"--all is of the list; it does nothing beside {context.invoked_subcommand}"
            )
        return
    from layerscope.zoo.weights import cache_folder, list_weights

    for row in list_weights(every=every):
        size = "" if row.size is None else f"{row.size / 1e6:.0f} MB"
        here = {True: "cached", False: "not cached", None: ""}[row.cached]
        say(f"{row.network:<33} {row.name:<15} {row.scope:<6} {size:>7}  {here:<11} {row.source}")
        say(f"{'':<33} licence: {row.licence}")
    say(f"cache: {cache_folder()}")


@weights.command("fetch")
@click.argument("network", nargs=-1, required=True)
@click.option(
    "--name",
    default="imagenet",
    show_default=True,
    help="imagenet, imagenet-trunk, or torchvision's own name.",
)
def fetch_weights(network: tuple[str, ...], name: str) -> None:
    """Download the named weights of each NETWORK, check them and keep them."""
    from layerscope.zoo.weights import fetch

    for one in network:
        found = fetch(one, name, progress=True)
        say(f"{one} {name}: {found.path} ({found.scope}; {found.source}; SHA-256 {found.sha256})")


main.add_command(check)
main.add_command(compare)
main.add_command(evaluate)
main.add_command(export)
main.add_command(filters)
main.add_command(invert)
main.add_command(maximise)
main.add_command(pages)
main.add_command(reconstruct)
main.add_command(serve)
main.add_command(space)
main.add_command(study)
main.add_command(train)


if __name__ == "__main__":
    main()
