"""Which networks are read, and what goes back through them: the table of docs/coverage.md, by ``make coverage``.

All of torchvision's classifiers and the smallest members of every file of timm, with random weights. What is found is
kept in build/networks, a file for each network: a run of some minutes goes on where the last one ended.

Run: ``make coverage``, or ``python docs/make_coverage.py [MINUTES]``; several at a time share the work.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import timm
import torch
import torchvision
from coverage_reach import measure
from timm.models._registry import _model_to_module
from torch import Tensor, nn

from layerscope import Network, Preprocessing, reconstruct
from layerscope.errors import LayerscopeError
from layerscope.network.graph import Graph
from layerscope.network.links import before_link
from layerscope.network.products import PRODUCTS
from layerscope.reconstruction import switches
from layerscope.reconstruction.descent import way_down
from layerscope.reconstruction.rules import GRADIENT, RULES

MEMBERS = 6  #: of each file of timm, the smallest
SIDES = (64, 96, 128, 160)  #: tried before the size that a network is made for
SECONDS = 240  #: for one network
KEPT, PAGE = Path("build/networks"), Path("docs/coverage.md")

HEAD = (
    "# Networks, one by one",
    "",
    "By `make coverage`, with random weights, at the smallest side that each takes of 64, 96, 128, 160 and its own,",
    "at which no pool makes a map larger;",
)
LEGEND = (
    "",
    "*fields*: layers with a receptive field, of those with positions. *reach*: units in the middle of four layers",
    "whose box is where their gradient is not zero (positive weights, nothing that cuts or saturates, max-pools",
    "averaging). The gradient is held against torch's own in float64 where float32 rounds away more than 1e-3 of it.",
    "*D*, *G*, *g*: the deconvnet, guided and the gradient go from the last result to the pixels.",
    "",
    "| network | side | layers | fields | reach | D | G | g | what is in the way |",
    "|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Found:
    """What was found of a network; words where something is wrong."""

    name: str
    file: str
    side: int = 0
    read: str = ""  #: "" if it is
    forward: float = -1.0  #: how far its result is from the module's, relative
    attention: bool = False
    layers: int = 0
    fields: int = 0  #: layers with positions whose field is known
    positions: int = 0  #: layers with positions
    measured: str = ""  #: units whose box is what their gradient reaches, of those measured
    deconvnet: str = ""  #: "" if it goes all the way
    guided: str = ""
    gradient: str = ""
    apart: float = -1.0  #: of the gradient from torch's own, relative
    traceback: str = ""
    seconds: float = 0.0
    versions: str = ""  #: of what it was made with


def names() -> Iterator[tuple[str, str]]:
    """The networks and the files they are in: the smallest of each file of timm, torchvision's, then the others."""
    by_file: dict[str, list[tuple[int, str]]] = {}
    for name, size in sizes().items():
        by_file.setdefault(_model_to_module[name], []).append((size, name))
    for rank in range(MEMBERS):
        for file, members in sorted(by_file.items()):
            if rank < len(members):
                yield f"timm:{sorted(members)[rank][1]}", file
        if rank == 0:
            for name in torchvision.models.list_models(module=torchvision.models):
                yield f"torchvision:{name}", "torchvision"


def sizes() -> dict[str, int]:
    """Parameters of every network of timm: made without memory, once."""
    kept = KEPT / "sizes.json"
    if not kept.is_file():
        counted = {}
        for name in timm.list_models():
            with torch.device("meta"):
                counted[name] = sum(p.numel() for p in timm.create_model(name).parameters())
        kept.write_text(json.dumps(counted))
    found: dict[str, int] = json.loads(kept.read_text())
    return found


def make(name: str) -> tuple[nn.Module, int]:
    """A network with random weights, and the side of the pictures that it is made for."""
    origin, _, short = name.partition(":")
    torch.manual_seed(0)
    if origin == "torchvision":
        extra = {"init_weights": False} if short in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(short, **extra).eval(), 224
    module = timm.create_model(short).eval()
    return module, int(vars(module)["pretrained_cfg"]["input_size"][-1])


def look(name: str, file: str) -> Found:
    """Everything about one network."""
    module, own = make(name)
    for part in module.modules():  # heads that are zero say nothing
        if isinstance(part, nn.Linear) and not part.weight.any():
            nn.init.normal_(part.weight, std=0.02)
    network, why = read(module, own)
    if network is None:
        return Found(name, file, read=why)
    graph, side = network.graph, network.input_shape[-1]
    picture = torch.randn(1, *network.input_shape)
    with torch.no_grad():
        ours = graph.run(picture, graph.output, frozenset({graph.output}))[graph.output]
        forward = distance(ours, module(picture))
    shown = [layer for layer in network.layers if layer.has_positions]
    found = Found(
        name, file, side, "", forward, attends(graph), len(network.layers),
        sum(layer.field is not None for layer in shown), len(shown), measure(network),
    )  # fmt: skip
    ways: dict[str, Any] = {rule: back(network, picture, rule) for rule in RULES}
    found = replace(found, **ways)
    return found if found.gradient else replace(found, apart=beside_autograd(network, module, picture))


