"""Files: images, audio and video as elements, others as links; many as a contact sheet."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from re import fullmatch
from typing import TYPE_CHECKING

from .._base.progress_bar import format_bytes
from .html import cell, escape, link, note

if TYPE_CHECKING:
    from collections.abc import Sequence

# Files of one display.
MAX_SHOWN = 100
# Heights in pixels of an image that is shown alone, and of one among others.
HEIGHT = 512
HEIGHT_IN_SHEET = 160
# Characters of a URL.
MAX_URL = 120
# Elements by the beginning of a media type.
ELEMENTS = {
    "image/": '<img alt="{name}" src="{source}" style="max-width:100%;max-height:{height}px">',
    "audio/": '<audio controls preload="metadata" src="{source}" style="max-width:100%"></audio>',
    "video/": (
        '<video controls preload="metadata" src="{source}"'
        ' style="max-width:100%;max-height:{height}px"></video>'
    ),
}


@dataclass
class Shown:
    """What is known of a file for its display."""

    name: str
    url: str
    """Without credentials; empty if it is a local file, or embedded in the output."""
    media_type: str | None = None
    size: int | None = None
    content: bytes | None = None
    """None if the file is shown by its URL."""
    remark: str | None = None
    """Why it is not embedded."""
    is_missing: bool = False
    """Whether it cannot be shown by its URL either."""


def is_media(media_type: str | None) -> bool:
    """Return whether files of a type are shown, and not only linked."""
    return media_type is not None and media_type.lower().startswith(tuple(ELEMENTS))


def to_figure(shown: Shown, caption: str | None = None, height: int = HEIGHT) -> str:
    """Return a file as HTML."""
    facts = [] if shown.size is None else [format_bytes(shown.size)]
    if not is_media(shown.media_type) and shown.media_type:
        facts.insert(0, shown.media_type)
    label = cell(caption) if caption is not None else link(shown.url, shown.name)
    lines = [", ".join([label, *map(escape, facts)])]
    element = None if shown.is_missing else _to_element(shown, height)
    if element is None and shown.url:
        lines.append(link(shown.url, _shorten(shown.url)))
    if shown.remark:
        lines.append(note(shown.remark))
    width = "100%" if height == HEIGHT else f"{height * 3 // 2}px"
    return (
        f'<figure style="margin:0;max-width:{width}">{element or ""}'
        '<figcaption style="font-size:smaller;overflow-wrap:anywhere">'
        f"{'<br>'.join(lines)}</figcaption></figure>"
    )


def to_sheet(files: Sequence[Shown], captions: Sequence[str] | None = None) -> str:
    """Return files beside each other; one alone is shown larger."""
    if len(files) == 1:
        return to_figure(files[0], captions[0] if captions else None)
    figures = [
        to_figure(file, captions[index] if captions else None, HEIGHT_IN_SHEET)
        for index, file in enumerate(files[:MAX_SHOWN])
    ]
    more = len(files) - MAX_SHOWN
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:12px;align-items:flex-end">'
        f"{''.join(figures)}</div>" + (note(f"and {more} more files") if more > 0 else "")
    )


def _to_element(shown: Shown, height: int) -> str | None:
    """Return the element that shows a file; None if its type has none."""
    media_type = (shown.media_type or "").partition(";")[0].strip().lower()
    # It comes from the file's host.
    if not fullmatch(r"[a-z]+/[a-z0-9.+-]+", media_type):
        return None
    source = shown.url
    if shown.content is not None:
        source = f"data:{media_type};base64,{b64encode(shown.content).decode()}"
    if not source:
        return None
    for beginning, element in ELEMENTS.items():
        if media_type.startswith(beginning):
            return element.format(name=escape(shown.name), source=escape(source), height=height)
    return None


def _shorten(url: str) -> str:
    return url if len(url) <= MAX_URL else f"{url[:MAX_URL]}…"
