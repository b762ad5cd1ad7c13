"""What surrounds a network while it is read or computed: modes, torch's silence, the cause if it cannot be read."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr

import torch
from torch import nn

from layerscope.errors import said


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, and each part back in its own mode afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextmanager
def in_own_precision() -> Iterator[None]:
    """No precision but a network's own, whatever torch.autocast surrounds the call."""
    accelerator = torch.accelerator.current_accelerator()
    with ExitStack() as stack:
        for device in {"cpu", accelerator.type if accelerator else "cpu"}:
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def computing() -> Iterator[None]:
    """Around all that is computed of a network: forward, and the way back."""
    with torch.inference_mode(), in_own_precision():
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, log lines or printed graphs of torch's own: what goes wrong is in the error."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)


def cause(error: Exception) -> str:
    """Why torch gave up, in one line: of code that depends on what is in the picture, the line of that code."""
    text = str(error)
    code = re.findall(r'File "(.+)", line (\d+), in .+\n +(.+)', text) if "data-dependent" in text else []
    if code:
        file, line, words = code[-1]
        return f"line {line} of {file} depends on what is in the picture ({words})"
    return said(error)[:300]
