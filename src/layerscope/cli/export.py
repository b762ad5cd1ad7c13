"""The command `layerscope export`: a study as pages in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from layerscope.cli.options import say, study_argument, together
from layerscope.cli.progress import progress_bar

comparison_option = click.option(
    "--comparison",
    type=click.Path(path_type=Path),
    help="A comparison of the study's networks, as `layerscope compare` makes it.",
)
site_of = together(study_argument, comparison_option)  #: what the pages show


@click.command()
@site_of
@click.argument("out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
def export(study: Path, comparison: Path | None, out: Path) -> None:
    """Write the pages of STUDY to the folder DIR: index.html opens by double-click, and from any file host.

    STUDY can be a comparison itself. A second export writes only what has changed since, and goes on where the first
    was stopped.
    """
    from layerscope.explorer.export import export_study
    from layerscope.explorer.site import Site

    site = Site.open(study, comparison)
    with progress_bar() as progress:
        made = export_study(site.study, out, comparison=site.comparison, progress=progress)
    for line in site.lacks:
        say(line, err=True)
    say(f"{made.files:,} files, {made.size / 1e6:,.1f} MB; {made.written:,} of them written now")
    say(f"open {made.address} in a browser")
