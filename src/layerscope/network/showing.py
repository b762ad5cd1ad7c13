"""Which channels of an input are shown, and how: three as colours, one in grey, or each in grey."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from layerscope.errors import NetworkError

GREY: Literal["grey"] = "grey"
Shown: TypeAlias = tuple[int, ...] | Literal["grey"] | None
"""None: colours as they are in a picture of 3 channels, else each in grey."""
Order: TypeAlias = tuple[int, ...] | None
_Array: TypeAlias = npt.NDArray[Any]


def check_shown(shown: Shown, channels: int) -> None:
    """Raise NetworkError for other than one or three channels, and for one that is not there."""
    if shown is None or shown == GREY:
        return
    if len(shown) not in (1, 3) or not all(0 <= channel < channels for channel in shown):
        raise NetworkError(
            f"channels {', '.join(map(str, shown))} cannot be shown: name three of 0 to {channels - 1}, or one, or grey"
        )


def mixed(values: _Array, shown: Shown, order: Order) -> _Array:
    """Values (height, width, channels) as (height, width, 1 or 3): the channels shown, or in grey the mean of all."""
    chosen = _chosen(values.shape[2], shown, order)
    if chosen == tuple(range(values.shape[2])):
        return values
    if chosen is not None:
        return np.ascontiguousarray(values[..., list(chosen)])
    mean: _Array = values.mean(axis=2, keepdims=True)
    return np.rint(mean).astype(np.uint8) if values.dtype == np.uint8 else mean.astype(values.dtype)


def panels_of(values: _Array, shown: Shown, order: Order) -> _Array:
    """As `mixed`, but in grey a panel for each channel, in rows as near a square as can be; 0 where there is none."""
    height, width, channels = values.shape
    if _chosen(channels, shown, order) is not None:
        return mixed(values, shown, order)
    across = math.ceil(math.sqrt(channels))
    down = math.ceil(channels / across)
    laid = np.zeros((down, across, height, width), values.dtype)
    for channel in range(channels):
        laid[divmod(channel, across)] = values[..., channel]
    return np.ascontiguousarray(laid.transpose(0, 2, 1, 3).reshape(down * height, across * width, 1))


def words_of(shown: Shown, order: Order, channels: int, *, each: bool = True) -> str:
    """What is said of panels of `panels_of`, or else of `mixed`; nothing of a picture's own colours or grey."""
    chosen = _chosen(channels, shown, order)
    if chosen is None:
        grid = f"channels 0 to {channels - 1}, each in grey, row by row"
        return grid if each else f"grey: the mean of {channels} channels"
    if shown is None:
        return ""
    if len(chosen) == 1:
        return f"grey: channel {chosen[0]}"
    return f"red, green, blue: channels {', '.join(map(str, chosen))}"


def _chosen(channels: int, shown: Shown, order: Order) -> tuple[int, ...] | None:
    """The channels that are drawn; None: each, in grey."""
    if shown == GREY:
        return None if channels > 1 else (0,)
    if shown is not None:
        return shown
    if channels == 3:
        turned = order is not None and sorted(order) == [0, 1, 2]
        return tuple(order.index(colour) for colour in range(3)) if turned and order else (0, 1, 2)
    return (0,) if channels == 1 else None
