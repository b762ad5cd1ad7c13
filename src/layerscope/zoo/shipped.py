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
    ShippedFile("alexcnn", "fashion", "2e1b99285569e16ff739e7b8f3ebe79289be4b421e5000459f27d2d8c1b27b60"),
    ShippedFile("vggcnn", "fashion", "815e04400337725c9c756eef89d6d81a55367ab6e56e6f461dba8c38fde6ca34"),
)


def shipped_file(network: object, name: str | Path | None) -> ShippedFile | None:
    """The weights of that name that come with this package, if there are any."""
    return next((one for one in SHIPPED if (one.network, one.name) == (network, name)), None)
