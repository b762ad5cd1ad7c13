"""Normalisation: a scale, held as a constant of the picture, and nothing that is added.

Batch norm has its statistics from training; layer, group, instance and RMS norm take the picture's own. Both are
constants on the way back, the mean as well as the deviation (for the scale: Ali et al. 2022, XAI for transformers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from layerscope.network.graph import Graph, Operation
from layerscope.reconstruction.reversible import Reversal, Reversible, Rule


def _batch_scale(arguments: Mapping[str, Any]) -> Tensor:
    """One number for each channel."""
    variance = arguments["running_var"]
    variance = variance.to(torch.promote_types(variance.dtype, torch.float32))
    scale = torch.rsqrt(variance + arguments["eps"])
    return scale if arguments["weight"] is None else scale * arguments["weight"]


def _batch_back(reversible: Reversible, signal: Tensor, memory: None, rule: Rule) -> tuple[Tensor, ...]:
    scale = _batch_scale(reversible.arguments)
    return (signal * scale.to(signal.dtype).view(-1, *[1] * (signal.ndim - 2)),)


def _own_scale(reversible: Reversible, values: Mapping[int, Any], rule: Rule) -> Tensor:
    """weight / sqrt(variance + epsilon) of one picture, in a shape that the signal can be multiplied by."""
    arguments, kind = reversible.arguments, reversible.operation.kind
    source = values[reversible.operation.inputs[0]]
    wide = source.to(torch.promote_types(source.dtype, torch.float32))
    if kind in ("layer_norm", "rms_norm"):
        scale = _over_last(wide, arguments, squares=kind == "rms_norm")
    elif kind == "group_norm":
        scale = _over_groups(wide, arguments["num_groups"], arguments["eps"])
    else:
        axes = tuple(range(2, wide.ndim))
        scale = torch.rsqrt(wide.var(axes, unbiased=False, keepdim=True) + arguments["eps"])
    weight = arguments["weight"]
    if weight is not None:
        by_channel = kind in ("group_norm", "instance_norm")
        scale = scale * (weight.view(-1, *[1] * (wide.ndim - 2)) if by_channel else weight)
    return scale.to(source.dtype)


def _over_last(source: Tensor, arguments: Mapping[str, Any], *, squares: bool) -> Tensor:
    axes = tuple(range(-len(arguments["normalized_shape"]), 0))
    eps = arguments["eps"]
    eps = torch.finfo(source.dtype).eps if eps is None else eps
    spread = source.square().mean(axes, True) if squares else source.var(axes, unbiased=False, keepdim=True)
    return torch.rsqrt(spread + eps)


def _over_groups(source: Tensor, groups: int, eps: float) -> Tensor:
    spread = source.reshape(source.shape[0], groups, -1).var(-1, unbiased=False)
    scale = torch.rsqrt(spread + eps).repeat_interleave(source.shape[1] // groups, 1)
    return scale.reshape(*source.shape[:2], *[1] * (source.ndim - 2))


def _own_back(reversible: Reversible, signal: Tensor, memory: Tensor, rule: Rule) -> tuple[Tensor, ...]:
    return (signal * memory,)


def _by_own(graph: Graph, operation: Operation, rule: Rule) -> bool:
    return rule.clamp and operation.arguments.get("use_input_stats", True) is not False


OWN = Reversal(_own_back, _own_scale, _by_own)
REVERSALS: Mapping[str, Reversal] = {
    "batch_norm": Reversal(_batch_back),
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "rms_norm"), OWN),
}
