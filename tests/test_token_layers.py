"""Transformers beside a convolutional network: one study, spaces of their token layers, and the comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import SwinTransformer, VisionTransformer

from layerscope import Network, Preprocessing, StudyOptions, make_study, open_images
from layerscope.compare.comparison import compare_studies
from layerscope.errors import NetworkWarning
from layerscope.images.sets import ImageSet
from layerscope.plane.embedding import Tsne
from layerscope.space.making import SpaceOptions
from layerscope.space.space import Space
from layerscope.study import check_study
from layerscope.study.folder import Study
from layerscope.sweep import SweepOptions
from tests.support.studies import small, write_pictures

pytestmark = pytest.mark.slow  # the study alone takes half a minute
SIZE = Preprocessing(resize=None, height=64, width=64)
#: layers mapped, whose they are, and what the patch at row 1, column 2 sees
SPACES: Mapping[str, tuple[str, tuple[int, int, int, int]]] = {
    "encoder.layers.encoder_layer_0.ln_1": ("vit", (16, 32, 32, 48)),
    "encoder.layers.encoder_layer_1.mlp.0": ("vit", (0, 0, 64, 64)),
    "features.1.1.mlp.0": ("swin", (0, 0, 64, 64)),
}


def networks() -> list[Network]:
    torch.manual_seed(0)
    vit = VisionTransformer(64, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=7)
    swin = SwinTransformer([4, 4], 8, [2, 2], [2, 2], [4, 4], num_classes=7)
    torch.nn.init.normal_(vit.heads.head.weight)  # zeros otherwise, which predict nothing
    made = [
        Network.from_module(module.eval(), name=name, preprocessing=SIZE)
        for name, module in (("vit", vit), ("swin", swin))
    ]
    return [*made, small()]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return open_images(write_pictures(tmp_path_factory.mktemp("photos"), 8, ()))


@pytest.fixture(scope="module")
def study(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Study:
    space = SpaceOptions(count=140, tsne=Tsne(perplexity=5, threads=1), side=16)
    options = StudyOptions(sweep=SweepOptions(batch=4, workers=1), spaces=tuple(SPACES), space=space)
    out = tmp_path_factory.mktemp("study") / "s"
    with pytest.warns(NetworkWarning, match="layers are left out"):  # inside attention
        return make_study(networks(), images, out, options=options)


@pytest.mark.parametrize(
    ("network", "layer", "size"),
    [
        ("vit", "encoder.layers.encoder_layer_1.mlp.0", (4, 4)),
        ("swin", "features.1.1.mlp.0", (16, 16)),
        ("swin", "features.3.1.mlp.0", (8, 8)),
    ],
)
def test_token_layers_have_strongest_patches_and_sparsity_at_their_positions(
    study: Study, network: str, layer: str, size: tuple[int, int]
) -> None:
    (about,) = [row for row in study.network(network).layers.to_pylist() if row["layer"] == layer]
    rows = [row for row in study.network(network).table("top_patches").to_pylist() if row["layer"] == layer]
    assert {row["channel"] for row in rows} == set(range(about["channels"]))
    assert max(row["row"] for row in rows) < size[0]
    assert max(row["column"] for row in rows) < size[1]
    statistics = study.network(network).table("channel_statistics").to_pylist()
    assert sum(row["layer"] == layer for row in statistics) == about["channels"]


@pytest.mark.parametrize("layer", SPACES)
def test_token_layers_have_spaces_of_what_their_positions_see(study: Study, layer: str) -> None:
    network, box = SPACES[layer]
    space = Space.open(study, layer, network)
    assert len(space.points) == (128 if network == "vit" else 140)
    assert np.isfinite(space.points).all()
    assert np.ptp(space.points, axis=0).min() > 0
    at = space.patches.to_pylist()
    seen = zip(space.boxes.tolist(), at, strict=True)
    assert {tuple(own) for own, row in seen if (row["row"], row["column"]) == (1, 2)} <= {box}
    assert (study.path / space.results.folder / space.folder / "figure.png").is_file()


def test_where_all_positions_see_the_whole_there_are_no_others_to_ask_for(study: Study) -> None:
    said = Space.open(study, "encoder.layers.encoder_layer_1.mlp.0", "vit").shortfall
    assert said.endswith(
        "has 128 patches of 140 asked for: its 8 pictures have at most 16 each; take more pictures"
    )


def test_they_are_compared_and_what_has_no_deconvnet_is_said(
    study: Study, images: ImageSet, tmp_path: Path
) -> None:
    made = compare_studies(study, tmp_path / "compared", networks=networks(), images=images)
    assert check_study(made.path) == ()
    parts = {"rows", "predictions", "sparsity", "similarity", "filters"}
    assert parts <= made.steps.keys()
    said = {part: _said(made, part) for part in parts}
    for name in ("vit", "swin"):
        assert "No rows by receptive field: 1 network, alexcnn, has rows." in said["rows"]
        assert "The rule deconvnet does not go back from" in said["rows"]
        assert f"{name} has no row: the rule deconvnet goes back from the first" in said["rows"]
        assert name in said["similarity"]


def _said(made: Study, part: str) -> str:
    findings = json.loads((made.path / part / "section.json").read_text())["findings"]
    return "\n".join(one["text"] for one in findings)
