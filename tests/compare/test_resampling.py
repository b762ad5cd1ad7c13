"""Bootstrapped means: the means are means, the intervals those of normal values, and nothing depends on chance."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.compare.resampling import Change, bootstrap_means


def test_intervals_of_normal_values() -> None:
    values = np.random.default_rng(0).normal(3, 2, (400, 3))
    means = bootstrap_means(values)
    assert means.values == pytest.approx(values.mean(axis=0), rel=1e-12)
    half = 1.96 * values.std(axis=0, ddof=1) / 20
    assert means.high - means.values == pytest.approx(half, rel=0.08)
    assert means.values - means.low == pytest.approx(half, rel=0.08)
    again = bootstrap_means(values)
    assert (again.low == means.low).all()
    assert (bootstrap_means(values[:, :1]).high == means.high[:1]).all()


def test_intervals_cover() -> None:
    """Of skewed values, about 95 in 100 of the intervals hold the mean; those of another mean hardly any."""
    random = np.random.default_rng(1)
    found = [bootstrap_means(random.exponential(1.0, (60, 1))) for _ in range(100)]
    assert 85 <= sum(m.low[0] < 1 < m.high[0] for m in found) <= 100
    assert sum(m.low[0] < 2 < m.high[0] for m in found) <= 5


def test_gaps_are_left_out() -> None:
    values = np.array([[1.0, np.nan, np.nan, 5.0], [3.0, 2.0, np.nan, 5.0], [5.0, 4.0, np.nan, np.nan]])
    means = bootstrap_means(values)
    assert means.values[:2].tolist() == [3.0, 3.0]
    assert np.isnan(means.values[2])
    assert np.isnan([means.low[2], means.high[2]]).all()
    assert (means.low[3], means.high[3]) == (5.0, 5.0)
    assert means.low[1] == 2.0


def test_few_pictures() -> None:
    assert not Change.of(np.array([2.0])).known
    assert Change.of(np.array([2.0])).falls is None
    assert Change.of(np.array([-2.0, -1.0, -1.5])).falls is True
    assert Change.of(np.array([-2.0, 1.0, -1.5])).falls is False
    assert Change.of(np.array([-2.0, np.nan])).falls is None
    assert bootstrap_means(np.empty((1, 0))).values.shape == (0,)
