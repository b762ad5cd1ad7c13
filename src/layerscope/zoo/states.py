"""States: tensors by name, read from a file without executing anything in it, and fitted to a network."""

from __future__ import annotations

import logging
import mmap
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.serialization import safe_globals
from torchvision.models import GoogLeNet, Inception3

from layerscope.errors import WeightsError, named

StateKind = Literal["state-dict", "flax-convolutions"]

TORCH_FILES = (".pth", ".pt", ".bin", ".ckpt", ".tar")  #: endings of what torch.save writes
WEIGHT_FILES = (".safetensors", *TORCH_FILES)
_LOG = logging.getLogger(__name__)
_WRAPPED = ("state_dict", "model", "model_state_dict")
_COUNTS = frozenset(
    {"total_ops", "total_params", "n_averaged"}
)  # what profilers and averaging put beside weights
_ALLOCATION = re.compile(rb"c(?:builtins|__builtin__)\nbytearray\n")  # torch would call it, with any size
_AUXILIARY = ("aux1", "aux2", "AuxLogits")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_SHOWN = 6
_NUMBERS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")  # beside weights

_CONVOLUTIONS = {
    "VGG16_0": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "AlexNet_0": (0, 3, 6, 8, 10),
}
"""Places of the convolutions in torchvision's ``features``, by the network's name in a flax file."""


def load_state(path: str | Path, layout: StateKind = "state-dict") -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU, as the file has them: no cast, no change of prefix.

    ``state-dict``: ``.safetensors``, or a file of torch.save (`TORCH_FILES`) with a flat dict of tensors, which
    may stand under ``state_dict``, ``model`` or ``model_state_dict``, or one of these in another, or under any key if
    it is the only one; a warning names what stands beside it. ``flax-convolutions``: a pickle of nested dicts of
    arrays, whose kernels (height, width, in, out) become torchvision's (out, in, height, width).
    The names of torchvision's first DenseNet files (``norm.1``) become today's (``norm1``).
    Raises WeightsError for a file that is broken, or would unpack to more than its size, or holds no tensors.
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
        raise WeightsError(f"{path} is not a readable safetensors file: {named(error)}") from error


def _torch_file(path: Path) -> object:
    """What the file holds; nothing in it is executed, and it takes no more memory than it has bytes."""
    try:
        _bounded(path)
        quiet = warnings.catch_warnings(
            action="ignore"
        )  # torch's advice on old files; ours follows if it fails
        with quiet, safe_globals([(Number, name) for name in _NUMBERS]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # a broken pickle can raise anything; torch's words would advise to execute it
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise _refused(path, f"it names {named[1]}") from error
        raise WeightsError(
            f"{path} is not a readable file of torch.save ({type(error).__name__}): where it was made, save the "
            "network's state_dict(), best as .safetensors, and give that file"
        ) from error


class Number:
    """What a number of numpy's becomes: nothing is kept of it."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _bounded(path: Path) -> None:
    """Raise if reading the file could take far more memory than it has bytes."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _unpickled_in_bounds(content, path)
    with zipfile.ZipFile(path) as pack:
        if any("/code/" in name for name in pack.namelist()):
            raise WeightsError(
                f"{path} is TorchScript, which cannot be read: where it was made, save the module's state_dict()"
            )
        unpacked, size = sum(member.file_size for member in pack.infolist()), path.stat().st_size
        if unpacked > size:
            raise WeightsError(
                f"{path} would unpack from {size:,} bytes to {unpacked:,}, which torch.save never does: "
                "save the network's state_dict() again where it was made"
            )
        for name in pack.namelist():
            if name.endswith(".pkl"):
                _unpickled_in_bounds(pack.read(name), path)


def _unpickled_in_bounds(content: bytes | mmap.mmap, path: Path) -> None:
    if _ALLOCATION.search(content):
        raise _refused(path, "it names bytearray")


def _refused(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} holds more than tensors ({why}), which could execute code: where it was made, save the network's "
        "state_dict(), best as .safetensors, and give that file"
    )


