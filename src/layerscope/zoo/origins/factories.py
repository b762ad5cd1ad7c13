"""Functions and classes of the user's that make a module: ``package.module:factory(width=2)``, ``nets.py:Net``."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from layerscope.errors import NetworkError, named
from layerscope.network.source import Options
from layerscope.zoo.blueprint import Blueprint, seeded
from layerscope.zoo.origins import given


def blueprint(spec: str, options: Options) -> Blueprint:
    """What the factory makes, called once, with the random numbers of seed 0."""
    with seeded():
        module = _made(spec)
    place, ending, rest = spec.partition(".py:")
    return given.blueprint(
        f"{Path(place).name}{ending}{rest}" if ending else spec, module, options, "as its factory made it"
    )


def anchored(spec: str) -> str:
    """The name by which the same is found from any folder: of a file, its whole path."""
    found = re.match(r"(.+?\.(?:py(?=:)|onnx(?=:|$)|pt2$))", spec, re.DOTALL)
    return f"{Path(found[1]).absolute()}{spec[found.end() :]}" if found else spec


def _made(spec: str) -> nn.Module:
    place, name, written = _parts(spec)
    positional, keywords = _arguments(spec, written)
    with _importing_from(Path(place).parent if place.endswith(".py") else Path.cwd()):
        try:
            found: Any = _file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        except Exception as error:  # the user's code may raise anything
            where = "is it there?" if place.endswith(".py") else "is it on PYTHONPATH?"
            raise NetworkError(f"cannot import {place!r} of {spec!r}: {named(error)}; {where}") from error
        factory = getattr(found, name, None)
        if not callable(factory):
            raise NetworkError(
                f"{place} has no callable {name!r}; name a function or class that makes a module"
            )
        try:
            module = factory(*positional, **keywords)
        except Exception as error:
            wanted = (
                "these arguments" if written else "no arguments, or be given those it needs, NAME(width=2),"
            )
            raise NetworkError(
                f"{spec} failed: {named(error)}; it must take {wanted} and return a module"
            ) from error
    if not isinstance(module, nn.Module):
        raise NetworkError(f"{spec} returned {type(module).__name__}, not a torch.nn.Module")
    return module


def _parts(spec: str) -> tuple[str, str, str | None]:
    """Module or file, factory, and what is written between its parentheses."""
    found = re.fullmatch(r"(.+\.py|[^:(]*):([^:()]*)(?:\((.*)\))?", spec, re.DOTALL)
    place, name, written = found.groups() if found else ("", "", None)
    words = [name] if place.endswith(".py") else [*place.split("."), name]
    if not all(word.isidentifier() for word in words):
        raise NetworkError(
            f"{spec!r} is not package.module:factory, file.py:factory or either with arguments, factory(width=2): "
            "a function or class that makes a torch module"
        )
    return place, name, written


def _arguments(spec: str, written: str | None) -> tuple[list[Any], dict[str, Any]]:
    """The literals written as arguments; nothing of them is executed. Raises NetworkError for anything else."""
    try:
        call = ast.parse(f"f({written or ''}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        if None in keywords:
            raise ValueError
        return [ast.literal_eval(argument) for argument in call.args], {
            str(k): v for k, v in keywords.items()
        }
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise NetworkError(
            f"the arguments of {spec!r} are not all literals: numbers, text, True, None, lists and the like, "
            "as in factory(width=2, name='a')"
        ) from error


def _file(path: Path) -> ModuleType:
    """The module in a file, executed anew, under a name that hides no other module's."""
    spec = spec_from_file_location(f"_layerscope_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Imports also look in a folder: the current one, as ``python -m`` does, or that of a file, as ``python`` does."""
    here = str(folder.absolute())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
