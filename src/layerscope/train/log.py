"""The log of a training: its columns, and its events for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from layerscope.disk.whole import folder_written_whole
from layerscope.errors import TrainingError

VALIDATED = ("validation_loss", "validation_error", "validation_top5_error")  #: the columns of a validation
LOG_SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in ("epoch", "step")),
        *((name, pa.float64()) for name in ("rate", "loss", "error", *VALIDATED, "seconds")),
    ]
)  #: of the log


def check_tensorboard() -> None:
    """Raise TrainingError unless TensorBoard is installed."""
    if find_spec("tensorboard") is None:
        raise TrainingError(
            "TensorBoard is not installed; install layerscope[train], or leave --tensorboard out"
        )


def write_events(folder: Path, log: Sequence[Mapping[str, float]]) -> None:
    """The log, whose last row is of now, as TensorBoard's events: one file, in place of an earlier one."""
    from torch.utils.tensorboard import SummaryWriter  # nobody else needs it

    began = time.time() - log[-1]["seconds"]
    with folder_written_whole(folder) as partial, SummaryWriter(partial) as writer:
        for row in log:
            for name, value in row.items():
                if name not in ("epoch", "step"):
                    writer.add_scalar(name, value, int(row["step"]), began + row["seconds"])
