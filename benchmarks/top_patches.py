"""The nine top patches of every filter: ours beside semanticlens and zennit-crp, and how often each is right.

The same JPEG files, decoding included, the same layers and weights, the same threads; each contestant in a process
of its own, in turn. Right is what a plain float32 pass finds. The peers need a Python of their own, because both
want an old zennit: ``pip install semanticlens==0.2.1 zennit-crp==0.6.0 torchvision`` in any environment.
Run: ``python benchmarks/top_patches.py --peers-python PYTHON [--network vgg16] [--pictures N] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from measuring import memory
from PIL import Image
from torch import Tensor, nn

TOP = 9
BATCH = 32  # pictures the peers take at once; ours takes its own default
WEIGHTS, REFERENCE, INPUTS = "weights.pt", "reference.npz", "inputs.json"
PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png"),
    *("hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg"),
)
LAYERS = {  # the ReLU after each convolution
    "alexnet": tuple(f"features.{i}" for i in (1, 4, 7, 9, 11)),
    "vgg16": tuple(f"features.{i}" for i in (1, 3, 6, 8, 11, 13, 15, 18, 20, 22, 25, 27, 29)),
}
PICTURES = {"alexnet": 128, "vgg16": 16}  # so that a round takes about a minute
PAIRS = (("zennit-crp", 15.0), ("semanticlens", 1.0), ("semanticlens-workers", 1.0))

OURS = ("layerscope", "layerscope-bfloat16")

#: of each layer (channels, TOP) places of pictures, the strongest first
Found = dict[str, npt.NDArray[np.int64]]


# ------------------------------------------------------------------ what all contestants are given


def write_pictures(folder: Path, count: int) -> None:
    """Crops of scikit-image's photographs at random places and scales, as JPEG files.

    256x256: larger ones layerscope and torchvision prepare within a grey level, these the same to the bit.
    """
    import skimage

    data = Path(skimage.__file__).parent / "data"
    photographs = [Image.open(data / name).convert("RGB") for name in PHOTOGRAPHS]
    chance = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        side = chance.uniform(0.25, 0.9) * min(photograph.size)
        left, top = chance.uniform(0, photograph.width - side), chance.uniform(0, photograph.height - side)
        crop = photograph.resize((256, 256), box=(left, top, left + side, top + side))
        crop.save(folder / "pictures" / f"{number:05d}.jpg", quality=90)


def write_weights(folder: Path, name: str) -> str:
    """ImageNet's trunk as a state dict of torchvision's; where it came from."""
    from layerscope import load_network

    network = load_network(name, "imagenet-trunk")
    torch.save({key: value.contiguous() for key, value in network.graph.tensors.items()}, folder / WEIGHTS)
    return network.weights


def model(options: argparse.Namespace) -> nn.Module:
    """The whole network; its classifier, of which the registry carries no weights, has random values.

    With ``--trunk`` the mean of each map is its score instead: zennit-crp wants a class to start from.
    """
    torch.manual_seed(0)
    module: Any = torchvision.models.get_model(options.network, weights=None)
    if options.trunk:
        parts = OrderedDict(features=module.features, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
        module = nn.Sequential(parts)
    found = module.load_state_dict(torch.load(options.folder / WEIGHTS, weights_only=True), strict=False)
    assert not found.unexpected_keys
    assert all(key.startswith("classifier") for key in found.missing_keys)
    ready: nn.Module = module.eval().requires_grad_(False)
    return ready


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """The files as torchvision decodes and prepares them, each with class 0."""

    def __init__(self, folder: Path) -> None:
        transforms = torchvision.transforms
        self.name = "pictures"
        self.files = sorted((folder / "pictures").iterdir())
        self.prepare = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.files[index]) as picture:
            values: Tensor = self.prepare(picture.convert("RGB"))
        return values, 0


# ------------------------------------------------------------------ contestants


def layerscope(options: argparse.Namespace, module: nn.Module, dtype: torch.dtype) -> Found:
    """Reading the module and the folder is part of the work."""
    from layerscope import Network, open_images
    from layerscope.sweep.one_pass import sweep_images
    from layerscope.sweep.top_patches import TopPatches

    network = Network.from_module(module, name=options.network).to(dtype=dtype)
    images = open_images(options.folder / "pictures")
    table = sweep_images(network, images, [TopPatches(TOP, tuple(options.layers))]).results["top_patches"]
    rows: Any = table["top_patches"]
    names, pictures = rows["layer"].to_numpy(), rows["picture"].to_numpy()
    return {
        path: pictures[names == network.layer(path).name].reshape(-1, TOP).astype(np.int64)
        for path in options.layers
    }


def semanticlens(options: argparse.Namespace, module: nn.Module, workers: int) -> Found:
    """Its own maximum over positions; the files are decoded by so many processes besides, or by itself."""
    visualizer = importlib.import_module("semanticlens.component_visualization.activation_based")
    aggregators = importlib.import_module("semanticlens.component_visualization.aggregators")
    pictures = Pictures(options.folder)
    contestant = visualizer.ActivationComponentVisualizer(
        module, pictures, pictures, list(options.layers), TOP, aggregate_fn=aggregators.aggregate_conv_max
    )
    contestant.run(batch_size=BATCH, num_workers=workers)
    return {path: contestant.get_max_reference(path).numpy() for path in options.layers}


def zennit_crp(options: argparse.Namespace, module: nn.Module) -> Found:
    """Its activation maximisation; relevance maximisation, which it always computes too, is left aside."""
    attribution = importlib.import_module("crp.attribution").CondAttribution(module)
    concept = importlib.import_module("crp.concepts").ChannelConcept()
    visualization = importlib.import_module("crp.visualization")
    composite = importlib.import_module("zennit.composites").EpsilonPlusFlat()
    pictures = Pictures(options.folder)
    with tempfile.TemporaryDirectory() as place:
        visualization.FeatureVisualization(
            attribution, pictures, dict.fromkeys(options.layers, concept),
            max_target="max", abs_norm=False, path=place,
        ).run(composite, 0, len(pictures), BATCH, 100)  # fmt: skip
        folder = Path(place, "ActMax_max_unnormed")
        return {path: np.load(folder / f"{path}_data.npy")[:TOP].T for path in options.layers}


CONTESTANTS: dict[str, Callable[[argparse.Namespace, nn.Module], Found]] = {
    "layerscope": partial(layerscope, dtype=torch.float32),
    "layerscope-bfloat16": partial(layerscope, dtype=torch.bfloat16),
    "semanticlens": partial(semanticlens, workers=0),
    "semanticlens-workers": partial(semanticlens, workers=2),
    "zennit-crp": zennit_crp,
}


# ------------------------------------------------------------------ what is right


def reference(options: argparse.Namespace, module: nn.Module) -> None:
    """Write the strongest value of every channel in every picture, by hooks and torch's ``amax``, and the inputs."""
    pictures = Pictures(options.folder)
    peaks: dict[str, list[Tensor]] = {path: [] for path in options.layers}
    for path in options.layers:
        module.get_submodule(path).register_forward_hook(
            lambda part, inputs, output, path=path: peaks[path].append(output.flatten(2).amax(2))
        )
    known = hashlib.sha256()
    with torch.inference_mode():
        for values, _ in torch.utils.data.DataLoader(pictures, batch_size=BATCH):
            known.update(values.numpy().tobytes())
            module(values)
    arrays: Any = {path: torch.cat(parts).numpy() for path, parts in peaks.items()}
    np.savez(options.folder / REFERENCE, **arrays)
    (options.folder / INPUTS).write_text(json.dumps(known.hexdigest()), "ascii")