def _tensors(content: object, path: Path, levels: int = 2) -> dict[str, Tensor]:
    """The flat dict of tensors in what a file holds, directly or so many levels down."""
    if not isinstance(content, Mapping):
        raise _unflat(path, f"it holds a {type(content).__name__}")
    key = _key_of_state(content, path)
    state: Mapping[object, object] = content if key is None else content[key]
    if key is not None and len(content) > 1:
        beside = _some(repr(name) for name in content if name != key)
        _LOG.warning("%s: the weights are those under %r; left aside: %s", path, key, beside)
    if key is not None and levels > 1 and any(isinstance(state.get(name), Mapping) for name in _WRAPPED):
        return _tensors(state, path, levels - 1)
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _unflat(path, f"its {name!r} is a {type(value).__name__}")
        if value.is_meta or value.is_nested:
            kind = "a tensor of the meta device, without values" if value.is_meta else "a nested tensor"
            raise _unflat(path, f"its {name!r} is {kind}")
    return {name: tensor.detach() for name, tensor in state.items()}  # type: ignore[misc,attr-defined]


def _key_of_state(content: Mapping[object, object], path: Path) -> object | None:
    """The key under which the tensors stand: a usual one, or the only one; None: they are not under a key."""
    usual: list[object] = [key for key in _WRAPPED if isinstance(content.get(key), Mapping)]
    found = usual or [key for key, value in content.items() if _is_state(value)]
    if len(found) > 1:
        raise WeightsError(f"{path} holds several state dicts, {_some(map(str, found))}: save the one to use")
    return found[0] if found else None


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _unflat(path: Path, found: str) -> WeightsError:
    return WeightsError(f"{path} is not a flat dict of tensors: {found}; save the network's state_dict()")


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
        raise WeightsError(f"{path} is not a file of convolutions by flax: {named(error)}") from error


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

    Left aside: a prefix before all names, as wrappers put it (``module.``, ``_orig_mod.``, ``net.backbone.``), and
    what stands beside the only prefix under which all names of the network stand, with a warning,
    auxiliary heads of torchvision's networks that the module has switched off, counts (``total_ops``,
    ``total_params``, ``n_averaged``), and a missing ``num_batches_tracked``. Where there are tensors of no auxiliary
    head, the module's are switched off.
    Raises WeightsError with the names of the tensors that do not fit; ``source`` says whose they are.
    """
    given = unwrapped(state, module.state_dict())
    kept = {id(tensor) for tensor in given.values()}
    if beside := [name for name, t in state.items() if id(t) not in kept and _last(name) not in _COUNTS]:
        _LOG.warning("%s: the whole network stands under one prefix; left aside: %s", source, _some(beside))
    if not any(name.startswith(_AUXILIARY) for name in given):
        switch_off_auxiliaries(module)
    own, given = module.state_dict(), _without_auxiliaries(module, given)
    faults = [*_name_faults(own, given), *_shape_faults(own, given), *_type_faults(own, given)]
    if faults:
        raise WeightsError(f"{source} does not fit {type(module).__name__}: {'; '.join(faults)}")
    own.update({name: tensor.to(own[name].dtype) for name, tensor in given.items()})
    module.load_state_dict(own, strict=True)


def unwrapped(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without counts, and without what wrappers put before all names: then some are the network's.

    Else those under the only prefix under which all names of the network stand.
    """
    names = {name: tensor for name, tensor in state.items() if name in own or _last(name) not in _COUNTS}
    parts = next(iter(names), "").split(".")
    for depth in range(len(parts)):
        prefix = "".join(f"{part}." for part in parts[:depth])
        if all(name.startswith(prefix) for name in names) and any(
            name[len(prefix) :] in own for name in names
        ):
            return _under(prefix, names)
    return _under(prefixes[0], names) if len(prefixes := _prefixes_of_all(names, own)) == 1 else names


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _prefixes_of_all(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """The prefixes under which all names of the network stand."""
    asked = [name for name in own if not name.endswith("num_batches_tracked")]
    ends = [name[: -len(asked[0])] for name in state if asked and name.endswith(f".{asked[0]}")]
    return [prefix for prefix in ends if all(f"{prefix}{name}" in state for name in asked)]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def switch_off_auxiliaries(module: nn.Module) -> None:
    """Leave torchvision's networks without their auxiliary heads, which nothing but their own training needs."""
    if isinstance(module, GoogLeNet | Inception3):
        module.aux_logits = False
        for name in _AUXILIARY:
            setattr(module, name, None)


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
    if missing and len(several := _prefixes_of_all(given, own)) > 1:
        return [
            f"the whole network stands under each of {_some(several)}: save the one to use, without its prefix"
        ]
    if missing and not unexpected and not _parts(missing) & _parts(given):
        return [f"it is a trunk without {_some(_parts(missing))}: build the network as a trunk"]
    whole_parts = all("." in name for name in unexpected)
    if unexpected and not missing and whole_parts and not _parts(unexpected) & _parts(own):
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
