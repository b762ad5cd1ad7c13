"""Autograd functions that have a backward of their own, which nobody sees in a network that is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.export import ExportedProgram

from layerscope.network.graph import place_of


def own_backwards(program: ExportedProgram, path: Callable[[Any], str]) -> dict[str, str]:
    """The classes of torch.autograd.Function, torch's own left out, that a node is computed in, and its place."""
    lines = {}
    for function in _heirs(torch.autograd.Function):
        code = getattr(function.forward, "__code__", None)
        if code is not None and not function.__module__.startswith("torch."):
            last = max(line for *_, line in code.co_lines() if line)
            lines.update(
                {(code.co_filename, n): function.__name__ for n in range(code.co_firstlineno, last + 1)}
            )
    found: dict[str, str] = {}
    for node in program.graph.nodes:
        for file, line in re.findall(
            r'File "(.+)", line (\d+), in forward', node.meta.get("stack_trace") or ""
        ):
            if (file, int(line)) in lines:
                found.setdefault(lines[file, int(line)], place_of("used", path(node)))
    return found


def _heirs(parent: Any) -> Iterator[Any]:
    for heir in parent.__subclasses__():
        yield heir
        yield from _heirs(heir)
