"""Every network that has a name: the paper's two, torchvision's classifiers, and factories of the user's own."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torchvision.models as tv
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from layerscope.errors import NetworkError, named
from layerscope.network.network import Network
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Loading, Options
from layerscope.zoo.paper import PaperCNN, PaperTrunk, alexcnn, vggcnn
from layerscope.zoo.shipped import SHIPPED, shipped_file
from layerscope.zoo.states import WEIGHT_FILES, fit_state, load_state, unwrapped
from layerscope.zoo.trained import described, named_classes, trained_options
from layerscope.zoo.weights import Fetched, fetch

_PAPER: Mapping[str, Callable[..., nn.Module]] = {"alexcnn": alexcnn, "vggcnn": vggcnn}
_WEIGHT_NAMES = frozenset(
    {"imagenet", "imagenet-trunk", "random", "fashion"}
)  # also where a file is called so
_HALVES = frozenset({"googlenet", "inception_v3"})  # their weights want inputs in -1..1
_GREY_MEAN, _GREY_DEVIATION = (0.449,), (0.226,)  # ImageNet's, over the three colours


@dataclass(frozen=True)
class _Blueprint:
    """What a name stands for: how to build the module, and what surrounds it."""

    name: str
    build: Callable[[], nn.Module]
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None = None
    published: bool = False  #: whether it has named weights
    own: str = ""  #: where a network of the user's has its values from
    assumed: bool = False  #: whether nobody said the size of its pictures


def network_names() -> tuple[str, ...]:
    """All names that `load_network` knows, besides ``package.module:factory``."""
    return (*_PAPER, *tv.list_models(module=tv))


def load_network(
    spec: str | nn.Module,
    weights: str | Path | None = None,
    *,
    options: Options | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: bool = False,
) -> Network:
    """A network ready to use.

    ``spec``: ``alexcnn``, ``vggcnn``, a torchvision classifier, ``package.module:factory`` or a module.
    ``weights``: a name (``imagenet``, ``imagenet-trunk``, or torchvision's own; for the paper's two ``fashion``, which
    comes with this package), a file (.safetensors or a state dict), or ``random`` (seed 0; not for your own). None:
    ``imagenet`` for torchvision's networks, random (seed 0) for the paper's two, and what your own module or factory
    has. A file goes into a copy of your own module. Preprocessing and class names are those of the named weights, else
    of ``imagenet``. A trunk without its fully-connected layers is a valid network, which predicts nothing. A file of a
    training of ours says how its network is built and what its classes are called.
    Raises NetworkError and WeightsError.
    """
    shipped = shipped_file(spec, weights)
    about = described(shipped.path if shipped else Path(weights)) if weights is not None else {}
    options = trained_options(spec, options or Options(), about)
    blueprint = _blueprint(spec, options)
    chosen = str(weights) if weights is not None else ("imagenet" if blueprint.published else "")
    if shipped or _is_file(chosen):
        path = shipped.path if shipped else Path(chosen)
        network = named_classes(_with_state(blueprint, load_state(path), str(shipped or path)), about)
    elif chosen == "" or (chosen == "random" and not blueprint.own):
        with _seeded():
            network = _network(blueprint, blueprint.build(), blueprint.own or "random, seed 0")
    elif not blueprint.published:
        own = "".join(f"{one.name!r}, " for one in SHIPPED if one.network == spec)
        raise NetworkError(
            f"{blueprint.name} has no weights named {chosen!r}; give {own}a file, or leave them out"
        )
    else:
        network = _from_fetched(blueprint.name, options, fetch(blueprint.name, chosen, progress=progress))
    if isinstance(spec, str):
        kept = str(Path(chosen).absolute()) if _is_file(chosen) else chosen if weights else None
        network = replace(network, loading=Loading(spec, kept, options))
    return network.to(device, dtype)


def _is_file(weights: str) -> bool:
    """Whether it means a file, be it there or not; other endings than those of weights if it is."""
    path = Path(weights)
    return path.suffix.lower() in WEIGHT_FILES or (weights not in _WEIGHT_NAMES and path.is_file())


def build_module(
    spec: str | nn.Module, *, options: Options | None = None, seed: int = 0
) -> tuple[nn.Module, Preprocessing]:
    """A torch module to be trained, with the random weights of a seed, and how its pictures are prepared.

    ``spec``: as `load_network` takes it; a module of yours is copied, a factory of yours makes what it makes. The
    paper's two return plain scores. Raises NetworkError.
    """
    blueprint = _blueprint(spec, options or Options())
    with _seeded(seed):
        module = _copied(blueprint) if isinstance(spec, nn.Module) else blueprint.build()
    if isinstance(module, PaperCNN):
        module.final_relu = False
    return module, blueprint.preprocessing


def read_architecture(spec: str | nn.Module, *, options: Options | None = None) -> Network:
    """A network without values: layers, sizes and receptive fields at once, nothing to compute with."""
    blueprint = _blueprint(spec, options or Options())
    if isinstance(spec, nn.Module) or ":" in spec:
        return _network(blueprint, blueprint.build(), "")
    return _network(blueprint, _without_values(blueprint), "")


class WithoutValues(TorchFunctionMode):
    """Tensors made to be filled have no values, so none are drawn; a constructor reads all others, as RegNet's does."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


