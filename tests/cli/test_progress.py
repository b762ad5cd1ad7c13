"""The bar: one stage after the other, and what was there before is no speed."""

from __future__ import annotations

import io
from typing import Any

import pytest

from layerscope.cli.progress import progress_bar
from layerscope.progress import Count, Progress, of


class Screen(io.StringIO):
    """A terminal, and the time of its clock."""

    now = 1000.0

    def isatty(self) -> bool:
        return True

    def last(self) -> str:
        return self.getvalue().rpartition("\r")[2]


def watched(screen: Screen, told: Any) -> None:
    """The bar is drawn at every call, by the screen's clock."""
    bar = told.bar
    bar._time, bar.mininterval, bar.start_t, bar.last_print_t = lambda: screen.now, 0, screen.now, screen.now


def test_stage_share_detail_and_time_left_are_shown() -> None:
    screen = Screen()
    with progress_bar(file=screen, ncols=100) as told:
        watched(screen, told)
        told(Progress("vgg16: pictures", 0.0, "0 of 40 pictures"))
        screen.now += 30
        told(Progress("vgg16: pictures", 0.25, "10 of 40 pictures"))
        assert screen.last().startswith("vgg16: pictures:  25%|")
        assert "[00:30<01:30, 10 of 40 pictures]" in screen.last()
        told(Progress("c4_1: t-SNE", 0.0))
        assert screen.last().startswith("c4_1: t-SNE:   0%|")
        assert "[00:00<?]" in screen.last()


@pytest.mark.parametrize("before", [0.0, 0.8])
def test_what_was_there_before_costs_no_time(before: float) -> None:
    screen = Screen()
    with progress_bar(file=screen, ncols=100) as told:
        watched(screen, told)
        told(Progress("pictures", before))
        screen.now += 10
        told(Progress("pictures", before + 0.1))
        left = round((0.9 - before) / 0.1 * 10)
        assert f"[00:10<{left // 60:02d}:{left % 60:02d}]" in screen.last()


def test_a_file_shows_no_bar() -> None:
    file = io.StringIO()
    with progress_bar(file=file) as told:
        told(Progress("pictures", 0.5))
    assert file.getvalue() == ""


def test_names_that_do_not_print_are_escaped() -> None:
    screen = Screen()
    with progress_bar(file=screen, ncols=100) as told:
        told(Progress("\x1b]0;title\x07: pictures", 0.5))
    assert "\x1b]0" not in screen.getvalue()
    assert "\x07" not in screen.getvalue()


def test_counts_tell_of_what_was_there_and_of_each_step() -> None:
    told: list[Progress] = []
    count = Count(of("c1", told.append), "tiles", 4_000, "tiles", before=1_000)
    count(500)
    count()
    assert told == [
        Progress("c1: tiles", 0.25, "1,000 of 4,000 tiles"),
        Progress("c1: tiles", 0.375, "1,500 of 4,000 tiles"),
        Progress("c1: tiles", 1501 / 4000, "1,501 of 4,000 tiles"),
    ]
    assert of("c1", None) is None
    Count(None, "tiles", 3)(1)
    Count(told.append, "nothing", 0)
    assert told[-1] == Progress("nothing", 1.0, "0 of 0 pictures")
