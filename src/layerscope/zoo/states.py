"""States: tensors by name, read from a file without executing anything in it, and fitted to a network."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterable, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from layerscope.errors import WeightsError

StateKind = Literal["state-dict", "flax-convolutions"]

TORCH_FILES = (".pth", ".pt", ".bin", ".ckpt", ".tar")  #: endings of what torch.save writes
WEIGHT_FILES = (".safetensors", *TORCH_FILES)
_WRAPPED = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_AUXILIARY = ("aux1", "aux2", "AuxLogits")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_SHOWN = 6

_CONVOLUTIONS = {
    "VGG16_0": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "AlexNet_0": (0, 3, 6, 8, 10),
}
"""Places of the convolutions in torchvision's ``features``, by the network's name in a flax file."""


def load_state(path: str | Path, layout: StateKind = "state-dict") -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU, as the file has them: no cast, no change of prefix.

    ``state-dict``: ``.safetensors``, or a file of torch.save (`TORCH_FILES`) with a flat dict of tensors, which
    may stand under ``state_dict``, ``model`` or ``model_state_dict``. ``flax-convolutions``: a pickle of nested
    dicts of arrays, whose kernels (height, width, in, out) become torchvision's (out, in, height, width).
    The names of torchvision's first DenseNet files (``norm.1``) become today's (``norm1``).
    Raises WeightsError for a file that is broken or holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file; give a .safetensors or .pth file of weights")
    tensors = _flax_convolutions(path) if layout == "flax-convolutions" else _state_dict(path)
    if not tensors:
        raise WeightsError(f"{path} holds no tensors; give a file with a network's state dict")
    return {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}


def _state_dict(path: Path) -> dict[str, Tensor]:
    kind = path.suffix.lower()
    if kind == ".safetensors":
        return _safetensors(path)
    if kind in TORCH_FILES:
        return _tensors(_torch_file(path), path)
    ending = kind or "no ending"
    *some, last = WEIGHT_FILES
    raise WeightsError(f"{path}: weights are read from {', '.join(some)} or {last}, not {ending}")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {_line(error)}") from error


def _torch_file(path: Path) -> object:
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # torch's own advice on old files; ours follows if it fails
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle can raise anything
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise WeightsError(
                f"{path} holds more than tensors (it names {named[1]}), which could execute code: "
                "where it was made, save the network's state_dict(), best as .safetensors, and give that file"
            ) from error
        raise WeightsError(f"{path} is not a readable file of torch.save: {_line(error)}") from error


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    """The flat dict of tensors in what a file holds, directly or one level down."""
    if isinstance(content, Mapping):
        inside = [name for name in _WRAPPED if isinstance(content.get(name), Mapping)]
        if len(inside) > 1:
            raise WeightsError(f"{path} holds several state dicts, {_some(inside)}: save the one to use")
        state = content[inside[0]] if inside else content
        odd = next((item for item in state.items() if not _is_tensor(*item)), None)
        if odd is None:
            return {name: tensor.detach() for name, tensor in state.items()}
        found = f"its {odd[0]!r} is a {type(odd[1]).__name__}"
    else:
        found = f"it holds a {type(content).__name__}"
    raise WeightsError(f"{path} is not a flat dict of tensors: {found}; save the network's state_dict()")


def _is_tensor(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _line(error: Exception) -> str:
    return f"{type(error).__name__} {error}".split("\n")[0].strip()


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds numpy arrays, under numpy's old and new names, and refuses to look up anything else."""

    ADMITTED: ClassVar[Mapping[tuple[str, str], object]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """The admitted object of that name, taken from the table: nothing is imported."""
        if (module_name, global_name) not in self.ADMITTED:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which could execute code")
        return self.ADMITTED[module_name, global_name]


def _flax_convolutions(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            return _renamed(_ArraysOnly(file).load())
    except Exception as error:  # a broken pickle can raise anything
        raise WeightsError(f"{path} is not a file of convolutions by flax: {_line(error)}") from error


def _renamed(content: Mapping[str, Mapping[str, Mapping[str, object]]]) -> dict[str, Tensor]:
    """Torchvision's names and axis order for the convolutions of the one network in the file we know."""
    (network,) = content.keys() & _CONVOLUTIONS.keys()
    convolutions, places = content[network], _CONVOLUTIONS[network]
    if len(convolutions) != len(places):
        raise ValueError(f"{network} has {len(convolutions)} convolutions, not {len(places)}")
    state = {}
    for i, place in enumerate(places):
        convolution = convolutions[f"Conv_{i}"]
        state[f"features.{place}.weight"] = _tensor(convolution["kernel"], 4).permute(3, 2, 0, 1).contiguous()
        state[f"features.{place}.bias"] = _tensor(convolution["bias"], 1)
    return state


def _tensor(array: object, axes: int) -> Tensor:
    if not (isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.ndim == axes):
        raise ValueError(f"an array of floats with {axes} axes is expected")
    return torch.from_numpy(array.copy())


def fit_state(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load the tensors into the module, cast to its types; all names and shapes agree, or nothing is loaded.

    Left aside: a prefix that wrappers put before all names (``module.``, ``_orig_mod.``, ``model.``),
    auxiliary heads of torchvision's networks that the module has switched off, and a missing
    ``num_batches_tracked``.
    Raises WeightsError with the names of the tensors that do not fit; ``source`` says whose they are.
    """
    own = module.state_dict()
    given = _without_auxiliaries(module, unwrapped(state, own))
    faults = [*_name_faults(own, given), *_shape_faults(own, given), *_type_faults(own, given)]
    if faults:
        raise WeightsError(f"{source} does not fit {type(module).__name__}: {'; '.join(faults)}")
    own.update({name: tensor.to(own[name].dtype) for name, tensor in given.items()})
    module.load_state_dict(own, strict=True)


def unwrapped(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without a prefix that wrappers put before all names, and that no tensor of the network has."""
    names = dict(state)
    for prefix in (*_PREFIXES, *_PREFIXES):
        everywhere = bool(names) and all(name.startswith(prefix) for name in names)
        if everywhere and not any(name.startswith(prefix) for name in own):
            names = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
    return names


def _without_auxiliaries(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    off = {name for name in _AUXILIARY if getattr(module, name, "absent") is None}
    return {name: tensor for name, tensor in state.items() if name.partition(".")[0] not in off}


def _name_faults(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    missing = [n for n in own if n not in given and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in given if n not in own]
    faults = []
    if missing:
        faults.append(f"it lacks {_some(missing)}")
    if unexpected:
        faults.append(f"it has {_some(unexpected)}, which the network has not")
    return faults + _name_advice(own, given, missing, unexpected)


def _name_advice(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], missing: list[str], unexpected: list[str]
) -> list[str]:
    """What to do about names: whole parts that one side lacks make it a trunk; else it is another network."""
    if missing and not unexpected and not _parts(missing) & _parts(given):
        return [f"it is a trunk without {_some(_parts(missing))}: build the network as a trunk"]
    if unexpected and not missing and not _parts(unexpected) & _parts(own):
        return [f"the network is a trunk without {_some(_parts(unexpected))}: build the whole network"]
    return ["give the network that these weights were made for"] if missing or unexpected else []


def _parts(names: Iterable[str]) -> Set[str]:
    return dict.fromkeys(name.partition(".")[0] for name in names).keys()


def _shape_faults(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    wrong = {n: (own[n].shape, t.shape) for n, t in given.items() if n in own and own[n].shape != t.shape}
    if not wrong:
        return []
    told = [f"{name} is {tuple(has)}, not {tuple(needs)}" for name, (needs, has) in wrong.items()]
    return [_some(told), _shape_advice(wrong)]


def _shape_advice(wrong: Mapping[str, tuple[torch.Size, torch.Size]]) -> str:
    """What to do about shapes: where only the first size differs, everywhere alike, it counts the classes."""
    first = {has[:1] for _, has in wrong.values()}
    if len(first) == 1 and all(has[1:] == needs[1:] for needs, has in wrong.values()):
        return f"build the network for as many classes: --classes {first.pop().numel()}"
    return "build the network with the width and the input channels of these weights"


def _type_faults(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    odd = [n for n, t in given.items() if n in own and not _castable(t, own[n])]
    return [f"{_some(odd)} cannot become {own[odd[0]].dtype}: save them as plain floats"] if odd else []


def _castable(tensor: Tensor, own: Tensor) -> bool:
    plain = tensor.layout is torch.strided and not tensor.is_quantized
    return plain and tensor.is_floating_point() == own.is_floating_point()


def _some(names: Iterable[str], shown: int = _SHOWN) -> str:
    every: list[str] = list(names)
    more = f" and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(islice(every, shown)) + more
