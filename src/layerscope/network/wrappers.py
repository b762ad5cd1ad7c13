"""Modules around a module, which change nothing of what it computes: they are looked through."""

from __future__ import annotations

from torch import nn

_WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",
    "OptimizedModule": "_orig_mod",  # of torch.compile
}


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside all of torch's wrappers; itself without one."""
    kind = type(module)
    inner = getattr(module, _WRAPPERS.get(kind.__name__, ""), None)
    if kind.__module__.partition(".")[0] == "torch" and isinstance(inner, nn.Module):
        return unwrapped(inner)
    return module
