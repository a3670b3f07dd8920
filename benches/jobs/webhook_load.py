"""Program that sends webhooks to a service: ``webhook_load.py PORT CONNECTIONS``.

Each line of standard input is a JSON array of a request and a number of seconds. The program sends
the request on all connections, repeats it on each as soon as the response has arrived until the
time is over, and prints the number of responses.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any

# The first and the last bytes of a response without a body.
STATUS_LINE, HEAD_END = b"HTTP/1.1 204 ", b"\r\n\r\n"
# Bytes, more than a response has.
READ_SIZE = 4096


def send(connections: list[socket.socket], request: bytes, seconds: float) -> int:
    """Send a request repeatedly; return the number of responses."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(request)
        end = time.perf_counter() + seconds
        count, pending = 0, len(connections)
        while pending:
            is_open = time.perf_counter() < end
            for key, _ in selector.select():
                connection: Any = key.fileobj
                response = connection.recv(READ_SIZE)
                if not response.startswith(STATUS_LINE) or not response.endswith(HEAD_END):
                    raise SystemExit(f"wrong answer: {response!r}")
                count += 1
                if is_open:
                    connection.sendall(request)
                else:
                    pending -= 1
        return count


def main() -> None:
    """Answer each line of standard input."""
    port, count = map(int, sys.argv[1:])
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for line in sys.stdin:
        request, seconds = json.loads(line)
        print(send(connections, request.encode("latin-1"), seconds), flush=True)


if __name__ == "__main__":
    main()