def read(module: nn.Module, own: int) -> tuple[Network | None, str]:
    """The network at the smallest side that it takes without enlarging a map by a pool, or why it is not read."""
    why = ""
    for side in (*(s for s in SIDES if s < own), own):
        try:
            shown = Preprocessing(resize=None, height=side, width=side)
            network = Network.from_module(module, preprocessing=shown)
        except LayerscopeError as error:
            why = str(error)
            continue
        if side == own or not enlarges(network.graph):
            return network, ""
    return None, why


def enlarges(graph: Graph) -> bool:
    """Whether an adaptive pool makes more positions than it is given: those of VGG, of maps of less than 7 by 7."""
    pools = (o for o in graph.operations if o.kind.startswith("adaptive_"))
    return any(max(o.shape[-2:]) > max(graph.operations[o.inputs[0]].shape[-2:]) for o in pools)


def back(network: Network, picture: Tensor, rule: str) -> str:
    """Why the last result does not go back to the pixels; "" if it does."""
    graph = network.graph
    try:
        way_down(graph, [before_link(graph, graph.output)], RULES[rule])
    except LayerscopeError as error:
        return str(error)
    last = network.layers[-1].name
    signal_ = reconstruct(network, picture, last, rule=RULES[rule])[last]
    return "" if signal_.isfinite().all() else "not finite"


def beside_autograd(network: Network, module: nn.Module, picture: Tensor) -> float:
    """How far the gradient of the last layer's result is from torch's own.

    In float64 where in float32 it is far: rounding may be as large as the gradient, and of values of a pool that
    are equal up to rounding torch takes the larger one, which so is done here, too.
    """
    last = network.layers[-1]
    if last.result != network.graph.output or before_link(network.graph, last.result) != last.result:
        return 0.0
    apart = distance(reconstruct(network, picture, last.name, rule=GRADIENT)[last.name], own(module, picture))
    if apart < 1e-3:
        return apart
    exact, point = network.to(dtype=torch.float64), picture.double()
    with patch.object(switches, "TIED", 0.0):
        ours = reconstruct(exact, point, last.name, rule=GRADIENT)[last.name]
    try:
        apart = distance(ours, own(deepcopy(module).double(), point))
    except RuntimeError:  # it names another kind of numbers
        apart = inf
    return apart if apart < 1e-3 else beside_differences(exact, point, last.name, ours)


def own(module: nn.Module, picture: Tensor) -> Tensor:
    """Torch's own gradient of half the sum of squares of the result."""
    point = picture.clone().requires_grad_()
    scores = module(point)
    (gradient,) = torch.autograd.grad(scores, point, scores.detach())
    return gradient


def beside_differences(network: Network, point: Tensor, last: str, gradient: Tensor) -> float:
    """How far it is from a finite difference, of those over some steps the nearest: wider ones may cross a kink,
    and what narrower ones show may be rounded away.

    Torch 2.14 differentiates layer norm wrongly for some layouts.
    """
    moved = torch.randn_like(point)
    ours, apart = float((gradient * moved).sum()), []
    for step in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        ends = (network.representations(point + h * moved, [last])[last] for h in (step, -step))
        above, below = (float(end.square().sum()) / 2 for end in ends)
        true = (above - below) / (2 * step)
        apart.append(abs(ours - true) / abs(true) if true else inf)
    return min(apart)


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Relative; 0 where both are nothing."""
    apart = float((ours - theirs).norm())
    return apart / float(theirs.norm()) if apart else 0.0


def attends(graph: Graph) -> bool:
    """Whether it multiplies two things made from the picture, each of its positions with each other."""
    seen = [sum(graph.operations[i].carries for i in o.inputs) for o in graph.operations]
    return any(o.kind in PRODUCTS and seen[o.index] > 1 for o in graph.operations)


# ------------------------------------------------------------------ all of them


class _TooLongError(Exception):
    """A network takes longer than it may."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TooLongError


def kept_of(name: str) -> Path:
    """Where what is found of a network is kept."""
    return KEPT / f"{name.replace(':', '-')}.json"


