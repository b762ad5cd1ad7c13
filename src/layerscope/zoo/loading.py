"""Every network that has a name or a file, and modules of the user's own, ready to use."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.overrides import TorchFunctionMode

from layerscope.errors import NetworkError, SizeError, WeightsError, named
from layerscope.network.fitting import USUAL, fitting_sizes
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Loading, Options
from layerscope.network.wrappers import unwrapped
from layerscope.zoo.blueprint import Blueprint, seeded, stated
from layerscope.zoo.origins import exported, factories, given, onnx_files, papers, timms, torchvisions
from layerscope.zoo.paper import PaperCNN
from layerscope.zoo.shipped import SHIPPED, shipped_file
from layerscope.zoo.states import WEIGHT_FILES, fit_state, load_state, switch_off_auxiliaries
from layerscope.zoo.trained import described, named_classes, trained_options
from layerscope.zoo.trunks import trunk_of

_WEIGHT_NAMES = frozenset(
    {"imagenet", "imagenet-trunk", "random", "fashion"}
)  # also where a file is called so
_PREFIXES: Mapping[str, Callable[[str, Options], Blueprint]] = {"timm": timms.blueprint}


def network_names() -> tuple[str, ...]:
    """All names that `load_network` knows, besides timm's and ``package.module:factory``."""
    return (*papers.PAPER, *torchvisions.names())


def load_network(
    spec: str | Path | nn.Module | ExportedProgram,
    weights: str | Path | None = None,
    *,
    options: Options | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: bool = False,
) -> Network:
    """A network ready to use.

    ``spec``: ``alexcnn``, ``vggcnn``, a torchvision classifier, ``timm:NAME``, ``net.onnx``, ``net.pt2``,
    ``package.module:factory`` or ``file.py:Net``, with literals as arguments or none, a module, or what torch.export
    made of one. ``weights``: a name
    (``imagenet``, ``imagenet-trunk``, or torchvision's own; for the paper's two ``fashion``, which comes with this
    package), a file (.safetensors or a state dict), or ``random`` (seed 0; not for your own). None: ``imagenet`` for
    networks of torchvision and timm, random (seed 0) for the paper's two, and what your own has. A file goes into a
    copy of your module. Preprocessing and class names are those of the named weights, else of ``imagenet``. A trunk
    without its fully-connected layers is a valid network, which predicts nothing. A file of a training of ours says how
    its network is built and what its classes are called.
    Raises NetworkError and WeightsError.
    """
    spec = str(spec) if isinstance(spec, Path) else spec
    shipped = shipped_file(spec, weights)
    about = described(shipped.path if shipped else Path(weights)) if weights is not None else {}
    options = trained_options(spec, options or Options(), about)
    blueprint = _blueprint(spec, options)
    chosen = str(weights) if weights is not None else ("imagenet" if blueprint.published else "")
    if shipped or _is_file(chosen):
        path = shipped.path if shipped else Path(chosen)
        network = named_classes(_with_state(blueprint, load_state(path), str(shipped or path)), about)
    elif chosen == "" or (chosen == "random" and not blueprint.own):
        with seeded():
            network = _network(blueprint, blueprint.build(), blueprint.own or "random, seed 0")
    elif blueprint.published is None:
        own = "".join(f"{one.name!r}, " for one in SHIPPED if one.network == spec)
        raise NetworkError(
            f"{blueprint.name} has no weights named {chosen!r}; give {own}a file, or leave them out"
        )
    else:
        found = blueprint.published(chosen, progress)
        network = _with_state(_stated(found.blueprint, options), found.state, found.source)
    if isinstance(spec, str):
        kept = str(Path(chosen).absolute()) if _is_file(chosen) else chosen if weights else None
        network = replace(network, loading=Loading(factories.anchored(spec), kept, _anchored(options)))
    if any(tensor.is_meta for tensor in network.graph.tensors.values()):
        raise NetworkError(
            f"{network.name} has no values: it is on torch's meta device; give weights, or build it elsewhere"
        )
    return network.to(device, dtype)


def _anchored(options: Options) -> Options:
    """As they are kept: files by their whole paths, and no word of whom to trust."""
    mean = str(Path(options.mean).absolute()) if isinstance(options.mean, str) else options.mean
    return replace(options, mean=mean, trust=False)


def _is_file(weights: str) -> bool:
    """Whether it means a file, be it there or not; other endings than those of weights if it is."""
    path = Path(weights)
    return path.suffix.lower() in WEIGHT_FILES or (weights not in _WEIGHT_NAMES and path.is_file())


def build_module(
    spec: str | nn.Module, weights: str | None = None, *, options: Options | None = None, seed: int = 0
) -> tuple[nn.Module, Preprocessing]:
    """A torch module to be trained, and how its pictures are prepared.

    ``spec``: as `load_network` takes it; a module of yours is copied, a factory of yours makes what it makes. The
    paper's two return plain scores; torchvision's are without auxiliary heads. ``weights``: a file, or for the paper's
    two ``fashion``; None: random ones of a seed. Raises NetworkError and WeightsError.
    """
    blueprint = _blueprint(spec, options or Options())
    with seeded(seed):
        module = _copied(blueprint) if isinstance(spec, nn.Module) else blueprint.build()
    if not isinstance(module, nn.Module):
        raise NetworkError(f"{blueprint.name} cannot be trained; give the module that it was made from")
    if isinstance(module, PaperCNN):
        module.final_relu = False
    switch_off_auxiliaries(module)
    if weights is not None:
        shipped = shipped_file(spec, weights)
        if not shipped and not _is_file(weights):
            raise WeightsError(
                f"{weights} is no file of weights to begin from; give a .safetensors or .pth file"
            )
        fit_state(module, load_state(shipped.path if shipped else weights), source=str(shipped or weights))
    return module, blueprint.preprocessing


