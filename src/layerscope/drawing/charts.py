"""Charts of numbers per layer, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

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
_WIDTH, _DPI = 8.2, 200
_TALL, _LOW = 3.3, 1.3  # inches of a panel's height: alone or for a weight of 2.5, and for each weight of 1
_LABEL = 7.5  # points
_LEFT, _RIGHT = 0.085, 0.015  # margins, shares of the width
_ABOVE, _BETWEEN, _BENEATH = (
    26,
    12,
    18,
)  # points: the legend, panels, and below them, names of layers left out


Line = Literal["solid", "dashed", "dotted"]
LINE_WIDTHS: Mapping[Line, float] = {"solid": 1.4, "dashed": 1.1, "dotted": 0.9}


@dataclass(frozen=True)
class Curve:
    """A share in [0, 1], or another number, for each layer of a network, in the order they run; NaN: there is none.

    ``network``: what its colour stands for; ``pools``: which layers are pools; ``low`` and ``high``: the ends of each
    one's interval, NaN or nothing where there is none. ``line``: how it is drawn; only solid ones have marks.
    ``meaning``: what the line stands for, in words.
    """

    network: str
    layers: tuple[str, ...]
    pools: tuple[bool, ...]
    shares: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    line: Line = "solid"
    meaning: str = ""

    @property
    def depths(self) -> tuple[float, ...]:
        """Where each layer lies between the network's first (0) and its last (1)."""
        last = max(1, len(self.layers) - 1)
        return tuple(i / last for i in range(len(self.layers)))


@dataclass(frozen=True)
class Panel:
    """Curves of one kind of share; ``weight``: how high the panel is beside the others."""

    title: str
    curves: Sequence[Curve]
    weight: float = 1.0


def share_chart(curves: Sequence[Curve], title: str) -> Page:
    """Shares of layers over depth, a line for each network; circles are convolutions, squares pools.

    Beneath, a row for each network names its layers, as many as there is room for. Bars are intervals.
    Raises DisplayError if there is no layer to show.
    """
    return share_panels([Panel(title, curves, _TALL / _LOW)])


def share_panels(panels: Sequence[Panel]) -> Page:
    """Several such charts of the same networks, one above the other; the names of the first stand beneath them all.

    The first goes from 0 to 100 %, the others as far as they must. Raises DisplayError as `share_chart`.
    """
    curves = [curve for curve in panels[0].curves if curve.layers]
    if not curves:
        raise DisplayError("there is no convolution and no pool to chart")
    colours = {curve.network: COLOURS[i % len(COLOURS)] for i, curve in enumerate(panels[0].curves)}
    beneath = _BENEATH + _LABEL * LEADING * (len(curves) + 1)
    heights = [72 * _LOW * panel.weight for panel in panels]
    height = (_ABOVE + sum(heights) + _BETWEEN * (len(panels) - 1) + beneath) / 72
    page = Page(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    top = height * 72 - _ABOVE
    for number, (panel, high) in enumerate(zip(panels, heights, strict=True)):
        share = (top - high) / (72 * height), high / (72 * height)
        axes = page.add_axes((_LEFT, share[0], 1 - _LEFT - _RIGHT, share[1]))
        for place, curve in enumerate(panel.curves):
            draw_curve(axes, curve, colours.get(curve.network, COLOURS[place % len(COLOURS)]))
        _dress(axes, panel, alone=number == 0)
        top -= high + _BETWEEN
    for number, curve in enumerate(curves):
        name_layers(page, axes, curve, colours[curve.network], number)
    _explain(page.axes[0])
    return page


def draw_curve(axes: Axes, curve: Curve, colour: str, marks: float = 4.5) -> None:
    """The curve with its intervals and, if it is solid, its marks of a size in points."""
    label = drawable(f"{curve.network}, {curve.meaning}" if curve.meaning else curve.network)
    style = {"color": colour, "linestyle": curve.line, "linewidth": LINE_WIDTHS[curve.line]}
    axes.plot(curve.depths, curve.shares, label=label, zorder=3, **style)  # type: ignore[arg-type]
    if curve.low:
        axes.vlines(curve.depths, curve.low, curve.high, color=colour, linewidth=1.0, alpha=0.8, zorder=2)
    for pools, marker in ((False, "o"), (True, "s")) if curve.line == "solid" else ():
        places = [
            (x, y) for x, y, p in zip(curve.depths, curve.shares, curve.pools, strict=True) if p == pools
        ]
        axes.plot(
            *zip(*places, strict=True) if places else ((), ()),
            linestyle="none",
            marker=marker,
            markersize=marks,
            markeredgecolor=colour,
            markerfacecolor="white" if pools else colour,
            zorder=4,
        )


def name_layers(page: Page, axes: Axes, curve: Curve, colour: str, number: int) -> None:
    """Names under the axis, left out where they would meet."""
    span, height = axes.get_position(), page.get_figheight()
    free = -1.0
    below = (8 + _LABEL * LEADING * (number + 1)) / (72 * height)
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


def _dress(axes: Axes, panel: Panel, *, alone: bool) -> None:
    most = 1.0 if alone else _round_share(max(map(_most, panel.curves), default=0.0))
    axes.set(
        xlim=(-0.02 / 0.96, 1 + 0.02 / 0.96), ylim=(-0.04 * most if not alone else 0, 1.04 * most), xticks=[]
    )
    steps = 5 if panel.weight >= 1.5 else 2
    ticks = [most * n / steps for n in range(steps + 1)]
    axes.set_yticks(ticks, [f"{tick * 100:g} %" for tick in ticks])
    axes.tick_params(labelsize=_LABEL, colors=INK, length=2.5)
    axes.set_ylabel(panel.title, size=_LABEL if panel.weight < 1.5 else _LABEL + 1, color=INK)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)


def _most(curve: Curve) -> float:
    return max((share for share in curve.shares if not isnan(share)), default=0.0)


def _round_share(most: float) -> float:
    """The next of .02, .05, .1, .2, .5 and 1 that is not below."""
    return next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if most <= step or step == 1.0)


def _explain(axes: Axes) -> None:
    """The legend, above the first panel."""
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