def _without_values(blueprint: _Blueprint) -> nn.Module:
    with WithoutValues():
        module = blueprint.build()
    return module.to("meta")


def _blueprint(spec: str | nn.Module, options: Options) -> _Blueprint:
    if isinstance(spec, nn.Module):
        return _own_blueprint(type(spec).__name__, spec, options, "as given")
    if ":" in spec:
        with _seeded():
            return _own_blueprint(spec, _call_factory(spec), options, "as its factory made it")
    if spec in _PAPER:
        return _paper_blueprint(spec, options)
    if spec in tv.list_models(module=tv):
        entries = tv.get_model_weights(spec).__members__
        return _torchvision_blueprint(
            spec, options, entries.get("IMAGENET1K_V1") or next(iter(entries.values()))
        )
    close = difflib.get_close_matches(spec, network_names(), n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(close)}?" if close else "`layerscope networks` lists those with a name"
    raise NetworkError(f"no network is called {spec!r}; {hint}; your own: package.module:factory")


def _refuse(name: str, options: Options, *refused: str) -> None:
    for option in refused:
        if getattr(options, option) is not None:
            raise NetworkError(
                f"{name} is not built with {option!r}; only {' and '.join(_PAPER)} take every option"
            )


def _paper_blueprint(name: str, options: Options) -> _Blueprint:
    given = {
        "classes": options.classes,
        "channels": options.channels,
        "width": options.width,
        "input_size": options.input_size,
    }
    kept: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    preprocessing = _sized(Preprocessing(), options.input_size)
    if options.channels is not None:
        preprocessing = _for_channels(preprocessing, options.channels)
    return _Blueprint(name, lambda: _PAPER[name](**kept, final_relu=True), preprocessing)


def _torchvision_blueprint(name: str, options: Options, entry: Any) -> _Blueprint:
    """``entry``: torchvision's weights whose preprocessing and class names these are."""
    _refuse(name, options, "channels", "width")
    preprocessing = _published_preprocessing(name, entry)
    arguments: dict[str, Any] = {} if options.classes is None else {"num_classes": options.classes}
    if name in _HALVES:
        arguments["init_weights"] = False
    if name.startswith("vit_"):  # built for one size of input only
        arguments["image_size"] = preprocessing.height
    fits = options.classes in (None, len(entry.meta["categories"]))
    return _Blueprint(
        name,
        lambda: tv.get_model(name, weights=None, **arguments),
        _sized(preprocessing, options.input_size),
        tuple(entry.meta["categories"]) if fits else None,
        published=True,
    )


def _published_preprocessing(name: str, entry: Any) -> Preprocessing:
    preset = entry.transforms()
    mean, deviation = tuple(preset.mean), tuple(preset.std)
    if name in _HALVES:
        mean = deviation = (0.5, 0.5, 0.5)
    return Preprocessing(
        resize=preset.resize_size[0],
        height=preset.crop_size[0],
        width=preset.crop_size[0],
        mean=mean,
        deviation=deviation,
        interpolation=preset.interpolation.value,
    )


def _own_blueprint(name: str, module: nn.Module, options: Options, values: str) -> _Blueprint:
    """A module of the user's: its ``preprocessing`` attribute, or ImageNet's for its number of channels."""
    _refuse(name, options, "classes", "channels", "width")
    preprocessing = getattr(module, "preprocessing", None)
    assumed = options.input_size is None and not isinstance(preprocessing, Preprocessing)
    if not isinstance(preprocessing, Preprocessing):
        convolutions = (part for part in module.modules() if isinstance(part, nn.Conv2d))
        first = next(convolutions, None)
        preprocessing = _for_channels(Preprocessing(), 3 if first is None else first.in_channels)
    return _Blueprint(
        name, lambda: module, _sized(preprocessing, options.input_size), own=values, assumed=assumed
    )


def _sized(preprocessing: Preprocessing, size: int | tuple[int, int] | None) -> Preprocessing:
    """The same for another input size, the margin around the crop in proportion."""
    if size is None:
        return preprocessing
    height, width = (size, size) if isinstance(size, int) else size
    ratio = (preprocessing.resize or preprocessing.height) / preprocessing.height
    return replace(preprocessing, height=height, width=width, resize=round(ratio * min(height, width)))


def _for_channels(preprocessing: Preprocessing, channels: int) -> Preprocessing:
    if channels == len(preprocessing.mean):
        return preprocessing
    return replace(preprocessing, mean=_GREY_MEAN * channels, deviation=_GREY_DEVIATION * channels)


