"""The pages of a study in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from layerscope.explorer.server import Serving, application
from layerscope.explorer.site import Site
from layerscope.study.folder import Study

HEIGHT = 900  #: pixels of the frame


@dataclass(frozen=True)
class Explorer:
    """The pages of a study, served to this machine while the process runs; a notebook shows them in a frame."""

    address: str
    height: int = HEIGHT
    serving: Serving | None = field(default=None, repr=False, compare=False)

    def _repr_html_(self) -> str:
        size = f'width="100%" height="{self.height}"'
        return f'<iframe src="{escape(self.address)}" title="layerscope" {size} frameborder="0"></iframe>'

    def stop(self) -> None:
        """Serve them no more."""
        if self.serving is not None:
            self.serving.stop()


def explore(
    study: Study | str | Path, comparison: Study | str | Path | None = None, *, height: int = HEIGHT
) -> Explorer:
    """Serve the pages of a study to this machine, in a thread; a notebook shows what this returns as a frame.

    ``comparison``: one that is of the study. ``height``: of the frame, in pixels. Raises StudyError if the comparison
    is of another study or the page is not built, LayerscopeError without Starlette and uvicorn.
    """
    site = Site.open(study, comparison)
    site.check_page()
    serving = Serving.at(application(site)).start()
    return Explorer(serving.address, height, serving)
