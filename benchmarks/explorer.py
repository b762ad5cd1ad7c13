"""How smoothly the explorer shows a plane: frames while zooming at random, and after many planes were opened.

Frames tell of the machine as it is now; the processor time of one, of all processes of the browser, does so less.

``python benchmarks/explorer.py [PATCHES]`` builds a synthetic site and drives headless Chromium over it, from a
file:// address as by a double click. Needs `make web`, playwright, and Chromium (``CHROMIUM`` says where).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from explorer_site import make_site
from playwright.sync_api import Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SECONDS, PLANES = 8, 50
VIEWS = {"one": "one to one", "fill": "filled", "points": "points"}
START = """
window.frames_ = [];
(function each(at) { frames_.push(at); window.each_ = requestAnimationFrame(each); })(performance.now());
"""
STOP = "cancelAnimationFrame(each_); frames_.slice(1).map((at, n) => at - frames_[n])"


def zoomed(page: Page, seconds: float, seed: int) -> list[float]:
    """Milliseconds between frames while the wheel turns at random places, as fast as a hand turns it."""
    drawn = np.random.default_rng(seed)
    box: Any = page.locator(".plane .tiles").first.bounding_box()
    page.evaluate(START)
    for _ in range(round(seconds / 0.1)):
        x, y = drawn.uniform(0.1, 0.9, 2)
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.mouse.wheel(0, float(drawn.choice([-400, -200, 200, 400])))
        page.wait_for_timeout(80)
    frames: list[float] = page.evaluate(STOP)
    return frames


def spent() -> float:
    """Milliseconds of processor time that this process's Chromium has taken, all its processes together."""
    parents = {int(path.parent.name): int(_fields(path)[1]) for path in Path("/proc").glob("[0-9]*/stat")}
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    ticks = sum(int(_fields(Path(f"/proc/{pid}/stat"))[n]) for pid in own - {os.getpid()} for n in (11, 12))
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _fields(path: Path) -> list[str]:
    """What Linux says of a process, from its state on; of one that has ended, nothing that counts."""
    try:
        return path.read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return ["Z", *["0"] * 20]


def told(page: Page, name: str, seconds: float, seed: int) -> float:
    """Prints a row of the table; returns the 95th percentile."""
    before = spent()
    frames = zoomed(page, seconds, seed)
    middle, high = np.percentile(frames, [50, 95])
    each = (spent() - before) / len(frames)
    print(
        f"| {name} | {len(frames)} | {middle:.1f} | {high:.1f} | {max(frames):.0f} | {each:.0f} |", flush=True
    )
    return float(high)


def opened(page: Page, site: str, address: str) -> None:
    page.goto(f"{site}#/{address}")
    page.wait_for_selector(".plane .tiles canvas", state="attached")
    page.wait_for_timeout(1500)


def measure(site: str) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        print("| view | frames | p50, ms | p95, ms | longest, ms | processor time a frame, ms |")
        print("|---|---|---|---|---|---|")
        for seed, (view, name) in enumerate(VIEWS.items()):
            opened(page, site, f"s/one/c4_1?a={view}")
            told(page, name, SECONDS, seed)
        opened(page, site, "s/one/c4_1?a=one&r=1")
        told(page, "one to one, a region of 1,667", SECONDS, 7)
        opened(page, site, "s/one/c4_1?a=one")
        first = told(page, "the first plane", SECONDS / 2, 9)
        for _ in range(PLANES):
            page.evaluate("location.hash = '#/'")
            page.wait_for_selector(".plane", state="detached")
            page.evaluate("location.hash = '#/s/one/c4_1?a=one'")
            page.wait_for_selector(".plane .tiles canvas", state="attached")
        page.wait_for_timeout(1500)
        last = told(page, f"after {PLANES} planes", SECONDS / 2, 9)
        print(f"\nafter {PLANES} planes the 95th percentile is {last / first:.2f} times the first")
        browser.close()


if __name__ == "__main__":
    patches = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with TemporaryDirectory() as folder:
        measure(f"file://{make_site(Path(folder), patches)}")
