"""The command `layerscope serve`: a study as pages on this machine."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from layerscope.cli.export import site_of
from layerscope.cli.options import say

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from layerscope.explorer.site import Site


@click.command()
@site_of
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: one that is free."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Name or address to listen at; one that is not of the loopback lets others in.",
)
@click.option(
    "--live/--no-live", default=True, help="Whether pictures can be dropped on the pages; default: they can."
)
def serve(study: Path, comparison: Path | None, port: int, host: str, live: bool) -> None:
    """Show the pages of STUDY in a browser on this machine, as `export` writes them, until interrupted.

    Nothing is written. STUDY can be a comparison itself. On its page Live a picture that is dropped goes through the
    study's networks, whose weights are loaded meanwhile.
    """
    from layerscope.explorer.server import Serving, application, is_loopback
    from layerscope.explorer.site import Site

    site = Site.open(study, comparison, live=live)
    site.check_page()
    serving = Serving.at(application(site, host, _routes(site) if live else ()), host, port)
    for line in site.lacks:
        say(line, err=True)
    if is_loopback(host):
        say(f"open {serving.address} in a browser on this machine; Ctrl+C ends it")
    else:
        say(
            f"open {serving.address} in a browser; whoever reaches this machine can do so, too; Ctrl+C ends it"
        )
    with suppress(KeyboardInterrupt):
        serving.run()


def _routes(site: Site) -> list[BaseRoute]:
    """What answers pictures that are dropped."""
    from layerscope.live.passing import Live
    from layerscope.live.uploads import Uploads

    live = Live(site.study)
    threading.Thread(target=live.load, name="weights", daemon=True).start()
    return Uploads(live).routes
