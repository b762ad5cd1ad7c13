"""A site of one synthetic layer with a plane of as many patches as asked for: what benchmarks/explorer.py opens."""

from __future__ import annotations

import base64
import json
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from layerscope.plane.grid import Grid
from layerscope.space.tiles import plane_tiles

Array = npt.NDArray[Any]
PAGE = Path(__file__).parents[1] / "src" / "layerscope" / "explorer" / "page"
CHANNELS, PICTURES, FIELD, INPUT, UNITS = 64, 400, 60, 224, 28
KINDS = {"uint8": "u1", "int32": "i4", "float32": "f4"}


def make_site(folder: Path, patches: int, cell: int = 32) -> Path:
    """The built pages with the data of a plane; returns what to open."""
    if not (PAGE / "index.html").exists():
        raise SystemExit("the pages are not built; `make web` builds them")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    drawn = np.random.default_rng(0)
    points = (
        drawn.normal(0, 8, (patches, 2)) + drawn.normal(0, 30, (60, 2))[np.arange(patches) % 60]
    ).astype("f4")
    grid = Grid.around(points)
    planes = {"one-to-one": _one_to_one(points, grid), "fill": _filled(points, grid)}
    _write(folder, "study", _study())
    _write(folder, "pictures/0", _pictures())
    _write(folder, "one/layers/c4_1/space", _space(folder, points, grid, planes, cell, drawn))
    cells = _cells(256, cell)[np.arange(patches) % 60 * 4 + drawn.integers(0, 4, patches)]
    for name, plane in planes.items():
        for file, content in plane_tiles(plane, cells, name):
            path = folder / "one" / "spaces" / "c4_1" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder / "index.html"


def _one_to_one(points: Array, grid: Grid) -> Array:
    """Each patch once: rows of cells by y, in each row by x."""
    plane = np.full((grid.rows, grid.columns), -1, np.int32)
    by_y = np.argsort(points[:, 1], kind="stable")
    for row in range(grid.rows):
        own = by_y[row * grid.columns : (row + 1) * grid.columns]
        plane[row, : len(own)] = own[np.argsort(points[own, 0], kind="stable")]
    return plane


def _filled(points: Array, grid: Grid) -> Array:
    """Each cell shows the patch nearest to its middle."""
    y, x = np.mgrid[: grid.rows, : grid.columns] + 0.5
    middles = np.stack([grid.left + x * grid.side, grid.top + y * grid.side], axis=-1)
    found: Array = cKDTree(points).query(middles)[1].astype(np.int32)
    return found


def _cells(count: int, side: int) -> Array:
    """Gratings and blobs in many colours: pictures that JPEG and a screen take as they take photographs."""
    drawn = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side] / side - 0.5
    found = np.empty((count, side, side, 3), np.uint8)
    for one in found:
        angle, waves, phase = drawn.uniform(0, np.pi), drawn.uniform(1, 6), drawn.uniform(0, 6)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi * waves + phase)
        ends = drawn.integers(0, 256, (2, 3))
        one[:] = ends[0] + (ends[1] - ends[0]) * ((wave + 1) / 2)[..., None]
    return found


def _space(
    folder: Path, points: Array, grid: Grid, planes: Mapping[str, Array], cell: int, drawn: Any
) -> dict[str, Any]:
    count = len(points)
    row, column = drawn.integers(2, UNITS - 2, (2, count)).astype(np.int32)
    top, left = row * 8 - FIELD // 2, column * 8 - FIELD // 2
    return {
        **{"patches": count, "picture": _packed(drawn.integers(0, PICTURES, count).astype(np.int32))},
        **{"row": _packed(row), "column": _packed(column)},
        "boxes": _packed(np.stack([top, left, top + FIELD, left + FIELD], axis=1).astype(np.int32)),
        "points": _packed(points),
        "grid": {"left": grid.left, "top": grid.top, "side": grid.side},
        "planes": {name: _plane(plane, cell) for name, plane in planes.items()},
        "regions": [_region(points, number) for number in (1, 2)],
        **{"first": "one-to-one", "truth": [], "shortfall": ""},
        "activations": _activations(folder, points, planes["one-to-one"], drawn),
    }


