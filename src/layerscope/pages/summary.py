"""What is there for a study's pages, and what is not and why, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from layerscope.disk.tables import read_json
from layerscope.network.network import Network
from layerscope.pages.pictures import chosen_before
from layerscope.pages.reconstructions import ABOUT
from layerscope.pages.shown import STEP as FILTERS
from layerscope.study.folder import Study


def summary_of(study: Study, networks: Sequence[Network]) -> Iterator[str]:
    """A line for the pictures, and for each network what there is and what is left out."""
    small, large = study.pictures.num_rows - study.bad.num_rows, len(chosen_before(study) or ())
    yield f"{_count(small, 'picture')} small, {large:,} large"
    for network in networks:
        yield f"{network.name}: {_reconstructions(study, network)}"
        yield f"{network.name}: {_filters(study, network)}"


def _reconstructions(study: Study, network: Network) -> str:
    about = read_json(study.network(network.name).file(ABOUT))
    kept = about["reconstructions"]
    out = [layer.name for layer in network.layers if layer.name not in kept]
    left = f", none of {', '.join(out)}: {about['rule']} does not go back from there" if out else ""
    return f"reconstructions from {_count(len(kept), 'layer')}{left}"


def _filters(study: Study, network: Network) -> str:
    results = study.network(network.name)
    if FILTERS not in results.results:
        return "no filters: the study keeps no top patches; add TopPatches to the reducers"
    table = results.table(FILTERS)
    drawn = sum(table["drawn"].to_pylist())
    layers = len(table["layer"].unique())
    return f"{_count(table.num_rows, 'filter')} of {_count(layers, 'layer')}, {drawn:,} with reconstructions"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s'[: number != 1]}"
