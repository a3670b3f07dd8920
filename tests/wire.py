"""A scripted HTTP server over raw sockets, for what a well-behaved server would never do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self


class Seen(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = bytes | Callable[[socket.socket], bytes | None]


def reply(
    body: Any = None, status: int = 200, *, headers: str = "", kind: str = "application/json", length: int | None = None
) -> bytes:
    """A whole response; `headers` are extra lines that end in CRLF."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    size = len(content) if length is None else length
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + content


def prediction(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {"id": "p1", "model": "acme/x", "status": status, "input": {}, "output": None, "error": None, "logs": "", **more}


def hang(connection: socket.socket) -> None:
    """Answer nothing until the client goes away."""
    while connection.recv(4096):
        pass


class Wire:
    """Answers each request with what `script` gives: bytes, None to close, or a function of the socket."""

    def __init__(self, script: Callable[[Seen], Answer | None]) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self.opened = 0
        self.closed = 0
        self._change = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.base_url = f"{self.origin}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def open_now(self) -> int:
        return self.opened - self.closed

    @property
    def routes(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.seen]

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> float:
        """Wait for a condition on this server; how long it took."""
        start = time.monotonic()
        with self._change:
            assert self._change.wait_for(condition, seconds), f"never came; seen: {self.routes}"
        return time.monotonic() - start

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._change:
                self.opened += 1
                self._change.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while (request := _read(connection)) is not None:
                    with self._change:
                        self.seen.append(request)
                        self._change.notify_all()
                    answer = self.script(request)
                    if callable(answer):
                        answer = answer(connection)
                    if answer is None:
                        return
                    connection.sendall(answer)
        except OSError:
            pass
        finally:
            with self._change:
                self.closed += 1
                self._change.notify_all()


def _read(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, body)
