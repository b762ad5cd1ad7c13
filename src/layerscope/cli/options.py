"""What commands share: what they print, errors in one line, options that say how to build and run a network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from layerscope import choices
from layerscope.cli.prepared import PICTURE_OPTIONS
from layerscope.errors import LayerscopeError, no_memory, one_line, printable

_LARGEST, _WIDEST = 32768, 64  # beyond these no tensor can be addressed, let alone held
SOME_SKIPPED = 3  #: exit code of a job that ended, but had to leave something out

NATIVE = "native"  #: for the input size: that of each picture
Command = Callable[..., Any]


def say(text: object, *, err: bool = False) -> None:
    """Print lines; what does not print in them, such as a file's name that a terminal would obey, is escaped."""
    click.echo("\n".join(map(printable, str(text).split("\n"))), err=err)


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
            say("interrupted; what is finished is kept, the same command goes on from there", err=True)
            sys.exit(130)


class _WrongCommand(click.ClickException):
    exit_code = 2


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except LayerscopeError as error:
        if error.said_elsewhere:
            raise click.exceptions.Exit(1) from error
        raise click.ClickException(one_line(str(error))) from error
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        help_of = "" if error.ctx is None else f" ({error.ctx.command_path} --help)"
        raise _WrongCommand(one_line(error.format_message()).rstrip(".") + help_of) from error
    except (MemoryError, RuntimeError) as error:
        if not no_memory(error):
            raise
        raise click.ClickException(
            "there is not enough memory; take a smaller --input-size, --width, --classes, --batch or --each, whichever "
            "the command has"
        ) from error


def refuse_useless(needs: str, *names: str) -> None:
    """Raise UsageError for options that were given and do nothing without others; ``needs``: which, in words."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is not click.core.ParameterSource.DEFAULT
        if parameter.name in names and given:
            raise click.UsageError(f"{parameter.opts[0]} does nothing without {needs}", context)


# ------------------------------------------------------------------ what options mean


def _input_size(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None or value.lower() == NATIVE:
        return value and NATIVE
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


def _layers(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """As `Network.select_layers` takes them."""
    if value is None or value in ("all", "conv", "even"):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


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


def chosen_pictures(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """As `PageOptions` takes them: a number, or names with commas."""
    if value is None or value.strip().isdecimal():
        return None if value is None else int(value)
    names = tuple(part.strip() for part in value.split(",") if part.strip())
    if not names:
        raise click.BadParameter("a number such as 24, or names of pictures with commas")
    return names


# ------------------------------------------------------------------ options


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several arguments and options as one decorator, in their order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


WEIGHTS_HELP = (
    "imagenet (IMAGENET1K_V1 where it exists), imagenet-trunk, another of torchvision's names, fashion (alexcnn, "
    "vggcnn), a .safetensors or .pth file, or random. Once for all networks, or once for each, in their order."
)
building = together(
    click.option("--classes", type=click.IntRange(1), help="Number of classes."),
    click.option(
        "--input-size",
        callback=_input_size,
        metavar="N|HxW|native",
        help="Input size in pixels. native: each picture as it is, cropped to the stride (`reconstruct` alone).",
    ),
    click.option(
        "--input-channels",
        "channels_in",
        type=click.IntRange(1),
        help="Of the input (alexcnn, vggcnn, timm's).",
    ),
    click.option(
        "--width", type=float, callback=_width, help="Factor on the number of filters (alexcnn, vggcnn)."
    ),
    *PICTURE_OPTIONS,
    click.option(
        "--trust", is_flag=True, help="Let a file of torch.export.save (.pt2) execute code that it holds."
    ),
)  #: how to build a network, and how its pictures are prepared
weights_option = click.option("--weights", "-w", "weight_names", multiple=True, help=WEIGHTS_HELP)
networks_named = together(
    click.option(
        "--network",
        "-n",
        "names",
        multiple=True,
        required=True,
        help="A network; repeat it to compare several.",
    ),
    weights_option,
)  #: which networks, with which weights
device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
precision_choice = click.Choice(choices.PRECISIONS)
rule_choice = click.Choice(choices.RULES)
display_choice = click.Choice(choices.DISPLAYS)
computing = together(
    device_option,
    click.option(
        "--dtype",
        default="float32",
        show_default=True,
        type=precision_choice,
        help="Precision of the computation.",
    ),
)  #: where and in which precision a network runs
study_argument = click.argument("study", type=click.Path(path_type=Path))
images_argument = click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
batch_option = click.option(
    "--batch", type=click.IntRange(1), default=16, show_default=True, help="Pictures at once."
)
workers_option = click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Decoding threads."
)
class_folders = click.option(
    "--labels", type=click.Choice(["folders"]), help="IMAGES is one folder with a folder for each class."
)


def out_option(what: str) -> Callable[[Command], Command]:
    """The folder that a command fills, and goes on in."""
    return click.option(
        "--out",
        required=True,
        type=click.Path(path_type=Path, file_okay=False),
        help=f"Folder of {what}; a second run goes on where the first stopped.",
    )


network_of_study = click.option(
    "--network", "-n", "names", multiple=True, help="One of the study's networks; all unless given."
)
images_moved = click.option(
    "--images",
    "places",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Where the study's pictures are now, if they have moved; repeat it as for the study.",
)
weights_moved = click.option(
    "--weights",
    "-w",
    "weight_names",
    multiple=True,
    help=f"If the study's have moved: {WEIGHTS_HELP}",
)


def strict(what: str) -> Callable[[Command], Command]:
    """Whether a job fails that had to leave something out: ``what`` happened."""
    return click.option("--strict", is_flag=True, help=f"Exit code 1, not 3, if any {what}.")


strict_option = strict("picture cannot be read")


def layers_option(
    default: str | None, more: str = "", *, required: bool = True
) -> Callable[[Command], Command]:
    """Which layers: the same words for every command. ``default``: None: one must be named, if that is required."""
    return click.option(
        "--layers",
        "-l",
        **({"required": required} if default is None else {"default": default, "show_default": True}),
        callback=_layers,
        help="all, conv (every convolution), even (every second convolution and the last FC layer, as in Fig. 4), or "
        f"names with commas{more}.",
    )


def channels_option(what: str) -> Callable[[Command], Command]:
    """Which channels, all unless given; ``what`` they are of."""
    return click.option(
        "--channels",
        default="all",
        show_default=True,
        callback=lambda context, parameter, value: chosen_channels(value),
        metavar="all|0-31,77",
        help=what,
    )
