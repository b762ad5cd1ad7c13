"""timm's networks: preprocessing and classes from their own configurations, weights by timm's own way."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from PIL import Image
from torch.testing import assert_close

from layerscope.errors import NetworkError, NetworkWarning, WeightsError
from layerscope.network.source import Options
from layerscope.zoo.blueprint import Blueprint
from layerscope.zoo.loading import load_network, read_architecture
from layerscope.zoo.origins import timms


def blueprint(name: str, options: Options | None = None) -> Blueprint:
    return timms.blueprint(f"timm:{name}", options or Options())


def need(name: str) -> None:
    """Skip a test of a network that this timm is too old to have."""
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")


@pytest.mark.parametrize(
    "name",
    [
        "inception_v4",  # 299 pixels, -1 to 1
        "resnet50.a1_in1k",
        "resnet50.tv_in1k",  # another crop and filter than a1's
        "efficientnet_b0",
        "vit_base_patch16_siglip_256",  # 256 pixels of 284, -1 to 1
        "dm_nfnet_f0",  # squashed
        "vit_base_patch16_sapiens2",  # squashed, rectangular
        "vgg16",
    ],
)
def test_preprocessing_is_timms_own(name: str) -> None:
    """Beside timm's transform for evaluation, within one of 256 levels."""
    need(name)
    about: Any = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    data: Any = timm.data
    transform = data.create_transform(**data.resolve_data_config({}, pretrained_cfg=about.to_dict()))
    ours = blueprint(name).preprocessing
    for size in ((640, 480), (300, 512)):
        picture = Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 90).convert("RGB")
        seen, theirs = ours.apply(picture), transform(picture)
        level = 1.001 / 255 / min(ours.deviation)
        if (
            ours.squash
        ):  # Pillow takes the axes in another order, and bicubic clips what overshoots in between
            assert ((seen - theirs).abs() > level).float().mean() < 0.01
        else:
            assert_close(seen, theirs, rtol=0, atol=level)
            assert (seen != theirs).float().mean() < 0.02


def test_two_weights_of_one_network_are_prepared_for_in_their_own_ways() -> None:
    one, other = blueprint("resnet50.a1_in1k").preprocessing, blueprint("resnet50.tv_in1k").preprocessing
    assert (one.interpolation, one.resize) == ("bicubic", 235)
    assert (other.interpolation, other.resize) == ("bilinear", 256)


def test_a_border_that_timm_would_add_is_said_to_be_left_out() -> None:
    need("deepseek_vit_412m")
    with pytest.warns(NetworkWarning, match="timm pads pictures for timm:deepseek_vit_412m with a border"):
        blueprint("deepseek_vit_412m")


def test_classes() -> None:
    assert (blueprint("resnet18").classes or ())[:2] == ("tench", "goldfish")
    assert len(blueprint("swinv2_base_window12_192").classes or ()) == 21_841
    assert blueprint("resnet18", Options(classes=1000)).classes is None
    assert blueprint("resnet50_clip").classes is None


def test_options_are_timms() -> None:
    network = load_network("timm:resnet10t", "random", options=Options(classes=5, channels=1, input_size=64))
    assert network.input_shape == network.preprocessing.shape == (1, 64, 64)
    assert network.layers[-1].channels == 5
    assert network.weights == "random, seed 0"
    assert network.loading is not None
    assert network.loading.spec == "timm:resnet10t"
    again = load_network(network.loading.spec, "random", options=network.loading.options)
    assert again.graph.digest == network.graph.digest


def test_a_network_for_one_size_alone_is_built_for_the_size_asked_for() -> None:
    module = blueprint("deit_tiny_patch16_224", Options(input_size=64)).build()
    assert module(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_weights_of_the_name_are_those_that_timm_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    make = timm.create_model

    def create(name: str, *, pretrained: bool, **given: Any) -> Any:
        module: Any = make(name, **given)
        if pretrained:
            torch.nn.init.constant_(module.fc.bias, 3.0)
        return module

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(timms, "unreachable", lambda _: "")
    network = load_network("timm:resnet10t.c3_in1k", options=Options(input_size=64))
    assert network.weights == "timm's timm/resnet10t.c3_in1k"
    assert set(network.graph.tensors["fc.bias"].tolist()) == {3.0}
    plain = load_network("timm:resnet10t.c3_in1k", "random", options=Options(input_size=64))
    assert set(plain.graph.tensors["fc.bias"].tolist()) != {3.0}


def test_without_a_connection_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timms, "unreachable", lambda _: "the.hub cannot be reached")
    monkeypatch.setenv("HF_HUB_CACHE", "/nowhere")
    with pytest.raises(
        WeightsError,
        match=r"no weights for timm:resnet18 \(the.hub cannot be reached\): connect .* or take --weights random$",
    ):
        load_network("timm:resnet18")
    with pytest.raises(
        NetworkError, match=r"timm:hf-hub:a/b is not known here \(the.hub cannot be reached\)"
    ):
        load_network("timm:hf-hub:a/b")


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("timm:resnt50", Options(), "timm has no network 'resnt50'; did you mean timm:resnet50"),
        ("timm:@@@", Options(), r"timm has no network '@@@'; timm.list_models\(\) lists them"),
        ("timm:resnet18.nobody", Options(), "timm has no weights 'resnet18.nobody'; it has resnet18.a1_in1k"),
        ("timm:resnet18", Options(width=0.5), "timm:resnet18 is not built with 'width'"),
        (
            "timm:beit_base_patch16_224",
            Options(input_size=7),
            "cannot read Beit for input 3x7x7: the layer ",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(spec: str, options: Options, words: str) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        read_architecture(spec, options=options)
    assert "\n" not in str(caught.value)


def test_what_timm_cannot_build_is_said_with_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **given: Any) -> torch.nn.Module:
        raise ValueError(f"{name}:\n{given['num_classes']}")

    monkeypatch.setattr(timm, "create_model", refuse)
    words = "^timm:resnet18 cannot be built with num_classes=3: ValueError: resnet18: 3$"
    with pytest.raises(NetworkError, match=words):
        read_architecture("timm:resnet18", options=Options(classes=3))


def test_a_name_has_no_other_weights() -> None:
    with pytest.raises(WeightsError, match="timm:resnet18 has no weights named 'IMAGENET1K_V2'"):
        load_network("timm:resnet18", "IMAGENET1K_V2")


def test_without_timm_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(NetworkError, match=r"timm is not installed; pip install 'layerscope\[timm\]'"):
        load_network("timm:resnet18")
