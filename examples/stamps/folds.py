"""Trains a network on three folds of the stamps and validates it on the fourth, for every fold and seed asked for.

Every stamp is validated once a seed. Errors are of stamps, each the share of its pictures that are wrong, with 95 %
intervals by bootstrap over groups: pictures of one stamp are no independent witnesses. Goes on where it stopped. Run:

    python examples/stamps/folds.py FOLDER alexcnn --folds 0 1 2 3 --seeds 0 1 2 --epochs 30 --width 0.25
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from stamps import FOLDS, SIDE, Stamps, class_names

from layerscope import load_network, open_images
from layerscope.cli.progress import progress_bar
from layerscope.network.source import Options
from layerscope.sweep import Predictions, sweep_images
from layerscope.train import RECIPES, TrainOptions, train_network

EPOCH, VALIDATION = 3000, 640  # pictures


def train_fold(network: str, out: Path, fold: int, given: argparse.Namespace, seed: int) -> Path:
    """The weights of one fold and seed: every picture is composed anew, so all epochs are one long one."""
    recipe = replace(RECIPES["short"], epochs=1, rate=given.rate)
    build = Options(len(class_names()), width=given.width, input_size=SIDE)
    images = open_images(Stamps(fold, False, EPOCH * given.epochs, seed))
    options = TrainOptions(recipe, build, seed=seed)
    validation = open_images(Stamps(fold, True, VALIDATION))
    with progress_bar() as progress:
        return train_network(
            network, images, out, options=options, validation=validation, progress=progress
        ).weights


def wrong_by_stamp(network: str, weights: Path, fold: int) -> dict[tuple[str, str], list[bool]]:
    """For each group and stamp of a fold whether each of its pictures is wrong."""
    data = Stamps(fold, True, VALIDATION)
    made = sweep_images(load_network(network, weights), open_images(data), [Predictions(1)])
    table = made.results["predictions"]["predictions"]
    assert isinstance(table, pa.Table)
    found = defaultdict(list)
    for picture, named in zip(table["picture"].to_pylist(), table["class"].to_pylist(), strict=True):
        stamp = data.stamp(picture)
        found[stamp.group, stamp.file].append(class_names()[named] != stamp.kind)
    return dict(found)


def interval(groups: dict[str, list[float]]) -> tuple[float, float, float]:
    """The mean error of stamps, and its 95 % interval by bootstrap over groups."""
    random, names = np.random.default_rng(0), sorted(groups)
    whole = [value for name in names for value in groups[name]]
    drawn: list[float] = []
    for _ in range(2000):
        chosen = random.integers(0, len(names), len(names))
        drawn.append(float(np.mean([value for place in chosen for value in groups[names[place]]])))
    low, high = (float(value) for value in np.quantile(np.array(drawn), (0.025, 0.975)))
    return float(np.mean(whole)), low, high


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("network")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--rate", type=float, default=0.03)
    given = parser.parse_args()
    errors: dict[str, list[float]] = defaultdict(list)
    for seed in given.seeds:
        for fold in given.folds:
            out = given.folder / f"{given.network}-fold{fold}-seed{seed}"
            weights = train_fold(given.network, out, fold, given, seed)
            own: dict[str, list[float]] = defaultdict(list)
            for (group, _), wrong in wrong_by_stamp(given.network, weights, fold).items():
                own[group].append(float(np.mean(wrong)))
            error, low, high = interval(own)
            print(f"{out.name}: error of stamps {error:.1%} ({low:.1%} to {high:.1%})", flush=True)
            for group, values in own.items():
                errors[f"{fold} {group}"] += values
    error, low, high = interval(errors)
    chance = 1 - 1 / len(class_names())
    print(f"{given.network}, all: {error:.1%} ({low:.1%} to {high:.1%}); by chance {chance:.1%}")


if __name__ == "__main__":
    main()
