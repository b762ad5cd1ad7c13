"""Files of ``torch.export.save``: ``net.pt2``. Nothing in them is executed unless they are trusted.

torch's own reader unpickles, evaluates expressions and loads compiled code that an archive may hold. So it is given an
archive only if that holds nothing but plain tensors, operations of torch's ``aten`` and sizes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from layerscope.errors import NetworkError, named
from layerscope.network.fitting import exported_shape
from layerscope.network.preprocessing import Preprocessing
from layerscope.network.source import Options
from layerscope.network.tracing import quiet
from layerscope.zoo.blueprint import Blueprint, for_channels, refuse, sized

_FIXED = ("classes", "channels", "width", "input_size")  #: by what was exported
_KNOWN = re.compile(
    r"models/\w+\.json|data/(weights|constants)/((weight|tensor)_\d+|\w+_config\.json)|data/sample_inputs/\w+\.pt|"
    r"archive_(format|version)|byteorder|version|\.data/\w+|\.format_version|\.storage_alignment"
)
_OPERATION = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_?operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_)"
)
_WORDS = frozenset(
    """Symbol Integer Rational Float Add Mul Pow Mod PythonMod FloorDiv CleanDiv CeilDiv IntTrueDiv Max Min Eq Ne Lt Le
    Gt Ge Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan And Or Not true false True False
    positive nonnegative integer""".split()
)
_EXPRESSION = re.compile(r"(?:'\w+'|[A-Za-z0-9_\s()+\-*/,<>=&|~])*")
_NAME = re.compile(r"[A-Za-z0-9_.]*")


def blueprint(spec: str, options: Options) -> Blueprint:
    """With the size and channels that it was exported for, and ImageNet's mean and deviation.

    Raises NetworkError for a file that is absent or broken, or that could execute code.
    """
    path = Path(spec)
    refuse(path.name, options, *_FIXED)
    return replace(
        blueprint_of(_read(path, trusted=options.trust), str(path), options),
        name=path.name,
        own="as in the file",
    )


def blueprint_of(program: ExportedProgram, name: str, options: Options) -> Blueprint:
    """The same of a program that is read already. Raises NetworkError for one of other inputs than pictures."""
    refuse(name, options, *_FIXED)
    try:
        channels, height, width = exported_shape(program)
    except NetworkError as error:
        raise NetworkError(f"{name} {error}") from error
    preprocessing = sized(for_channels(Preprocessing(), channels), (height, width))
    return Blueprint(name, lambda: program, preprocessing, own="as exported")


def _read(path: Path, *, trusted: bool) -> ExportedProgram:
    if not path.is_file():
        raise NetworkError(f"{path}: there is no such file")
    content = path.read_bytes()
    if not trusted and not zipfile.is_zipfile(io.BytesIO(content)):
        raise NetworkError(f"{path} is no archive of torch.export.save; export the network anew")
    if not trusted and (fault := _fault(content)):
        raise NetworkError(
            f"{path} {fault}, which could execute code: give the module it was made from, or, if you trust who made "
            "it, --trust, in Python Options(trust=True)"
        )
    try:
        with quiet():
            return torch.export.load(io.BytesIO(content))
    except Exception as error:  # a broken file can raise anything
        raise NetworkError(
            f"{path} is no readable file of torch.export.save ({named(error)[:200]}); export it again with this torch, "
            f"{torch.__version__}"
        ) from error


def _fault(content: bytes) -> str:
    """Why an archive may execute code when it is read; "" if it cannot."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as pack:
            names = pack.namelist()
            if len(set(names)) < len(names) or sum(one.file_size for one in pack.infolist()) > len(content):
                return "is packed as torch.export.save never does"
            return next(filter(None, (_fault_of(name, pack.read(name)) for name in names)), "")
    except (zipfile.BadZipFile, ValueError, RecursionError):
        return "is no archive of torch.export.save"


def _fault_of(name: str, content: bytes) -> str:
    inside = name.partition("/")[2]
    if not _KNOWN.fullmatch(inside):
        return f"holds {inside or name}"
    if inside.startswith("data/sample_inputs/"):
        return "" if _plain_tensors(content) else "holds example inputs that are more than tensors"
    if inside.endswith("_config.json"):
        kept = json.loads(content)["config"].items()
        return next((f"keeps {key} as a pickle" for key, about in kept if about["use_pickle"]), "")
    if inside.startswith("models/"):
        return next(_odd(json.loads(content)), "")
    return ""


def _plain_tensors(content: bytes) -> bool:
    """Whether torch reads a pickle without looking up anything but tensors."""
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # a hostile pickle can raise anything
        return False
    return True


def _odd(program: Any, key: str = "") -> Iterator[str]:
    """What of a program is neither a name, nor an operation of torch, nor an expression of sizes."""
    if isinstance(program, dict):
        for name, value in program.items():
            if not _NAME.fullmatch(name):
                yield f"has something called {name[:80]!r}"
            elif name not in (
                "metadata",
                "guards_code",
            ):  # text alone; guards are of a module that is not made
                yield from _odd(value, name)
    elif isinstance(program, list):
        for value in program:
            yield from _odd(value, key)
    elif isinstance(program, str):
        if key in ("target", "as_operator") and not _OPERATION.fullmatch(program):
            yield f"calls {program[:80]}"
        elif key in ("name", "expr_str") and not _harmless(program):
            yield f"has the expression {program[:80]!r}"


def _harmless(text: str) -> bool:
    """Whether it is a name, or arithmetic of sizes."""
    words = re.findall(r"[A-Za-z_]\w*", text)
    alone = bool(_NAME.fullmatch(text)) and "__" not in text
    sizes = all(word in _WORDS or re.fullmatch(r"[a-z]+\d+", word) for word in words)
    return alone or (bool(_EXPRESSION.fullmatch(text)) and sizes)
