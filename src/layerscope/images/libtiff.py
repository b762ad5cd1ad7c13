"""What the C library behind TIFF files says is wrong with one, told to whoever decodes it instead of printed.

It goes on after some damage and gives pixels all the same: its words on stderr, without a file's name, are all there is
to know by. Where Pillow keeps the library to itself (as on Windows) they stay there.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

_ERRORS, _WARNINGS = "TIFFSetErrorHandler", "TIFFSetWarningHandler"
_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p
)  # module, format, va_list
_LENGTH = 256  # of a line, at most

_heard = threading.local()


@contextmanager
def hearing() -> Iterator[list[str]]:
    """The errors that are told in this thread meanwhile, while `listening`."""
    before = getattr(_heard, "lines", None)
    _heard.lines = lines = list[str]()
    try:
        yield lines
    finally:
        _heard.lines = before


@contextmanager
def listening() -> Iterator[None]:
    """For a while, threads that are `hearing` are told of errors, and nobody there of warnings."""
    setters, before = _setters(), dict[str, int]()
    mine = {name: _HANDLER(partial(_tell, name, before)) for name in setters}
    for name, setter in setters.items():
        before[name] = setter(mine[name]) or 0
    try:
        yield
    finally:
        for name, setter in setters.items():
            setter(ctypes.cast(before[name], _HANDLER))


@cache
def _setters() -> dict[str, Callable[[Any], int | None]]:
    """The functions of Pillow's own libtiff by their names; none where they cannot be had."""
    try:
        from PIL import _imaging

        library = ctypes.CDLL(_imaging.__file__)
        _written().argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]
        found = {name: getattr(library, name) for name in (_ERRORS, _WARNINGS)}
    except (ImportError, AttributeError, OSError, TypeError):
        return {}
    for setter in found.values():
        setter.argtypes, setter.restype = [_HANDLER], ctypes.c_void_p
    return found


@cache
def _written() -> Any:
    """The C library's way to write values of a format."""
    return ctypes.CDLL(None).vsnprintf


def _tell(name: str, before: dict[str, int], module: bytes | None, form: bytes, values: int) -> None:
    lines = getattr(_heard, "lines", None)
    if lines is None:
        if before.get(name):
            ctypes.cast(before[name], _HANDLER)(module, form, values)
    elif name == _ERRORS:
        words = ctypes.create_string_buffer(_LENGTH)
        _written()(words, _LENGTH, form, values)
        lines.append(words.value.decode(errors="replace"))
