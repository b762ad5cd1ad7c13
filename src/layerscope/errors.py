"""What can go wrong, each with one clear line that says what and what to do."""

from pathlib import Path


class LayerscopeError(Exception):
    """Base of every error that layerscope raises on purpose; the command line prints it as one line."""

    said_elsewhere = False  #: by another process of the same command, which was refused alike


class NetworkError(LayerscopeError):
    """A network cannot be found, built, read or asked for what it does not have."""


class SizeError(NetworkError):
    """A network cannot be read for pictures of the size asked for, or assumed."""


class UnsupportedOperationError(NetworkError):
    """An operation of the network has no rule for what was asked."""


class PortraitError(UnsupportedOperationError):
    """The rule does not cover a network whose filters were to be portrayed; all else that was asked for is made."""


class GeometryError(NetworkError):
    """The receptive field of a layer cannot be stated."""


class WeightsError(LayerscopeError):
    """Weights cannot be found, fetched, read or fitted to the network."""


class ImageError(LayerscopeError):
    """A picture cannot be found or read."""


class OutputError(LayerscopeError):
    """Results cannot be written: no room, no permission, or another process is writing there."""


class StudyError(LayerscopeError):
    """A study cannot be made, read or added to."""


class ComparisonError(LayerscopeError):
    """Networks cannot be compared as asked."""


class TrainingError(LayerscopeError):
    """A network cannot be trained as asked, or no further."""


class EngineError(LayerscopeError):
    """The place where shards should be computed cannot be reached, or failed."""


class NetworkWarning(UserWarning):
    """Something of a network is left out; the command line prints it as one line."""


def said(error: Exception) -> str:
    """What an exception says, on one line and without the file's name."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return one_line(text)


def named(error: Exception) -> str:
    """The kind of an exception and all that it says, on one line: of code that is not ours."""
    return one_line(f"{type(error).__name__}: {error}")


def no_memory(error: Exception) -> bool:
    """Whether memory ran out: torch says so with errors of its own, on CPUs by the words alone."""
    own = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return own or "can't allocate memory" in str(error) or "not enough memory" in str(error)


def one_line(text: str) -> str:
    """The text with all white space as single spaces, and what does not print escaped."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """The text with what does not print escaped: a name of a file may hold what a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class DisplayError(LayerscopeError, ValueError):
    """A signal or a figure cannot be shown as asked."""


class TruthError(LayerscopeError):
    """An embedding or a plane cannot be measured."""


class EmbeddingError(LayerscopeError):
    """Vectors cannot be embedded."""


class PlaneError(LayerscopeError):
    """A plane cannot be made of these points."""


def shown(path: str | Path) -> str:
    """The path on one line, quoted if it has characters that do not print."""
    return str(path) if str(path).isprintable() else ascii(str(path))