def check_inputs(folder: Path) -> None:
    """Raise if layerscope prepares any picture otherwise than torchvision does, by a single bit."""
    from layerscope import open_images
    from layerscope.network.preprocessing import IMAGENET

    images = open_images(folder / "pictures")
    known = hashlib.sha256()
    for index in range(len(images)):
        known.update(IMAGENET.apply(images.load(index).image).numpy().tobytes())
    if known.hexdigest() != json.loads((folder / INPUTS).read_text("ascii")):
        raise SystemExit(
            "layerscope and torchvision prepare the pictures differently: nothing can be compared"
        )


def shares_right(found: Found, peaks: dict[str, npt.NDArray[np.float32]]) -> dict[str, float]:
    """The share of all channels whose pictures are the reference's, and of those whose pictures are as strong.

    ``same``: the same set, equal values by order of the pictures. ``strong``: any set whose values in the reference
    are the strongest, so that equal ones may stand for each other.
    """
    same, strong = [], []
    for path, values in peaks.items():
        order = np.argsort(-values, axis=0, kind="stable")[:TOP].T
        best = np.take_along_axis(values, order.T, 0)
        theirs = np.take_along_axis(values, found[path].T, 0)
        same.append((np.sort(order, 1) == np.sort(found[path], 1)).all(1))
        strong.append((best == -np.sort(-theirs, 0)).all(0) & (found[path] >= 0).all(1))
    return {"same": float(np.concatenate(same).mean()), "strong": float(np.concatenate(strong).mean())}


