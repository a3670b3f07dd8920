"""Pieces of HTML: escaped text, tables, links.

Outputs of models are not to be trusted, so every text goes through `escape`. Styles are inline and
have no colors of their own but translucent grey: a notebook may be dark or light, and may drop
style sheets and scripts.
"""

from __future__ import annotations

from html import escape as escape_markup
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Characters of a text that are shown.
MAX_TEXT = 20_000
# Characters of a value in a table.
MAX_CELL = 300

CELL = "text-align:left;vertical-align:top;padding:2px 8px;border-bottom:1px solid #8884"
FAINT = "opacity:.7"


def escape(text: str) -> str:
    """Return a text as HTML, in an attribute too."""
    # Half of a surrogate pair cannot be sent to the notebook.
    return escape_markup(text.encode(errors="replace").decode())


def cut(text: str, limit: int) -> str:
    """Return a text of at most so many characters, with its length if it was cut."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def cell(text: str) -> str:
    """Return a text for a cell of a table."""
    return escape(cut(text, MAX_CELL))


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return a table; its cells are HTML."""
    titles = "".join(f'<th style="{CELL}">{title}</th>' for title in head)
    lines = [f"<thead><tr>{titles}</tr></thead>"] if head else []
    lines.append("<tbody>")
    for row in rows:
        cells = "".join(f'<td style="{CELL}">{each}</td>' for each in row)
        lines.append(f"<tr>{cells}</tr>")
    lines.append("</tbody>")
    # A table that is wider than its notebook is cut by some, unless it scrolls by itself.
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:4px 0">'
        f"{''.join(lines)}</table></div>"
    )


def link(url: str, text: str) -> str:
    """Return a link to a web page or a file; only the text if it is no web address."""
    if not url.startswith(("https://", "http://")):
        return escape(text)
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'


def text_block(text: str) -> str:
    """Return a text with its lines as they are, in a box that scrolls."""
    return (
        '<div style="white-space:pre-wrap;overflow-wrap:anywhere;max-height:24em;overflow:auto">'
        f"{escape(cut(text, MAX_TEXT))}</div>"
    )


def details(title: str, content: str) -> str:
    """Return content that is shown after a click."""
    return f'<details style="margin:4px 0"><summary>{escape(title)}</summary>{content}</details>'


def title(name: str, *parts: str | None) -> str:
    """Return the first line of a display: a name, and what else is known, as HTML."""
    rest = " · ".join(part for part in parts if part)
    faint = f' <span style="{FAINT}">{rest}</span>' if rest else ""
    return f"<div><strong>{name}</strong>{faint}</div>"


def note(text: str) -> str:
    """Return a remark."""
    return f'<div style="{FAINT}">{escape(text)}</div>'
