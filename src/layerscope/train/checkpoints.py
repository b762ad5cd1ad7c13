"""What a training leaves on the disk: checkpoints that it goes on from, and weights that say what they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from layerscope.disk.whole import written_whole
from layerscope.errors import TrainingError, named

_ABOUT = "layerscope"  # the one entry of a file's metadata, JSON: several would come in no fixed order
_MODULE, _MOMENTUM = "module.", "momentum."


def state_of(module: nn.Module, optimiser: torch.optim.SGD) -> dict[str, Tensor]:
    """What the next step goes on from: the module, and the optimiser's memory of each parameter that has one."""
    state = {_MODULE + name: tensor for name, tensor in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        if (memory := optimiser.state[parameter].get("momentum_buffer")) is not None:
            state[_MOMENTUM + name] = memory
    return state


def restore(state: Mapping[str, Tensor], module: nn.Module, optimiser: torch.optim.SGD) -> None:
    """Put module and optimiser where the state has them."""
    module.load_state_dict({name: state[_MODULE + name] for name in module.state_dict()})
    for name, parameter in module.named_parameters():
        if (memory := state.get(_MOMENTUM + name)) is not None:
            optimiser.state[parameter]["momentum_buffer"] = memory.to(parameter.device)


def load_checkpoint(path: Path, run: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and counters. Raises TrainingError if the file is damaged, or not the checkpoint of this ``run``."""
    try:
        with safe_open(path, "pt") as file:
            counters = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise TrainingError(
            f"{path} is damaged: {named(error)}; remove it and run the same again: it begins anew"
        ) from error
    if not isinstance(counters, dict) or counters.get("checkpoint_of") != run:
        raise TrainingError(
            f"{path} is not a checkpoint of this training; remove it and run the same again: it begins anew"
        )
    return state, counters


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """A safetensors file with a note of what it is, whole or not at all. Raises OutputError if it cannot be written."""
    plain: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous()
        shared = values.numel() > 0 and values.untyped_storage().data_ptr() in places
        plain[name] = values.clone() if shared else values  # two names of one tensor have one each in a file
        places.add(values.untyped_storage().data_ptr())
    with written_whole(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        try:
            save_file(plain, partial, {_ABOUT: json.dumps(about)})
        except SafetensorError as error:  # in whose words alone is what the system said
            found = re.search(r"(?:os error |code: )(\d+)", str(error))
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
        partial.chmod(mode)  # save_file's is for this user only
