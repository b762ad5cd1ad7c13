"""Pages that a browser opens by themselves: reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from layerscope.errors import printable


def html_page(title: str, style: str, body: Iterable[str]) -> str:
    """A whole page of the lines of its body; ``title`` is text."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html_text(title)}</title><style>{style}</style>"
    )
    lines = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{lines}\n</body></html>\n'


def left_out(missing: Mapping[str, str]) -> Iterator[str]:
    """Lines about the parts that a report lacks, by name, each with why; none if it has all."""
    if missing:
        yield "<h2>Not in it</h2><ul>"
        yield from (f"<li>{html_text(name)}: {html_text(reason)}</li>" for name, reason in missing.items())
        yield "</ul>"


def html_text(words: object) -> str:
    """Words as text of a page, whatever they hold."""
    return escape(printable(str(words)))
