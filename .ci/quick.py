"""The tests of what has changed, for a minute at most: the last part of `make quick`.

Changed is what differs from main, committed or not; where nothing does, the last commit. A module is tested by the test
file of its name, then by the rest of its wing's; `make test` runs what is left out here.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 60
ROOT = Path(__file__).parent.parent
ALWAYS = "tests/test_lazy.py"
UNCHANGED = ("tests/disk", "tests/network", "tests/drawing")  # quick, and nearly everything rests on them


def git(*words: str) -> list[str]:
    """The lines that git prints; none where it fails."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed() -> list[str]:
    """Paths of files that are not as they were in main; where there are none, those of the last commit."""
    base = git("merge-base", "HEAD", "main") or git("merge-base", "HEAD", "origin/main") or ["HEAD"]
    since = [*git("diff", "--name-only", *base), *git("ls-files", "--others", "--exclude-standard")]
    return since or git("diff", "--name-only", "HEAD~1")


def tests_of(path: Path) -> Iterator[str]:
    """The test files of a file, nearest first."""
    parts = path.parts
    if parts[0] == "tests" and path.name.startswith("test_"):
        yield str(path)
    if parts[:2] == ("src", "layerscope"):
        yield str(Path("tests", *parts[2:-1], f"test_{path.name}"))
    if path.suffix == ".md":
        yield f"tests/test_docs.py::test_links_lead_somewhere[{path.name}]"


def wings_of(path: Path) -> Iterator[str]:
    """The folder of tests of the wing that a file is in."""
    if path.parts[:2] == ("src", "layerscope") or path.parts[0] == "tests":
        wing = path.relative_to("src/layerscope" if path.parts[0] == "src" else "tests").parts[0]
        yield f"tests/{wing}"


def chosen() -> list[str]:
    """What pytest is to run, in this order."""
    paths = [Path(path) for path in changed()]
    near = [test for path in paths for test in tests_of(path)]
    wide = [wing for path in paths for wing in wings_of(path) if list((ROOT / wing).glob("test_*.py"))]
    found = [test for test in (*near, ALWAYS, *wide) if (ROOT / test.partition("::")[0]).exists()]
    return list(dict.fromkeys(found if near or wide else [ALWAYS, *UNCHANGED]))


class Deadline:
    """Skips the tests for which no time is left."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Before a test's fixtures are made."""
        if time.monotonic() > self.end:
            pytest.skip("no time is left; `make test` runs it")


if __name__ == "__main__":
    tests = chosen()
    print("tests of what has changed:", *tests)
    sys.exit(pytest.main(["-m", "not slow", *tests], plugins=[Deadline(SECONDS)]))
