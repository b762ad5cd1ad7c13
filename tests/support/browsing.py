"""The system's Chromium over the pages: what it says, what it loads, and what axe finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tests.support.packages import need, need_built

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page

Theme: TypeAlias = Literal["dark", "light"]

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
_VIOLATIONS = "addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.violatedDirective))"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of the system, without a window."""
    from playwright.sync_api import sync_playwright

    path = need(CHROMIUM, "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def _axe() -> str:
    """The script that looks for what people with other senses, or without a mouse, cannot use."""
    path = need_built(ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js", "make web")
    return path.read_text("utf-8")


@dataclass
class Visit:
    """A fresh browser at an address: ``said``: every error and warning of the console, faults of scripts, dialogs."""

    page: Page
    said: list[str] = field(default_factory=list)

    def go(self, address: str) -> None:
        """Open an address and wait until the page stands."""
        self.page.goto("about:blank")  # or an address that differs after its # alone would not be loaded
        self.page.goto(address)
        self.page.wait_for_selector("main h1, main [role=heading]")
        self.settle()

    def move(self, address: str) -> None:
        """Go on to another address, which begins with #, in the page that is open."""
        self.page.evaluate("address => { location.hash = address }", address)
        self.page.wait_for_selector("main h1, main [role=heading]")
        self.settle()

    def turn(self, theme: Theme) -> None:
        """Show what is open in another theme: the one that the system asks for."""
        self.page.emulate_media(color_scheme=theme)
        self.page.wait_for_selector(f"html[data-theme={theme}]", state="attached")

    def draw(self, tool: str, shares: Sequence[tuple[float, float]]) -> None:
        """Draw on a plane, with the tool of a key, through places in shares of its box."""
        box: Any = self.page.locator(".plane .tiles").bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares]
        self.page.keyboard.press(tool)
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()
        self.page.wait_for_selector("h1:text('Lasso'), h1:text('Box')")
        self.settle()

    def settle(self) -> None:
        """Wait until nothing has been loaded or drawn for a moment."""
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))")

    def hear(self, message: ConsoleMessage) -> None:
        """Note what the console says, unless it is no fault."""
        if message.type in ("error", "warning"):
            self.said.append(message.text)

    def fail(self, error: Error) -> None:
        """Note that a script has failed."""
        self.said.append(str(error))

    def dismiss(self, dialog: Dialog) -> None:
        """Note that a script of somebody's has opened a dialog, and close it."""
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @property
    def hash(self) -> str:
        """The part of the address that says what is shown."""
        return str(self.page.evaluate("location.hash"))

    def violations(self) -> list[str]:
        """What axe finds, a line each."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(_axe())
        found: list[dict[str, Any]] = self.page.evaluate("async () => (await axe.run()).violations")
        return [
            f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:160]}"
            for one in found
            for node in one["nodes"][:3]
        ]


@contextmanager
def visit(browser: Browser, *, width: int = 1440, theme: Theme = "dark") -> Iterator[Visit]:
    """A fresh browser: nothing of an earlier visit is kept."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        reduced_motion="reduce",
    )
    try:
        context.add_init_script(_VIOLATIONS)
        found = Visit(context.new_page())
        found.page.set_default_timeout(20_000)
        found.page.on("console", found.hear)
        found.page.on("pageerror", found.fail)
        found.page.on("dialog", found.dismiss)
        yield found
    finally:
        context.close()
