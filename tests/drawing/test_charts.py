"""The chart of a share per layer: every layer has its mark, names never meet, nothing is drawn of nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from layerscope.drawing.canvas import figure_files, text_width
from layerscope.drawing.charts import Curve, share_chart
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