def _call_factory(spec: str) -> nn.Module:
    module_name, _, factory_name = spec.partition(":")
    if module_name.endswith(".py"):
        meant = ".".join(part for part in Path(module_name[:-3]).parts if part.isidentifier())
        raise NetworkError(
            f"{spec!r} names a file; name its module, from here or on PYTHONPATH: {meant}:{factory_name}"
        )
    if not all(part.isidentifier() for part in (*module_name.split("."), factory_name)):
        raise NetworkError(f"{spec!r} is not package.module:factory, a function that returns a torch module")
    with _importing_from_here():
        try:
            found = importlib.import_module(module_name)
        except Exception as error:  # the user's code may raise anything
            raise NetworkError(
                f"cannot import {module_name!r} of {spec!r}: {named(error)}; is it on PYTHONPATH?"
            ) from error
    factory = getattr(found, factory_name, None)
    if not callable(factory):
        raise NetworkError(
            f"{module_name} has no callable {factory_name!r}; name a function that returns a module"
        )
    try:
        module = factory()
    except Exception as error:
        raise NetworkError(
            f"{spec} failed: {named(error)}; it must take no arguments and return a module"
        ) from error
    if not isinstance(module, nn.Module):
        raise NetworkError(f"{spec} returned {type(module).__name__}, not a torch.nn.Module")
    return module


@contextmanager
def _importing_from_here() -> Iterator[None]:
    """Imports also look in the current folder, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _network(blueprint: _Blueprint, module: nn.Module, weights: str, *, trunk: bool = False) -> Network:
    try:
        network = Network.from_module(
            module, name=blueprint.name, preprocessing=blueprint.preprocessing, classes=blueprint.classes
        )
    except NetworkError as error:
        if not blueprint.assumed:
            raise
        size = "x".join(map(str, blueprint.preprocessing.shape[1:]))
        raise NetworkError(
            f"{error}; pictures of {size} were assumed: say another size by --input-size, in Python by "
            "Options(input_size=...), or give the module an attribute `preprocessing`"
        ) from error
    rename = _paper_names(blueprint.name, module) if blueprint.published else {}
    return replace(network, weights=weights, trunk=trunk, rename=rename)


@contextmanager
def _seeded(seed: int = 0) -> Iterator[None]:
    """Random weights are the same in every run, and the caller's random numbers are as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _from_fetched(name: str, options: Options, found: Fetched) -> Network:
    blueprint = _torchvision_blueprint(name, options, tv.get_weight(found.entry))
    source = f"{found.source}, SHA-256 {found.sha256[:8]}"
    return _with_state(blueprint, load_state(found.path, found.layout), source)


def _with_state(blueprint: _Blueprint, state: Mapping[str, Tensor], source: str) -> Network:
    if blueprint.published:
        module = _without_values(blueprint)
        module.to_empty(device="cpu")
    else:
        module = _copied(blueprint) if blueprint.own else blueprint.build()
    trunk = _trunk_of(module, state)
    fit_state(trunk or module, state, source=source)
    return _network(blueprint, trunk or module, source, trunk=trunk is not None)


def _copied(blueprint: _Blueprint) -> nn.Module:
    """A module of the user's that weights may be loaded into."""
    try:
        return deepcopy(blueprint.build())
    except Exception as error:  # the user's code may raise anything
        raise NetworkError(
            f"{blueprint.name} cannot be copied to load weights into it ({named(error)}); "
            "load them yourself, and give the module without weights"
        ) from error


class Trunk(nn.Module):
    """The ``features`` of a torchvision network: its convolutions and pools, without the classifier."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, pictures: Tensor) -> Tensor:
        """The last feature maps."""
        maps: Tensor = self.features(pictures)
        return maps


def _trunk_of(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module | None:
    """The module without its classifier, if it has one and the state has tensors only for the rest."""
    own = module.state_dict()
    features = getattr(module, "features", None)
    if isinstance(module, PaperCNN):
        trunk: nn.Module = PaperTrunk(module)
    elif isinstance(features, nn.Module):
        trunk = Trunk(features)
    else:
        return None
    kept = _parts(trunk.state_dict())
    return trunk if _parts(own) - kept and _parts(unwrapped(state, own)) <= kept else None


def _parts(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in names)


def _paper_names(name: str, module: nn.Module) -> Mapping[str, str]:
    """The paper's layer names (c1_1, p1, fc6, ...) for torchvision's AlexNet and VGG networks."""
    if (name != "alexnet" and not name.startswith("vgg")) or name in _PAPER:
        return {}
    names: dict[str, str] = {}
    group, place = 1, 0
    for path, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            place += 1
            names[path] = f"c{group}_{place}"
        elif isinstance(part, nn.MaxPool2d):
            names[path] = f"p{group}"
            group, place = group + 1, 0
        elif isinstance(part, nn.Linear):
            names[path] = f"fc{6 + sum(n.startswith('fc') for n in names.values())}"
    return _numbered_as_alexnet(names) if name == "alexnet" else names


def _numbered_as_alexnet(names: Mapping[str, str]) -> Mapping[str, str]:
    """c1, p1, c2, p2, c3, c4, c5, p5: convolutions counted through, a pool by the convolution before it."""
    numbered: dict[str, str] = {}
    count = 0
    for path, name in names.items():
        count += name.startswith("c")
        numbered[path] = name if name.startswith("fc") else f"{name[0]}{count}"
    return numbered
