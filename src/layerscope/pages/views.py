"""The ways in which a study's networks see its pictures. Networks that cut the same pixels share one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from layerscope.drawing.render import Pixels
from layerscope.network.preprocessing import Preprocessing
from layerscope.study.folder import Study

ZERO = 128  #: the grey, #808080, beside pictures and where a signal is zero: what `show_signal` gives 0

View = Preprocessing  #: one that neither subtracts nor divides


def views_of(study: Study) -> Mapping[str, View]:
    """How each network of a study sees pictures, in the order of the networks; equal where they see the same."""
    networks = study.manifest["inputs"]["networks"]
    return {name: _view(networks[name]["preprocessing"]) for name in study.networks}


def _view(known: Mapping[str, Any]) -> View:
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
    given.pop("mean_image", None)
    plain = Preprocessing(**given)
    channels = len(plain.mean)
    return replace(plain, mean=(0.0,) * channels, deviation=(1.0,) * channels)


def in_square(image: Image.Image, side: int) -> Pixels:
    """A picture in the middle of a square, as large as fits in: enlarged without smoothing, or reduced."""
    scale = side / max(image.size)
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    cell = np.full((side, side, 3), ZERO, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    cell[top : top + height, left : left + width] = np.asarray(image.resize((width, height), how))
    return cell
