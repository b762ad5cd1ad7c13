"""The rules of ONNX's operations, one node at a time, beside onnxruntime: within 1e-4."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from layerscope.errors import NetworkError
from layerscope.zoo.onnx_rules import RULES
from layerscope.zoo.origins.onnx_files import OnnxModule

Array = npt.NDArray[Any]
_GENERATOR = np.random.default_rng(0)


def drawn(*shape: int) -> Array:
    return _GENERATOR.standard_normal(shape).astype(np.float32)


def model_of(nodes: list[Any], constants: dict[str, Array], shape: tuple[Any, ...], opset: int = 17) -> Any:
    """From x, of a shape, to the first output of the last node."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_empty_tensor_value_info(nodes[-1].output[0])
    result.type.tensor_type.elem_type = TensorProto.FLOAT
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [value], [result], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def both(model: Any, pictures: Array) -> tuple[Array, Array]:
    """What the module gives, and what onnxruntime does."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    with torch.no_grad():
        ours = OnnxModule(model, "net")(torch.from_numpy(pictures)).numpy()
    return ours, session.run(None, {"x": pictures})[0]


def agree(nodes: list[Any], constants: dict[str, Array], *, opset: int = 17, height: int = 7) -> None:
    pictures = drawn(2, 4, height, 9)
    ours, theirs = both(model_of(nodes, constants, ("n", 4, height, 9), opset), pictures)
    assert theirs.size
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


ONE = np.array(1.5, np.float32)
UNARY = (
    "Abs Ceil Cos Erf Exp Floor GlobalAveragePool GlobalMaxPool HardSwish Identity Mish Neg Reciprocal Relu Selu "
    "Sigmoid Sin Softplus Tanh Dropout"
).split()
CASES: dict[str, tuple[str, dict[str, Any], list[Array]]] = {
    "add a number": ("Add", {}, [ONE]),
    "add a map": ("Add", {}, [drawn(4, 1, 1)]),
    "sub": ("Sub", {}, [ONE]),
    "mul": ("Mul", {}, [drawn(1, 4, 1, 1)]),
    "div": ("Div", {}, [ONE]),
    "pow": ("Pow", {}, [np.array(2, np.float32)]),
    "mod": ("Mod", {"fmod": 0}, []),
    "max": ("Max", {}, [ONE, drawn(4, 1, 1)]),
    "min": ("Min", {}, [ONE]),
    "sum": ("Sum", {}, [drawn(4, 1, 1), drawn(1)]),
    "celu": ("Celu", {"alpha": 0.5}, []),
    "elu": ("Elu", {"alpha": 0.5}, []),
    "leaky": ("LeakyRelu", {"alpha": 0.2}, []),
    "prelu of columns": ("PRelu", {}, [drawn(9)]),
    "prelu of rows": ("PRelu", {}, [drawn(7, 1)]),
    "prelu of every place": ("PRelu", {}, [drawn(4, 7, 9)]),
    "prelu of one": ("PRelu", {}, [drawn(1)]),
    "prelu": ("PRelu", {}, [drawn(4, 1, 1)]),
    "selu": ("Selu", {"alpha": 1.5, "gamma": 1.1}, []),
    "selu of torch": ("Selu", {"alpha": 1.67326319217681884765625, "gamma": 1.0507010221481323}, []),
    "mod with the sign of the first": ("Mod", {"fmod": 1}, [np.array(0.7, np.float32)]),
    "hard sigmoid": ("HardSigmoid", {}, []),
    "hard sigmoid of torch": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, []),
    "clip": ("Clip", {}, [np.array(-0.5, np.float32), np.array(0.25, np.float32)]),
    "clip at 0": ("Clip", {}, [np.array(0, np.float32)]),
    "clip at 6": ("Clip", {}, [np.array(0, np.float32), np.array(6, np.float32)]),
    "conv": ("Conv", {"kernel_shape": [3, 3]}, [drawn(6, 4, 3, 3), drawn(6)]),
    "conv same upper": ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, [drawn(6, 4, 3, 4)]),
    "conv same lower": ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, [drawn(6, 4, 2, 4)]),
    "conv valid": ("Conv", {"auto_pad": "VALID"}, [drawn(6, 4, 2, 2)]),
    "conv odd pads": ("Conv", {"pads": [1, 0, 2, 3], "group": 2}, [drawn(6, 2, 3, 3)]),
    "conv dilated": ("Conv", {"dilations": [2, 1], "strides": [1, 2]}, [drawn(6, 4, 3, 3)]),
    "conv transpose": (
        "ConvTranspose",
        {"strides": [2, 3], "pads": [1, 0, 1, 0]},
        [drawn(4, 3, 2, 4), drawn(3)],
    ),
    "conv transpose more": (
        "ConvTranspose",
        {"strides": [2, 2], "output_padding": [1, 1]},
        [drawn(4, 3, 3, 3)],
    ),
    "conv transpose group": ("ConvTranspose", {"group": 2, "dilations": [2, 1]}, [drawn(4, 3, 3, 3)]),
    "max pool": ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2]}, []),
    "max pool pads": ("MaxPool", {"kernel_shape": [3, 3], "pads": [0, 1, 1, 1], "strides": [2, 2]}, []),
    "max pool ceil": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, []),
    "average pool": ("AveragePool", {"kernel_shape": [3, 2], "pads": [1, 1, 1, 1]}, []),
    "average pool counted": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 0, 0, 1], "count_include_pad": 1},
        [],
    ),
    "average pool of every second": (
        "AveragePool",
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        [],
    ),
    "average pool same": ("AveragePool", {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"}, []),
    "batch norm": ("BatchNormalization", {}, [drawn(4), drawn(4), drawn(4), np.abs(drawn(4)) + 1]),
    "instance norm": ("InstanceNormalization", {}, [drawn(4), drawn(4)]),
    "layer norm": ("LayerNormalization", {"axis": -1}, [drawn(9), drawn(9)]),
    "layer norm of two": ("LayerNormalization", {"axis": 2}, [drawn(7, 9)]),
    "layer norm of rows": ("LayerNormalization", {"axis": 2}, [drawn(9), drawn(7, 1)]),
    "lrn": ("LRN", {"size": 3, "alpha": 0.1, "beta": 0.6, "bias": 1.5}, []),
    "matmul": ("MatMul", {}, [drawn(9, 5)]),
    "matmul of many": ("MatMul", {}, [drawn(4, 9, 5)]),
    "softmax": ("Softmax", {"axis": 1}, []),
    "log softmax": ("LogSoftmax", {}, []),
    "mean": ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, []),
    "mean of all": ("ReduceMean", {}, []),
    "largest": ("ReduceMax", {"axes": [-1]}, []),
    "least": ("ReduceMin", {"axes": [1], "keepdims": 0}, []),
    "sum of axes": ("ReduceSum", {"keepdims": 0}, [ints(1)]),
    "length": ("ReduceL2", {"axes": [1]}, []),
    "flatten": ("Flatten", {}, []),
    "flatten 2": ("Flatten", {"axis": 2}, []),
    "flatten 0": ("Flatten", {"axis": 0}, []),
    "reshape": ("Reshape", {}, [ints(0, -1, 3)]),
    "transpose": ("Transpose", {"perm": [0, 2, 3, 1]}, []),
    "transpose all": ("Transpose", {}, []),
    "unsqueeze": ("Unsqueeze", {}, [ints(1, -1)]),
    "concat": ("Concat", {"axis": 0}, [drawn(1, 4, 7, 9)]),
    "slice": ("Slice", {}, [ints(1, -5), ints(2**63 - 1, 8), ints(2, 3), ints(2, 3)]),
    "slice plain": ("Slice", {}, [ints(0, 1), ints(2, 3)]),
    "gather one": ("Gather", {"axis": 1}, [np.array(-1)]),
    "gather some": ("Gather", {"axis": 2}, [np.array([[0, 3], [2, -1]])]),
    "gather first": ("Gather", {"axis": 0}, [np.array([1, 0, 1])]),
    "scatter": ("ScatterND", {}, [np.array([[0, 1], [1, -1]]), drawn(2, 7, 9)]),
    "expand": ("Expand", {}, [ints(3, 1, 4, 1, 1)]),
    "pad": ("Pad", {}, [ints(0, 0, 1, 2, 0, 0, 0, 3), np.array(0.5, np.float32)]),
    "pad reflect": ("Pad", {"mode": "reflect"}, [ints(0, 0, 1, 2, 0, 0, 0, 3)]),
    "pad edge": ("Pad", {"mode": "edge"}, [ints(0, 0, 1, 2, 0, 0, 0, 3)]),
    "depth to space": ("DepthToSpace", {"blocksize": 2}, []),
    "depth to space, columns first": ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, []),
    "split": ("Split", {"axis": 1}, [ints(1, 3)]),
    "cast": ("Cast", {"to": TensorProto.FLOAT}, []),
    "einsum": ("Einsum", {"equation": "nchw,cd->ndhw"}, [drawn(4, 3)]),
}


@pytest.mark.parametrize("kind", UNARY)
def test_an_operation_without_attributes(kind: str) -> None:
    agree([helper.make_node(kind, ["x"], ["y"])], {}, opset=18)


@pytest.mark.parametrize("kind", ["Sqrt", "Log"])
def test_an_operation_of_what_is_above_0(kind: str) -> None:
    agree([helper.make_node("Exp", ["x"], ["e"]), helper.make_node(kind, ["e"], ["y"])], {})


@pytest.mark.parametrize("case", CASES)
def test_an_operation(case: str) -> None:
    kind, attributes, constants = CASES[case]
    names = [f"c{place}" for place in range(len(constants))]
    outputs = ["y", "z"][: 1 + (kind == "Split")]
    nodes = [helper.make_node(kind, ["x", *names], outputs, **attributes)]
    if case == "mod":
        made = helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64)
        rest = helper.make_node("Mod", ["i", "c"], ["m"])
        nodes, names, constants = [made, rest, helper.make_node("Cast", ["m"], ["y"], to=1)], ["c"], [ints(3)]
    agree(nodes, dict(zip(names, constants, strict=True)))


@pytest.mark.parametrize("attributes", [{}, {"transB": 1}, {"alpha": 0.5, "beta": 2.0}])
def test_gemm(attributes: dict[str, Any]) -> None:
    weight = drawn(5, 252) if "transB" in attributes else drawn(252, 5)
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"], **attributes),
    ]
    agree(nodes, {"w": weight, "b": drawn(5)})


_RESIZED = {
    "asymmetric": {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    "half pixel": {"mode": "nearest", "coordinate_transformation_mode": "half_pixel"},
    "linear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    "corners": {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    "cubic": {"mode": "cubic", "coordinate_transformation_mode": "half_pixel"},
}


@pytest.mark.parametrize("how", _RESIZED)
def test_resizing(how: str) -> None:
    scales = {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 3], np.float32)}
    agree([helper.make_node("Resize", ["x", "r", "s"], ["y"], **_RESIZED[how])], scales)
    inputs = ["x", "", "", "s"]
    agree([helper.make_node("Resize", inputs, ["y"], **_RESIZED[how])], {"s": ints(2, 4, 14, 27)})


def test_sizes_are_reckoned_with_while_the_network_is_read() -> None:
    """As exporters write x.view(x.size(0), x.size(1) // 2, 2, -1)."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Slice", ["s", "one", "two"], ["c"]),
        helper.make_node("Div", ["c", "two"], ["half"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["batch"]),
        helper.make_node("Concat", ["batch", "half", "two", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    numbers = {"zero": np.array(0), "one": ints(1), "two": ints(2), "axes": ints(0), "rest": ints(-1)}
    agree(nodes, numbers)


def test_old_versions_of_operations() -> None:
    relu6 = helper.make_node("Clip", ["x"], ["y"], min=0.0, max=6.0)
    agree([relu6], {}, opset=9)
    agree([helper.make_node("Softmax", ["x"], ["y"])], {}, opset=9)
    agree(
        [
            helper.make_node("Unsqueeze", ["x"], ["u"], axes=[0]),
            helper.make_node("Squeeze", ["u"], ["y"], axes=[0]),
        ],
        {},
        opset=9,
    )
    agree([helper.make_node("Slice", ["x"], ["y"], starts=[1], ends=[3], axes=[2])], {}, opset=9)
    agree(
        [helper.make_node("Upsample", ["x", "s"], ["y"])], {"s": np.array([1, 1, 2, 2], np.float32)}, opset=9
    )
    agree([helper.make_node("Split", ["x"], ["y", "z"], axis=1, split=[1, 3])], {}, opset=9)


@pytest.mark.parametrize(
    ("kind", "attributes", "constants", "words"),
    [
        ("AveragePool", {"kernel_shape": [2, 2], "pads": [1, 0, 0, 0]}, [], "read only with the same pads"),
        ("ConvTranspose", {"auto_pad": "SAME_UPPER"}, [drawn(4, 3, 2, 2)], "read only with two axes"),
        ("Slice", {}, [ints(-1), ints(-9), ints(3), ints(-1)], "read only with steps above 0"),
        (
            "Resize",
            {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
            [np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)],
            "not in the mode linear, asymmetric",
        ),
        ("Cast", {"to": TensorProto.STRING}, [], "not to type 8"),
        ("Hardmax", {}, [], "the node y is a Hardmax of ONNX, for which there is no rule; export"),
    ],
)
def test_what_has_no_rule_is_named(
    kind: str, attributes: dict[str, Any], constants: list[Array], words: str
) -> None:
    names = [f"c{place}" for place in range(len(constants))]
    model = model_of(
        [helper.make_node(kind, ["x", *names], ["y"], **attributes)],
        dict(zip(names, constants, strict=True)),
        ("n", 4, 7, 9),
    )
    with pytest.raises(NetworkError, match=words) as caught:
        OnnxModule(model, "net")(torch.zeros(2, 4, 7, 9))
    assert "\n" not in str(caught.value)


def test_every_rule_is_held_against_onnxruntime() -> None:
    tried = {
        *UNARY,
        *(kind for kind, _, _ in CASES.values()),
        "Sqrt",
        "Log",
        "Gemm",
        "Resize",
        "Upsample",
        "Shape",
        "Squeeze",
    }
    rest = set(RULES) - tried
    assert rest == {
        "And",
        "ConstantOfShape",
        "Equal",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "GroupNormalization",
        "Less",
        "LessOrEqual",
        "Not",
        "Or",
        "Range",
        "SpaceToDepth",
        "Where",
    }


def test_comparing_and_choosing() -> None:
    nodes = [
        helper.make_node("Greater", ["x", "low"], ["a"]),
        helper.make_node("LessOrEqual", ["x", "high"], ["b"]),
        helper.make_node("Less", ["x", "high"], ["e"]),
        helper.make_node("GreaterOrEqual", ["x", "high"], ["f"]),
        helper.make_node("Equal", ["x", "x"], ["g"]),
        helper.make_node("And", ["a", "b"], ["c"]),
        helper.make_node("Not", ["e"], ["h"]),
        helper.make_node("Or", ["h", "c"], ["i"]),
        helper.make_node("And", ["i", "g"], ["j"]),
        helper.make_node("Where", ["j", "x", "low"], ["k"]),
        helper.make_node("Where", ["f", "low", "k"], ["y"]),
    ]
    agree(nodes, {"low": np.array(-0.5, np.float32), "high": np.array(0.5, np.float32)})


def test_tensors_made_of_sizes() -> None:
    value = numpy_helper.from_array(np.array([2.0], np.float32))
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "two", "four"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["c"], value=value),
        helper.make_node("Range", ["zero", "nine", "one"], ["r"]),
        helper.make_node("Gather", ["x", "r"], ["p"], axis=3),
        helper.make_node("Add", ["p", "c"], ["y"]),
    ]
    agree(
        nodes, {"two": ints(2), "four": ints(4), "zero": np.array(0), "nine": np.array(9), "one": np.array(1)}
    )


@pytest.mark.parametrize(
    ("kind", "attributes", "constants"),
    [
        ("Gelu", {}, []),
        ("Gelu", {"approximate": "tanh"}, []),
        ("GroupNormalization", {"num_groups": 2}, [drawn(4), drawn(4)]),
    ],
)
def test_operations_of_later_versions(kind: str, attributes: dict[str, Any], constants: list[Array]) -> None:
    names = [f"c{place}" for place in range(len(constants))]
    node = helper.make_node(kind, ["x", *names], ["y"], **attributes)
    agree([node], dict(zip(names, constants, strict=True)), opset=21)


def test_space_to_depth() -> None:
    agree(
        [
            helper.make_node("Slice", ["x", "start", "end", "axis"], ["even"]),
            helper.make_node("SpaceToDepth", ["even"], ["y"], blocksize=2),
        ],
        {"start": ints(1), "end": ints(9), "axis": ints(3)},
        height=8,
    )


def test_group_norm_with_weights_of_groups() -> None:
    node = helper.make_node("GroupNormalization", ["x", "w", "b"], ["y"], num_groups=2)
    agree([node], {"w": drawn(2), "b": drawn(2)}, opset=18)


def test_choosing_by_a_constant_mask() -> None:
    mask = np.arange(9) % 3 == 0
    agree([helper.make_node("Where", ["m", "x", "low"], ["y"])], {"m": mask, "low": drawn(1)})
    agree([helper.make_node("Where", ["m", "x", "low"], ["y"])], {"m": mask, "low": drawn(7, 1)})
    nodes = [
        helper.make_node("Greater", ["x", "low"], ["g"]),
        helper.make_node("Where", ["g", "ones", "two"], ["k"]),
        helper.make_node("Cast", ["k"], ["y"], to=TensorProto.FLOAT),
    ]
    agree(nodes, {"low": ONE, "ones": ints(*range(9)), "two": ints(4)})
