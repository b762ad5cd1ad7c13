"""Arrays to pictures: how a signal becomes pixels, and pixels a file. Axes are (height, width, channels)."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from layerscope.choices import DISPLAYS
from layerscope.disk.whole import written_whole
from layerscope.drawing.encoding import encode_png
from layerscope.errors import DisplayError, ImageError, said

Pixels: TypeAlias = npt.NDArray[np.uint8]
Signal: TypeAlias = npt.NDArray[np.floating[Any]]

_PNG_BEGINS, _PNG_ENDS = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
_CHANNELS_OF_MODE = {"L": 1, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True, eq=False)
class Panel:
    """A signal made visible, with what its pixels mean.

    pixels: (height, width, 3) uint8. scale and black: the signal values shown at full strength (white, or the
    bright end of the colour map) and as black (or its dark end), in the units of the signal.
    rule: the same in words, true for every panel made in the same way.
    """

    pixels: Pixels
    scale: float
    display: str
    black: float = 0.0
    rule: str = ""

    @property
    def text(self) -> dict[str, str]:
        """What a panel's file says about itself: the text chunks for `write_png`."""
        return {
            "display": self.display,
            "scale": repr(self.scale),
            "black": repr(self.black),
            "meaning": self.rule,
        }


@dataclass(frozen=True)
class _Display:
    """One way to show a signal: what is measured, which range of it is drawn, and how that range is painted.

    measure: (H, W, C) signal -> the values to draw. span: (values, scale) -> (black, white).
    flat: where on [0, 1] a signal without contrast lies. words: the rule, with a place for the scale.
    """

    words: str
    measure: Callable[[Signal], Signal]
    span: Callable[[Signal, float], tuple[float, float]]
    paint: Callable[[Pixels], Pixels]
    flat: float


def _itself(signal: Signal) -> Signal:
    return signal


def _rectified(signal: Signal) -> Signal:
    return np.maximum(signal, 0.0)


def _norm(signal: Signal) -> Signal:
    norms: Signal = np.linalg.norm(signal, axis=2, keepdims=True)
    return norms


def _both_sides(_: Signal, scale: float) -> tuple[float, float]:
    return -scale, scale


def _from_zero(_: Signal, scale: float) -> tuple[float, float]:
    return 0.0, scale


def _whole_range(values: Signal, _: float) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def as_rgb(levels: Pixels) -> Pixels:
    """Grey or RGB pixels (height, width, 1 or 3) as RGB."""
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _as_heat(levels: Pixels) -> Pixels:
    return matplotlib.colormaps["inferno"](levels[..., 0], bytes=True)[..., :3].copy()


_DISPLAYS = dict(
    zip(
        DISPLAYS,
        (
            _Display("mid-grey is 0, white and black are ± {}", _itself, _both_sides, as_rgb, 0.5),
            _Display("black is each panel's minimum, white maximum", _itself, _whole_range, as_rgb, 0.5),
            _Display("black is 0 and below, white is {}", _rectified, _from_zero, as_rgb, 0.0),
            _Display("norm over channels, black is 0, white is {}", _norm, _from_zero, as_rgb, 0.0),
            _Display("norm over channels, black is 0, brightest is {}", _norm, _from_zero, _as_heat, 0.0),
        ),
        strict=True,
    )
)


def show_signal(
    signal: Signal, display: str = "signed", *, percentile: float = 99.5, scale: float | None = None
) -> Panel:
    """Draw a signal of shape (height, width, channels), in any unit, as a panel of the same height and width.

    The scale is the percentile of the values drawn, by their size and leaving zeros out: so a signal that is
    zero nearly everywhere, such as that of one unit, keeps its contrast. What exceeds it is clipped. A scale
    given by the caller is used as it is, to make panels comparable; `minmax` cannot share one.
    A signal of zeros has scale 0 and is mid-grey (signed, minmax) or black (all others).
    Raises DisplayError for an unknown display, NaN or infinity, or channels that the display cannot show.
    """
    how = _display_named(display)
    _check_range(display, percentile, scale)
    values = how.measure(_checked(signal, display, how).astype(np.float64))
    low, high = how.span(values, _scale(values, percentile, scale))
    levels = np.rint(255 * _share(values, low, high, how.flat)).astype(np.uint8)
    white = f"percentile {percentile:g} of each panel's |values| > 0" if scale is None else f"{scale:.4g}"
    return Panel(how.paint(levels), high, display, low, f"{display}: {how.words.format(white)}")


