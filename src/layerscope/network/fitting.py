"""Why a network cannot run on pictures of a size, in our words: which of its layers is given what it does not take."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from layerscope.errors import NetworkError
from layerscope.network.tracing import evaluating, quiet

USUAL = (28, 32, 48, 64, 96, 128, 160, 192, 224, 227, 256, 299, 384)
"""Sizes of pictures, in pixels, that networks are mostly made for."""

_PLACES = (nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose3d, nn.MaxPool1d, nn.MaxPool3d)


def misfit(module: nn.Module, pictures: Tensor) -> str:
    """What does not fit when the module runs on the pictures; "" if nothing is seen to."""
    for path, part in module.named_modules():
        if isinstance(part, _PLACES):
            return f"{path or 'it'} is a {type(part).__name__}, and only networks of two-dimensional pictures are read"
    entered: list[tuple[str, nn.Module, Tensor]] = []

    def enter(path: str, part: nn.Module) -> object:
        def note(_: nn.Module, values: tuple[object, ...]) -> None:
            if values and isinstance(values[0], Tensor):
                entered.append((path, part, values[0]))

        return part.register_forward_pre_hook(note)

    hooks = [enter(path, part) for path, part in module.named_modules() if not list(part.children())]
    try:
        with torch.no_grad():
            module(pictures)
    except Exception:  # the user's code may raise anything
        return _said(*entered[-1]) if entered else ""
    finally:
        for hook in hooks:
            hook.remove()  # type: ignore[attr-defined]
    return ""


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

    def runs(size: int) -> bool:
        pictures = torch.zeros((2, channels, size, size), dtype=tensor.dtype, device=tensor.device)
        try:
            module(pictures)
        except Exception:  # the user's code may raise anything
            return False
        return True

    with evaluating(module), quiet(), torch.no_grad():
        return tuple(size for size in USUAL if runs(size))


def _said(path: str, part: nn.Module, values: Tensor) -> str:
    """What the layer entered last takes, if it is given something else."""
    if isinstance(part, nn.Linear) and values.shape[-1] != part.in_features:
        return f"the linear layer {path} takes {part.in_features} values and is given {values.shape[-1]}"
    if isinstance(part, nn.Conv2d) and values.ndim == 4 and values.shape[1] != part.in_channels:
        return f"the convolution {path} takes {part.in_channels} channels and is given {values.shape[1]}"
    if values.ndim == 4 and path:
        return f"the layer {path} cannot take maps of {values.shape[2]}x{values.shape[3]}"
    return ""
