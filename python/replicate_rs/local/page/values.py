"""Inputs and outputs as the web page shows them: text, media, links, lists and objects."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote, urlsplit

from ..._base.typing import is_array, is_object
from ..files import StoredFile
from ..state import State
from .formats import to_line, to_size

# Characters of a text, and items of a list or object.
MAX_TEXT, MAX_ITEMS = 100_000, 100
# Characters of a value that is shown in a line with its name.
MAX_INLINE = 60
# Levels of lists and objects; deeper ones are shown as JSON.
MAX_DEPTH = 4

_EXTENSIONS = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".avif"),
    "audio": (".mp3", ".wav", ".ogg", ".flac", ".m4a"),
    "video": (".mp4", ".webm", ".mov"),
}
MEDIA_TYPE = re.compile(r"(image|audio|video)/([a-z0-9.-]+)(\+xml)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class DisplayValue:
    """A value as the page shows it.

    Args:
        kind: `image`, `audio`, `video`, `link`, `text` or `code`; or `list` or `fields`, which have
            `items`.
        text: The text, or the name of a file.
        source: The URL of an image, audio or video.
        target: The URL of a link.
        note: A remark, such as the size of a file.
        items: Pairs of a name and a value. The names in a list are empty.

    """

    kind: str
    text: str = ""
    source: str = ""
    target: str = ""
    note: str = ""
    items: tuple[tuple[str, DisplayValue], ...] = ()

    @property
    def is_short(self) -> bool:
        """Whether it fits in a line with its name."""
        return (
            self.kind in ("text", "code")
            and not self.note
            and len(self.text) <= MAX_INLINE
            and "\n" not in self.text
        )

    @property
    def is_chips(self) -> bool:
        """Whether all items are short."""
        return all(each.is_short for _, each in self.items)

    @property
    def line(self) -> str:
        """A summary in one line."""
        lines = (f"{name}: {each.line}" if name else each.line for name, each in self.items)
        return to_line(", ".join(lines) if self.items else self.text)

    @property
    def picture(self) -> DisplayValue | None:
        """The first image that is small enough to be sent with every update of the page."""
        if self.kind == "image" and len(self.source) <= MAX_TEXT:
            return self
        return next((found for _, each in self.items if (found := each.picture) is not None), None)


def to_display(value: object, state: State, depth: int = 0) -> DisplayValue:
    """Return a JSON value for display; URLs of the server's files become media or links."""
    if isinstance(value, str):
        return _display_string(value, state)
    if is_object(value) and value and depth < MAX_DEPTH:
        fields = (
            (str(name), to_display(each, state, depth + 1))
            for name, each in islice(value.items(), MAX_ITEMS)
        )
        return DisplayValue(kind="fields", items=tuple(fields), note=_note_rest(len(value)))
    if (
        is_array(value)
        and depth < MAX_DEPTH
        and any(isinstance(each, (str, list, dict)) for each in value)
    ):
        items = (("", to_display(each, state, depth + 1)) for each in value[:MAX_ITEMS])
        return DisplayValue(kind="list", items=tuple(items), note=_note_rest(len(value)))
    return display_text(to_json_text(value), "code")


def display_text(text: str, kind: str = "text") -> DisplayValue:
    """Return text for display, cut at the maximum length."""
    rest = len(text) - MAX_TEXT
    return DisplayValue(
        kind=kind, text=text[:MAX_TEXT], note=f"and {rest:,} characters more" if rest > 0 else ""
    )


def to_json_text(value: object) -> str:
    """Return a value as JSON, not limited to ASCII."""
    return json.dumps(value, ensure_ascii=False)


def _display_string(value: str, state: State) -> DisplayValue:
    if value.startswith("data:"):
        return _display_data_uri(value)
    if not value.startswith(("http://", "https://")) or any(each.isspace() for each in value):
        return display_text(value)
    file = state.find_file(value)
    if file is not None:
        return _display_file(value, file, is_output=file.id in state.outputs)
    if value.startswith((f"{state.api_url}/files/", f"{state.output_origin}/pbxt/")):
        return DisplayValue(kind="text", text=value, note="no longer there")
    try:
        path = unquote(urlsplit(value).path)
    except ValueError:
        return display_text(value)
    kind = _kind_of_name(path)
    name = value if kind == "link" else path.rpartition("/")[2]
    return DisplayValue(kind=kind, text=name, source=value, target=value)


def _display_data_uri(uri: str) -> DisplayValue:
    header, comma, content = uri.partition(",")
    kind = _kind_of_type(header.removeprefix("data:"))
    size = to_size(len(content) * 3 // 4 if ";base64" in header else len(content))
    if comma and kind != "link":
        return DisplayValue(kind=kind, text=header, source=uri, note=size)
    return DisplayValue(kind="text", text=to_line(uri), note=size)


def _display_file(url: str, file: StoredFile, *, is_output: bool) -> DisplayValue:
    kind, source = _kind_of_name(file.name), f"/-/files/{file.id}"
    if kind == "link":
        kind = _kind_of_type(file.content_type)
    return DisplayValue(
        kind=kind,
        text=file.name,
        source=source,
        # The API's URL of an upload needs a token, which the browser does not have.
        target=url if is_output else source,
        note=to_size(file.size),
    )


def _kind_of_name(name: str) -> str:
    return next(
        (kind for kind, endings in _EXTENSIONS.items() if name.lower().endswith(endings)), "link"
    )


def _kind_of_type(content_type: str) -> str:
    match = MEDIA_TYPE.match(content_type.lower())
    if match is None:
        return "link"
    # Browsers show the image formats that have an extension above, and no others.
    return _kind_of_name(f".{match[2]}") if match[1] == "image" else match[1]


def _note_rest(count: int) -> str:
    return f"and {count - MAX_ITEMS:,} more" if count > MAX_ITEMS else ""
