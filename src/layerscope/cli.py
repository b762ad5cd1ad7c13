"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope._version import __version__
from layerscope.errors import LayerscopeError, NetworkError

if TYPE_CHECKING:
    from layerscope.gallery import Gallery, Look
    from layerscope.images import BadImage
    from layerscope.network import Network, Unit

SOME_SKIPPED = 3  #: exit code of a job that ended, but had to leave pictures out

Command = Callable[..., Any]


class _OneLineErrors(click.Group):
    """Errors are one line, with exit code 1, or 2 for a wrong command; an interrupt says what is kept."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _one_line():
            return super().make_context(*arguments, **extra)

    def invoke(self, context: click.Context) -> Any:
        try:
            with _one_line():
                return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("interrupted; what is finished is kept, the same command goes on from there", err=True)
            sys.exit(130)


class _WrongCommand(click.ClickException):
    exit_code = 2


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except LayerscopeError as error:
        raise click.ClickException(_joined(str(error))) from error
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        help_of = "" if error.ctx is None else f" ({error.ctx.command_path} --help)"
        raise _WrongCommand(_joined(error.format_message()).rstrip(".") + help_of) from error


def _joined(text: str) -> str:
    return " ".join(text.split())


@click.group(
    cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="layerscope")
def main() -> None:
    """Show what every layer of a convolutional network represents.

    NETWORK is alexcnn or vggcnn (the paper's), any torchvision classifier by name (`layerscope networks` lists
    them), or package.module:factory, a function of yours that returns a torch module.
    """


def _input_size(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    numbers = value.lower().split("x")
    if len(numbers) > 2 or not all(n.isdecimal() and int(n) > 0 for n in numbers):
        raise click.BadParameter("a size in pixels: 224, or HEIGHTxWIDTH such as 192x256")
    return int(numbers[0]) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))


def _building(command: Command) -> Command:
    """The options that say how to build a network."""
    options = (
        click.option("--classes", type=click.IntRange(1), help="Number of classes."),
        click.option("--input-size", callback=_input_size, metavar="N|HxW", help="Input size in pixels."),
        click.option("--channels", type=click.IntRange(1), help="Input channels (alexcnn, vggcnn)."),
        click.option(
            "--width",
            type=click.FloatRange(0, min_open=True),
            help="Factor on the number of filters (alexcnn, vggcnn).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.argument("network")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@_building
def layers(network: str, as_json: bool, **building: Any) -> None:
    """Print name, operation, channels, output size and receptive field of each layer of NETWORK.

    Size, stride and start of the receptive field are in pixels; start is the centre of the first position.
    """
    from layerscope.overview import layer_records, layer_table
    from layerscope.zoo import Options, read_architecture

    read = read_architecture(network, options=Options(**building))
    if as_json:
        click.echo(
            json.dumps(
                {"network": read.name, "input": read.input_shape, "layers": layer_records(read)}, indent=1
            )
        )
    else:
        click.echo(layer_table(read))


@main.command()
@click.argument("network")
@click.option("--out", type=click.Path(path_type=Path), help="Name of the two files; default: NETWORK.")
@_building
def architecture(network: str, out: Path | None, **building: Any) -> None:
    """Draw the architecture of NETWORK, with layer sizes and receptive fields, as PNG and PDF."""
    from layerscope.canvas import save_figure
    from layerscope.overview import show_architecture
    from layerscope.zoo import Options, read_architecture

    read = read_architecture(network, options=Options(**building))
    stem = out or Path(network.replace(":", "."))
    if stem.suffix.lower() in (".png", ".pdf"):
        stem = stem.with_suffix("")
    for path in save_figure(show_architecture(read), stem):
        click.echo(path)


@main.command()
def networks() -> None:
    """List the networks that have a name."""
    from layerscope.zoo import network_names

    click.echo("\n".join(network_names()))


@main.group(invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="One line for each of torchvision's networks.")
@click.pass_context
def weights(context: click.Context, every: bool) -> None:
    """List the weights that have a name, where they come from and whether they are here.

    `layerscope weights fetch NETWORK` downloads them. LAYERSCOPE_CACHE names the folder they are kept in.
    """
    if context.invoked_subcommand is not None:
        return
    from layerscope.weights import cache_folder, list_weights

    for row in list_weights(every=every):
        size = "" if row.size is None else f"{row.size / 1e6:.0f} MB"
        here = {True: "cached", False: "not cached", None: ""}[row.cached]
        click.echo(f"{row.network:<33} {row.name:<15} {row.scope:<6} {size:>7}  {here:<11} {row.source}")
        click.echo(f"{'':<33} licence: {row.licence}")
    click.echo(f"cache: {cache_folder()}")


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
    from layerscope.weights import fetch

    for one in network:
        found = fetch(one, name, progress=True)
        click.echo(f"{one} {name}: {found.path} ({found.scope}; {found.source}; SHA-256 {found.sha256})")


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--network", "-n", "names", multiple=True, required=True, help="A network; repeat it to compare several."
)
@click.option(
    "--weights",
    "-w",
    "weight_names",
    multiple=True,
    help="imagenet (torchvision's default), imagenet-trunk, a .safetensors or .pth file, or random. "
    "Once for all networks, or once for each, in their order.",
)
@click.option(
    "--layers",
    default="all",
    show_default=True,
    help="all, even (every second convolution and the last FC layer, as in Fig. 4), or names with commas.",
)
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
    "--rule",
    default="deconvnet",
    show_default=True,
    type=click.Choice(["deconvnet", "guided", "gradient"]),
    help="How the signal passes a ReLU.",
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
    type=click.Choice(["signed", "minmax", "positive", "magnitude", "heat"]),
    help="How a panel shows its values.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the results; a second run goes on where the first stopped.",
)
@click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be read.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "bfloat16", "float64"]),
    help="Precision of the computation.",
)
@_building
def reconstruct(
    images: tuple[Path, ...], names: tuple[str, ...], out: Path, strict: bool, **options: Any
) -> None:
    """Project what each layer keeps of each picture back to pixels (the paper's Fig. 4 and 5).

    IMAGES are files and folders. Writes reconstructions.png and .pdf (per picture a row for each network: input,
    layers from low to high, top-5 predictions; many rows make numbered pages), every panel as a PNG of its own,
    and results.json.

    Exit code: 0 all done, 3 done but some pictures could not be read, 1 failed, 130 interrupted.
    """
    from tqdm import tqdm

    from layerscope.gallery import Gallery, make_gallery
    from layerscope.images import find_images

    files = find_images(images)
    read = _networks(names, options.pop("weight_names"), options)
    gallery = Gallery(out, read, _look(read, options))
    with tqdm(total=len(files), unit="picture", disable=None) as bar:
        made, bad = make_gallery(gallery, files, strict=strict, progress=bar.update, report=_report_bad)
    _summarise(gallery, files, made, bad)
    if bad:
        sys.exit(SOME_SKIPPED)


def _networks(
    names: Sequence[str], weight_names: Sequence[str], options: dict[str, Any]
) -> tuple[Network, ...]:
    import torch

    from layerscope.zoo import Options, load_network

    if len(weight_names) not in (0, 1, len(names)):
        counts = f"{len(names)} network{'s'[: len(names) > 1]} but {len(weight_names)} --weights"
        raise click.UsageError(f"{counts}: give one for all or one for each")
    building = Options(**{key: options.pop(key) for key in ("classes", "input_size", "channels", "width")})
    device, dtype = _device(options.pop("device")), getattr(torch, options.pop("dtype"))
    chosen: list[str | None] = [*weight_names] or [None]
    return tuple(
        load_network(name, one, options=building, device=device, dtype=dtype, progress=True)
        for name, one in zip(names, chosen * len(names), strict=False)
    )


def _device(name: str) -> Any:
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise NetworkError(f"device {name!r} cannot be used: {reason}; --device cpu always can") from error
    return device


def _look(networks: Sequence[Network], options: dict[str, Any]) -> Look:
    from dataclasses import replace

    from layerscope.gallery import Look
    from layerscope.rules import RULES

    named: str = options["layers"]
    return Look(
        layers=named
        if named in ("all", "even")
        else tuple(part.strip() for part in named.split(",") if part.strip()),
        units=tuple(map(_unit, options["units"])),
        classes=tuple(_class(networks, text) for text in options["class_names"]),
        rule=replace(RULES[options["rule"]], overlap=options["overlap"]),
        display=options["display"],
    )


def _unit(text: str) -> Unit:
    from layerscope.network import Unit

    layer, _, rest = text.rpartition(":")
    channel, _, position = rest.partition("@")
    numbers = [channel, *position.split(",")] if position else [channel]
    if not layer or len(numbers) not in (1, 3) or not all(n.strip().isdecimal() for n in numbers):
        raise click.BadParameter(
            f"{text!r} is not LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN", param_hint="--unit"
        )
    return Unit(layer, *map(int, numbers))


def _class(networks: Sequence[Network], text: str) -> int:
    if text.isdecimal():
        return int(text)
    found = {i for network in networks for i, name in enumerate(network.classes or ()) if name == text}
    if len(found) == 1:
        return found.pop()
    several = f"{text!r} is the name of classes {', '.join(map(str, sorted(found)))}"
    none = f"no network has a class called {text!r}"
    raise click.BadParameter(f"{several if found else none}; give its index", param_hint="--class")


def _report_bad(bad: BadImage) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr):
        click.echo(_joined(f"skipped {bad.path}: {bad.reason}"), err=True)


def _summarise(
    gallery: Gallery, files: Sequence[Path], made: Sequence[Path], bad: Sequence[BadImage]
) -> None:
    from layerscope.gallery import FIGURE_PICTURES

    for called, network in zip(gallery.names, gallery.networks, strict=True):
        why = network.why_no_predictions
        click.echo(f"{called}: {network.weights}" + (f"; no predictions: {why}" if why else ""))
    done = len(files) - len(bad)
    click.echo(f"{done} of {len(files)} pictures" + (f", {len(bad)} skipped" if bad else ""))
    if done > FIGURE_PICTURES:
        click.echo(f"the figure shows the first {FIGURE_PICTURES}; the panels of all are in the folder")
    for path in made:
        click.echo(path)


if __name__ == "__main__":
    main()
