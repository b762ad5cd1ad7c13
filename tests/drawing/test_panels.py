"""Panels fitted to a page: a signal is reduced to exact means."""

import numpy as np
import pytest

from layerscope.drawing.panels import fitted_panel
from tests.oracles.pages import panels as oracle


@pytest.mark.parametrize("cell", [(7, 11), (1, 1), (13, 9), (19, 29)])
def test_a_signal_is_reduced_to_the_mean_of_what_each_pixel_covers(cell: tuple[int, int]) -> None:
    """The left half is at one end of the scale, so that nothing is spread out."""
    panel = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    panel[:, :15] = 255
    shown = fitted_panel(panel, (0, 0, 0, 0), cell, 127.5)
    means = oracle.mean_of_area(panel - 127.5, cell)
    factor = max(1.0, 127.5 / np.percentile(np.abs(means), 99.5))
    assert np.abs(shown - (127.5 + factor * means)).max() < 0.51
