"""What came out of the folds: errors of stamps, the two networks in pairs, and how errors fell, as a figure.

An error is that of a stamp, the share of its pictures that are wrong, over its seeds; 95 % intervals are by bootstrap
over groups, since pictures of one stamp, and stamps of one kind, are no independent witnesses. Run:

    python examples/stamps/report.py FOLDER
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from stamps import class_names

from layerscope.drawing.canvas import INK, Page, save_figure
from layerscope.drawing.charts import COLOURS

DRAWS = 2000
Named = tuple[str, str, str]  # class, group, stamp


class Row(NamedTuple):
    """The error of a stamp in one training, after a share of it."""

    network: str
    fold: int
    seed: int
    done: float
    held_out: bool
    stamp: Named
    error: float


class Errors(NamedTuple):
    """A mean over stamps with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1%} ({self.low:.1%} to {self.high:.1%})"


def read_rows(folder: Path) -> list[Row]:
    """Those of all trainings in a folder that are finished."""
    found = []
    for path in sorted(folder.glob("*/errors.csv")):
        network, fold, seed = path.parent.name.rsplit("-", 2)
        where = network, int(fold.removeprefix("fold")), int(seed.removeprefix("seed"))
        with path.open(newline="") as lines:
            for row in csv.DictReader(lines):
                stamp = row["class"], row["group"], row["stamp"]
                error = int(row["wrong"]) / int(row["pictures"])
                found.append(Row(*where, float(row["done"]), row["held_out"] == "1", stamp, error))
    return found


def over_seeds(rows: Iterable[Row]) -> dict[Named, float]:
    """The mean error of each stamp."""
    own: dict[Named, list[float]] = defaultdict(list)
    for row in rows:
        own[row.stamp].append(row.error)
    return {stamp: float(np.mean(errors)) for stamp, errors in own.items()}


def over_groups(values: Mapping[Named, float]) -> Errors:
    """The mean over stamps, and its 95 % interval by bootstrap over groups."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (kind, group, _), value in values.items():
        groups[kind, group].append(value)
    sums = np.array([(sum(own), len(own)) for _, own in sorted(groups.items())])
    chosen = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    drawn = sums[chosen].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    return Errors(float(np.mean(list(values.values()))), float(low), float(high))


def in_pairs(one: Mapping[Named, float], other: Mapping[Named, float]) -> Errors:
    """How much more often the first errs than the second, over the stamps that both have."""
    return over_groups({stamp: one[stamp] - other[stamp] for stamp in one.keys() & other.keys()})


def lines(rows: list[Row]) -> Iterable[str]:
    """What came out, in words."""
    last = [row for row in rows if row.done == 1]
    networks = sorted({row.network for row in rows})
    held_out = {name: over_seeds(r for r in last if r.network == name and r.held_out) for name in networks}
    for name in networks:
        own = [row for row in last if row.network == name]
        trained = len({(row.fold, row.seed) for row in own})
        seen = over_groups(over_seeds(row for row in own if not row.held_out))
        yield (
            f"{name}, {trained} trainings: of {len(held_out[name])} stamps never seen {over_groups(held_out[name])} "
            f"wrong, of those learned from {seen}; by chance {1 - 1 / len(class_names()):.1%}"
        )
        yield "  by class: " + ", ".join(f"{kind} {error:.0%}" for kind, error in by_class(held_out[name]))
    for one, other in combinations(networks, 2):
        both = {(row.fold, row.seed) for row in last if row.network == one}
        both &= {(row.fold, row.seed) for row in last if row.network == other}
        kept = [row for row in last if row.held_out and (row.fold, row.seed) in both]
        if kept:
            pair = [over_seeds(row for row in kept if row.network == name) for name in (one, other)]
            yield (
                f"{one} less {other}, over the {len(pair[0])} stamps of {len(both)} trainings of each: "
                f"{in_pairs(*pair)}"
            )


def by_class(errors: Mapping[Named, float]) -> list[tuple[str, float]]:
    """Mean errors, the least first."""
    means = {kind: float(np.mean([e for s, e in errors.items() if s[0] == kind])) for kind in class_names()}
    return sorted(means.items(), key=lambda one: one[1])


def curves(rows: list[Row]) -> Page:
    """Errors over a training, of stamps never seen and of those learned from, with intervals."""
    page = Page(figsize=(5.6, 3.2), dpi=200, facecolor="white")
    axes = page.subplots()
    for colour, name in zip(COLOURS, sorted({row.network for row in rows}), strict=False):
        for held_out, style, words in ((True, "-", "stamps never seen"), (False, ":", "stamps learned from")):
            own = [row for row in rows if row.network == name and row.held_out == held_out]
            done = sorted({row.done for row in own})
            found = [over_groups(over_seeds(row for row in own if row.done == share)) for share in done]
            axes.plot(
                done,
                [one.mean for one in found],
                style,
                color=colour,
                marker="o",
                markersize=3,
                label=f"{name}, {words}",
            )
            axes.fill_between(
                done, [e.low for e in found], [e.high for e in found], color=colour, alpha=0.12, linewidth=0
            )
    chance = 1 - 1 / len(class_names())
    axes.axhline(chance, color="#8a8a8a", linewidth=0.8, linestyle="--")
    axes.annotate("chance", (0, chance), (0, 3), textcoords="offset points", size=7, color="#6b6b6b")
    percent: Callable[[float, object], str] = lambda value, _: f"{value:.0%}"  # noqa: E731
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(percent)
    axes.set(xlim=(0, 1.01), ylim=(0, 1))
    axes.set_xlabel("of the training", size=7.5, color=INK)
    axes.set_ylabel("error of a stamp", size=7.5, color=INK)
    axes.tick_params(labelsize=7.5, colors=INK)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)
    page.subplots_adjust(left=0.1, right=0.98, top=0.97, bottom=0.13)
    return page


def main(folder: Path) -> None:
    """Say it, and draw it."""
    rows = read_rows(folder)
    if not rows:
        sys.exit(f"{folder} holds no finished training; examples/stamps/folds.py makes some")
    print("\n".join(lines(rows)))
    save_figure(curves(rows), folder / "errors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
