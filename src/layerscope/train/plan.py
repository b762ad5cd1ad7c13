"""What a training is of: pictures, network and options, checked before the first step."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from layerscope.disk.locks import LOCK, lock
from layerscope.disk.tables import publish_json, read_json
from layerscope.disk.whole import remove_partials, written
from layerscope.errors import StudyError, TrainingError, named, no_memory
from layerscope.images.sets import ImageSet
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.network.suiting import check_apart, check_channels
from layerscope.sweep.begun import first_difference
from layerscope.sweep.engine import surroundings
from layerscope.train.batches import Batches, check_labels
from layerscope.train.log import check_tensorboard
from layerscope.train.processes import Processes, stopped_elsewhere
from layerscope.train.recipes import RECIPES, Recipe
from layerscope.zoo.loading import build_module

BEGUN = "begun.json"
_DTYPES = (torch.float32, torch.bfloat16)
STEPS = "steps"  #: the folder of weights that were kept on the way


@dataclass(frozen=True)
class TrainOptions:
    """How to train. ``keep``: after how many epochs the weights are kept as they are then; parts of one, and 0, too.

    ``interval``: seconds of training that a killed run loses at most. ``weights``: a file to begin from, or
    ``fashion``; else random. ``tensorboard``: whether the log is also written for it.
    """

    recipe: Recipe = RECIPES["short"]
    build: Options = field(default_factory=Options)
    weights: str | None = None
    seed: int = 0
    dtype: torch.dtype = torch.float32
    device: str | torch.device = "cpu"
    workers: int = 2
    interval: float = 60.0
    keep: tuple[float, ...] = ()
    tensorboard: bool = False


@dataclass(frozen=True)
class Plan:
    """All that a training is of."""

    given: str | nn.Module
    images: ImageSet
    validation: ImageSet | None
    out: Path
    options: TrainOptions
    device: torch.device
    processes: Processes

    @cached_property
    def spec(self) -> str:
        """The network in words."""
        return self.given if isinstance(self.given, str) else type(self.given).__name__

    @cached_property
    def build(self) -> Options:
        """How it is built: with as many outputs as there are classes, where that can be said."""
        own = not isinstance(self.given, str) or ":" in self.given
        options = self.options.build
        return options if own or options.classes is not None else replace(options, classes=self.classes)

    @cached_property
    def classes(self) -> int:
        """How many the pictures have."""
        return check_labels(self.images)

    @cached_property
    def module(self) -> tuple[nn.Module, Preprocessing]:
        """The network as it is before the first step."""
        options = self.options
        return build_module(self.given, options.weights, options=self.build, seed=options.seed)

    @cached_property
    def run(self) -> str:
        """What it is called: the SHA-256 of all that it is of."""
        return hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()

    @property
    def about(self) -> dict[str, Any]:
        """What the file of the weights says of itself."""
        classes = None if self.images.classes is None else list(self.images.classes)
        kept = ("network", "build", "preprocessing", "recipe", "seed", "dtype")
        return {**{name: self.inputs[name] for name in kept}, "classes": classes, "run": self.run}

    def threads(self) -> int:
        """How many it was begun with: with others, other software or another machine its last bits would differ.

        Raises TrainingError if it was begun with such.
        """
        advice = "go on with the same, or begin anew in another folder"
        self._refuse_other("made_with", surroundings(self.device), "here", advice)
        return int(*read_parts(self.out / BEGUN, "threads"))

    def _refuse_other(self, part: str, now: Mapping[str, Any], place: str, advice: str) -> None:
        (begun,) = read_parts(self.out / BEGUN, part)
        if found := first_difference(begun, now):
            name, before, after = found
            raise TrainingError(
                f"{self.out} was begun with {name} {before!s:.80}, {place} is {after!s:.80}; {advice}"
            )

    @cached_property
    def kept(self) -> Mapping[int, Path]:
        """Where the weights are kept, by the steps after which they are."""
        each = len(self.images) // self.options.recipe.batch
        steps = (round(epochs * each) for epochs in self.options.keep)
        return {step: self.out / STEPS / f"{step:08d}.safetensors" for step in steps}

    def refuse_passed(self, step: float = math.inf) -> None:
        """Raise TrainingError for weights that were to be kept after a step that is done, and are not there."""
        if lost := [path for at, path in self.kept.items() if at < step and not path.exists()]:
            raise TrainingError(
                f"{lost[0]} was not kept when it was time; leave that --keep out, or train anew in another folder"
            )

    def batches(self, images: ImageSet) -> Batches:
        """Batches of a set, of which this process takes its part."""
        recipe, options, own = self.options.recipe, self.options, (self.processes.rank, self.processes.count)
        return Batches(
            images, self.module[1], recipe.batch, options.seed, options.workers, *own, recipe.mirror
        )

    def scores(self, module: nn.Module, pictures: Tensor, bad: Sequence[str] = ()) -> Tensor:
        """What the module says of pictures, in float32 whatever it computes in; ``bad``: why others were left out."""
        moved = pictures.to(self.device, memory_format=torch.channels_last)
        mixed = torch.autocast(
            self.device.type, self.options.dtype, enabled=self.options.dtype != torch.float32
        )
        with self.explained(pictures, bad), mixed:
            scores = module(moved)
        if not isinstance(scores, Tensor) or scores.ndim != 2 or scores.shape[1] < self.classes:
            values = "x".join(map(str, getattr(scores, "shape", ())[1:])) or "no"
            raise TrainingError(
                f"{self.spec} gives {values} values a picture, and the pictures have {self.classes} classes; give a "
                "network with as many outputs"
            )
        return scores.float()

    @contextmanager
    def explained(self, pictures: Tensor, bad: Sequence[str]) -> Iterator[None]:
        """What the network raises on pictures, forward or back, is one line; ``bad``: why others were left out."""
        try:
            yield
        except Exception as error:  # a network may raise anything
            if no_memory(error) or stopped_elsewhere(error):
                raise
            size, left_out = "x".join(map(str, pictures.shape)), f" ({bad[0]})" if bad else ""
            raise TrainingError(
                f"{self.spec} fails on {size} inputs{left_out}: {named(error)}; try a larger --batch or --input-size"
            ) from error

    def check(self) -> None:
        """Refuse what cannot be trained on, before anything is written."""
        self._check_numbers()
        if self.options.tensorboard:
            check_tensorboard()
        options, processes, count = self.options, self.processes.count, len(self.images)
        batch = options.recipe.batch
        check_labels(self.images)
        if count < batch:
            raise TrainingError(
                f"{self.images.description}: {count} pictures are fewer than a batch of {batch}; give a smaller --batch"
            )
        for images in filter(None, (self.images, self.validation)):
            check_apart(images, self.out)
            check_channels(images, {self.spec: self.module[1]})
        if batch % processes:
            raise TrainingError(
                f"a batch of {batch} pictures is not shared evenly by {processes} processes; give another --batch"
            )
        if self.validation is not None:
            check_labels(self.validation, self.classes)
            if self.validation.classes != self.images.classes:
                raise TrainingError(
                    f"the classes of {self.validation.description} are not called as those of "
                    f"{self.images.description}; name them alike"
                )
        if not any(parameter.requires_grad for parameter in self.module[0].parameters()):
            raise TrainingError(f"{self.spec} has no weights that can be trained; give another network")
        if not (self.out / BEGUN).exists():  # of another module: what a forward draws and counts is not ours
            module, _ = build_module(self.given, options=self.build, seed=options.seed)
            with torch.no_grad():
                pictures = torch.zeros(min(2, batch // processes), *self.module[1].shape)
                self.scores(module.to(self.device).train(), pictures)

    def _check_numbers(self) -> None:
        options, recipe = self.options, self.options.recipe
        for images in (self.images, self.validation):
            if not isinstance(images, ImageSet | None):
                raise TrainingError(
                    f"a {type(images).__name__} is no set of pictures; give what open_images makes of it"
                )
        for name, value, fits, wanted in (
            ("--epochs", recipe.epochs, _whole(recipe.epochs, 1), "a whole number from 1"),
            ("--batch", recipe.batch, _whole(recipe.batch, 1), "a whole number from 1"),
            ("--workers", options.workers, _whole(options.workers, 1), "a whole number from 1"),
            ("--seed", options.seed, _whole(options.seed, 0), "a whole number from 0, below 2**63"),
            ("--rate", recipe.rate, 0 < recipe.rate < math.inf, "a number above 0"),
            ("momentum", recipe.momentum, 0 <= recipe.momentum < math.inf, "a number from 0"),
            ("decay", recipe.decay, 0 <= recipe.decay < math.inf, "a number from 0"),
            ("smoothing", recipe.smoothing, 0 <= recipe.smoothing < 1, "a number from 0, below 1"),
            ("--interval", options.interval, options.interval >= 0, "seconds, 0 or more"),
            ("--dtype", options.dtype, options.dtype in _DTYPES, "float32 or bfloat16"),
        ):
            if not fits:
                raise TrainingError(f"{name} {value} cannot be; give {wanted}")
        if never := [epochs for epochs in options.keep if not 0 <= epochs <= recipe.epochs]:
            raise TrainingError(
                f"weights are to be kept after {never[0]:g} epochs of {recipe.epochs}; give --keep from 0 to that"
            )

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """All that the weights depend on, as JSON gives it back."""
        options, recipe = self.options, asdict(self.options.recipe)
        start = hashlib.sha256()
        for name, tensor in sorted(self.module[0].state_dict().items()):
            start.update(name.encode())
            start.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        content = {
            "network": self.spec,
            "build": self.build.about(),
            "preprocessing": self.module[1].about(),
            "images": self.images.digest,
            "validation": None if self.validation is None else self.validation.digest,
            "recipe": {**recipe, "schedule": options.recipe.schedule.__name__},
            "seed": options.seed,
            "dtype": str(options.dtype).removeprefix("torch."),
            "processes": self.processes.count,
            "start": start.hexdigest(),  # the last: what it follows from is named first, should it differ
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and keep others out; refuse one of something else. The first process does it for all."""
        with ExitStack() as stack:
            self.processes.agree(lambda: self._hold(stack) if self.processes.first else None)
            yield

    def _hold(self, stack: ExitStack) -> None:
        with written(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            held = {path.name for path in self.out.iterdir()} - {LOCK}
        if held and BEGUN not in held:
            raise TrainingError(f"{self.out} holds other files ({min(held)}); name a new folder")
        stack.enter_context(lock(self.out))
        remove_partials(self.out)
        self._begin()

    def _begin(self) -> None:
        """Say what it was begun with, anew if no step of what was begun is there; refuse another."""
        path, start = self.out / BEGUN, self.out / STEPS / f"{0:08d}.safetensors"
        if {file for file in self.out.rglob("*") if file.is_file()} <= {self.out / LOCK, path, start}:
            with written(self.out):
                start.unlink(missing_ok=True)
            about = {"made_with": surroundings(self.device), "threads": torch.get_num_threads()}
            publish_json(path, {"inputs": self.inputs, **about})
        advice = "run it with what it was begun with, or name a new folder"
        self._refuse_other("inputs", self.inputs, "now it", advice)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and least <= value < 1 << 63


def read_parts(path: Path, *names: str) -> list[Any]:
    """Those of a JSON file of a training. Raises TrainingError if it is damaged."""
    try:
        content = read_json(path)
        return [content[name] for name in names]
    except (StudyError, KeyError) as error:
        raise TrainingError(f"{path} is damaged; train anew in another folder") from error
