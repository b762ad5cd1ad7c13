"""Maps of another size, as ONNX has them and torch."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import NetworkError
from layerscope.zoo.onnx_shapes import Attributes, Value, ints

_MODES = {
    ("nearest", "asymmetric", "floor"): ("nearest", None),
    ("nearest", "half_pixel", "round_prefer_floor"): ("nearest-exact", None),
    ("nearest", "half_pixel", "round_prefer_ceil"): ("nearest-exact", None),
    ("linear", "half_pixel", ""): ("bilinear", False),
    ("linear", "pytorch_half_pixel", ""): ("bilinear", False),
    ("linear", "align_corners", ""): ("bilinear", True),
    ("cubic", "half_pixel", ""): ("bicubic", False),
    ("cubic", "pytorch_half_pixel", ""): ("bicubic", False),
    ("cubic", "align_corners", ""): ("bicubic", True),
}


def resized(
    a: Attributes, x: Tensor, region: Value = None, scales: Value = None, sizes: Value = None
) -> Tensor:
    """By scales or to sizes. Raises NetworkError for what torch has no mode for."""
    if a["opset"] < 11:  # Upsample, and the first Resize: scales alone, which count from the corner
        a = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", **a}
        scales = a["scales"] if region is None else region
    how = (a.get("mode", "nearest"), a.get("coordinate_transformation_mode", "half_pixel"))
    nearest = a.get("nearest_mode", "round_prefer_floor") if how[0] == "nearest" else ""
    if (*how, nearest) not in _MODES or a.get("cubic_coeff_a", -0.75) != -0.75:
        raise NetworkError(f"not in the mode {', '.join(how)} {nearest}".rstrip())
    kind, corners = _MODES[*how, nearest]
    size = ints(sizes)[2:] if sizes is not None and np.size(sizes) else None
    factors = None if size else _factors(scales)
    steps = [1 / n for n in factors or ()] or [
        old / new for old, new in zip(x.shape[2:], size or (), strict=True)
    ]
    if nearest == "round_prefer_floor" and any(map(_halfway, x.shape[2:], steps)):
        raise NetworkError("not in the mode round_prefer_floor where a place lies halfway between two")
    if nearest and a["opset"] < 11 and any(step > 1 and step % 1 for step in steps):
        raise NetworkError(
            "only to larger maps, or to every second place, third and so on: it is not said which"
        )
    return F.interpolate(x, size, factors, mode=kind, align_corners=corners)


def _factors(scales: Value) -> list[float]:
    """Those of height and width, as written: 1.3 is a little less in 32 bits, and ten times that not 13."""
    meant = [float(str(n)) if isinstance(n, np.floating) else float(n) for n in scales]
    if meant[:2] != [1, 1]:
        raise NetworkError("only with as many pictures and channels as before")
    return meant[2:]


def _halfway(length: int, step: float) -> bool:
    """Whether a place of the new map lies halfway between two of the old one, which has so many, at such steps."""
    edges = (np.arange(int(length / step)) + 0.5) * step
    return bool(np.any(np.abs(edges - edges.round()) < 1e-4))
