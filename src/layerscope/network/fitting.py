"""Why a network cannot run on pictures of a size, in our words: which of its layers is given what it does not take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from layerscope.errors import NetworkError, SizeError
from layerscope.network.tracing import cause, evaluating, quiet

USUAL = (28, 32, 48, 64, 96, 128, 160, 192, 224, 227, 256, 299, 384)
"""Sizes of pictures, in pixels, that networks are mostly made for."""

_OF_SIZE = (RuntimeError, ValueError, IndexError, AssertionError)  # what torch, and networks, say of sizes
_PLACES = (nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose3d, nn.MaxPool1d, nn.MaxPool3d)


def misfit(module: nn.Module, pictures: Tensor) -> NetworkError | None:
    """What does not fit when the module runs on the pictures, two of them; None if nothing is seen to.

    A SizeError where pictures of another size may fit.
    """
    for path, part in module.named_modules():
        if isinstance(part, _PLACES):
            return NetworkError(
                f"{path or 'it'} is a {type(part).__name__}, and only networks of two-dimensional pictures are read"
            )
    passed: list[_Passed] = []
    with _noted(module, passed):
        try:
            module(pictures)
        except Exception as error:  # the user's code may raise anything
            why = _said(passed, error)
            if runs(module, pictures[:1]):
                return NetworkError(f"it runs on one picture alone, and fails on two: {why}")
            return SizeError(why) if isinstance(error, _OF_SIZE) and why else None
    return None


@dataclass
class _Passed:
    """A layer that was entered, with what it was given, and whether it was left again."""

    path: str
    part: nn.Module
    values: Tensor
    left: bool = False


@contextmanager
def _noted(module: nn.Module, passed: list[_Passed]) -> Iterator[None]:
    """Meanwhile every layer that runs is noted."""

    def hooks(path: str, part: nn.Module) -> Iterator[Any]:
        def enter(_: nn.Module, values: tuple[object, ...]) -> None:
            if values and isinstance(values[0], Tensor):
                passed.append(_Passed(path, part, values[0]))

        def leave(_: nn.Module, values: tuple[object, ...], result: object) -> None:
            if passed and passed[-1].part is part:
                passed[-1].left = True

        yield part.register_forward_pre_hook(enter)
        yield part.register_forward_hook(leave)

    ends = [(path, part) for path, part in module.named_modules() if not list(part.children())]
    made = [hook for path, part in ends for hook in hooks(path, part)]
    try:
        with torch.no_grad():
            yield
    finally:
        for hook in made:
            hook.remove()


def _said(passed: Sequence[_Passed], error: Exception) -> str:
    """What the layer that failed takes; of what failed after one, the cause."""
    if not passed:
        return cause(error)
    last = passed[-1]
    if last.left:
        where = f"after the layer {last.path}, " if last.path else ""
        return f"{where}{cause(error)}"
    return _refused(last.path, last.part, last.values)


def runs(module: nn.Module, pictures: Tensor) -> bool:
    """Whether the module runs on the pictures, and gives as many results."""
    try:
        with torch.no_grad():
            result = module(pictures)
    except Exception:  # the user's code may raise anything
        return False
    return not isinstance(result, Tensor) or result.shape[:1] == pictures.shape[:1]


def exported_shape(program: ExportedProgram) -> tuple[int, int, int]:
    """Channels, height and width of the one input. Raises NetworkError unless only the number of pictures is free."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise NetworkError(f"takes {len(names)} inputs; export a module that takes one image tensor")
    (node,) = (node for node in program.graph.nodes if node.name == names[0])
    sizes = tuple(node.meta["val"].shape)
    if len(sizes) != 4:
        raise NetworkError(f"takes {len(sizes)} axes, not (batch, channels, height, width)")
    batch, channels, height, width = sizes
    if isinstance(batch, int) or not all(isinstance(size, int) for size in sizes[1:]):
        raise NetworkError(
            f"was exported for inputs of {'x'.join(map(str, sizes))}; export it with the first axis free and the "
            "others fixed: export(module, (torch.zeros(2, 3, 224, 224),), dynamic_shapes=({0: Dim.DYNAMIC},))"
        )
    return int(channels), int(height), int(width)


def fitting_sizes(module: nn.Module, channels: int) -> tuple[int, ...]:
    """The `USUAL` sizes that the module runs on, for square pictures; it is left as it was."""
    tensor = next(iter(module.parameters()), torch.empty(0))

    def fits(size: int) -> bool:
        return runs(module, torch.zeros((2, channels, size, size), dtype=tensor.dtype, device=tensor.device))

    with evaluating(module), quiet():
        return tuple(size for size in USUAL if fits(size))


def _refused(path: str, part: nn.Module, values: Tensor) -> str:
    """What a layer takes, if it is given something else."""
    if isinstance(part, nn.Linear) and values.shape[-1] != part.in_features:
        return f"the linear layer {path} takes {part.in_features} values and is given {values.shape[-1]}"
    if isinstance(part, nn.Conv2d) and values.ndim == 4 and values.shape[1] != part.in_channels:
        return f"the convolution {path} takes {part.in_channels} channels and is given {values.shape[1]}"
    weight = next(part.parameters(recurse=False), values)
    if weight.dtype != values.dtype:
        return f"the layer {path} computes in {_word(weight)} and is given {_word(values)}"
    if values.ndim == 4 and path:
        return f"the layer {path} cannot take maps of {values.shape[2]}x{values.shape[3]}"
    return ""


def _word(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
