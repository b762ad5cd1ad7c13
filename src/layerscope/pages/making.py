"""All that a study's pages show, added to it as steps that go on where they ended."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.images.sets import ImageSet
from layerscope.network.network import Network
from layerscope.pages.filters import add_filters
from layerscope.pages.options import PICTURES, PageOptions, choose_pictures
from layerscope.pages.pictures import add_pictures, chosen_before
from layerscope.pages.reconstructions import add_reconstructions
from layerscope.progress import Told, of
from layerscope.study.folder import Study
from layerscope.study.sources import check_network


def add_pages(
    study: Study,
    networks: Sequence[Network],
    images: ImageSet,
    options: PageOptions | None = None,
    progress: Told | None = None,
) -> Study:
    """The study with the pictures that its pages show: its pictures small and large, what these networks keep of the
    large ones, and their filters.

    Each file is kept as it is done. Raises StudyError if a network or a picture is not that of the study, or a name
    is no picture's; NetworkError for a layer that no network has.
    """
    options = options or PageOptions()
    options.check_layers(networks)
    for network in networks:
        check_network(study, network)
    chosen = _chosen(study, options)
    study = add_pictures(study, images, chosen, progress)
    for network in networks:
        told, rule = of(network.name, progress), options.rule_for(study, network.name)
        study = add_reconstructions(study, network, images, chosen, rule, told)
        study = add_filters(study, network, images, options, rule, told)
    return study


def _chosen(study: Study, options: PageOptions) -> tuple[int, ...]:
    """The pictures that are to be shown large."""
    before = chosen_before(study)
    if options.pictures is not None:
        return choose_pictures(study, options.pictures, before or () if options.add else ())
    return choose_pictures(study, PICTURES) if before is None else before
