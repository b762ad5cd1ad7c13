"""Trains networks on three folds of the stamps and validates them on the fourth, for every fold and seed asked for.

Every training is a folder ``NETWORK-foldN-seedM`` with ``errors.csv``: of each stamp, on its way and at the end, how
many of its pictures are wrong, of stamps that it never saw and of those it learns from, in other pictures. Goes on
where it stopped; ``report.py FOLDER`` says what came out. Run:

    python examples/stamps/folds.py FOLDER alexcnn vggcnn --folds 0 1 2 3 --seeds 0 --epochs 30 --width 0.25
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import torch
from stamps import FOLDS, SIDE, Stamps, class_names, counted

from layerscope import load_network, open_images
from layerscope.cli.progress import progress_bar
from layerscope.disk.whole import written_whole
from layerscope.errors import LayerscopeError
from layerscope.network.source import Options
from layerscope.sweep import Predictions, sweep_images
from layerscope.train import RECIPES, TrainOptions, train_network

EPOCH, VALIDATION = 3000, 640  # pictures
LOOKS = (1 / 15, 1 / 6, 1 / 3, 2 / 3)  # of a training: when its errors are measured on the way
SEEN = 1 << 32  # seed of pictures that show the stamps learned from: no training is of it
COLUMNS = ("done", "held_out", "class", "group", "stamp", "pictures", "wrong")


def train_fold(network: str, out: Path, fold: int, given: argparse.Namespace, seed: int) -> Path:
    """The errors of one fold and seed: every picture is composed anew, so all epochs are one long one."""
    recipe = replace(RECIPES["short"], epochs=1, rate=given.rate, batch=given.batch)
    build = Options(len(class_names()), width=given.width, input_size=SIDE)
    images = open_images(Stamps(fold, False, given.pictures * given.epochs, seed, given.root))
    dtype = getattr(torch, given.dtype)
    options = TrainOptions(recipe, build, seed=seed, dtype=dtype, device=given.device, keep=LOOKS)
    if recipe.batch / len(images) > min(LOOKS):
        raise SystemExit(
            f"{len(images)} pictures are too few steps of {recipe.batch} for looks on the way; give more"
        )
    with progress_bar() as progress:
        trained = train_network(network, images, out, options=options, progress=progress)
    errors = out / "errors.csv"
    if not errors.exists() or _pictures(errors) != given.validation:
        steps = sorted((out / "steps").iterdir())
        looks = [*zip(LOOKS, steps, strict=True), (1.0, trained.weights)]
        with written_whole(errors) as partial, partial.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *_measured(network, looks, fold, given)])
    return errors


def _pictures(errors: Path) -> int:
    """Of how many pictures that were never seen the errors are."""
    with errors.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return sum(int(row["pictures"]) for row in rows if row["done"] == "1.0" and row["held_out"] == "1")


def _measured(
    network: str, looks: list[tuple[float, Path]], fold: int, given: argparse.Namespace
) -> Iterator[tuple[object, ...]]:
    for done, weights in looks:
        for held_out in (True, False):
            data = Stamps(fold, held_out, given.validation, 0 if held_out else SEEN, given.root)
            for stamp, wrong in wrong_by_stamp(network, weights, data, given.device).items():
                yield (round(done, 4), int(held_out), *stamp, len(wrong), sum(wrong))


def wrong_by_stamp(
    network: str, weights: Path, data: Stamps, device: str = "cpu"
) -> dict[tuple[str, str, str], list[bool]]:
    """For each stamp, by class, group and file, whether each of its pictures is wrong."""
    loaded = load_network(network, weights).to(device)
    made = sweep_images(loaded, open_images(data), [Predictions(1)])
    table = made.results["predictions"]["predictions"]
    assert isinstance(table, pa.Table)
    found: dict[tuple[str, str, str], list[bool]] = {}
    for picture, named in zip(table["picture"].to_pylist(), table["class"].to_pylist(), strict=True):
        stamp = data.stamp(picture)
        own = found.setdefault((stamp.kind, stamp.group, stamp.file), [])
        own.append(class_names()[named] != stamp.kind)
    return found


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--folds", type=int, nargs="+", choices=range(FOLDS), default=list(range(FOLDS)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=counted, default=30)
    parser.add_argument("--pictures", type=counted, default=EPOCH, help="of an epoch")
    parser.add_argument(
        "--validation", type=counted, default=VALIDATION, help="pictures that errors are measured on"
    )
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--rate", type=float, default=RECIPES["short"].rate)
    parser.add_argument("--batch", type=counted, default=RECIPES["short"].batch)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the packages are")
    given = parser.parse_args(words)
    for network in given.networks:
        for seed in given.seeds:
            for fold in given.folds:
                out = given.folder / f"{network}-fold{fold}-seed{seed}"
                print(train_fold(network, out, fold, given, seed), flush=True)


if __name__ == "__main__":
    try:
        main()
    except LayerscopeError as error:
        sys.exit(str(error))
