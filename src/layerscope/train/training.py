"""Training: step after step from labelled pictures, exactly the same however often it is stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import nn

from layerscope.disk.tables import csv_bytes, publish, publish_json
from layerscope.disk.whole import written
from layerscope.drawing.canvas import save_figure
from layerscope.drawing.training_curve import training_curve
from layerscope.errors import TrainingError
from layerscope.images.sets import ImageSet
from layerscope.progress import Progress, Told
from layerscope.sweep.engine import torch_threads
from layerscope.train.batches import Batch
from layerscope.train.checkpoints import load_checkpoint, restore, save_tensors, state_of
from layerscope.train.log import LOG_SCHEMA, VALIDATED, write_events
from layerscope.train.plan import Plan, TrainOptions, read_parts
from layerscope.train.processes import joined, own_device

CHECKPOINT, WEIGHTS, LOG, ABOUT = "checkpoint.safetensors", "weights.safetensors", "log.csv", "training.json"


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
    device = own_device(options.device)
    cards = range(torch.cuda.device_count())
    with joined(device) as processes, torch.random.fork_rng(cards):
        plan = Plan(spec, images, validation, Path(out), options, device, processes)
        processes.agree(plan.check)
        with plan.held():
            if not (plan.out / ABOUT).exists():
                with torch_threads(processes.agree(plan.threads)):
                    _Training(plan, progress).run()
            return processes.agree(lambda: _trained(plan))


def _trained(plan: Plan) -> Trained:
    plan.refuse_passed()
    log, bad = read_parts(plan.out / ABOUT, "log", "bad")
    if not (plan.out / WEIGHTS).exists():
        raise TrainingError(
            f"{plan.out} is finished, and its {WEIGHTS} is gone; put it back, or train anew in another folder"
        )
    return Trained(plan.out, pa.Table.from_pylist(log, LOG_SCHEMA), tuple(bad))


class _Training:
    """One run: module, optimiser and counters, which change from step to step."""

    def __init__(self, plan: Plan, progress: Told | None) -> None:
        self.plan, self.options, self.processes, self.progress = plan, plan.options, plan.processes, progress
        self.recipe = plan.options.recipe
        self.module = plan.module[0].to(plan.device).to(memory_format=torch.channels_last)
        rate, momentum, decay = self.recipe.rate, self.recipe.momentum, self.recipe.decay
        self.optimiser = torch.optim.SGD(self.module.parameters(), rate, momentum, weight_decay=decay)
        self.spread = plan.processes.spread(self.module)
        self.step, self.sums = 0, [0.0, 0.0, 0.0]  # of the epoch: losses, wrong ones, pictures
        self.log: list[dict[str, Any]] = []
        self.bad: list[str] = []
        self.seconds, self.since = 0.0, time.monotonic()
        self.batches = plan.batches(plan.images)
        self.validation = None if plan.validation is None else plan.batches(plan.validation)
        self.steps = self.batches.count * self.recipe.epochs

    def run(self) -> None:
        """From where it is to the end."""
        self.processes.agree(self._begin)
        while len(self.log) < self.recipe.epochs:
            epoch, first = divmod(self.step, self.batches.count)
            if len(self.log) < epoch:  # here, too, it may have been killed
                self._end_epoch(epoch)
                continue
            self.spread.train()
            with closing(self.batches.epoch(epoch, first)) as batches:
                for batch in batches:
                    self._learn(batch)
                    ended = self.step % self.batches.count == 0
                    if not ended:
                        self._keep()
                    due = time.monotonic() - self.since >= self.options.interval  # which decides nothing else
                    if ended or due:
                        self._save()
                    self._tell(epoch)
        self.processes.agree(self._finish)

    def _begin(self) -> None:
        """Where it was stopped, or anew."""
        if (self.plan.out / CHECKPOINT).exists():
            self._restore()
            self.plan.refuse_passed(self.step)
        if len(self.log) == self.step // self.batches.count:  # else at the end of an epoch, still to come
            self._keep()

    def _learn(self, batch: Batch) -> None:
        """One step. What dropout draws follows from seed, step and process."""
        drawn = np.random.default_rng((self.options.seed, self.step, self.processes.rank)).integers(2**62)
        on_cpu = self.plan.device.type == "cpu"  # seeding all devices takes a hundredth of a short step
        (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(int(drawn))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step, self.steps)
        labels = batch.labels.to(self.plan.device)
        scores = self.plan.scores(self.spread, batch.pictures, batch.bad)
        losses = F.cross_entropy(scores, labels, label_smoothing=self.recipe.smoothing, reduction="sum")
        self.optimiser.zero_grad()
        with self.plan.explained(batch.pictures, batch.bad):
            (losses * self.processes.count / self.recipe.batch).backward()  # type: ignore[no-untyped-call]
        wrong = (scores.detach().argmax(1) != labels).sum()
        found = torch.tensor([float(losses.detach()), float(wrong), float(len(labels))], dtype=torch.float64)
        sums = self.processes.added(found).tolist()
        self._refuse_divergence(sums[0], self.step + 1)
        self.optimiser.step()
        if sums[2] < self.recipe.batch:
            self._leave_out(batch.bad)
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)]
        self.step += 1

    def _leave_out(self, bad: Sequence[str]) -> None:
        """Pictures that could not be read, of all processes: each once, the last one last."""
        found = dict.fromkeys(self.processes.gathered(bad))
        self.bad = [*(reason for reason in self.bad if reason not in found), *found]

    def _refuse_divergence(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            advice = "it does not converge; begin anew in another folder with a lower --rate"
            self.processes.refuse(TrainingError(f"the loss is {loss:g} at step {step}: {advice}"))

    # ------------------------------------------------------------------ what is told and kept

    def _tell(self, epoch: int) -> None:
        """How far it is, and how the epoch is going."""
        if self.processes.first and self.progress is not None:
            losses, wrong, seen = self.sums
            loss, error = losses / max(1, seen), wrong / max(1, seen)
            words = f"epoch {epoch + 1} of {self.recipe.epochs}, loss {loss:.3f}, error {error:.1%}"
            self.progress(Progress("training", self.step / self.steps, words))

    def _end_epoch(self, epoch: int) -> None:
        """Validation and a row of the log, after a checkpoint, so that a run killed here loses nothing of the epoch."""
        row = {"epoch": epoch, "step": self.step, "rate": self.recipe.rate_at(self.step - 1, self.steps)}
        row |= zip(("loss", "error"), self._means(self.plan.images, self.sums), strict=True)
        row |= self._validate(epoch)
        self.log.append({**row, "seconds": round(self._worked(), 1)})
        self.sums = [0.0, 0.0, 0.0]
        if self.processes.first:
            self._publish_log()
            if self.options.tensorboard:
                write_events(self.plan.out / "tensorboard", self.log)
        self._keep()
        self._save()

    def _means(self, images: ImageSet, sums: Sequence[float]) -> list[float]:
        """Loss and errors, of their sums and how many pictures were seen."""
        *totals, seen = sums
        if not seen:
            none = f"no picture of epoch {len(self.log) + 1} could be read, the last of them: {self.bad[-1]}"
            self.processes.refuse(TrainingError(f"{images.description}: {none}"))
        return [total / seen for total in totals]

    def _validate(self, epoch: int) -> dict[str, float]:
        """Loss and errors of the validation's pictures; without them the last step is looked at, as no other does."""
        if self.validation is not None:
            made = self.validation.centred()
        elif self.step < self.steps:
            return {}
        else:
            made = self.batches.epoch(epoch - 1, self.batches.count - 1)
        sums, bad = torch.zeros(4, dtype=torch.float64), list[str]()
        self.processes.level(self.module)
        self.module.eval()
        with torch.no_grad(), closing(made) as batches:
            for batch in batches:
                labels = batch.labels.to(self.plan.device)
                scores = self.plan.scores(self.module, batch.pictures)
                ranked = scores.argsort(stable=True, dim=1, descending=True)[:, :5] == labels[:, None]
                losses = F.cross_entropy(scores, labels, reduction="sum")
                wrong = (len(labels) - int(right.sum()) for right in (ranked[:, :1], ranked))
                sums += torch.tensor([float(losses), *wrong, len(labels)], dtype=torch.float64)
                bad += batch.bad
        self._leave_out(bad)
        found = self.processes.added(sums).tolist()
        self._refuse_divergence(found[0], self.step)
        if self.validation is None:
            return {}
        return dict(zip(VALIDATED, self._means(self.validation.images, found), strict=True))

    def _worked(self) -> float:
        """Seconds of work so far, of earlier runs too."""
        now = time.monotonic()
        self.seconds, self.since = self.seconds + now - self.since, now
        return self.seconds

    def _save(self) -> None:
        """A checkpoint, of the first process."""
        if not self.processes.first:
            return
        counters = {"checkpoint_of": self.plan.run, "step": self.step, "sums": self.sums, "log": self.log}
        counters |= {"bad": self.bad, "seconds": self._worked()}
        save_tensors(self.plan.out / CHECKPOINT, state_of(self.module, self.optimiser), counters)

    def _restore(self) -> None:
        state, counters = load_checkpoint(self.plan.out / CHECKPOINT, self.plan.run)
        restore(state, self.module, self.optimiser)
        self.step, self.sums, self.log = counters["step"], counters["sums"], counters["log"]
        self.bad, self.seconds = counters["bad"], counters["seconds"]

    def _keep(self) -> None:
        """The weights, if they are to be kept as they are after this step."""
        if self.step in self.plan.kept and self.processes.first:
            self._save_weights(self.plan.kept[self.step])

    def _save_weights(self, path: Path) -> None:
        """The weights as they are, with what `load_network` needs to know of them."""
        ended = self.log and self.log[-1]["step"] == self.step
        last = {key: value for key, value in self.log[-1].items() if key != "seconds"} if ended else {}
        trained = {"epoch": self.step / self.batches.count, "step": self.step, **last}
        save_tensors(path, self.module.state_dict(), {**self.plan.about, "trained": trained})

    def _publish_log(self) -> pa.Table:
        table = pa.Table.from_pylist(self.log, LOG_SCHEMA)
        publish(self.plan.out / LOG, [csv_bytes(table)])
        return table

    def _finish(self) -> None:
        """The weights, the log and its curve, and what was done, the last: then it is finished."""
        if not self.processes.first:
            return
        out = self.plan.out
        self._save_weights(out / WEIGHTS)
        save_figure(training_curve(self._publish_log(), self.plan.spec), out / "curve")
        about = {**self.plan.inputs, "log": self.log, "bad": sorted(self.bad), "seconds": self.seconds}
        publish_json(out / ABOUT, about)
        with written(out):
            (out / CHECKPOINT).unlink(missing_ok=True)
