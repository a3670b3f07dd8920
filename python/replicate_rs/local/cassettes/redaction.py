"""Removes secrets from what is written to a cassette."""

from __future__ import annotations

import mmap
import re
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from ..._base.typing import is_array, is_object
from . import json_text
from .content import Content

Headers = list[tuple[str, str]]

REMOVED = "[removed]"
# Replaces a webhook secret, and has its form.
REMOVED_SECRET = "whsec_" + b64encode(b"removed from the recording").decode()
_SECRET_HEADERS = {
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
}
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/_=-]{8,}")
_API_TOKEN = re.compile(r"\br8_[A-Za-z0-9]{20,}")
# A shorter token would match parts of words.
_MIN_TOKEN = 6


class Redactor:
    """Removes tokens, webhook secrets and chosen fields.

    Args:
        names: The names of further headers, JSON fields, form fields and query parameters whose
            values are removed, in any case.

    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = {each.lower() for each in names}
        self._tokens: set[str] = set()
        self._query = (
            re.compile(
                rf"([?&](?:{'|'.join(map(re.escape, sorted(self._names)))})=)[^&#\s\"'<>\\]*", re.I
            )
            if self._names
            else None
        )

    def add_token(self, authorization: str) -> None:
        """Remove the token of an `Authorization` header wherever it occurs from now on."""
        token = authorization.rpartition(" ")[2]
        if len(token) >= _MIN_TOKEN:
            self._tokens.add(token)

    def names(self, name: str) -> bool:
        """Return whether the values of a field are removed."""
        return name.lower() in self._names

    def headers(self, headers: Headers) -> Headers:
        """Return headers without secrets."""
        return [
            (
                name,
                REMOVED if name in _SECRET_HEADERS or name in self._names else self.text(value),
            )
            for name, value in headers
        ]

    def text(self, text: str) -> str:
        """Return text without tokens, webhook secrets and the chosen parameters of URLs."""
        for token in self._tokens:
            text = text.replace(token, REMOVED)
        text = _WEBHOOK_SECRET.sub(REMOVED_SECRET, text)
        text = _API_TOKEN.sub(REMOVED, text)
        return text if self._query is None else self._query.sub(rf"\g<1>{REMOVED}", text)

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if is_array(value):
            return [self.value(each) for each in value]
        if is_object(value):
            return {
                self.text(key): REMOVED if self.names(key) else self.value(each)
                for key, each in value.items()
            }
        return value

    def body(self, content: bytes) -> bytes:
        """Return a body without secrets; one that has none stays as it is, byte by byte."""
        if content[:1] in (b"{", b"[", b'"', b" ", b"\n"):
            try:
                value = json_text.parse(content)
                redacted = self.value(value)
            except (ValueError, RecursionError):
                return self._bytes(content)
            if redacted == value:
                return content
            return json_text.write(redacted, json_text.find_style(content, value) or _ASCII)
        return self._bytes(content)

    def _bytes(self, content: bytes) -> bytes:
        # Latin-1 maps each byte to a character and back.
        return self.text(content.decode("latin-1")).encode("latin-1")

    def file(self, path: Path) -> None:
        """Overwrite the tokens and webhook secrets in a file; its size stays the same."""
        if not path.stat().st_size:
            return
        patterns = [re.escape(each).encode("latin-1", "replace") for each in self._tokens]
        patterns += [each.pattern.encode() for each in (_WEBHOOK_SECRET, _API_TOKEN)]
        secrets = re.compile(b"|".join(patterns))
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
            for start, end in [each.span() for each in secrets.finditer(content)]:
                content[start:end] = b"*" * (end - start)

    def content(self, content: Content) -> Content:
        """Return a body without secrets."""
        if content.data is not None:
            return Content.of(self.body(content.data))
        if content.path is not None:
            self.file(content.path)
        return content

    def form_value(self, name: str, content: Content) -> Content:
        """Return the value of a form field without secrets."""
        return Content.of(REMOVED.encode()) if self.names(name) else self.content(content)

    def query(self, query: str) -> str:
        """Return a query string without secrets."""
        parts: list[str] = []
        for part in query.split("&"):
            name, equals, _ = part.partition("=")
            is_chosen = equals and self.names(unquote_plus(name))
            parts.append(f"{name}={REMOVED}" if is_chosen else part)
        return self.text("&".join(parts))

    def url(self, url: str) -> str:
        """Return a URL without secrets."""
        path, mark, query = url.partition("?")
        return self.text(path) + mark + self.query(query)


# Writes any value.
_ASCII = "compact ascii plain"
