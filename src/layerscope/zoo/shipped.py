"""Weights that come with this package. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

Scope = Literal["whole", "trunk"]


@dataclass(frozen=True)
class ShippedFile:
    """Weights that come with this package; ``digest``: the SHA-256 of the file. README.md beside them is their card."""

    network: str
    name: str
    digest: str
    licence: str = "MIT"
    scope: ClassVar[Scope] = "whole"

    @property
    def path(self) -> Path:
        """Where the file is."""
        return Path(__file__).parent / self.name / f"{self.network}.safetensors"

    def __str__(self) -> str:
        return f"{self.name}, shipped with layerscope"


SHIPPED = (
    ShippedFile("alexcnn", "fashion", "396d979c4d5991c638330e60ff9dead92b09b083f09c72143d11ec570007859d"),
    ShippedFile("vggcnn", "fashion", "5c71ee149c0c20a290adf70b08251123db430a7b7688aee29f31e0bb181f70bb"),
)


def shipped_file(network: object, name: str | Path | None) -> ShippedFile | None:
    """The weights of that name that come with this package, if there are any."""
    return next((one for one in SHIPPED if (one.network, one.name) == (network, name)), None)