def _plane(plane: Array, cell: int) -> dict[str, Any]:
    rows, columns = plane.shape
    return {
        **{"cells": _packed(plane), "cell": cell, "tile": 512},
        **{"width": columns * cell, "height": rows * cell},
    }


def _region(points: Array, number: int) -> dict[str, Any]:
    """The sixtieth of all patches that lies nearest to one."""
    far = ((points - points[number]) ** 2).sum(axis=1)
    members = np.sort(np.argsort(far, kind="stable")[: len(points) // 60]).tolist()
    return {
        **{"number": number, "members": members, "pictures": PICTURES, "spread": 300, "centre": number},
        **{"label": None, "label_share": None, "outline": [], "filters": []},
    }


def _activations(folder: Path, points: Array, plane: Array, drawn: Any) -> dict[str, Any]:
    """Each filter fires around a place of the plane."""
    centres = drawn.normal(0, 30, (CHANNELS, 2))
    levels = np.empty((len(points), CHANNELS), np.uint8)
    for channel, centre in enumerate(centres):
        far = ((points - centre) ** 2).sum(axis=1)
        levels[:, channel] = np.clip(255 * np.exp(-far / 200) - 20, 0, 255)
    order = np.empty(len(points), np.int32)
    order[plane[plane >= 0]] = np.arange(len(points), dtype=np.int32)
    rows, columns = 8192, 16
    by_row = levels[np.argsort(order)]
    for n, start in enumerate(range(0, len(points), rows)):
        _write(folder, f"one/layers/c4_1/rows/{n}", _packed(by_row[start : start + rows].T))
    for n, start in enumerate(range(0, CHANNELS, columns)):
        _write(folder, f"one/layers/c4_1/columns/{n}", _packed(by_row[:, start : start + columns].T))
    histogram = np.stack([np.bincount(levels[:, c], minlength=256) for c in range(CHANNELS)]).astype(np.int32)
    return {
        "channels": CHANNELS,
        "scale": [0.1] * CHANNELS,
        "histogram": _packed(histogram),
        "rows": rows,
        "order": _packed(order),
        "columns": columns,
    }


def _study() -> dict[str, Any]:
    field = {"size": [FIELD, FIELD], "stride": [8, 8], "start": [0, 0]}
    layer = {
        **{"name": "c4_1", "folder": "c4_1", "kind": "conv2d", "operation": "", "block": "4", "field": field},
        **{"channels": CHANNELS, "rows": UNITS, "columns": UNITS, "sparsity": 0.8, "dead": 0},
        **{"filters": False, "space": True, "reconstructions": False},
    }
    network = {
        **{"name": "one", "title": "One", "folder": "one", "weights": "synthetic", "trunk": True, "view": 0},
        **{"rule": "", "lost": "", "layers": [layer], "strip": None, "outputs": [], "errors": None},
    }
    pictures: dict[str, Any] = {
        **{
            "count": PICTURES,
            "bad": 0,
            "shard": 1000,
            "classes": None,
            "sizes": None,
            "chosen": [],
            "thumbs": None,
        },
        "command": "",
    }
    return {
        **{
            "format": 2,
            "name": "synthetic",
            "digest": "",
            "version": "",
            "live": False,
            "pictures": pictures,
        },
        **{"views": [{"height": INPUT, "width": INPUT}], "networks": [network], "pairs": [], "findings": []},
    }


def _pictures() -> dict[str, Any]:
    names = [f"{n}.jpg" for n in range(PICTURES)]
    return {"names": names, "labels": None, "reasons": {}, "predictions": {}}


def _packed(values: Array) -> dict[str, Any]:
    squeezed = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = squeezed.compress(np.ascontiguousarray(values).tobytes()) + squeezed.flush()
    return {
        "dtype": KINDS[str(values.dtype)],
        "shape": list(values.shape),
        "data": base64.b64encode(data).decode(),
    }


def _write(folder: Path, path: str, value: Any) -> None:
    file = folder / "data" / f"{path}.js"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"layerscope.register({json.dumps(path)}, {json.dumps(value)});\n")
