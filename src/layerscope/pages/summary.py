"""What is there for a study's pages, and what is not and why, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow.compute as pc

from layerscope.disk.tables import read_json
from layerscope.pages.pictures import chosen_before
from layerscope.pages.reconstructions import ABOUT
from layerscope.pages.shown import STEP as FILTERS
from layerscope.study.folder import NetworkResults, Study

_NAMED = 4  # layers of those that are left out


def summary_of(study: Study, networks: Iterable[str]) -> Iterator[str]:
    """A line for the pictures, and for each network what there is and what is left out."""
    small, large = study.pictures.num_rows - study.bad.num_rows, len(chosen_before(study) or ())
    yield f"{_count(small, 'picture')} small, {large:,} large"
    for name in networks:
        yield f"{name}: {_reconstructions(study.network(name))}"
        yield f"{name}: {_filters(study.network(name))}{_left_out(study, name)}"


def _reconstructions(results: NetworkResults) -> str:
    about = read_json(results.file(ABOUT))
    kept = about["reconstructions"]
    out = [layer for layer in results.layers["layer"].to_pylist() if layer not in kept]
    named = ", ".join(out[:_NAMED]) + (f" and {len(out) - _NAMED} more" if len(out) > _NAMED else "")
    left = f", none of {named}: {about['rule']} does not go back from there" if out else ""
    return f"reconstructions from {_count(len(kept), 'layer')}{left}"


def _filters(results: NetworkResults) -> str:
    if FILTERS not in results.results:
        return "no filters: the study keeps no top patches; add TopPatches to the reducers"
    table = results.table(FILTERS)
    drawn = sum(table["drawn"].to_pylist())
    layers = len(table["layer"].unique())
    return f"{_count(table.num_rows, 'filter')} of {_count(layers, 'layer')}, {drawn:,} with reconstructions"


def _left_out(study: Study, name: str) -> str:
    """How many filters of the layers shown fire and have no picture, and what gives them one; "" if all have."""
    results = study.network(name)
    if FILTERS not in results.results:
        return ""
    shown, top = results.table(FILTERS), results.table("top_patches")
    top = top.filter(pc.and_(pc.is_in(top["layer"], shown["layer"].unique()), pc.not_equal(top["value"], 0)))
    out = top.group_by(["layer", "channel"]).aggregate([]).num_rows - shown.num_rows
    how = f"`layerscope pages {study.path} -n {name} --most all` adds a picture of each"
    return f"; {_count(out, 'more filter')} of these layers: {how}" if out else ""


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s'[: number != 1]}"