def is_norm(display: str) -> bool:
    """Whether a display shows one number of all channels, however many there are."""
    return _display_named(display).measure is _norm


def _display_named(display: str) -> _Display:
    if display not in _DISPLAYS:
        raise DisplayError(f"no display is called {display!r}; choose one of {', '.join(DISPLAYS)}")
    return _DISPLAYS[display]


def _check_range(display: str, percentile: float, scale: float | None) -> None:
    if not 0 < percentile <= 100:
        raise DisplayError(f"percentile is {percentile}; it must be above 0 and at most 100")
    if scale is None:
        return
    if display == "minmax":
        raise DisplayError("minmax takes its range from each panel; for a shared scale use another display")
    if not (math.isfinite(scale) and scale >= 0):
        raise DisplayError(f"scale is {scale}; it must be positive, or 0 if all signals are zero")


def _checked(signal: Signal, display: str, how: _Display) -> Signal:
    if signal.ndim != 3 or 0 in signal.shape or not np.issubdtype(signal.dtype, np.floating):
        raise DisplayError(
            f"a signal is a float array (height, width, channels), none 0; got {signal.dtype} {signal.shape}"
        )
    if signal.shape[2] not in (1, 3) and how.measure is not _norm:
        raise DisplayError(
            f"{display} shows 1 or 3 channels, the signal {signal.shape} has {signal.shape[2]};"
            " use magnitude or heat, or put the axes in the order (height, width, channels)"
        )
    if not np.isfinite(signal).all():
        nan, infinite = int(np.isnan(signal).sum()), int(np.isinf(signal).sum())
        raise DisplayError(
            f"the signal {signal.shape} holds {nan} NaN and {infinite} infinite of {signal.size} values;"
            " look for an overflow in the network or use float32"
        )
    return signal


def _scale(values: Signal, percentile: float, given: float | None) -> float:
    if given is not None:
        if given == 0 and values.any():
            raise DisplayError("scale is 0 but the signal is not; share the largest scale of the panels")
        return float(given)
    sizes = np.abs(values[values != 0])
    return float(np.percentile(sizes, percentile)) if sizes.size else 0.0


def _share(values: Signal, low: float, high: float, flat: float) -> Signal:
    """Where each value lies between low and high, in [0, 1]."""
    if low == high:
        return np.full_like(values, flat)
    return (np.clip(values, low, high) - low) / (high - low)


def write_png(path: Path, pixels: Pixels, text: Mapping[str, str] | None = None) -> None:
    """Write pixels (height, width, 1 or 3 or 4) as a PNG with text chunks, whole or not at all."""
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or pixels.shape[2] not in _CHANNELS_OF_MODE.values():
        got = f"{pixels.dtype} {pixels.shape}"
        raise DisplayError(f"{path}: pixels are a uint8 array (height, width, 1 or 3 or 4); got {got}")
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    with written_whole(path) as part:
        part.write_bytes(encode_png(image, text))


def is_whole_png(path: Path) -> bool:
    """Whether a file can be read and goes from a PNG's first bytes to its last chunk; no more is looked at."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_PNG_BEGINS)) == _PNG_BEGINS
            return begins and file.seek(-len(_PNG_ENDS), os.SEEK_END) > 0 and file.read() == _PNG_ENDS
    except OSError:
        return False


def read_png(path: Path) -> tuple[Pixels, dict[str, str]]:
    """Pixels (height, width, channels) and text chunks of a PNG that `write_png` wrote."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.load()
            pixels, mode = np.asarray(image), image.mode
            text = {key: str(value) for key, value in getattr(image, "text", {}).items()}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"cannot read {path} as a PNG: {said(error)}; write it again") from error
    if mode not in _CHANNELS_OF_MODE:
        raise ImageError(f"{path} is a PNG of mode {mode}, not one of ours; open it as an image instead")
    return pixels.reshape(*pixels.shape[:2], _CHANNELS_OF_MODE[mode]), text
