"""Charts of any numbers: each on its scale, controls by lines of their own, and one legend for all."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from layerscope.drawing.canvas import figure_files
from layerscope.drawing.charts import Curve
from layerscope.drawing.depth_charts import Chart, Scale, depth_charts
from layerscope.errors import DisplayError

LAYERS, POOLS = ("c1", "p1", "c2"), (False, True, False)
OWN = Curve("alexnet", LAYERS, POOLS, (0.9, 0.7, 0.4), (0.8, 0.6, 0.3), (1.0, 0.8, 0.5), meaning="trained")
CONTROL = Curve("alexnet", LAYERS, POOLS, (1.0, nan, 0.8), line="dashed", meaning="control")
OTHER = Curve("vgg16", ("c1_1", "c2_1"), (False, False), (1.2, 0.2), meaning="trained")


def test_scales_show_all_and_are_round() -> None:
    scale = Scale.around([OWN, CONTROL, OTHER], 0.0, level=1.0)
    assert (scale.low, scale.high, scale.level) == (0.0, 1.25, 1.0)
    assert [*scale.ticks.values()] == ["0", "0.25", "0.5", "0.75", "1", "1.25"]
    low = Scale.around([Curve("a", ("c1",), (False,), (-0.31,))], 1.0)
    assert low.low <= -0.31
    assert low.high == 1.0
    for curve in (Curve("a", ("c1",), (False,), (nan,)), Curve("a", ("c1",), (False,), (5e6,))):
        scale = Scale.around([curve])
        assert scale.low < scale.high
        assert 1 < len(scale.ticks) < 9


def test_one_colour_for_a_network_and_one_line_for_a_meaning() -> None:
    page = depth_charts([Chart((OWN, CONTROL, OTHER), "energy", Scale(0, 2, level=1.0))])
    (axes,) = page.axes
    drawn = {line.get_label(): line for line in axes.lines if not str(line.get_label()).startswith("_")}
    assert np.asarray(drawn["alexnet, trained"].get_ydata()).tolist() == [0.9, 0.7, 0.4]
    assert drawn["alexnet, control"].get_linestyle() == "--"
    assert drawn["alexnet, control"].get_color() == drawn["alexnet, trained"].get_color()
    assert drawn["vgg16, trained"].get_color() != drawn["alexnet, trained"].get_color()
    ends = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]  # type: ignore[attr-defined]
    assert ends == [[0.8, 1.0], [0.6, 0.8], [0.3, 0.5]]
    assert [text.get_text() for text in page.legends[0].get_texts()] == [
        "alexnet", "vgg16", "trained", "control", "convolution", "pool"
    ]  # fmt: skip
    assert [text.get_text() for text in page.texts] == ["c1", "p1", "c2", "c1_1", "c2_1"]


def test_panels_do_not_meet() -> None:
    charts = [Chart((OWN,), "energy", Scale(0, 1), heading) for heading in "abcde"]
    page = depth_charts(charts, columns=2)
    boxes = [axes.get_position() for axes in page.axes]
    assert len(boxes) == 5
    assert boxes[0].x1 < boxes[1].x0
    assert boxes[2].y1 < boxes[0].y0
    assert all(0 <= b.x0 < b.x1 <= 1 and 0 <= b.y0 < b.y1 <= 1 for b in boxes)
    assert dict(figure_files(page, "charts"))["charts.png"].startswith(b"\x89PNG")


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(DisplayError, match="no layer to chart"):
        depth_charts([Chart((Curve("a", (), (), ()),), "energy", Scale(0, 1))])
