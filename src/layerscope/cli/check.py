"""The command `layerscope check`: whether a study is whole."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from layerscope.cli.options import say, study_argument
from layerscope.errors import one_line


@click.command()
@study_argument
def check(study: Path) -> None:
    """Read every file of STUDY again, and name those that are missing, damaged or not its own.

    Exit code: 0 whole, 1 not.
    """
    from layerscope.study.check import check_study
    from layerscope.study.folder import Study

    faults = check_study(study)
    for fault in faults:
        say(one_line(str(fault)), err=True)
    if faults:
        sys.exit(1)
    guarded = (
        "" if Study.open(study).has_checksum else "; its study.json was written before it had a checksum"
    )
    say(f"{study}: whole{guarded}")
