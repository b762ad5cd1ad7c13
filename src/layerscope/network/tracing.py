"""What surrounds a network while it is read or computed: modes, torch's silence, the cause if it cannot be read."""

from __future__ import annotations

import io
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TextIO

import torch
from torch import nn

from layerscope.errors import said
from layerscope.shared import Shared


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
def _convolving_in_float32() -> Iterator[None]:
    """Torch has two ways to say it, and does not say by the older what the newer has set; 2.9 warns of the older."""
    cudnn: Any = torch.backends.cudnn
    before, order, older = cudnn.conv.fp32_precision, cudnn.deterministic, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(RuntimeError):
            older = cudnn.allow_tf32
            cudnn.allow_tf32 = False
    if cudnn.conv.fp32_precision == "tf32":
        cudnn.conv.fp32_precision = "ieee"
    cudnn.deterministic = True
    try:
        yield
    finally:
        cudnn.conv.fp32_precision = before
        if older is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cudnn.allow_tf32 = older
        cudnn.deterministic = order


FLOAT32 = Shared(_convolving_in_float32)
"""On CUDA torch convolves float32 in TensorFloat-32, of 10 bits, and sums in any order, unless it is told otherwise.
The flags are the process's."""


def float32() -> AbstractContextManager[None]:
    """What all that is computed of a network holds, where there is a CUDA device: `FLOAT32`."""
    return FLOAT32 if _has_cuda() else nullcontext()


@cache
def _has_cuda() -> bool:
    return torch.cuda.is_available()


@contextmanager
def computing() -> Iterator[None]:
    """Around all that is computed of a network: forward, and the way back."""
    with torch.inference_mode(), in_own_precision(), float32():
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of what torch warns of in this thread, or is printed to standard error: what goes wrong is in the error.

    Other threads are heard. Nothing is put back that another thread may have changed meanwhile: what stays of it,
    then, lets everything pass.
    """
    reader = _Reader(threading.get_ident())
    ignored: Any = ("ignore", None, Warning, _WarningsOfTorch(reader), 0)
    aside = _Aside(sys.stderr, reader)
    warnings.filters.insert(0, ignored)  # type: ignore[attr-defined]
    sys.stderr = aside
    try:
        yield
    finally:
        reader.thread = None
        if sys.stderr is aside:
            sys.stderr = aside.beneath
        with suppress(ValueError):
            warnings.filters.remove(ignored)  # type: ignore[attr-defined]


@dataclass
class _Reader:
    """The thread that reads a module; None: it is done."""

    thread: int | None

    def speaks(self) -> bool:
        return threading.get_ident() == self.thread


@dataclass(frozen=True, eq=False)
class _WarningsOfTorch:
    """In place of the pattern that a filter of warnings has for their module: torch, or its `with` that ends."""

    reader: _Reader

    def match(self, module: str) -> bool:
        return self.reader.speaks() and module.partition(".")[0] in ("torch", "contextlib")


class _Aside(io.TextIOBase):
    """Standard error, but for what the reader says."""

    def __init__(self, beneath: TextIO, reader: _Reader) -> None:
        self.beneath, self.reader = beneath, reader

    def write(self, text: str) -> int:
        return len(text) if self.reader.speaks() else self.beneath.write(text)

    def flush(self) -> None:
        self.beneath.flush()

    def fileno(self) -> int:
        return self.beneath.fileno()

    def isatty(self) -> bool:
        return self.beneath.isatty()


def cause(error: Exception) -> str:
    """Why torch gave up, in one line: of code that depends on what is in the picture, the line of that code."""
    text = str(error)
    code = _code(error, text) if "data-dependent" in text else None
    if code is not None:
        file, line, words = code
        return f"line {line} of {file} depends on what is in the picture ({words})"
    return said(error)[:300]


def _code(error: Exception, text: str) -> tuple[str, str, str] | None:
    """File, line and words of the code that torch says it gave up at; it may give the end of the file's name alone."""
    found: list[tuple[str, str, str]] = re.findall(r'File "(.+)", line (\d+), in .+\n +(.+)', text)
    if found:
        return found[-1]
    caused = re.search(r"Caused by: \((.+):(\d+) in ", text)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if caused and frame.filename.endswith(caused[1]) and str(frame.lineno) == caused[2]:
            return frame.filename, caused[2], frame.line or ""
    return None
