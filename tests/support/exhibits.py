"""Small pictures, small networks and folders as bytes: for the tests of the gallery and the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from layerscope.gallery.folder import Look
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.zoo.loading import load_network

SMALL = ("--network", "alexcnn", "--width", "0.1", "--input-size", "64", "--weights", "random")
FEW = Look(layers=("c1", "p2", "fc8"))


def small_network(classes: int = 10, channels: int | None = None) -> Network:
    """As SMALL says, with ten classes."""
    options = Options(width=0.1, input_size=64, classes=classes, channels=channels)
    return load_network("alexcnn", "random", options=options)


def own(*layers: nn.Module) -> Network:
    """A network of someone's own: a rectified convolution of 4 channels, and more."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), *layers)
    return Network.from_module(module, name="own", preprocessing=Preprocessing(None, 16, 16))


def picture(path: Path, seed: int = 0) -> Path:
    """Write blobs of colour, others for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blobs = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(blobs).resize((90, 75), Image.Resampling.BICUBIC).save(path)
    return path


def pictures(folder: Path, count: int) -> tuple[Path, ...]:
    return tuple(picture(folder / f"{seed}.png", seed) for seed in range(count))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the lock, hidden ones too, by its path; an empty folder is a name with a slash."""
    entries = {
        entry.relative_to(folder).as_posix(): entry for entry in folder.rglob("*") if entry.name != "lock"
    }
    files = {name: entry.read_bytes() for name, entry in entries.items() if entry.is_file()}
    bare = {f"{name}/": b"" for name, entry in entries.items() if entry.is_dir() and not any(entry.iterdir())}
    return files | bare


def unlike(one: Path, other: Path) -> list[str]:
    """The names of the files that two folders do not share, byte for byte."""
    a, b = contents(one), contents(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def results(folder: Path) -> Any:
    """What a gallery says about itself."""
    return json.loads((folder / "results.json").read_text("utf-8"))
