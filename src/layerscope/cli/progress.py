"""The one progress bar: what is being done, which share of it is, how much of how much, and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from layerscope.errors import shown

if TYPE_CHECKING:
    from layerscope.progress import Progress, Told

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


@contextmanager
def progress_bar(**options: Any) -> Iterator[Told]:
    """Who is to be told of progress; a terminal shows it, a file does not."""
    from tqdm import tqdm

    with tqdm(**{"total": 1.0, "disable": None, "bar_format": _FORMAT, **options}) as bar:
        yield _Shown(bar)


class _Shown:
    """Shows one stage after the other. Its speed is measured from the first share told: that was there before."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.stage = bar, ""

    def __call__(self, progress: Progress) -> None:
        """Told of progress."""
        self.bar.set_postfix_str(progress.detail, refresh=False)
        if progress.stage == self.stage:
            self.bar.update(progress.share - self.bar.n)
            return
        self.stage = progress.stage
        self.bar.set_description_str(shown(progress.stage), refresh=False)
        self.bar.reset()
        self.bar.initial = self.bar.n = self.bar.last_print_n = progress.share
        self.bar.refresh()
