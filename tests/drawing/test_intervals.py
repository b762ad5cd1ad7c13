"""Shares and their intervals on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle

from layerscope.drawing.intervals import Interval, interval_chart
from layerscope.errors import DisplayError
from tests.support.looking import meeting, on_page, outside, texts, words

Groups = Mapping[str, Sequence[Interval | None]]
LONG = "a network of some long name, longer than there is room for"


@pytest.mark.parametrize(
    ("groups", "kinds"),
    [
        ({LONG: [None], "b": [Interval(0, 0, 0.3, "0 of 9")]}, ["top-1"]),
        ({"b": [Interval(1, 0.7, 1, "9 of 9"), Interval(0.5, 0.2, 0.8, "half")]}, ["top-1", "top-5"]),
    ],
)
def test_words_keep_their_places(groups: Groups, kinds: Sequence[str]) -> None:
    page = interval_chart(groups, kinds, "error")
    boxes = on_page(page, texts(page))
    assert meeting(boxes) == []
    assert outside(page, boxes) == []
    named = {share.words for own in groups.values() for share in own if share is not None}
    assert {"error", *kinds, "b", "0 %", "100 %"} | named <= set(words(page))


def test_points_and_whiskers_stand_at_their_shares() -> None:
    page = interval_chart({"a": [Interval(0.4, 0.2, 0.9, "")]}, ["top-1"], "error")
    shapes = page.axes[0].patches
    scale = [s for s in shapes if isinstance(s, Rectangle) and s.get_height() > 20]
    zero, whole = (s.get_x() + s.get_width() / 2 for s in (scale[0], scale[-1]))
    (point,) = [s for s in shapes if isinstance(s, Circle) and s.get_radius() == 3]
    (line,) = [s for s in shapes if isinstance(s, Rectangle) and s.get_height() < 2]
    at = [float(np.ravel(point.get_center())[0]), line.get_x(), line.get_x() + line.get_width()]
    assert [(x - zero) / (whole - zero) for x in at] == pytest.approx([0.4, 0.2, 0.9])


@pytest.mark.parametrize("groups", [{}, {"a": [None]}, {"a": []}, {"a": [Interval(0, 0, 0, "")] * 2}])
def test_nothing_to_show(groups: Groups) -> None:
    with pytest.raises(DisplayError, match="a chart of intervals needs"):
        interval_chart(groups, ["top-1"], "error")
