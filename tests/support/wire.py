"""A scripted HTTP server over raw sockets, which can misbehave in every way."""

from __future__ import annotations

import atexit
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Self


class Seen(NamedTuple):
    """A request that was received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = bytes | Callable[[socket.socket], bytes | None]


def reply(
    body: Any = None,
    status: int = 200,
    *,
    headers: str = "",
    kind: str = "application/json",
    length: int | None = None,
) -> bytes:
    """Return a response; `headers` are more lines, each with CRLF at its end."""
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    size = len(content) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n"
    return f"{head}{headers}\r\n".encode() + content


def prediction(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    about = {"id": "p1", "model": "acme/x", "version": "v", "status": status, "input": {}}
    return {**about, "output": None, "error": None, "logs": "", **more}


def hang(connection: socket.socket) -> None:
    """Answer nothing until the client closes the connection."""
    while connection.recv(4096):
        pass


# Sockets that keep ports of servers that have closed. Otherwise a server of another test might get
# such a port, and requests of clients that still retry.
_kept: deque[socket.socket] = deque()
MAX_KEPT = 256


@atexit.register
def _close_kept() -> None:
    while _kept:
        _kept.popleft().close()


def _keep(port: int) -> int:
    """Bind a port without listening at it, so that it refuses connections; return it."""
    if len(_kept) == MAX_KEPT:
        _kept.popleft().close()
    kept = socket.socket()
    _kept.append(kept)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", port))
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return kept.getsockname()[1]


def closed_port() -> int:
    """Return a port that refuses connections."""
    return _keep(0)


class Wire:
    """A server that answers each request as `script` says.

    `script` returns the bytes of the answer, a function of the socket, or None to close it.
    """

    def __init__(self, script: Callable[[Seen], Answer | None]) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self.opened = 0
        self.closed = 0
        # The last request of each open connection, by its thread, and whether it was answered.
        self._open: dict[int, str] = {}
        self._change = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.base_url = f"{self.origin}/v1"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A test may have closed it, or started another server at this port.
        with suppress(OSError):
            port = self._listener.getsockname()[1]
            # A thread that still accepted would keep listening at the port.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._accepting.join(1)
            _keep(port)

    @property
    def open_now(self) -> int:
        return self.opened - self.closed

    @property
    def used_now(self) -> int:
        """The open connections that had a request; the pool may have another one in reserve."""
        return sum(route != "no request" for route in list(self._open.values()))

    @property
    def routes(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.seen]

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> float:
        """Wait for a condition on this server; return the seconds it took."""
        start = time.monotonic()
        with self._change:
            assert self._change.wait_for(condition, seconds), (
                f"timed out; open connections: {[*self._open.values()]}; "
                f"{len(self.seen)} requests: {self.routes}"
            )
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
        thread = threading.get_ident()
        self._open[thread] = "no request"
        try:
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while (request := _read(connection)) is not None:
                    with self._change:
                        self.seen.append(request)
                        self._open[thread] = route = f"{request.method} {request.path}"
                        self._change.notify_all()
                    answer = self.script(request)
                    if callable(answer):
                        answer = answer(connection)
                    if answer is None:
                        return
                    connection.sendall(answer)
                    self._open[thread] = f"{route}, answered"
        except OSError:
            pass
        finally:
            with self._change:
                self.closed += 1
                del self._open[thread]
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
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        before = headers.get(name.lower())
        headers[name.lower()] = value.strip() if before is None else f"{before}, {value.strip()}"
    content, length = bytearray(body), int(headers.get("content-length", 0))
    is_chunked = headers.get("transfer-encoding") == "chunked"
    # The last chunk is empty. A form in the body may also end a line with a zero.
    while (
        not (b"\r\n" + content).endswith(b"\r\n0\r\n\r\n") if is_chunked else len(content) < length
    ):
        part = connection.recv(1 << 20)
        if not part:
            return None
        content += part
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, bytes(content))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNKED = HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"


def output(*texts: str) -> bytes:
    """Return events of output without ids."""
    return b"".join(f"event: output\ndata: {text}\n\n".encode() for text in texts)


def numbered(*texts: str, first: int = 0) -> bytes:
    """Return events of output with ids like those of Replicate."""
    return b"".join(
        f"id: 1690212292:{n}\nevent: output\ndata: {text}\n\n".encode()
        for n, text in enumerate(texts, first)
    )


def done(reason: str | None = None) -> bytes:
    return f"event: done\ndata: {json.dumps({'reason': reason} if reason else {})}\n\n".encode()


def streaming(
    *streams: Any, path: str = "/stream", poll: Any = None, chunked: bool = False
) -> Wire:
    """Return a server of one prediction, which answers requests for its stream with `streams`.

    Args:
        streams: The answers in their order; the last one is repeated. Each is the bytes of events
            or a function of the request. A function of the `connection` continues the bytes
            before it.
        path: The path of the stream.
        poll: The prediction when it is fetched, or a list of its states in their order.
        chunked: Whether the stream is sent in chunks.

    """
    turns: list[tuple[Any, Any]] = []
    for stream in streams:
        if callable(stream) and turns and stream.__code__.co_varnames[:1] == ("connection",):
            turns[-1] = (turns[-1][0], stream)
        else:
            turns.append((stream, None))
    polls = poll if isinstance(poll, list) else [poll]
    counts = {"stream": 0, "poll": 0}

    def turn(name: str, of: list[Any]) -> Any:
        counts[name] += 1
        return of[min(counts[name], len(of)) - 1]

    def script(seen: Seen) -> Answer | None:
        if seen.path == path:
            stream, after = turn("stream", turns)
            if callable(stream):
                return stream(seen)

            def send(connection: socket.socket) -> bytes | None:
                if chunked:
                    connection.sendall(CHUNKED + f"{len(stream):x}\r\n".encode() + stream + b"\r\n")
                    return b"0\r\n\r\n"
                connection.sendall(HEAD + stream)
                if after:
                    after(connection)
                return None

            return send
        view = turn("poll", polls) if seen.method == "GET" else None
        return reply(
            {**(view or prediction("starting")), "urls": {"stream": f"{wire.origin}{path}"}},
            200 if view else 201,
        )

    wire = Wire(script)
    return wire


def get_authorization(wire):
    """Return the `Authorization` header of the last request."""
    return wire.seen[-1].headers.get("authorization")
