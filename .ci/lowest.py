"""Prints the lowest versions that pyproject allows, as constraints for pip: `NAME>=X` becomes `NAME==X`."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))
declared = [*project["project"]["dependencies"]]
for extra in (*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()):
    declared += [entry for entry in extra if isinstance(entry, str)]
for entry in declared:
    name, _, floor = entry.partition(">=")
    if floor:  # a constraint names no extras
        print(f"{name.partition('[')[0]}=={re.split('[,;]', floor)[0]}")
