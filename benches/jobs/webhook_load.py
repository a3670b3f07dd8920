"""Sends webhooks to a receiver, from a core of its own: ``webhook_load.py PORT CONNECTIONS``.

Each line of standard input is a turn, as a line of JSON: a request, and for how many seconds to
send it, on all connections, the next one on each as soon as the last is answered. When all are
answered, their number is printed.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any

# Of an answer without a body: its first bytes, and its last.
HEAD, END = b"HTTP/1.1 204 ", b"\r\n\r\n"
# More than an answer has.
MOST = 4096


def turn(connections: list[socket.socket], request: bytes, seconds: float) -> int:
    """Send as many as are answered."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(request)
        end = time.perf_counter() + seconds
        count, awaited = 0, len(connections)
        while awaited:
            going = time.perf_counter() < end
            for key, _ in selector.select():
                ready: Any = key.fileobj
                answer = ready.recv(MOST)
                if not answer.startswith(HEAD) or not answer.endswith(END):
                    raise SystemExit(f"wrong answer: {answer!r}")
                count += 1
                if going:
                    ready.sendall(request)
                else:
                    awaited -= 1
        return count


def main() -> None:
    """Take turns until there are no more."""
    port, many = map(int, sys.argv[1:])
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(many)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for line in sys.stdin:
        request, seconds = json.loads(line)
        print(turn(connections, request.encode("latin-1"), seconds), flush=True)


if __name__ == "__main__":
    main()