def read_architecture(spec: str | nn.Module, *, options: Options | None = None) -> Network:
    """A network without values: layers, sizes and receptive fields at once, nothing to compute with.

    Your own, and timm's, have the values that they are built with.
    """
    blueprint = _blueprint(spec, options or Options())
    if blueprint.bare:
        return _network(blueprint, _without_values(blueprint), "")
    with seeded():
        return _network(blueprint, blueprint.build(), "")


class WithoutValues(TorchFunctionMode):
    """Tensors made to be filled have no values, so none are drawn; a constructor reads all others, as RegNet's does."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


def _without_values(blueprint: Blueprint) -> nn.Module:
    with WithoutValues():
        module: nn.Module = blueprint.build()
    return module.to("meta")


def _blueprint(spec: str | nn.Module | ExportedProgram, options: Options) -> Blueprint:
    return _stated(_original(spec, options), options)


def _stated(blueprint: Blueprint, options: Options) -> Blueprint:
    return replace(blueprint, preprocessing=stated(blueprint.preprocessing, options))


def _original(spec: str | nn.Module | ExportedProgram, options: Options) -> Blueprint:
    if isinstance(spec, ExportedProgram):
        return exported.blueprint_of(spec, "ExportedProgram", options)
    if isinstance(spec, nn.Module):
        return given.blueprint(type(unwrapped(spec)).__name__, spec, options, "as given")
    if not isinstance(spec, str):
        what = f"the class {spec.__name__}" if isinstance(spec, type) else f"a {type(spec).__name__}"
        raise NetworkError(f"{what} is no network; give a name, a file, an nn.Module or an ExportedProgram")
    if named_by := _origin_of(spec):
        return named_by(spec, options)
    name = spec.removeprefix("torchvision:")
    if name in torchvisions.names():
        return torchvisions.blueprint(name, options)
    raise NetworkError(_unknown(spec))


def _origin_of(spec: str) -> Callable[[str, Options], Blueprint] | None:
    """Whose name it is, by how it begins or ends."""
    if spec in papers.PAPER:
        return papers.blueprint
    prefix, colon, _ = spec.partition(":")
    if colon and prefix in _PREFIXES:
        return _PREFIXES[prefix]
    if spec.endswith(".onnx") or ".onnx:" in spec:
        return onnx_files.blueprint
    if spec.endswith(".pt2"):
        return exported.blueprint
    return factories.blueprint if colon and prefix != "torchvision" else None


def _unknown(spec: str) -> str:
    if Path(spec).suffix.lower() in WEIGHT_FILES:
        return (
            f"{spec} is a file of weights, or of TorchScript: name the network that weights are for, and give them by "
            "--weights; TorchScript cannot be read, give the module it was made from, or a .pt2 or .onnx file of that"
        )
    close = difflib.get_close_matches(spec, network_names(), n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(close)}?" if close else "`layerscope networks` lists those with a name"
    return f"no network is called {spec!r}; {hint}; your own: package.module:factory"


def _network(blueprint: Blueprint, module: Any, weights: str, *, trunk: bool = False) -> Network:
    try:
        network = Network.from_module(
            module, name=blueprint.name, preprocessing=blueprint.preprocessing, classes=blueprint.classes
        )
    except SizeError as error:
        if not blueprint.assumed:
            raise
        raise SizeError(f"{error}; {_sizes_instead(blueprint, module)}") from error
    except NetworkError as error:
        if isinstance(error.__cause__, NetworkError):  # of ours, that runs the nodes of a file: it says all
            raise error.__cause__ from error
        raise
    return replace(network, weights=weights, trunk=trunk, rename=blueprint.rename(module))


def _sizes_instead(blueprint: Blueprint, module: nn.Module) -> str:
    """What to do about a size that nobody said and that does not fit."""
    channels, height, width = blueprint.preprocessing.shape
    fitting = fitting_sizes(module, channels)
    said = f"pictures of {height}x{width} were assumed, as nobody said a size"
    if fitting:
        those = " and ".join(", ".join(f"{n}x{n}" for n in fitting).rsplit(", ", 1))
        small = fitting[0]
        return (
            f"{said}; it runs on {those}: say --input-size {small}, in Python Options(input_size={small}), or give the "
            "module an attribute `preprocessing`"
        )
    return (
        f"{said}, and it runs on none of the usual ones from {USUAL[0]}x{USUAL[0]} to {USUAL[-1]}x{USUAL[-1]}: say "
        "--input-size N or HxW, in Python Options(input_size=...), or give the module an attribute `preprocessing`"
    )


def _with_state(blueprint: Blueprint, state: Mapping[str, Tensor], source: str) -> Network:
    """The network with these values."""
    if blueprint.bare and blueprint.published:
        module = _without_values(blueprint)
        module.to_empty(device="cpu")
    else:
        module = _copied(blueprint) if blueprint.own else blueprint.build()
    trunk = trunk_of(module, state)
    fit_state(trunk or module, state, source=source)
    return _network(blueprint, trunk or module, source, trunk=trunk is not None)


def _copied(blueprint: Blueprint) -> nn.Module:
    """A module of the user's that weights may be loaded into."""
    module = blueprint.build()
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"{blueprint.name} has the weights that it was exported with; leave --weights out, or give the module that "
            "it was made from"
        )
    try:
        return deepcopy(module)
    except Exception as error:  # the user's code may raise anything
        raise NetworkError(
            f"{blueprint.name} cannot be copied to load weights into it ({named(error)}); "
            "load them yourself, and give the module without weights"
        ) from error
