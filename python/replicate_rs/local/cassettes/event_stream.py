"""Event streams: their events with the times at which they came, and the URLs in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ..._base.typing import is_object
from .redaction import Redactor

# A time in seconds, and the text of an event.
Entry = tuple[float, str]

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n)", re.DOTALL)
# A longer line has no URL of a file.
_MAX_LINE = 64 * 1024


class LineRewriter:
    """Passes a stream on line by line, with another URL where a `data` line is one.

    Args:
        replace: Returns the URL for a URL.

    """

    def __init__(self, replace: Callable[[str], str]) -> None:
        self._replace = replace
        self._line = b""
        self._is_long = False

    def feed(self, block: bytes) -> bytes:
        """Return what can be passed on."""
        lines = (self._line + block).splitlines(keepends=True)
        # A carriage return may be the first half of a line end.
        self._line = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        passed = bytearray()
        for line in lines:
            passed += line if self._is_long else self._rewrite(line)
            self._is_long = False
        if self._is_long or not _may_have_url(self._line):
            # Nothing to rewrite: it need not wait for the end of the line.
            passed += self._line
            self._is_long = self._is_long or bool(self._line)
            self._line = b""
        return bytes(passed)

    def close(self) -> bytes:
        """Return the incomplete line at the end."""
        return self._line

    def _rewrite(self, line: bytes) -> bytes:
        content = line.rstrip(b"\r\n")
        name, colon, value = content.partition(b":")
        text = value.removeprefix(b" ")
        if name != b"data" or not colon or not text.startswith((b"http:", b"https:")):
            return line
        try:
            url = text.decode()
        except UnicodeDecodeError:
            return line
        return b"data: " + self._replace(url).encode() + line[len(content) :]


def _may_have_url(line: bytes) -> bool:
    prefix = b"data: http"
    # `data:http` is allowed too.
    return len(line) < _MAX_LINE and (
        line.startswith((prefix, b"data:http"))
        or prefix.startswith(line)
        or b"data:http".startswith(line)
    )


class EventRecorder:
    """Collects the events of a stream, each with the seconds since the response's head."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, bytes]] = []
        self._pending = b""

    def feed(self, seconds: float, block: bytes) -> None:
        """Add bytes that came at a time."""
        *events, self._pending = _split(self._pending + block)
        self._entries += [(seconds, each) for each in events]

    def entries(self, seconds: float, redactor: Redactor) -> list[Entry]:
        """Return pairs of a time and text; the last may be an incomplete event."""
        last = [(seconds, self._pending)] if self._pending else []
        return [
            (round(when, 3), redact_events(event, redactor)) for when, event in self._entries + last
        ]


def _split(block: bytes) -> list[bytes]:
    """Return complete events and, last, the rest."""
    events = _EVENT.findall(block)
    return [*events, block[sum(map(len, events)) :]]


def redact_events(block: bytes, redactor: Redactor) -> str:
    """Return the text of events without secrets. Bytes that are not UTF-8 become surrogates."""
    text = block.decode("utf-8", "surrogateescape")
    return "".join(_redact_line(line, redactor) for line in text.splitlines(keepends=True))


def _redact_line(line: str, redactor: Redactor) -> str:
    if line.startswith("data: {"):
        content = line.removeprefix("data: ").rstrip("\r\n")
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = None
        if is_object(value) and (redacted := redactor.value(value)) != value:
            end = line[len("data: ") + len(content) :]
            return "data: " + json.dumps(redacted, separators=(",", ":")) + end
    return redactor.text(line)


def to_bytes(text: str) -> bytes:
    """Return the bytes of recorded events."""
    return text.encode("utf-8", "surrogateescape")
