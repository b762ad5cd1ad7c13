"""The chart of a share per layer: every layer has its mark, names never meet, nothing is drawn of nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from layerscope.drawing.canvas import figure_files, text_width
from layerscope.drawing.charts import Curve, Panel, share_chart, share_panels
from layerscope.errors import DisplayError

SMALL = Curve("alexnet", ("c1", "p1", "c2"), (False, True, False), (0.6, 0.3, 0.8))
DEEP = Curve(
    "resnet", tuple(f"layer{i}.0.conv" for i in range(60)), (False,) * 60, tuple(i / 60 for i in range(60))
)


def test_every_layer_has_its_mark_at_its_share() -> None:
    axes = share_chart([SMALL, DEEP], "zeros").axes[0]
    shares = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in axes.lines}
    depths = {line.get_label(): np.asarray(line.get_xdata()).tolist() for line in axes.lines}
    assert (depths["alexnet"], shares["alexnet"]) == ([0.0, 0.5, 1.0], [0.6, 0.3, 0.8])
    assert shares["resnet"] == list(DEEP.shares)
    filled = {
        tuple(np.asarray(line.get_ydata()).tolist()): line.get_markerfacecolor()
        for line in axes.lines
        if line.get_linestyle() == "None"
    }
    assert filled[(0.3,)] == "white"
    assert filled[(0.6, 0.8)] != "white"


def test_names_stand_under_their_layers_and_never_meet() -> None:
    page = share_chart([SMALL, DEEP], "zeros")
    rows: dict[float, list[tuple[float, float]]] = {}
    for text in page.texts:
        half = text_width(text.get_text(), float(text.get_fontsize())) / (72 * page.get_figwidth()) / 2
        rows.setdefault(text.get_position()[1], []).append(
            (text.get_position()[0] - half, text.get_position()[0] + half)
        )
    assert sorted(len(row) for row in rows.values())[0] == 3
    assert len(rows) == 2
    for row in rows.values():
        assert all(right < left for (_, right), (left, _) in pairwise(row))
    names = [t.get_text() for t in page.texts]
    assert names[:3] == ["c1", "p1", "c2"]
    assert 3 < len(names) - 3 < 60


def test_one_layer_and_strange_names_are_drawn() -> None:
    page = share_chart([Curve("网 $x$", ("a_1 $",), (True,), (1.0,))], "zeros")
    files = dict(figure_files(page, "chart"))
    assert files["chart.png"].startswith(b"\x89PNG")
    assert files["chart.pdf"].startswith(b"%PDF")


def test_no_layer_is_refused() -> None:
    with pytest.raises(DisplayError, match="no convolution"):
        share_chart([Curve("linear", (), (), ())], "zeros")


def test_intervals_are_bars_and_panels_stand_above_each_other_in_one_colour_per_network() -> None:
    nothing = float("nan")
    known = Curve("alexnet", ("c1", "c2"), (False, False), (0.4, 0.6), (0.3, 0.5), (0.5, 0.9))
    few = Curve("resnet", ("a", "b"), (False, False), (0.011, nothing))
    page = share_panels([Panel("zeros", [SMALL, known], 2.0), Panel("dead", [few])])
    (bars,) = page.axes[0].collections
    assert isinstance(bars, LineCollection)
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[0.3, 0.5], [0.5, 0.9]]
    assert page.axes[0].get_position().y0 > page.axes[1].get_position().y1
    assert page.axes[1].get_yticks().tolist() == [0, 0.01, 0.02]
    assert [text.get_text() for text in page.texts] == ["c1", "p1", "c2", "c1", "c2"]
    both = share_panels([Panel("zeros", [SMALL, DEEP]), Panel("dead", [DEEP])])
    colours = [axes.lines[3 * number].get_color() for axes, number in zip(both.axes, (1, 0), strict=True)]
    assert colours[0] == colours[1]
