"""What the pages' own arithmetic is tested against: regions and contrasts as Python finds them.

``python tests/explorer/page_vectors.py`` writes web/test/regions.json anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.plane.grid import Grid
from layerscope.plane.regions import contrasts, describe_region, inside

FILE = Path(__file__).parents[2] / "web" / "test" / "regions.json"
STEPS = 8
OUTLINES: dict[str, list[Any]] = {
    "box": [2, 1, 9, 7],
    "flat box": [0, 4, 12, 4.5],
    "triangle": [[1, 1], [11, 2], [4.5, 9.125]],
    "bow tie": [[1, 1], [10, 8], [10, 1], [1, 8]],
    "star, its middle out": [[6, 0], [9, 9], [0.5, 3], [11.5, 3], [3, 9]],
    "hollow": [[0, 0], [12, 0], [12, 9], [6, 2], [0, 9]],
}


def vectors() -> dict[str, Any]:
    """Points on and between eighths of a cell, outlines with who they hold, and contrasts of levels."""
    drawn = np.random.default_rng(5)
    points = drawn.uniform(-20, 20, (400, 2)).astype(np.float32)
    grid = Grid.around(points, 120)
    places = (points.astype(np.float64) - (grid.left, grid.top)) / grid.side
    on_steps = drawn.integers(0, 12 * STEPS, (400, 2)) / STEPS
    pictures = drawn.integers(0, 9, 400)
    levels = drawn.integers(0, 256, (400, 6)) * (drawn.random((400, 6)) < [0.02, 0.2, 0.5, 0.8, 1, 0])
    scale = drawn.uniform(0.01, 2, 6)
    return {
        "points": points.ravel().tolist(),
        "grid": {"left": grid.left, "top": grid.top, "side": grid.side},
        "places": places.ravel().tolist(),
        "onSteps": on_steps.ravel().tolist(),
        "pictures": pictures.tolist(),
        "levels": levels.ravel().tolist(),
        "scale": scale.tolist(),
        "regions": [
            _region(name, outline, each, pictures, levels * scale)
            for name, outline in OUTLINES.items()
            for each in (places, on_steps)
        ],
    }


def _region(name: str, outline: Any, places: Any, pictures: Any, activations: Any) -> dict[str, Any]:
    region = describe_region(inside(places, outline), outline, places, pictures)
    groups = np.full(len(places), -1, np.int64)
    groups[region.members] = 0
    (table,) = contrasts(activations, groups)
    return {
        "name": name,
        "outline": outline,
        "members": region.members.tolist(),
        "centre": region.centre,
        "pictures": region.pictures,
        "spread": region.spread,
        "filters": table.select(
            ["mean", "mean_elsewhere", "fires", "fires_elsewhere", "contrast"]
        ).to_pydict(),
    }


def text() -> str:
    """The file, as it is to be."""
    return json.dumps(vectors()) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
