"""The log of a training: its columns, and its events for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

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


def write_events(folder: Path, row: Mapping[str, float | None]) -> None:
    """A row of the log, for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter  # nobody else needs it

    with SummaryWriter(folder) as writer:
        for name, value in row.items():
            if value is not None and name not in ("epoch", "step"):
                writer.add_scalar(name, value, int(row["step"] or 0))
