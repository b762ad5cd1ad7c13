"""What came out of the folds: errors of stamps, the two networks in pairs, and how errors fell, as a figure.

An error is that of a stamp, the share of its pictures that are wrong, over its seeds; 95 % intervals are by bootstrap
over groups, since pictures of one stamp, and stamps of one kind, are no independent witnesses. A training that is at
chance even on stamps it learned from, where others of its network are not, is named and left out. Run:

    python examples/stamps/report.py FOLDER

which also writes FOLDER/errors.png, .pdf and .json.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations, cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from stamps import class_names

from layerscope.disk.tables import publish_json
from layerscope.drawing.canvas import INK, Page, save_figure
from layerscope.drawing.charts import COLOURS
from layerscope.errors import LayerscopeError

DRAWS = 2000
CHANCE = 1 - 1 / len(class_names())
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
        named = re.fullmatch(r"(.+)-fold(\d+)-seed(\d+)", path.parent.name)
        if named is None:
            continue
        where = named[1], int(named[2]), int(named[3])
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


def networks_of(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Of each network, at the end of its trainings: how many, over how many stamps, and its errors."""
    found = {}
    for name in sorted({row.network for row in rows}):
        own = [row for row in rows if row.network == name and row.done == 1]
        never = over_seeds(row for row in own if row.held_out)
        found[name] = {
            "trainings": len({(row.fold, row.seed) for row in own}),
            "seeds": len({row.seed for row in own}),
            "stamps": len(never),
            "error": over_groups(never),
            "learned": over_groups(over_seeds(row for row in own if not row.held_out)),
            "classes": by_class(never),
        }
    return found


def untrained(rows: list[Row]) -> list[tuple[str, int, int]]:
    """Trainings, by network, fold and seed, that end at chance on stamps that they learned from, of networks that have
    others."""
    last: dict[tuple[str, int, int], list[Row]] = defaultdict(list)
    for row in rows:
        if row.done == 1 and not row.held_out:
            last[row.network, row.fold, row.seed].append(row)
    stuck = {which for which, own in last.items() if over_groups(over_seeds(own)).high >= CHANCE}
    learned = {network for network, _, _ in last.keys() - stuck}
    return sorted(which for which in stuck if which[0] in learned)


def pairs_of(rows: list[Row]) -> Iterator[dict[str, Any]]:
    """How much more often one network errs than another, over the stamps and folds that both have."""
    last = [row for row in rows if row.done == 1 and row.held_out]
    for one, other in combinations(sorted({row.network for row in last}), 2):
        errors = [over_seeds(row for row in last if row.network == name) for name in (one, other)]
        shown = errors[0].keys() & errors[1].keys()
        folds = {row.fold for row in last if row.stamp in shown}
        if shown:
            own = [over_groups({stamp: error[stamp] for stamp in shown}) for error in errors]
            about = {"folds": len(folds), "stamps": len(shown), "errors": own, "change": in_pairs(*errors)}
            yield {"of": [one, other], **about}


def lines(networks: Mapping[str, Mapping[str, Any]], pairs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What came out, in words."""
    for name, found in networks.items():
        yield (
            f"{name}, {found['trainings']} trainings: of {found['stamps']} stamps never seen {found['error']} wrong, "
            f"of those learned from {found['learned']}; by chance {CHANCE:.1%}"
        )
        yield "  by class: " + ", ".join(f"{kind} {error:.0%}" for kind, error in found["classes"].items())
    for pair in pairs:
        yield (
            f"{pair['of'][0]} less {pair['of'][1]}, over {pair['stamps']} stamps of {pair['folds']} folds: "
            f"{pair['change']}"
        )


def by_class(errors: Mapping[Named, float]) -> dict[str, float]:
    """Mean errors, the least first."""
    kinds = {kind for kind, _, _ in errors}
    means = {kind: float(np.mean([e for s, e in errors.items() if s[0] == kind])) for kind in kinds}
    return dict(sorted(means.items(), key=lambda one: one[1]))


def curves(rows: list[Row]) -> Page:
    """Errors over a training, of stamps never seen and of those learned from, with intervals."""
    page = Page(figsize=(5.6, 3.2), dpi=200, facecolor="white")
    axes = page.subplots()
    for colour, name in zip(cycle(COLOURS), sorted({row.network for row in rows}), strict=False):
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
    axes.axhline(CHANCE, color="#8a8a8a", linewidth=0.8, linestyle="--")
    axes.annotate("chance", (0, CHANCE), (0, 3), textcoords="offset points", size=7, color="#6b6b6b")
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
    """Say it, draw it, and keep the numbers."""
    rows = read_rows(folder)
    if not rows:
        sys.exit(f"{folder} holds no finished training; examples/stamps/folds.py makes some")
    stuck = untrained(rows)
    for name, fold, seed in stuck:
        print(
            f"{name}, fold {fold}, seed {seed} did not train: it is left out; train it again with another seed"
        )
    kept = [row for row in rows if (row.network, row.fold, row.seed) not in stuck]
    networks, pairs, of_all = networks_of(kept), list(pairs_of(kept)), list(pairs_of(rows))
    print("\n".join(lines(networks, pairs)))
    if stuck:
        print("\n".join(["with what is left out:", *lines({}, of_all)]))
    save_figure(curves(kept), folder / "errors")
    publish_json(
        folder / "errors.json",
        {"networks": networks, "pairs": pairs, "untrained": stuck, "pairs_of_all": of_all},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="of the trainings that folds.py made")
    given = parser.parse_args()
    try:
        main(given.folder)
    except LayerscopeError as error:
        sys.exit(str(error))
