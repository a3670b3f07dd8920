"""A request and the recorded response to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..._base.typing import is_object
from . import json_text
from .content import Content
from .event_stream import Entry
from .redaction import Headers

# Methods that change nothing.
_SAFE_METHODS = ("GET", "HEAD", "QUERY")
# Statuses that say that a later request may be answered otherwise.
_TEMPORARY = (408, 409, 425, 429)


@dataclass(frozen=True, slots=True)
class Part:
    """A field or a file of a form."""

    name: str
    filename: str | None
    media_type: str | None
    content: Content


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request, with the URL that it has on the upstream, without secrets.

    Args:
        body: The body, unless it is a form.
        parts: The parts of a form.

    """

    method: str
    url: str
    headers: Headers
    body: Content
    parts: tuple[Part, ...] = ()

    def header(self, name: str) -> str | None:
        """Return the first header of a name in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def target(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """The method, the URL without its query, and the query's parameters in order."""
        parts = urlsplit(self.url)
        query = tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))
        return self.method, self.url.partition("?")[0], query

    def body_key(self) -> str:
        """Return text that is the same for equal bodies."""
        if self.parts:
            # Clients make up names for files that have none.
            return json_text.canonical(
                sorted([each.name, content_key(each.content)] for each in self.parts)
            )
        value = self.json
        return content_key(self.body) if value is None else _json_key(value)

    @property
    def json(self) -> Any:
        """The JSON object or array in the body, as it is compared; None if it is none."""
        value = json_value(self.body)
        if is_object(value) and self.method == "POST" and self.target[1].endswith("/predictions"):
            # Some clients send this field, which the API ignores.
            return {key: each for key, each in value.items() if key != "stream"}
        return value


def _json_key(value: Any) -> str:
    return f"json {json_text.canonical(value)}"


def content_key(content: Content) -> str:
    """Return text that is the same for equal content: JSON values, or bytes."""
    value = json_value(content)
    if value is not None:
        return _json_key(value)
    digest = content.sha256() if content.data is None else hashlib.sha256(content.data).hexdigest()
    return f"{content.size} {digest}"


def json_value(content: Content) -> Any:
    """Return the JSON object or array that the content is; None if it is none."""
    if content.data is None or content.data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json_text.parse(content.data)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """A response, with the URLs of the upstream, without secrets.

    Args:
        body: The body, unless it is a stream of events.
        events: The events of a stream.
        is_complete: False if the connection was closed before the response's end.

    """

    status: int
    headers: Headers
    body: Content
    events: list[Entry] | None = None
    is_complete: bool = True


@dataclass(slots=True)
class Exchange:
    """A request and the response to it.

    Args:
        name: The name of its file.
        repeats: Whether the response is also given to further equal requests.

    """

    name: str
    request: RecordedRequest
    response: RecordedResponse
    repeats: bool
    # How often it was replayed.
    played: int = field(default=0)


def may_repeat(request: RecordedRequest, response: RecordedResponse) -> bool:
    """Return whether reading the same again would give the same response, as far as is known."""
    if request.method not in _SAFE_METHODS or not response.is_complete:
        return False
    if response.status >= 500 or response.status in _TEMPORARY:
        return False
    value = json_value(response.body)
    status = value.get("status") if is_object(value) else None
    return status not in ("starting", "processing", "queued")
