"""Options of how a network's pictures are prepared and shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

PREPARED = (
    "mean",
    "deviation",
    "white",
    "order",
    "shown",
    "shown_range",
)  #: their names, as `Options` has them


def _numbers(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    try:
        found = None if value is None else tuple(float(part) for part in value.split(","))
    except ValueError:
        found = (math.nan,)
    if found is not None and not all(map(math.isfinite, found)):
        raise click.BadParameter(f"{value}: numbers with commas, one for each channel or one for all")
    return found


def _mean(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[float, ...] | str | None:
    """Numbers, or the name of a file."""
    if value is None or Path(value).is_file():
        return value
    if Path(value).suffix[1:].isalpha():
        raise click.BadParameter(
            f"there is no file {value}: numbers with commas, one for each channel or one for all, or another file"
        )
    return _numbers(context, parameter, value)


def _channels_named(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Numbers of channels, or one of the words that stand for some."""
    words: Mapping[str, Any] = {"bgr": (2, 1, 0)} if parameter.name == "order" else {"grey": "grey"}
    if value is None or value.lower() in words:
        return value and words[value.lower()]
    parts = [part.strip() for part in value.split(",")]
    if not all(map(str.isdecimal, parts)):
        raise click.BadParameter(f"{value}: {next(iter(words))}, or numbers of channels with commas, from 0")
    return tuple(map(int, parts))


def _range(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    found = _numbers(context, parameter, value)
    if found is not None and len(found) != 2:
        raise click.BadParameter(f"{value}: two numbers, the value shown as black and that as white")
    return found


PICTURE_OPTIONS = (
    click.option(
        "--mean",
        callback=_mean,
        metavar="A,B,C|FILE",
        help="What is subtracted from each channel of a picture, or one number; or a mean image, .npy or a picture; "
        "the network's own unless given.",
    ),
    click.option(
        "--deviation", callback=_numbers, metavar="A,B,C", help="What the channels are then divided by."
    ),
    click.option(
        "--white",
        type=click.FloatRange(0, min_open=True),
        help="Brightest value of a picture, before that: 1 unless given; 255 for mean and deviation in 0..255, which "
        "are then 0 and 1 unless given.",
    ),
    click.option(
        "--order",
        callback=_channels_named,
        metavar="BGR|2,1,0",
        help="Which channel of a picture each channel of the input is, from 0; as they come unless given.",
    ),
    click.option(
        "--show-channels",
        "shown",
        callback=_channels_named,
        metavar="A,B,C|A|grey",
        help="Channels of the input to show as red, green and blue, or one in grey, from 0; grey: each in grey, as "
        "unless given where there are not 3.",
    ),
    click.option(
        "--show-range",
        "shown_range",
        callback=_range,
        metavar="LOW,HIGH",
        help="Values of a picture to show as black and white, as --mean counts them: 0 and the brightest unless given.",
    ),
)
