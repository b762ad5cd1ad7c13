"""Charts of numbers per layer, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from layerscope.drawing.canvas import FAINT, INK, LEADING, SMALLEST, Page, drawable, text_width
from layerscope.errors import DisplayError

COLOURS = (
    "#0b6e99",
    "#c2571a",
    "#4d7c2a",
    "#8a4fa3",
    "#a8323e",
    "#6b6b6b",
)  #: told apart by the colour-blind
_WIDTH, _HEIGHT, _DPI = 8.2, 4.0, 200
_LABEL = 7.5  # points
_LEFT, _RIGHT, _TOP = 0.085, 0.015, 0.09  # margins, shares of the page


@dataclass(frozen=True)
class Curve:
    """A share in [0, 1] for each layer of a network, in the order they run. ``pools``: which of them are pools."""

    network: str
    layers: tuple[str, ...]
    pools: tuple[bool, ...]
    shares: tuple[float, ...]

    @property
    def depths(self) -> tuple[float, ...]:
        """Where each layer lies between the network's first (0) and its last (1)."""
        last = max(1, len(self.layers) - 1)
        return tuple(i / last for i in range(len(self.layers)))


def share_chart(curves: Sequence[Curve], title: str) -> Page:
    """Shares of layers over depth, a line for each network; circles are convolutions, squares pools.

    Beneath, a row for each network names its layers, as many as there is room for.
    Raises DisplayError if there is no layer to show.
    """
    curves = [curve for curve in curves if curve.layers]
    if not curves:
        raise DisplayError("there is no convolution and no pool to chart")
    page = Page(figsize=(_WIDTH, _HEIGHT), dpi=_DPI, facecolor="white")
    beneath = (18 + _LABEL * LEADING * (len(curves) + 1)) / (72 * _HEIGHT)
    axes = page.add_axes((_LEFT, beneath, 1 - _LEFT - _RIGHT, 1 - beneath - _TOP))
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        _draw(axes, curve, colour)
        _name_layers(page, axes, curve, colour, number)
    _dress(axes, title)
    return page


def _draw(axes: Axes, curve: Curve, colour: str) -> None:
    axes.plot(
        curve.depths, curve.shares, color=colour, linewidth=1.4, label=drawable(curve.network), zorder=3
    )
    for pools, marker in ((False, "o"), (True, "s")):
        places = [
            (x, y) for x, y, p in zip(curve.depths, curve.shares, curve.pools, strict=True) if p == pools
        ]
        axes.plot(
            *zip(*places, strict=True) if places else ((), ()),
            linestyle="none",
            marker=marker,
            markersize=4.5,
            markeredgecolor=colour,
            markerfacecolor="white" if pools else colour,
            zorder=4,
        )


def _name_layers(page: Page, axes: Axes, curve: Curve, colour: str, number: int) -> None:
    """Names under the axis, left out where they would meet."""
    span = axes.get_position()
    free = -1.0
    below = (8 + _LABEL * LEADING * (number + 1)) / (72 * _HEIGHT)
    for name, depth in zip(curve.layers, curve.depths, strict=True):
        words = drawable(name)
        half = text_width(words, _LABEL - 1) / (72 * _WIDTH) / 2
        middle = span.x0 + span.width * (0.02 + 0.96 * depth)
        if middle - half <= free:
            continue
        free = middle + half + SMALLEST / (72 * _WIDTH)
        page.text(
            middle, span.y0 - below, words, ha="center", size=_LABEL - 1, color=colour, parse_math=False
        )


def _dress(axes: Axes, title: str) -> None:
    axes.set(xlim=(-0.02 / 0.96, 1 + 0.02 / 0.96), ylim=(0, 1), xticks=[])
    axes.set_yticks([n / 5 for n in range(6)], [f"{n * 20} %" for n in range(6)])
    axes.tick_params(labelsize=_LABEL, colors=INK, length=2.5)
    axes.set_ylabel(title, size=_LABEL + 1, color=INK)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    legend = [
        *axes.get_legend_handles_labels()[0],
        *axes.plot([], [], "o", color=FAINT, markersize=4.5, label="convolution"),
        *axes.plot([], [], "s", color=FAINT, markerfacecolor="white", markersize=4.5, label="pool"),
    ]
    axes.legend(
        handles=legend,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        fontsize=_LABEL,
        frameon=False,
        ncols=len(legend),
    )
