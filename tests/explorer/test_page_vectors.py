"""The pages' arithmetic is tested against what Python finds now, not against what it once found."""

from __future__ import annotations

import json
from pathlib import Path
from runpy import run_path

import numpy as np


def test_vectors_of_the_pages_are_what_python_finds() -> None:
    made = run_path(str(Path(__file__).with_name("page_vectors.py")))
    kept, found = json.loads(made["FILE"].read_text()), made["vectors"]()
    assert kept.keys() == found.keys()
    for name in ("points", "places", "onSteps", "pictures", "levels", "scale"):
        assert np.array_equal(kept[name], found[name]), f"{name}: run tests/explorer/page_vectors.py"
    for old, new in zip(kept["regions"], found["regions"], strict=True):
        assert old["members"] == new["members"]
        assert old["centre"] == new["centre"]
        np.testing.assert_allclose(old["filters"]["contrast"], new["filters"]["contrast"], atol=1e-9)
