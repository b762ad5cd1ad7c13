"""Attributes of ONNX's operations: what a rule reads is as in onnxruntime, and what it does not read is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper

from layerscope.errors import NetworkError
from layerscope.zoo.onnx_attributes import KNOWN
from layerscope.zoo.onnx_rules import RULES
from layerscope.zoo.origins.onnx_files import _OF_NUMBERS, OnnxModule, _plain, _value
from tests.zoo.test_onnx_rules import CASES, Array, agree, drawn, ints, model_of


@pytest.mark.parametrize(
    ("kind", "attributes", "constants", "words"),
    [
        ("AveragePool", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, [], "read only with the same pads"),
        (
            "AveragePool",
            {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
            [],
            "read only with the same pads",
        ),
        ("AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, [], "read only without dilations"),
        ("Pad", {"mode": "wrap"}, [ints(0, 0, 1, 1, 0, 0, 0, 0)], "not in the mode wrap"),
        (
            "Dropout",
            {},
            [np.array(0.5, np.float32), np.array(True)],
            "read only without training_mode",
        ),
        (
            "Resize",
            {},
            [np.zeros(0, np.float32), np.array([1, 1, 0.5, 1.5], np.float32)],
            "not in the mode round_prefer_floor where a place lies halfway between two",
        ),
        (
            "Resize",
            {},
            [np.zeros(0, np.float32), np.array([1, 2, 2, 2], np.float32)],
            "read only with as many pictures and channels as before",
        ),
        (
            "Resize",
            {"mode": "cubic", "exclude_outside": 1},
            [np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)],
            "the node y is a Resize of ONNX with exclude_outside=1, which is not read; export",
        ),
        (
            "BatchNormalization",
            {"training_mode": 1},
            [drawn(4)] * 4,
            "is a BatchNormalization of ONNX with training_mode=1, which is not read; export",
        ),
    ],
)
def test_what_is_asked_for_and_not_read_is_refused(
    kind: str, attributes: dict[str, Any], constants: list[Array], words: str
) -> None:
    names = [f"c{place}" for place in range(len(constants))]
    nodes = [helper.make_node(kind, ["x", *names], ["y"], **attributes)]
    model = model_of(nodes, dict(zip(names, constants, strict=True)), ("n", 4, 7, 9), 19)
    with pytest.raises(NetworkError, match=words) as caught:
        OnnxModule(model, "net")(torch.zeros(2, 4, 7, 9))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"])
@pytest.mark.parametrize("axes", [[], [ints()]])
def test_reducing_over_no_axes(kind: str, axes: list[Array]) -> None:
    node = helper.make_node(kind, ["x", *(["axes"] if axes else [])], ["y"], noop_with_empty_axes=1)
    agree([node], dict(zip(["axes"], axes, strict=False)), opset=18)


@pytest.mark.parametrize("how", ["round_prefer_floor", "round_prefer_ceil"])
def test_resizing_to_the_nearest(how: str) -> None:
    """Where two are as near, only the mode that torch has is read."""
    for scales in ([1, 1, 2, 3], [1, 1, 1 / 3, 0.8], *([[1, 1, 0.5, 1.5]] if "ceil" in how else [])):
        node = helper.make_node("Resize", ["x", "", "s"], ["y"], nearest_mode=how)
        agree([node], {"s": np.array(scales, np.float32)}, height=6)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resizing_by_a_scale_that_32_bits_do_not_hold(mode: str) -> None:
    how = "round_prefer_ceil"
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode, nearest_mode=how)
    agree([node], {"s": np.array([1, 1, 1.3, 1.7], np.float32)}, height=10)


def test_the_first_resize_makes_maps_smaller_in_whole_steps() -> None:
    node = helper.make_node("Resize", ["x", "s"], ["y"])
    agree([node], {"s": np.array([1, 1, 0.5, 1.5], np.float32)}, opset=10, height=8)
    model = model_of([node], {"s": np.array([1, 1, 0.7, 1], np.float32)}, ("n", 4, 7, 9), 10)
    with pytest.raises(NetworkError, match="read only to larger maps, or to every second place"):
        OnnxModule(model, "net")(torch.zeros(2, 4, 7, 9))


def test_upsampling_by_scales_of_the_node() -> None:
    agree([helper.make_node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0])], {}, opset=7)


def test_what_changes_nothing_is_read() -> None:
    """Defaults that exporters write, and what is of training or of old versions."""
    usual: dict[str, Any] = {
        "keep_aspect_ratio_policy": "stretch",
        "antialias": 0,
        "exclude_outside": 0,
        "nearest_mode": "floor",
    }
    scales = {"s": np.array([1, 1, 2, 2], np.float32)}
    agree([helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", **usual)], scales, opset=18)
    norm: dict[str, Any] = {"training_mode": 0, "momentum": 0.5}
    values = {name: np.abs(drawn(4)) + 1 for name in "abcd"}
    agree([helper.make_node("BatchNormalization", ["x", *values], ["y"], **norm)], values)


class Noting(dict[str, Any]):
    """Attributes that note which are asked for."""

    asked: set[str]

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


@pytest.mark.parametrize("case", [case for case in CASES if case != "mod"])
def test_what_a_rule_reads_is_known(case: str) -> None:
    """Else the node would be refused for it."""
    kind, attributes, constants = CASES[case]
    noting = Noting(attributes, opset=17, single=False, outputs=2)
    noting.asked = set()
    plain = {place: _value(numpy_helper.from_array(constant)) for place, constant in enumerate(constants)}
    if kind in _OF_NUMBERS:
        plain = {place: _plain(value, kind) for place, value in plain.items()}
    RULES[kind](noting, torch.from_numpy(drawn(2, 4, 7, 9)), *plain.values())
    assert noting.asked - {"opset", "single", "outputs"} <= {*KNOWN.get(kind, "").split()}
