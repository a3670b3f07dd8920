"""Values of inputs and outputs: text, JSON, and files among them."""

from __future__ import annotations

from json import dumps
from re import IGNORECASE, search
from typing import TYPE_CHECKING

from .._base.progress_bar import format_bytes
from .._base.record import shortened
from .._base.typing import is_array, is_object
from .._files.open_file import OpenFile
from .._files.urls import is_file_url, without_credentials
from .html import cell, escape, link, table, text_block

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Names of inputs whose text is not shown, since notebooks are saved and passed on. A "max_tokens"
# is a number.
SECRET = r"(^|_)token$|secret|password|api_?key|credential|authorization"  # noqa: S105 - a pattern
HIDDEN = "(hidden)"
MAX_LINK = 80
# Levels of objects in which names are looked at.
MAX_DEPTH = 8


def inputs_table(inputs: Mapping[str, Any]) -> str:
    """Return a table of inputs and their values."""
    rows = [
        (f"<code>{cell(str(name))}</code>", to_cell(hide(str(name), value)))
        for name, value in inputs.items()
    ]
    return table(rows) if rows else ""


def hide(name: str, value: object, depth: int = MAX_DEPTH) -> object:
    """Return the value of an input, with what may be a secret replaced, at any depth."""
    if isinstance(value, str) and value and search(SECRET, name, IGNORECASE):
        return HIDDEN
    if is_object(value) and depth:
        return {key: hide(str(key), each, depth - 1) for key, each in value.items()}
    if is_array(value) and depth:
        return [hide("", each, depth - 1) for each in value]
    return value


def to_cell(value: object) -> str:
    """Return a value for a cell of a table."""
    if not isinstance(value, str):
        return cell(shortened(value))
    if value[:5].lower() == "data:":
        return escape(describe_data_uri(value))
    if value.startswith(("https://", "http://")) and not any(each.isspace() for each in value):
        url = without_credentials(value)
        return link(url, url if len(url) <= MAX_LINK else f"{url[:MAX_LINK]}…")
    return cell(value)


def to_block(value: object) -> str:
    """Return a whole output as HTML."""
    if isinstance(value, str):
        return text_block(value)
    if (joined := join_text(value)) is not None:
        return text_block(joined)
    try:
        text = dumps(_without_content(value), ensure_ascii=False, indent=2)
    except (TypeError, ValueError, RecursionError):
        text = shortened(value)
    return text_block(text)


def _without_content(value: object, depth: int = MAX_DEPTH) -> object:
    """Return a value for JSON, with descriptions of the `data:` URIs in it, and URLs of files."""
    if is_array(value) and depth:
        return [_without_content(each, depth - 1) for each in value]
    if is_object(value) and depth:
        return {str(key): _without_content(each, depth - 1) for key, each in value.items()}
    if isinstance(value, OpenFile):
        value = value.url
    is_content = isinstance(value, str) and value[:5].lower() == "data:"
    return describe_data_uri(str(value)) if is_content else value


def has_only_files(value: object) -> bool:
    """Return whether an output is nothing but files, or their URLs."""
    if is_array(value):
        return all(map(has_only_files, value))
    if is_object(value):
        return all(map(has_only_files, value.values()))
    return isinstance(value, OpenFile) or (isinstance(value, str) and is_file_url(value))


def join_text(value: object) -> str | None:
    """Return the parts of a text as one; None for other values.

    Parts have spaces at their ends. Without a schema nothing else tells them from a list of texts.
    """
    if not is_array(value) or not all(isinstance(each, str) for each in value):
        return None
    texts: list[str] = [*value]
    has_spaces = any(each[:1].isspace() or each[-1:].isspace() for each in texts)
    return "".join(texts) if has_spaces else None


def describe_data_uri(uri: str) -> str:
    """Return the media type of a `data:` URI, and its length."""
    head, _, content = uri.partition(",")
    return f"{head[:60]}, {format_bytes(len(content))}"
