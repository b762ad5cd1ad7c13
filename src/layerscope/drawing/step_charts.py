"""Charts of shares over the steps of a training: a line for each layer, dark for the lowest, light for the highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib import colormaps
from matplotlib.axes import Axes

from layerscope.drawing.canvas import FAINT, INK, Page, drawable
from layerscope.errors import DisplayError

_WIDTH, _HEIGHT, _DPI = 8.2, 1.9, 200  # inches: of the page, and of each chart
_LEFT, _RIGHT, _ABOVE, _BENEATH, _BETWEEN = 0.62, 0.86, 0.12, 0.42, 0.12  # inches
_LABEL = 7.5  # points
_LIGHTEST = 0.88  # of the colours: beyond it they are lost on white

_Colour = tuple[float, float, float, float]
Lines = Mapping[str, Sequence[float]]  #: of each layer, at each step; NaN: there is none


@dataclass(frozen=True)
class StepChart:
    """Shares of each layer, what they are, and the ends of their intervals where there are any."""

    title: str
    values: Lines
    low: Lines = field(default_factory=dict)
    high: Lines = field(default_factory=dict)


def step_charts(charts: Sequence[StepChart], steps: Sequence[str]) -> Page:
    """The charts one above the other, steps side by side at equal distances; bars are intervals.

    The names of the steps, of one line or two, stand beneath. Raises DisplayError if there is no layer, or a line has
    more or fewer values than there are steps.
    """
    layers = list(dict.fromkeys(layer for chart in charts for layer in chart.values))
    lines = [line for chart in charts for line in chart.values.values()]
    if not layers or any(len(line) != len(steps) for line in lines):
        raise DisplayError("a chart over steps needs layers, each with a value at every step")
    shades = colormaps["viridis"]
    colours = {
        layer: shades(_LIGHTEST * place / max(1, len(layers) - 1)) for place, layer in enumerate(layers)
    }
    height = _ABOVE + len(charts) * (_HEIGHT + _BETWEEN) - _BETWEEN + _BENEATH
    page = Page(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    for place, chart in enumerate(charts):
        bottom = height - _ABOVE - (place + 1) * _HEIGHT - place * _BETWEEN
        axes = page.add_axes(
            (_LEFT / _WIDTH, bottom / height, 1 - (_LEFT + _RIGHT) / _WIDTH, _HEIGHT / height)
        )
        for layer, line in chart.values.items():
            _draw(axes, layer, line, chart, colours[layer])
        _dress(axes, chart.title, steps, last=place == len(charts) - 1)
    _explain(page.axes[0], layers, colours)
    return page


def _draw(axes: Axes, layer: str, line: Sequence[float], chart: StepChart, colour: _Colour) -> None:
    places = range(len(line))
    axes.plot(places, line, color=colour, linewidth=1.3, marker="o", markersize=2.8, zorder=3)
    if layer in chart.low:
        low, high = list(chart.low[layer]), list(chart.high[layer])
        axes.vlines(list(places), low, high, color=colour, linewidth=0.9, alpha=0.8, zorder=2)


def _dress(axes: Axes, title: str, steps: Sequence[str], *, last: bool) -> None:
    axes.set(xlim=(-0.15, len(steps) - 0.85), ylim=(-0.04, 1.04))
    axes.set_xticks(
        range(len(steps)), ["\n".join(map(drawable, step.split("\n"))) for step in steps] if last else []
    )
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.tick_params(labelsize=_LABEL, colors=INK, length=2.5)
    axes.set_ylabel(title, size=_LABEL + 0.5, color=INK)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)


def _explain(axes: Axes, layers: Sequence[str], colours: Mapping[str, _Colour]) -> None:
    """The legend, to the right of the first chart."""
    handles = [
        axes.plot([], [], color=colours[layer], linewidth=1.6, label=drawable(layer))[0] for layer in layers
    ]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.03), fontsize=_LABEL - 0.5, frameon=False
    )
