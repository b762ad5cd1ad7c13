"""The report of a comparison: one page that opens by double-click, every sentence made of numbers that it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from layerscope._version import __version__
from layerscope.drawing.html import html_page, html_text, left_out
from layerscope.study.folder import Study

REPORT = "report.html"

_STYLE = """
:root { color-scheme: light dark; --ink: #1f1f1f; --faint: #5f5f5f; --line: #dcdcdc; --ground: #fff; --yes: #2e6b34;
  --no: #9c2f23; --doubt: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --faint: #a8a8a8; --line: #3a3a3a; --ground: #161616;
  --yes: #86c98d; --no: #ef9a8f; --doubt: #e3b664; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.5rem 5rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p, li { max-width: 46rem; }
nav { color: var(--faint); } nav a { margin-right: 1rem; white-space: nowrap; }
a { color: inherit; text-underline-offset: .15em; }
ul { padding-left: 0; list-style: none; margin: .6rem 0 1.2rem; }
li { padding-left: 1.5rem; margin: .35rem 0; position: relative; }
li::before { content: "–"; position: absolute; left: .2rem; color: var(--faint); }
li.holds::before { content: "✓"; color: var(--yes); } li.fails::before { content: "✗"; color: var(--no); }
li.warns::before { content: "!"; color: var(--doubt); font-weight: bold; left: .4rem; }
figure { margin: 1.2rem 0; } figure img { display: block; max-width: 100%; height: auto; background: #fff; }
li a, figcaption, .files, footer { color: var(--faint); font-size: .875rem; max-width: 46rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8rem 0; }
.wide { overflow-x: auto; }
th, td { text-align: left; padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td.number { text-align: right; }
footer { margin-top: 4rem; }
"""


def report_page(study: Study, sections: Mapping[str, Mapping[str, Any]], missing: Mapping[str, str]) -> bytes:
    """The page: what was compared, the claims with their verdicts, and what each part found.

    ``sections``: of the parts that were made; ``missing``: why others were not.
    """
    names = " and ".join(study.networks) if len(study.networks) < 3 else ", ".join(study.networks)
    body = [
        f"<h1>{html_text(names)}, compared</h1>",
        f"<p>{html_text(_pictures(study))}</p>",
        *_networks(study),
        *_verdicts(sections),
        *(line for name, section in sections.items() for line in _section(study, name, section)),
        *left_out(missing),
        f"<footer>layerscope {__version__}, comparison {study.digest[:16]}. Every sentence is made of the numbers in "
        "it, which the tables have in full.</footer>",
    ]
    return html_page(f"{names}, compared", _STYLE, body).encode(errors="backslashreplace")


def _pictures(study: Study) -> str:
    count, bad = study.pictures.num_rows, study.bad.num_rows
    what = study.manifest["images"].get("description", "")
    unread = f", {bad} of which cannot be read" if bad else ""
    return f"Over the same {count:,} pictures{unread}: {what}."


def _networks(study: Study) -> Iterator[str]:
    yield '<div class="wide"><table><tr><th>network</th><th>weights</th><th>layers</th><th>input</th></tr>'
    for name in study.networks:
        about, known = study.network(name).about, study.manifest["inputs"]["networks"][name]
        seen = known["preprocessing"]
        size = f"{seen.get('height', '?')}x{seen.get('width', '?')}, {known['dtype']}"
        cells = (html_text(name), html_text(about.get("weights", "")), f"{about['layers']}", html_text(size))
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</table></div>"


def _verdicts(sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The claims, each with its verdict, and where its part is."""
    claims = [
        (name, finding)
        for name, section in sections.items()
        for finding in section["findings"]
        if finding["holds"] is not None
    ]
    links = (f'<a href="#{name}">{html_text(section["title"])}</a>' for name, section in sections.items())
    yield f"<nav>{''.join(links)}</nav>"
    if claims:
        yield "<h2>Claims, and whether they hold</h2><ul>"
        yield from (
            _item(finding, f' <a href="#{name}">{html_text(sections[name]["title"])}</a>')
            for name, finding in claims
        )
        yield "</ul>"


def _section(study: Study, name: str, section: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{name}">{html_text(section["title"])}</h2>'
    yield "<ul>"
    yield from map(_item, section["findings"])
    yield "</ul>"
    for figure in section["figures"]:
        document = f"{name}/{figure['name']}.pdf"
        yield "<figure>"
        for picture in figure["pictures"]:
            yield f'<a href="{picture}"><img loading="lazy" src="{picture}" alt="{html_text(figure["caption"])}"></a>'
        yield f'<figcaption>{html_text(figure["caption"])} <a href="{document}">PDF</a></figcaption></figure>'
    for table in section["tables"]:
        links = " ".join(
            f'<a href="{name}/{table["name"]}.{ending}">{words}</a>'
            for ending, words in (("parquet", "Parquet"), ("csv", "CSV"))
        )
        yield f'<p class="files">{html_text(table["caption"])} {table["rows"]:,} rows: {links}</p>'


def _item(finding: Mapping[str, Any], link: str = "") -> str:
    kind = {True: "holds", False: "fails", None: "warns" if finding["warns"] else "says"}[finding["holds"]]
    return f'<li class="{kind}">{html_text(finding["text"])}{link}</li>'