def all_of(minutes: float) -> int:
    """Look at those that nobody has looked at, for some minutes; how many are left."""
    signal.signal(signal.SIGALRM, _stop)
    end = time.monotonic() + 60 * minutes
    todo = [(name, file) for name, file in names() if not kept_of(name).exists()]
    for place, (name, file) in enumerate(todo):
        if time.monotonic() > end:
            return len(todo) - place
        try:
            kept_of(name).touch(exist_ok=False)
        except FileExistsError:
            continue  # another run looks at it
        start = time.monotonic()
        signal.alarm(SECONDS)
        try:
            found = look(name, file)
        except _TooLongError:
            found = Found(name, file, read=f"takes longer than {SECONDS} seconds")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            found = Found(name, file, traceback=f"{type(error).__name__} in {where.name}: {error}"[:200])
        finally:
            signal.alarm(0)
        found = replace(found, seconds=round(time.monotonic() - start, 1), versions=here())
        kept_of(name).write_text(json.dumps(asdict(found)))
        print(f"{found.seconds:6.1f} s  {name}  {found.read or found.traceback}"[:120], flush=True)
    return 0


def main() -> None:
    """Look for some minutes, then write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    KEPT.mkdir(parents=True, exist_ok=True)
    left = all_of(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
    found = [Found(**json.loads(text)) for p in sorted(KEPT.glob("t*-*.json")) if (text := p.read_text())]
    order = {name: place for place, (name, _) in enumerate(names())}
    rows = sorted(
        (f for f in found if f.name in order), key=lambda f: (f.file != "torchvision", f.file, order[f.name])
    )
    PAGE.write_text(page(rows))
    print(f"{PAGE}: {len(rows)} networks; {left} are left")


def page(rows: Sequence[Found]) -> str:
    """The page of all networks."""
    read_, plain = [f for f in rows if f.side], [f for f in rows if f.side and not f.attention]
    attending, down = [f for f in rows if f.attention], [f for f in read_ if not f.gradient]
    counts = {
        "networks": f"{len(rows)}, in {len({f.file for f in rows})} files",
        "read": _share(rows, lambda f: f.side > 0),
        "result within 1e-5 of the module's": _share(read_, lambda f: 0 <= f.forward < 1e-5),
        "without attention: by all three rules": _share(
            plain, lambda f: not (f.deconvnet or f.guided or f.gradient)
        ),
        "without attention: a field for every layer with positions": _share(
            plain, lambda f: f.fields == f.positions
        ),
        "with attention: a field for every layer with positions": _share(
            attending, lambda f: f.fields == f.positions
        ),
        "units measured: the box is what the gradient reaches": _reached(read_),
        "with attention: by the gradient": _share(attending, lambda f: not f.gradient),
        "by the gradient": _share(read_, lambda f: not f.gradient),
        "the gradient within 1e-3 of torch's own": _share(down, lambda f: 0 <= f.apart < 1e-3),
        "tracebacks": str(len([f for f in rows if f.traceback])),
    }
    table = [f"| {words} | {count} |" for words, count in counts.items()]
    return "\n".join([*HEAD, _made(rows), "", "| | |", "|---|---|", *table, *LEGEND, *map(_row, rows), ""])


def here() -> str:
    """The versions of what is here: "torch 2.14.1, ..."."""
    modules = (torch, torchvision, timm)
    return ", ".join(f"{m.__name__} {m.__version__.split('+')[0]}" for m in modules)


def _made(rows: Sequence[Found]) -> str:
    """The versions that the rows were made with, those of most of them first."""
    (most, _), *others = Counter(found.versions for found in rows).most_common()
    more = (f"; {count} of them with {_unlike(versions, most)}" for versions, count in others)
    return f"{most}{''.join(more)}."


def _unlike(versions: str, most: str) -> str:
    """Those versions that are not among the other ones."""
    return ", ".join(one for one in versions.split(", ") if one not in most.split(", "))


def _share(of: Sequence[Found], which: Callable[[Found], bool]) -> str:
    return f"{sum(map(which, of))} of {len(of)}"


def _reached(of: Sequence[Found]) -> str:
    right, measured = (sum(int(f.measured.split(" of ")[n]) for f in of) for n in (0, 1))
    return f"{right} of {measured}"


def _row(found: Found) -> str:
    if not found.side:
        return f"| `{found.name}` | | | | | | | | {_cell(found.read or found.traceback)} |"
    ways = [found.deconvnet, found.guided, found.gradient]
    marks = " | ".join("" if way else "yes" for way in ways)
    why = next((way.split(";")[0].split(", ")[0] for way in reversed(ways) if way), "")
    measured_ = found.measured.replace(" of ", "/")
    fields = f"{found.fields}/{found.positions}"
    return f"| `{found.name}` | {found.side} | {found.layers} | {fields} | {measured_} | {marks} | {_cell(why)} |"


def _cell(words: str) -> str:
    return words.replace("|", "/").replace("\n", " ").replace("<", "&lt;")[:150]


if __name__ == "__main__":
    main()
