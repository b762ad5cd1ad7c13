"""Training: step after step from labelled pictures, exactly the same however often it is stopped."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.disk.tables import csv_bytes, publish, publish_json, read_json
from layerscope.disk.whole import written
from layerscope.drawing.canvas import save_figure
from layerscope.drawing.training_curve import training_curve
from layerscope.errors import TrainingError
from layerscope.images.sets import ImageSet
from layerscope.progress import Progress, Told
from layerscope.sweep.engine import torch_threads
from layerscope.train.batches import Batch, Batches
from layerscope.train.checkpoints import Checkpoint, momentum_of, restore, save_tensors
from layerscope.train.log import LOG_SCHEMA, check_tensorboard, write_events
from layerscope.train.plan import Plan, TrainOptions
from layerscope.train.processes import joined, own_device

CHECKPOINT, WEIGHTS, LOG, ABOUT = "checkpoint.safetensors", "weights.safetensors", "log.csv", "training.json"
STEPS = "steps"  #: the folder of weights that were kept on the way


@dataclass(frozen=True)
class Trained:
    """A finished training: its folder, its log, and the pictures that could not be read, with the reasons.

    The log has a row per epoch; errors are in [0, 1], null where nothing was measured.
    """

    path: Path
    log: pa.Table
    bad: tuple[str, ...]

    @property
    def weights(self) -> Path:
        """The file that `load_network` takes."""
        return self.path / WEIGHTS


def train_network(
    spec: str | nn.Module,
    images: ImageSet,
    out: str | Path,
    *,
    options: TrainOptions | None = None,
    validation: ImageSet | None = None,
    progress: Told | None = None,
) -> Trained:
    """Train a network to tell the classes of the pictures apart, into the folder ``out``; goes on where it ended.

    The folder gets ``weights.safetensors``, ``log.csv``, a curve, and ``training.json``, which says what was done.
    Under torchrun every process calls this. Raises TrainingError for what cannot be learned from, for a loss that is
    no number, and if the folder is another training's; what is finished stays.
    """
    options = options or TrainOptions()
    if options.tensorboard:
        check_tensorboard()
    device = own_device(options.device)
    with joined(device) as processes, torch.random.fork_rng():
        plan = Plan(spec, images, validation, Path(out), options, device, processes)
        plan.check()
        with plan.held():
            if not (plan.out / ABOUT).exists():
                plan.refuse_other_surroundings()
                with torch_threads(plan.threads):
                    _Training(plan, progress).run()
        about = read_json(plan.out / ABOUT)
    return Trained(plan.out, pa.Table.from_pylist(about["log"], LOG_SCHEMA), tuple(about["bad"]))


class _Training:
    """One run: module, optimiser and counters, which change from step to step."""

    def __init__(self, plan: Plan, progress: Told | None) -> None:
        self.plan, self.options, self.processes, self.progress = plan, plan.options, plan.processes, progress
        self.recipe = plan.options.recipe
        self.module = plan.module[0].to(plan.device).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(
            self.module.parameters(),
            self.recipe.rate,
            self.recipe.momentum,
            weight_decay=self.recipe.decay,
        )
        self.spread = plan.processes.spread(self.module)
        self.step, self.sums = 0, [0.0, 0.0, 0.0]  # of the epoch: losses, wrong ones, pictures
        self.log: list[dict[str, Any]] = []
        self.bad: list[str] = []
        self.seconds, self.since = 0.0, time.monotonic()
        self.batches = plan.batches(plan.images)
        self.validation = None if plan.validation is None else plan.batches(plan.validation)
        self.steps = self.batches.count * self.recipe.epochs
        self.kept = {round(epochs * self.batches.count) for epochs in self.options.keep}

    def run(self) -> None:
        """From where it is to the end."""
        if (self.plan.out / CHECKPOINT).exists():
            self._restore()
        else:
            self._keep()
        while self.step < self.steps:
            epoch, first = divmod(self.step, self.batches.count)
            with closing(self.batches.epoch(epoch, first)) as batches:
                for batch in batches:
                    self._learn(batch)
                    words = self._words(epoch)
                    if self.step % self.batches.count == 0:
                        self._end_epoch(epoch + 1)
                    self._keep()
                    if self.processes.first:
                        self._tell(words)
        if self.processes.first:
            self._finish()
        self.processes.wait()

    def _learn(self, batch: Batch) -> None:
        """One step. What dropout draws follows from seed, step and process."""
        self.spread.train()
        drawn = np.random.default_rng((self.options.seed, self.step, self.processes.rank)).integers(2**62)
        on_cpu = self.plan.device.type == "cpu"  # seeding all devices takes a hundredth of a short step
        (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(int(drawn))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step, self.steps)
        labels = batch.labels.to(self.plan.device)
        scores = self._scores(self.spread, batch.pictures)
        losses = F.cross_entropy(scores, labels, label_smoothing=self.recipe.smoothing, reduction="sum")
        self.optimiser.zero_grad()
        (losses * self.processes.count / self.recipe.batch).backward()  # type: ignore[no-untyped-call]
        wrong = (scores.detach().argmax(1) != labels).sum()
        found = torch.tensor([float(losses.detach()), float(wrong), float(len(labels))], dtype=torch.float64)
        sums = self.processes.added(found).tolist()
        if not math.isfinite(sums[0]):
            raise TrainingError(
                f"the loss is {sums[0]:g} at step {self.step + 1}: it does not converge; begin anew in another folder "
                "with a lower --rate"
            )
        self.optimiser.step()
        self.bad += batch.bad
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)]
        self.step += 1

    def _scores(self, module: nn.Module, pictures: Tensor) -> Tensor:
        """Float32, whatever it computes in."""
        moved = pictures.to(self.plan.device, memory_format=torch.channels_last)
        mixed = self.options.dtype != torch.float32
        with torch.autocast(self.plan.device.type, self.options.dtype, enabled=mixed):
            scores: Tensor = module(moved)
        if scores.ndim != 2 or scores.shape[1] < self.plan.classes:
            raise TrainingError(
                f"{self.plan.spec} gives {'x'.join(map(str, scores.shape[1:]))} values a picture, and the pictures "
                f"have {self.plan.classes} classes; give a network with as many outputs"
            )
        return scores.float()

    # ------------------------------------------------------------------ what is told and kept

    def _words(self, epoch: int) -> str:
        """How the epoch is going."""
        losses, wrong, seen = self.sums
        loss, error = losses / max(1, seen), wrong / max(1, seen)
        return f"epoch {epoch + 1} of {self.recipe.epochs}, loss {loss:.3f}, error {error:.1%}"

    def _tell(self, words: str) -> None:
        """Save a checkpoint if one is due by the clock, which decides nothing else; say how far it is."""
        if self.step % self.batches.count == 0 or time.monotonic() - self.since >= self.options.interval:
            self._save()
        if self.progress is not None:
            self.progress(Progress("training", self.step / self.steps, words))

    def _end_epoch(self, epoch: int) -> None:
        losses, wrong, seen = self.sums
        if not seen:  # in all processes, each of which was given some
            raise TrainingError(
                f"{self.plan.images.description}: no picture of epoch {epoch} could be read, the first of them: "
                f"{self.bad[0]}"
            )
        row: dict[str, Any] = {"epoch": epoch, "step": self.step}
        row |= {"rate": self.recipe.rate_at(self.step - 1, self.steps)}
        row |= {"loss": losses / seen, "error": wrong / seen}
        if self.validation is not None:
            row |= self._validate(self.validation)
        self.log.append({**row, "seconds": round(self._worked(), 1)})
        self.sums = [0.0, 0.0, 0.0]
        if self.processes.first:
            self._publish_log()
            if self.options.tensorboard:
                write_events(self.plan.out / "tensorboard", self.log[-1])

    def _validate(self, pictures: Batches) -> dict[str, float]:
        """Loss and errors of the pictures' centres."""
        sums = torch.zeros(4, dtype=torch.float64)
        self.module.eval()
        with torch.no_grad(), closing(pictures.centred()) as batches:
            for batch in batches:
                labels = batch.labels.to(self.plan.device)
                scores = self._scores(self.module, batch.pictures)
                ranked = scores.argsort(stable=True, dim=1, descending=True)[:, :5] == labels[:, None]
                losses = F.cross_entropy(scores, labels, reduction="sum")
                right = (ranked[:, :1].sum(), ranked.sum())
                sums += torch.tensor(
                    [float(losses), *map(float, right), float(len(labels))], dtype=torch.float64
                )
        loss, first, five, seen = self.processes.added(sums).tolist()
        shares = (loss / max(1, seen), 1 - first / max(1, seen), 1 - five / max(1, seen))
        return dict(
            zip(("validation_loss", "validation_error", "validation_top5_error"), shares, strict=True)
        )

    def _worked(self) -> float:
        """Seconds of work so far, of earlier runs too."""
        now = time.monotonic()
        self.seconds, self.since = self.seconds + now - self.since, now
        return self.seconds

    def _save(self) -> None:
        counters = {"step": self.step, "sums": self.sums, "log": self.log, "bad": self.bad}
        counters["seconds"] = self._worked()
        memory = momentum_of(self.module, self.optimiser)
        Checkpoint(self.module.state_dict(), memory, counters).save(self.plan.out / CHECKPOINT)

    def _restore(self) -> None:
        checkpoint = Checkpoint.load(self.plan.out / CHECKPOINT)
        restore(checkpoint, self.module, self.optimiser)
        counters = checkpoint.counters
        self.step, self.sums, self.log = counters["step"], counters["sums"], counters["log"]
        self.bad, self.seconds = counters["bad"], counters["seconds"]

    def _keep(self) -> None:
        """The weights, if they are to be kept as they are after this step."""
        if self.step in self.kept and self.processes.first:
            self._save_weights(f"{STEPS}/{self.step:08d}.safetensors")

    def _save_weights(self, name: str) -> None:
        """The weights as they are, with what `load_network` needs to know of them."""
        ended = self.log and self.log[-1]["step"] == self.step
        last = {key: value for key, value in self.log[-1].items() if key != "seconds"} if ended else {}
        trained = {"epoch": self.step / self.batches.count, "step": self.step, **last}
        save_tensors(self.plan.out / name, self.module.state_dict(), {**self.plan.about, "trained": trained})

    def _publish_log(self) -> pa.Table:
        table = pa.Table.from_pylist(self.log, LOG_SCHEMA)
        publish(self.plan.out / LOG, [csv_bytes(table)])
        return table

    def _finish(self) -> None:
        """The weights, the log and its curve, and what was done, the last: then it is finished."""
        out = self.plan.out
        self._save_weights(WEIGHTS)
        save_figure(training_curve(self._publish_log(), self.plan.spec), out / "curve")
        bad = sorted(set(self.bad))
        publish_json(out / ABOUT, {**self.plan.inputs, "log": self.log, "bad": bad, "seconds": self.seconds})
        with written(out):
            (out / CHECKPOINT).unlink(missing_ok=True)