# ------------------------------------------------------------------ the contest


def run(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the first call in this process and of a second one, and the most memory held, in MB."""
    module = model(options)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        found = CONTESTANTS[options.only](options, module)
        times.append(time.perf_counter() - start)
    np.savez(options.folder / f"{options.only}.npz", **found)  # type: ignore[arg-type]
    return {"first": times[0], "again": times[1], "peak": memory()}


def in_own_process(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Run a contestant, ours in this Python, a peer in the one named for it."""
    python = sys.executable if name in (*OURS, "reference") else options.peers_python
    command = [python, __file__, "--only", name, "--folder", str(options.folder)]
    command += ["--network", options.network, "--layers", *options.layers]
    command += ["--trunk"] if options.trunk else []
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"{name} failed in {python}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def contest(options: argparse.Namespace) -> None:
    """Prepare, measure in turn, print medians, ratios and how often each was right."""
    write_pictures(options.folder, options.pictures)
    source = write_weights(options.folder, options.network)
    part = "trunk alone" if options.trunk else "whole network"
    print(f"{options.network}, {part}, {options.pictures} pictures, layers {' '.join(options.layers)}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, weights: {source}")
    in_own_process("reference", options)
    check_inputs(options.folder)
    names = [name for name in CONTESTANTS if name in OURS or options.peers_python]
    if not options.peers_python:
        print("semanticlens and zennit-crp are left out: name a Python that has them with --peers-python")
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(options.rounds):
        rounds.append({name: in_own_process(name, options) for name in names})
        print({name: {k: round(v, 2) for k, v in f.items()} for name, f in rounds[-1].items()}, flush=True)
    report(options, rounds, names)


def report(options: argparse.Namespace, rounds: list[dict[str, dict[str, float]]], names: list[str]) -> None:
    """A line per contestant, then the ratios, each within a round."""
    peaks = dict(np.load(options.folder / REFERENCE))
    for name in names:
        first, again, peak = (
            statistics.median(figures[name][what] for figures in rounds)
            for what in ("first", "again", "peak")
        )
        right = shares_right(dict(np.load(options.folder / f"{name}.npz")), peaks)
        print(
            f"{name:<21} first {first:6.2f} s, again {again:6.2f} s, {peak:5.0f} MB; the set is right for "
            f"{right['same']:.2%}, equals allowed {right['strong']:.2%}"
        )
    for name, aim in PAIRS:
        for when in ("first", "again") if name in names else ():
            ratio = statistics.median(f[name][when] / f["layerscope"][when] for f in rounds)
            print(f"{when + ' call:':<12} {name} / layerscope: {ratio:.2f} (aim: at least {aim:g})")
            ratio = statistics.median(f[name][when] / f[OURS[1]][when] for f in rounds)
            print(f"{when + ' call:':<12} {name} / {OURS[1]}: {ratio:.2f}")


def main() -> None:
    """Read the options; compare, or be one of the contestants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=LAYERS, default="alexnet")
    parser.add_argument("--layers", nargs="+", help="paths of modules whose results count")
    parser.add_argument("--pictures", type=int, help="128 for alexnet, 16 for vgg16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers-python", help="a Python that has semanticlens and zennit-crp")
    parser.add_argument("--trunk", action="store_true", help="without the fully-connected layers")
    parser.add_argument("--only", choices=(*CONTESTANTS, "reference"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.layers = options.layers or LAYERS[options.network]
    options.pictures = options.pictures or PICTURES[options.network]
    if options.pictures < TOP:
        parser.error(f"--pictures needs {TOP} at least, or no channel has {TOP} patches")
    if options.only == "reference":
        reference(options, model(options))
        print("{}")
    elif options.only:
        print(json.dumps(run(options)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            options.folder = Path(folder)
            contest(options)


if __name__ == "__main__":
    main()
