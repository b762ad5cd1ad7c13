"""The page that is opened: the claims in a table, then every figure and table of the paper with what ours shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from folder import as_csv, as_markdown, save_text
from section import Section
from verdicts import Verdict

from layerscope.drawing.html import html_page, html_text, left_out

COLUMNS = tuple(field.name for field in fields(Verdict))
_HEADS = {"place": "where", "much": "by how much"}  # of columns, for readers
_STYLE = """
:root { color-scheme: light dark; --faint: #666; --line: #ddd; --yes: #2e6b34; --no: #9c2f23; --doubt: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --faint: #aaa; --line: #444; --yes: #86c98d; --no: #ef9a8f;
  --doubt: #e3b664; } }
body { margin: 0 auto; max-width: 78rem; padding: 2rem 1.5rem 5rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 3rem; border-top: 1px solid var(--line);
  padding-top: .8rem; }
p, li { max-width: 50rem; }
ul { list-style: none; padding-left: 0; }
.faint, figcaption { color: var(--faint); font-size: .9rem; } figure { margin: 1.2rem 0; }
img { max-width: 100%; height: auto; background: #fff; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; } th, td { text-align: left; vertical-align: top;
  padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); }
.holds { color: var(--yes); } .fails { color: var(--no); } .warns { color: var(--doubt); }
code { font-size: .9em; overflow-wrap: anywhere; }
"""
_MARKS = {True: ("holds", "✓"), False: ("fails", "✗"), None: ("says", "–")}


def write_page(folder: Path, sections: Sequence[Section], missing: Mapping[str, str]) -> tuple[Path, ...]:
    """The page, and the table of claims as CSV and Markdown. ``missing``: why other parts are not there."""
    verdicts = [verdict for section in sections for verdict in section.made.verdicts]
    files = {
        "paper.html": _page(sections, verdicts, missing),
        "claims.csv": as_csv(COLUMNS, map(_cells, verdicts)),
        "claims.md": as_markdown(_heads(), map(_cells, verdicts)),
    }
    for name, content in files.items():
        save_text(folder / name, content)
    return tuple(folder / name for name in files)


def _heads() -> list[str]:
    return [_HEADS.get(name, name) for name in COLUMNS]


def _cells(verdict: Verdict) -> tuple[object, ...]:
    return tuple(asdict(verdict).values())


def _page(sections: Sequence[Section], verdicts: Sequence[Verdict], missing: Mapping[str, str]) -> str:
    body = [
        "<h1>Visualizing and Comparing Convolutional Neural Networks, run again</h1>",
        '<p>The figures and tables of <a href="https://arxiv.org/abs/1412.6631">arXiv 1412.6631</a>, made by '
        "layerscope, and its claims with what was found of them. Every verdict, and every sentence of what was found, "
        "is made of the numbers that it shows.</p>",
        *_claims(verdicts),
        *(line for section in sections for line in _section(section)),
        *left_out(missing),
    ]
    return html_page("The paper, run again", _STYLE, body)


def _claims(verdicts: Sequence[Verdict]) -> Iterator[str]:
    if verdicts:
        yield '<h2>The claims</h2><div class="wide"><table><tr>'
        yield "".join(f"<th>{name}</th>" for name in _heads()) + "</tr>"
        for verdict in verdicts:
            kind = {"holds": "holds", "does not hold": "fails"}.get(verdict.verdict, "warns")
            cells = (
                f'<td class="{kind}">{html_text(cell)}</td>'
                if name == "verdict"
                else f"<td>{html_text(cell)}</td>"
                for name, cell in asdict(verdict).items()
            )
            yield f"<tr>{''.join(cells)}</tr>"
        yield '</table></div><p class="faint">The same as <a href="claims.csv">CSV</a> and '
        yield '<a href="claims.md">Markdown</a>.</p>'


def _section(section: Section) -> Iterator[str]:
    about, made = section.about, section.made
    yield f'<h2 id="{section.name}">{html_text(about.title)}</h2>'
    yield f"<p><b>The paper:</b> {html_text(about.paper)}</p><p><b>Here:</b> {html_text(about.here)}</p><ul>"
    for finding in made.findings:
        kind, mark = ("warns", "!") if finding.warns else _MARKS[finding.holds]
        yield f'<li><span class="{kind}">{mark}</span> {html_text(finding.text)}</li>'
    yield "</ul>"
    for figure in made.figures:
        picture, words = f"{figure.place}.png", html_text(figure.caption)
        yield f'<figure><a href="{picture}"><img loading="lazy" src="{picture}" alt="{words}"></a>'
        yield f"<figcaption>{words}</figcaption></figure>"
    for table in made.tables:
        links = " ".join(f'<a href="{table.place}.{ending}">{ending}</a>' for ending in ("csv", "md"))
        yield f'<p class="faint">{html_text(table.caption)} {links}</p>'
    yield f'<p class="faint">The like of your own pictures: <code>{html_text(about.command)}</code></p>'
