"""The curve of a training: its loss and its error over epochs."""

from __future__ import annotations

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from layerscope.drawing.canvas import FAINT, INK, Page, drawable
from layerscope.drawing.charts import COLOURS

_LETTERS = 7.5  # points


def training_curve(log: pa.Table, network: str) -> Page:
    """Loss and error of a log over epochs, in training and, where it was measured, in validation."""
    page = Page(figsize=(7.2, 2.9), dpi=200, facecolor="white")
    left, right = page.subplots(1, 2)
    epochs = log["epoch"].to_pylist()
    for axes, column, title in ((left, "loss", "cross-entropy"), (right, "error", "top-1 error")):
        lines = {"training": log[column], "validation": log[f"validation_{column}"]}
        for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
            if values.null_count < len(values):
                axes.plot(
                    epochs,
                    values.to_pylist(),
                    color=colour,
                    linewidth=1.4,
                    marker="o",
                    markersize=2.5,
                    label=name,
                )
        _dress(axes, title)
    right.set_ylim(0, None)
    right.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    page.suptitle(drawable(network), x=0.06, ha="left", size=9, color=INK, weight="bold", parse_math=False)
    page.subplots_adjust(left=0.07, right=0.985, top=0.84, bottom=0.15, wspace=0.2)
    return page


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, size=_LETTERS + 0.5, color=INK, loc="left")
    axes.set_xlabel("epoch", size=_LETTERS, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=_LETTERS, colors=INK, length=2.5)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.legend(fontsize=_LETTERS, frameon=False)
