"""Parameters of which few are run every time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(quick: Iterable[str], names: Iterable[str]) -> list[Any]:
    """Each of the names, marked slow but for the quick ones, which must be among them."""
    names, quick = list(names), set(quick)
    assert quick <= set(names)
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]
