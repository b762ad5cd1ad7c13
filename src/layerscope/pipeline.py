"""The whole way: from networks and pictures to a study with all that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from layerscope.choices import PATCHES_ALONE
from layerscope.compare.sparsity import show_sparsity, sparsity_table
from layerscope.drawing.canvas import figure_files
from layerscope.errors import NetworkError, PortraitError, StudyError, UnsupportedOperationError
from layerscope.filters.portraits import FilterOptions, make_portraits, precision_of, rules_for
from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.pages.making import add_pages
from layerscope.pages.options import PageOptions
from layerscope.plane.libraries import check_libraries
from layerscope.progress import Told, of
from layerscope.space.making import SpaceOptions, make_spaces
from layerscope.study.folder import Study
from layerscope.study.sources import remember_sources
from layerscope.sweep.engine import Engine, Local
from layerscope.sweep.making import sweep_study
from layerscope.sweep.one_pass import SweepOptions
from layerscope.sweep.reducers import Reducer
from layerscope.sweep.standard import standard_reducers


@dataclass(frozen=True)
class StudyOptions:
    """What is made. ``reducers``: what the pass keeps, `standard_reducers` unless given; ``sweep``, ``engine``: how.

    ``filters``: whose portraits are drawn after the pass; None: nobody's. ``spaces``: layers whose representation
    space is mapped, of the networks that have them, each as ``space`` says. ``pages``: what pages show of the study is
    added last; None: nothing.
    """

    reducers: Sequence[Reducer] = field(default_factory=standard_reducers)
    sweep: SweepOptions = field(default_factory=SweepOptions)
    engine: Engine = field(default_factory=Local)
    filters: FilterOptions | None = None
    spaces: Sequence[str] = ()
    space: SpaceOptions = field(default_factory=SpaceOptions)
    pages: PageOptions | None = None


def make_study(
    networks: Sequence[Network],
    images: ImageSet,
    out: str | Path,
    *,
    options: StudyOptions | None = None,
    progress: Told | None = None,
) -> Study:
    """A study in the folder ``out``: one pass over the images, charts, portraits, spaces, what pages show.

    It goes on where it ended. The study remembers where images were opened and how networks were loaded, if
    `open_images` and `load_network` did it from places and names; a module or a data set of yours you give again.
    Raises what `sweep_study`, `make_portraits`, `make_spaces` and `add_pages` raise; PortraitError at the end, when
    all else is there, if portraits were asked for and the rule does not cover a network.
    """
    options = options or StudyOptions()
    _check_spaces(networks, options.spaces)
    study = sweep_study(
        networks,
        images,
        options.reducers,
        out,
        settings=options.sweep,
        engine=options.engine,
        progress=progress,
    )
    study = add_charts(remember_sources(study, networks, images))
    refused = []
    for network in networks:
        try:
            study = _portray(study, network, images, options.filters, progress)
        except UnsupportedOperationError as error:
            refused.append(f"no portraits of {network.name}: {error}{_another_rule(study, network)}")
    for network in networks:
        if own := [layer for layer in options.spaces if network.find_layer(layer)]:
            told = of(network.name, progress)
            study = make_spaces(study, network, images, own, options=options.space, progress=told)
    if options.pages is not None:
        precise = [network.to(dtype=precision_of(study, network.name)) for network in networks]
        study = add_pages(study, precise, images, options.pages, progress)
    if refused:
        raise PortraitError("; and ".join(refused))
    return study


def add_charts(study: Study) -> Study:
    """The study with the charts of its numbers: of sparsity, if that of any convolution or pool was counted."""
    counted = any("sparsity" in study.network(name).results for name in study.networks)
    if "sparsity_chart" in study.steps or not counted or not sparsity_table(study).num_rows:
        return study
    return study.add("sparsity_chart", dict(figure_files(show_sparsity(study), "sparsity")))


def _check_spaces(networks: Sequence[Network], layers: Sequence[str]) -> None:
    """Before the pass: whether there are such layers, and the libraries."""
    for layer in layers:
        if not any(network.find_layer(layer) for network in networks):
            names = " and ".join(network.name for network in networks)
            raise NetworkError(
                f"{names}: no layer {layer!r} to map; `layerscope layers` lists those there are"
            )
    if layers:
        check_libraries()


def _portray(
    study: Study, network: Network, images: ImageSet, filters: FilterOptions | None, progress: Told | None
) -> Study:
    """With the filters asked for, drawn as those that are there; a network without convolutions has none."""
    if filters is None or (filters.layers == "conv" and not network.has("conv2d")):
        return study
    if "top_patches" not in study.network(network.name).results:
        raise StudyError(
            f"{study.path} keeps no top patches, which portraits show; add TopPatches to the reducers"
        )
    network = network.to(dtype=precision_of(study, network.name))
    return make_portraits(
        study,
        network,
        images,
        layers=filters.layers,
        channels=filters.channels,
        drawing=filters.drawing,
        progress=of(network.name, progress),
    )


def _another_rule(study: Study, network: Network) -> str:
    """What makes portraits by a rule that covers all convolutions, or of patches alone if none does."""
    rule = next(iter(rules_for(network)), PATCHES_ALONE)
    made = "makes them" if rule != PATCHES_ALONE else "shows patches alone"
    return f"; `layerscope filters {study.path} -n {network.name} --rule {rule}` {made}"
