"""The figures of the page on the explorer: what ``make demo`` exported, as the system's Chromium shows it.

Run: ``python docs/make_explorer_figures.py demo``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from make_figures import keep
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.browsing import Theme, chromium, visit

PAGES: dict[str, tuple[str, Theme]] = {
    "explorer-overview": ("#/", "light"),
    "explorer-picture": ("#/p/17?l=vgg16.c4_3", "dark"),
    "explorer-filter": ("#/f/vgg16/c4_1/84", "light"),
    "explorer-plane": ("#/s/vgg16/c4_1?r=1", "dark"),
    "explorer-compare": ("#/c/vgg16/alexnet/c4_1:c3", "light"),
}  #: name -> address and theme


def main(folder: Path) -> None:
    """Make them all."""
    start = (folder / "explorer" / "index.html").resolve().as_uri()
    with chromium() as browser:
        for name, (address, theme) in PAGES.items():
            with visit(browser, theme=theme) as shown:
                shown.go(f"{start}{address}")
                shown.page.wait_for_timeout(2000)  # pictures appear as they are decoded
                keep(Image.open(io.BytesIO(shown.page.screenshot())), name, 1200)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
