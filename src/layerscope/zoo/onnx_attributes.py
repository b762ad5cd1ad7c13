"""Which attributes of an operation of ONNX are known here: any other, unless it says what is so anyway, is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_WINDOWS = "auto_pad dilations kernel_shape pads strides"
_REDUCED = "axes keepdims noop_with_empty_axes"
_OLD = frozenset(
    {"broadcast", "consumed_inputs"}
)  # of the first versions: sizes are matched, memory is used again

KNOWN: dict[str, str] = {
    "AveragePool": f"{_WINDOWS} ceil_mode count_include_pad",
    "BatchNormalization": "epsilon is_test momentum",
    "Cast": "saturate to",
    "Celu": "alpha",
    "Clip": "max min",
    "Concat": "axis",
    "ConstantOfShape": "value",
    "Conv": f"{_WINDOWS} group",
    "ConvTranspose": f"{_WINDOWS} group output_padding output_shape",
    "DepthToSpace": "blocksize mode",
    "Dropout": "is_test ratio seed",
    "Einsum": "equation",
    "Elu": "alpha",
    "Flatten": "axis",
    "Gather": "axis",
    "Gelu": "approximate",
    "Gemm": "alpha beta transA transB",
    "GroupNormalization": "epsilon num_groups stash_type",
    "HardSigmoid": "alpha beta",
    "InstanceNormalization": "epsilon",
    "LRN": "alpha beta bias size",
    "LayerNormalization": "axis epsilon stash_type",
    "LeakyRelu": "alpha",
    "LogSoftmax": "axis",
    "MaxPool": f"{_WINDOWS} ceil_mode storage_order",
    "Mod": "fmod",
    "Pad": "mode pads value",
    "ReduceL2": _REDUCED,
    "ReduceMax": _REDUCED,
    "ReduceMean": _REDUCED,
    "ReduceMin": _REDUCED,
    "ReduceSum": _REDUCED,
    "Reshape": "allowzero",
    "Resize": "coordinate_transformation_mode cubic_coeff_a extrapolation_value mode nearest_mode",
    "ScatterND": "reduction",
    "Selu": "alpha gamma",
    "Shape": "end start",
    "Slice": "axes ends starts",
    "Softmax": "axis",
    "SpaceToDepth": "blocksize",
    "Split": "axis num_outputs split",
    "Squeeze": "axes",
    "Transpose": "perm",
    "Unsqueeze": "axes",
    "Upsample": "mode scales",
}
"""Those that a rule reads, and those that change nothing of what it computes: ``momentum``, of training."""


def unknown(node: Any, opset: int) -> Iterator[str]:
    """What the node says that no rule reads, as ``name=value``; what its operation has unless told is none of it."""
    from onnx import defs, helper

    known = _OLD.union(KNOWN.get(node.op_type, "").split())
    schema = defs.get_schema(node.op_type, opset, "").attributes if defs.has(node.op_type, opset, "") else {}
    for attribute in node.attribute:
        default = schema[attribute.name].default_value if attribute.name in schema else None
        value = helper.get_attribute_value(attribute)
        usual = default is not None and default.type and helper.get_attribute_value(default) == value
        if attribute.name not in known and not usual:
            yield f"{attribute.name}={value.decode() if isinstance(value, bytes) else value}"
