"""Servers of files, correct and faulty ones."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Any

from support.wire import Answer, Seen, Wire, reply

CONTENT = bytes(range(256)) * 1000


class Host(Wire):
    """A host of one file at every path; it may hang up early, and have ranges or not.

    `cuts` are the positions in the file at which a connection breaks, one each, in order.
    """

    def __init__(
        self,
        content: bytes = CONTENT,
        *,
        cuts: tuple[int, ...] = (),
        etag: str | None = '"v1"',
        parts: bool = True,
        headers: str = "",
        kind: str = "application/octet-stream",
    ) -> None:
        self.content = content
        self.etag = etag
        self._cuts = list(cuts)
        self._parts = parts
        self._headers = headers
        self._kind = kind
        super().__init__(self._answer)

    def _answer(self, seen: Seen) -> Answer:
        start, status, more = 0, 200, self._headers
        if self.etag is not None:
            more += f"ETag: {self.etag}\r\n"
        requested = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
        if requested and self._parts and seen.headers.get("if-range", self.etag) == self.etag:
            start = int(requested[1])
            if start >= len(self.content):
                return reply(b"", 416, headers=f"Content-Range: bytes */{len(self.content)}\r\n")
            status = 206
            more += f"Content-Range: bytes {start}-{len(self.content) - 1}/{len(self.content)}\r\n"
        response = reply(self.content[start:], status, headers=more, kind=self._kind)
        if not self._cuts:
            return response
        end = self._cuts.pop(0) - start
        head = len(response) - len(self.content[start:])
        return sending(response[: head + end], hang_up=True)

    @property
    def ranges(self) -> list[tuple[str | None, str | None]]:
        """The `Range` and the `If-Range` of each request."""
        return [(each.headers.get("range"), each.headers.get("if-range")) for each in self.seen]

    def file(self, client: Any, path: str = "/file.bin") -> Any:
        """Return the file as a `FileOutput`."""
        from replicate_rs import FileOutput

        return FileOutput(f"{self.origin}{path}", client)


def sending(content: bytes, *, hang_up: bool) -> Callable[[socket.socket], bytes | None]:
    """Return a script that sends these bytes and then nothing."""

    def send(connection: socket.socket) -> None:
        connection.sendall(content)
        if not hang_up:
            while connection.recv(4096):
                pass

    return send


def without_length(content: bytes) -> Callable[[socket.socket], None]:
    """Return a script for a response that ends with its connection."""

    def send(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + content)

    return send


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
