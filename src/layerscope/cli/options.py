"""What commands share: errors in one line, options that say how to build and run a network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerscope.errors import LayerscopeError, NetworkError

if TYPE_CHECKING:
    from layerscope.network.network import Network
    from layerscope.study.folder import Study

_LARGEST, _WIDEST = 32768, 64  # beyond these no tensor can be addressed, let alone held
SOME_SKIPPED = 3  #: exit code of a job that ended, but had to leave pictures out

Command = Callable[..., Any]


class OneLineErrors(click.Group):
    """Errors are one line, with exit code 1, or 2 for a wrong command; an interrupt says what is kept."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """As click does it, with one line for an error."""
        with _explained():
            return super().make_context(*arguments, **extra)

    def invoke(self, context: click.Context) -> Any:
        """As click does it, with one line for an error and for an interrupt."""
        try:
            with _explained():
                return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("interrupted; what is finished is kept, the same command goes on from there", err=True)
            sys.exit(130)


class _WrongCommand(click.ClickException):
    exit_code = 2


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except LayerscopeError as error:
        raise click.ClickException(one_line(str(error))) from error
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        help_of = "" if error.ctx is None else f" ({error.ctx.command_path} --help)"
        raise _WrongCommand(one_line(error.format_message()).rstrip(".") + help_of) from error
    except (MemoryError, RuntimeError) as error:
        if not _no_memory(error):
            raise
        raise click.ClickException(
            "there is not enough memory; take a smaller --input-size or --width, fewer --classes, or a smaller --batch"
        ) from error


def _no_memory(error: Exception) -> bool:
    """Whether memory ran out: torch says so with errors of its own, on CPUs by the words alone."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error) or "not enough memory" in str(error)


def one_line(text: str) -> str:
    """The text with all white space as single spaces."""
    return " ".join(text.split())


def _input_size(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    numbers = value.lower().split("x")
    if len(numbers) > 2 or not all(n.isdecimal() and 0 < int(n) <= _LARGEST for n in numbers):
        raise click.BadParameter(
            f"a size in pixels, at most {_LARGEST}: 224, or HEIGHTxWIDTH such as 192x256"
        )
    return int(numbers[0]) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))


def _width(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value <= _WIDEST:  # which not-a-number is not either
        raise click.BadParameter(f"{value:g}: a factor above 0, at most {_WIDEST}")
    return value


def building(command: Command) -> Command:
    """The options that say how to build a network."""
    options = (
        click.option("--classes", type=click.IntRange(1), help="Number of classes."),
        click.option("--input-size", callback=_input_size, metavar="N|HxW", help="Input size in pixels."),
        click.option("--channels", type=click.IntRange(1), help="Input channels (alexcnn, vggcnn)."),
        click.option(
            "--width",
            type=float,
            callback=_width,
            help="Factor on the number of filters (alexcnn, vggcnn).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def networks_named(command: Command, *, required: bool = True) -> Command:
    """The options that name networks and their weights."""
    options = (
        click.option(
            "--network",
            "-n",
            "names",
            multiple=True,
            required=required,
            help="A network; repeat it to compare several.",
        ),
        click.option(
            "--weights",
            "-w",
            "weight_names",
            multiple=True,
            help="imagenet (IMAGENET1K_V1 where it exists), imagenet-trunk, another of torchvision's names, "
            "a .safetensors or .pth file, or random. "
            "Once for all networks, or once for each, in their order.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


RULE_NAMES = click.Choice(["deconvnet", "guided", "gradient"])
DISPLAY_NAMES = click.Choice(["signed", "minmax", "positive", "magnitude", "heat"])
PRECISIONS = click.Choice(["float32", "bfloat16", "float64"])
device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")


def computing(command: Command) -> Command:
    """The options that say where and in which precision a network runs."""
    options = (
        device_option,
        click.option(
            "--dtype",
            default="float32",
            show_default=True,
            type=PRECISIONS,
            help="Precision of the computation.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def studied(command: Command) -> Command:
    """The options of commands that add to a study: which of its networks, and where things are now."""
    options = (
        click.option(
            "--network", "-n", "names", multiple=True, help="One of the study's networks; all unless given."
        ),
        click.option(
            "--images",
            "places",
            multiple=True,
            type=click.Path(path_type=Path),
            help="Where the study's pictures are now, if they have moved; repeat it as for the study.",
        ),
        click.option(
            "--weights", "-w", help="Where the weights of the one --network are now, if they have moved."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def networks_of(study: Study, names: tuple[str, ...], weights: str | None) -> tuple[str, ...]:
    """Those named, or all of the study. Raises StudyError for another name, UsageError for weights of several."""
    chosen = names or study.networks
    if weights is not None and len(chosen) != 1:
        raise click.UsageError("--weights is for one network; name it with --network")
    for name in chosen:
        study.network(name)
    return chosen


rule_option = click.option(
    "--rule",
    default="deconvnet",
    show_default=True,
    type=RULE_NAMES,
    help="How the signal passes a ReLU.",
)
display_option = click.option(
    "--display",
    default="signed",
    show_default=True,
    type=DISPLAY_NAMES,
    help="How a panel shows its values.",
)


def listed(text: str) -> tuple[str, ...]:
    """The names in a text, which has commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def load_networks(
    names: Sequence[str], weight_names: Sequence[str], options: dict[str, Any]
) -> tuple[Network, ...]:
    """The networks that the options mean; takes its own out of ``options``."""
    import torch

    from layerscope.zoo.loading import Options, load_network

    weights = weights_of_each(names, weight_names)
    build = building_options(options)
    for key in build:
        del options[key]
    device, dtype = open_device(options.pop("device")), getattr(torch, options.pop("dtype"))
    return tuple(
        load_network(name, one, options=Options(**build), device=device, dtype=dtype, progress=True)
        for name, one in zip(names, weights, strict=True)
    )


def building_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that say how to build a network."""
    return {key: options[key] for key in ("classes", "input_size", "channels", "width")}


def weights_of_each(names: Sequence[str], weight_names: Sequence[str]) -> list[str | None]:
    """The weights of each network: one for all, one for each, or none. Raises click.UsageError for other numbers."""
    if len(weight_names) not in (0, 1, len(names)):
        counts = f"{len(names)} network{'s'[: len(names) > 1]} but {len(weight_names)} --weights"
        raise click.UsageError(f"{counts}: give one for all or one for each")
    each: list[str | None] = [*weight_names] or [None]
    return each * len(names) if len(each) == 1 else each


def open_device(name: str) -> Any:
    """The torch device of that name. Raises NetworkError if it cannot be used."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise NetworkError(f"device {name!r} cannot be used: {reason}; --device cpu always can") from error
    return device
