"""What a training is of: pictures, network and options, checked before the first step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from layerscope.disk.locks import LOCK, lock
from layerscope.disk.tables import publish_json, read_json
from layerscope.disk.whole import remove_partials, written
from layerscope.errors import TrainingError
from layerscope.images.sets import ImageSet
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.network.suiting import check_channels
from layerscope.sweep.engine import surroundings
from layerscope.train.batches import Batches, check_labels
from layerscope.train.processes import Processes
from layerscope.train.recipes import RECIPES, Recipe
from layerscope.zoo.loading import build_module
from layerscope.zoo.states import fit_state, load_state

BEGUN = "begun.json"


@dataclass(frozen=True)
class TrainOptions:
    """How to train. ``keep``: after how many epochs the weights are kept as they are then; parts of one, and 0, too.

    ``interval``: seconds of work that a killed run loses at most. ``weights``: a file to begin from; random otherwise.
    ``tensorboard``: whether the log is also written for it.
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
        module, preprocessing = build_module(self.given, options=self.build, seed=self.options.seed)
        if self.options.weights is not None:
            fit_state(module, load_state(self.options.weights), source=self.options.weights)
        return module, preprocessing

    @property
    def about(self) -> dict[str, Any]:
        """What the file of the weights says of itself."""
        classes = None if self.images.classes is None else list(self.images.classes)
        kept = ("network", "build", "preprocessing", "recipe", "seed", "dtype")
        run = hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()
        return {**{name: self.inputs[name] for name in kept}, "classes": classes, "run": run}

    def refuse_other_surroundings(self) -> None:
        """Raise TrainingError if it was begun with other software or on another machine: its last bits would differ."""
        before, now = read_json(self.out / BEGUN)["made_with"], surroundings(self.device)
        if changed := [name for name in now if before.get(name) != now[name]]:
            raise TrainingError(
                f"{self.out} was begun with {changed[0]} {before.get(changed[0])}, here is {now[changed[0]]}; go on "
                "with the same, or begin anew in another folder"
            )

    @property
    def threads(self) -> int:
        """How many it was begun with: others would round otherwise."""
        return int(read_json(self.out / BEGUN)["threads"])

    def batches(self, images: ImageSet) -> Batches:
        """Batches of a set, of which this process takes its part."""
        recipe, options, processes = self.options.recipe, self.options, self.processes
        parts = processes.rank, processes.count
        return Batches(
            images, self.module[1], recipe.batch, options.seed, options.workers, *parts, recipe.mirror
        )

    def check(self) -> None:
        """Refuse what cannot be trained on."""
        batch, count = self.options.recipe.batch, len(self.images)
        check_labels(self.images)
        if count < batch:
            raise TrainingError(
                f"{self.images.description}: {count} pictures are fewer than a batch of {batch}; give a smaller --batch"
            )
        for images in filter(None, (self.images, self.validation)):
            check_channels(images, {self.spec: self.module[1]})
        if batch % self.processes.count:
            raise TrainingError(
                f"a batch of {batch} pictures is not shared evenly by {self.processes.count} processes; give another "
                "--batch"
            )
        if (last := max(self.options.keep, default=0)) > self.options.recipe.epochs:
            raise TrainingError(
                f"weights are to be kept after {last:g} epochs of {self.options.recipe.epochs}; give a smaller --keep"
            )
        if self.validation is not None:
            check_labels(self.validation, self.classes)
            if self.validation.classes != self.images.classes:
                raise TrainingError(
                    f"the classes of {self.validation.description} are not called as those of "
                    f"{self.images.description}; name them alike"
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
            "start": start.hexdigest(),
            "preprocessing": self.module[1].about(),
            "images": self.images.digest,
            "validation": None if self.validation is None else self.validation.digest,
            "recipe": {**recipe, "schedule": options.recipe.schedule.__name__},
            "seed": options.seed,
            "dtype": str(options.dtype).removeprefix("torch."),
            "processes": self.processes.count,
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and keep others out; refuse one of something else. The first process does it for all."""
        if self.processes.first:
            with written(self.out):
                self.out.mkdir(parents=True, exist_ok=True)
                held = {path.name for path in self.out.iterdir()} - {LOCK}
            if held and BEGUN not in held:
                raise TrainingError(f"{self.out} holds other files ({min(held)}); name a new folder")
            with lock(self.out):
                remove_partials(self.out)
                self._begin()
                self.processes.wait()
                yield
        else:
            self.processes.wait()
            yield

    def _begin(self) -> None:
        path = self.out / BEGUN
        if not path.exists():
            made_with = surroundings(self.device)
            publish_json(
                path, {"inputs": self.inputs, "made_with": made_with, "threads": torch.get_num_threads()}
            )
        before = read_json(path)["inputs"]
        if changed := [name for name, value in self.inputs.items() if before.get(name) != value]:
            raise TrainingError(
                f"{self.out} was begun with {changed[0]} {before.get(changed[0])!s:.80}, now it is "
                f"{self.inputs[changed[0]]!s:.80}; run it with what it was begun with, or name a new folder"
            )
