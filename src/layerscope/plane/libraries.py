"""The libraries that planes need, imported when first used. A missing one is one line that says what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from layerscope.errors import LayerscopeError

_INSTALL = "pip install 'layerscope[space]'"


def library(module: str, purpose: str) -> Any:
    """A module of one of the libraries. Raises LayerscopeError if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise LayerscopeError(f"{purpose} needs {module.partition('.')[0]}: {_INSTALL}") from error


def check_libraries() -> None:
    """Raises LayerscopeError if one that a space is made with is missing, before anything is made."""
    library("scipy.spatial", "the filled plane")
    library("sklearn.neighbors", "an embedding")
    library("openTSNE", "an embedding")
    library("threadpoolctl", "an embedding")
    shufflesnap()


def shufflesnap() -> Any:
    """What arranges patches one to one; its interface is that of 0.4. Raises LayerscopeError for none or another."""
    found = library("shufflesnap", "the one-to-one plane")
    if not (hasattr(found, "assign") and hasattr(found, "Grid")):
        version = getattr(found, "__version__", "here")
        raise LayerscopeError(f"shufflesnap {version} has not the interface of 0.4: {_INSTALL}")
    return found
