"""Pictures that packages of the system bring. Without them a test is skipped; in CI it fails."""

import os
from pathlib import Path

import pytest


def need(path: str | Path, package: str) -> Path:
    """A file or folder of a package of Debian's."""
    if not Path(path).exists():
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end(f"{path} is missing: apt-get install {package}")
    return Path(path)


def need_built(path: Path, how: str) -> Path:
    """A file that a command makes; without it a test is skipped, and fails in CI."""
    if not path.exists():
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end(f"{path} is missing: {how}")
    return path
