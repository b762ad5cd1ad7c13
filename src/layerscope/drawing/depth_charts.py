"""Charts of any numbers over the depth of networks, several on a page, each with its scale and its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from layerscope.drawing.canvas import FAINT, INK, LEADING, Page, drawable
from layerscope.drawing.charts import COLOURS, LINE_WIDTHS, Curve, draw_curve, name_layers
from layerscope.errors import DisplayError

_WIDTH, _HEIGHT, _DPI = 8.2, 4.0, 200  # whole pixels
_LOW_HEIGHT = 2.7  # of each row of several
_LABEL = 7.5  # points
_LEFT, _RIGHT, _TOP = 0.7, 0.12, 0.36  # margins of a panel, inches
_TICKS = 6  # at most


@dataclass(frozen=True)
class Scale:
    """From where to where values are drawn; ``level``: one that they are compared with."""

    low: float
    high: float
    level: float | None = None

    @classmethod
    def around(cls, curves: Sequence[Curve], *levels: float, level: float | None = None) -> Scale:
        """One on which all of the curves, their intervals, and the levels are seen."""
        values = [v for c in curves for v in (*c.shares, *c.low, *c.high) if isfinite(v)]
        values += [*levels, *([] if level is None else [level])]
        low, high = min(values, default=0.0), max(values, default=1.0)
        if high - low < 1e-6 * max(abs(low), abs(high), 1.0):
            high = low + max(abs(low), 1.0)
        step = _step(low, high)
        return cls(floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step, level=level)

    @property
    def ticks(self) -> dict[float, str]:
        """Where values are written, and how."""
        step = _step(self.low, self.high)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        places = [round(n * step, 10) for n in range(first, last + 1)]
        return {v: f"{v:.10g}" for v in places}


def _step(low: float, high: float) -> float:
    """The least round number of which a few steps lead from one to the other."""
    wanted = (high - low) / (_TICKS - 1)
    power = 10.0 ** floor(log10(wanted))
    return next(n * power for n in (1.0, 2.0, 2.5, 5.0, 10.0) if n * power >= wanted * (1 - 1e-9))


@dataclass(frozen=True)
class Chart:
    """A chart among others: its curves, what their values are, on which scale, and a heading."""

    curves: tuple[Curve, ...]
    title: str
    scale: Scale
    heading: str = ""


def depth_charts(panels: Sequence[Chart], columns: int = 1) -> Page:
    """Numbers of layers over depth, panels side by side; circles are convolutions, squares pools, bars intervals.

    Beneath, a row for each network names its layers, as many as there is room for; one legend stands above all.
    Raises DisplayError if there is no layer to show.
    """
    curves = [curve for panel in panels for curve in panel.curves if curve.layers]
    if not curves:
        raise DisplayError("there is no layer to chart; measure at least one")
    names = dict.fromkeys(curve.network for curve in curves)
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    rows = ceil(len(panels) / columns)
    page = Page(figsize=(_WIDTH, rows * _height(rows)), dpi=_DPI, facecolor="white")
    for place, panel in enumerate(panels):
        _add(page, panel, divmod(place, columns), (rows, columns), colours)
    _add_legend(page, curves, colours)
    return page


def _height(rows: int) -> float:
    return _HEIGHT if rows == 1 else _LOW_HEIGHT


def _add(
    page: Page, panel: Chart, at: tuple[int, int], of: tuple[int, int], colours: Mapping[str, str]
) -> None:
    """One panel with the names of its layers, at its row and column of so many."""
    axes_of = list(dict.fromkeys(curve.layers for curve in panel.curves if curve.layers))
    height, across = _height(of[0]), _WIDTH / of[1]
    beneath = (18 + _LABEL * LEADING * (len(axes_of) + 1)) / 72
    left, bottom = at[1] * across + _LEFT, (of[0] - at[0] - 1) * height + beneath
    wide, high = across - _LEFT - _RIGHT, height - beneath - _TOP
    width, whole = page.get_figwidth(), page.get_figheight()
    place = (left / width, bottom / whole, wide / width, high / whole)
    axes = page.add_axes(place, label=f"{at}")
    for curve in panel.curves:
        draw_curve(axes, curve, colours.get(curve.network, INK), 4.5 if of[0] == 1 else 3)
    for number, layers in enumerate(axes_of):
        named = [curve for curve in panel.curves if curve.layers == layers]
        colour = colours[named[0].network] if len({curve.network for curve in named}) == 1 else FAINT
        name_layers(page, axes, named[0], colour, number)
    _dress(axes, panel)


def _dress(axes: Axes, panel: Chart) -> None:
    scale = panel.scale
    axes.set(xlim=(-0.02 / 0.96, 1 + 0.02 / 0.96), ylim=(scale.low, scale.high), xticks=[])
    axes.set_yticks([*scale.ticks], [*scale.ticks.values()])
    axes.tick_params(labelsize=_LABEL, colors=INK, length=2.5)
    axes.set_ylabel(panel.title, size=_LABEL + 1, color=INK)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    if scale.level is not None:
        axes.axhline(scale.level, color=FAINT, linewidth=0.9, zorder=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    if panel.heading:
        axes.set_title(drawable(panel.heading), size=_LABEL + 1, color=INK, loc="left", pad=3)


def _add_legend(page: Page, curves: Sequence[Curve], colours: Mapping[str, str]) -> None:
    """What colours, lines and marks stand for, at the top right of the page."""
    axes = page.axes[0]
    entries: list[Artist] = []
    for name, colour in colours.items():
        entries += axes.plot([], [], color=colour, label=drawable(name))
    for meaning, line in {curve.meaning: curve.line for curve in curves if curve.meaning}.items():
        entries += axes.plot([], [], color=FAINT, linestyle=line, linewidth=LINE_WIDTHS[line], label=meaning)
    marked = {pool for curve in curves if curve.line == "solid" for pool in curve.pools}
    for pool in sorted(marked):
        words, face = ("pool", "white") if pool else ("convolution", FAINT)
        shape = "s" if pool else "o"
        entries += axes.plot([], [], shape, color=FAINT, markerfacecolor=face, markersize=4.5, label=words)
    page.legend(
        handles=entries,
        loc="upper right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0.3,
        fontsize=_LABEL,
        frameon=False,
        ncols=len(entries),
        columnspacing=1.2,
    )
