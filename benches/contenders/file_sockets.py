"""What is asked of all who have to do with files, and how it is done without an HTTP library: the
best there can be.
"""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Bytes that are passed through Python at a time, where one can choose.
PIECE = 1 << 20
BOUNDARY = "bench"
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


class Ways(NamedTuple):
    """What a library does with files; the async ones give awaitables."""

    save: Callable[[str, Path], Any]
    """Takes a URL, and a path that does not exist."""
    read: Callable[[str], Any]
    """Gives bytes, or what is read like them."""
    upload: Callable[[Path], Any]
    """Gives a File, or the dict of one."""
    peak: Callable[[], int] | None = None
    """Bytes that a process of its own took at most; None for what happens in this one."""


def missing(*_: Any) -> Any:
    """Stand where a library is not asked."""
    raise LookupError("no section asks for this")


@contextmanager
def bare(origin: str, _: str | None) -> Iterator[Ways]:
    """Move bytes between a socket and a file, a large piece at a time."""
    place = urlsplit(origin)
    buffer = memoryview(bytearray(PIECE))
    head = f"Host: {place.netloc}\r\n"
    with socket.create_connection((place.hostname, place.port)) as connection:

        def get(url: str) -> tuple[int, memoryview]:
            connection.sendall(f"GET {urlsplit(url).path} HTTP/1.1\r\n{head}\r\n".encode())
            return _body(connection, buffer)

        def save(url: str, target: Path) -> None:
            left, begun = get(url)
            with target.open("wb", buffering=0) as file:
                left -= file.write(begun)
                while left:
                    count = connection.recv_into(buffer)
                    left -= count
                    file.write(buffer[:count])

        def read(url: str) -> Any:
            size, begun = get(url)
            whole = bytearray(size)
            view = memoryview(whole)
            view[: len(begun)] = begun
            view = view[len(begun) :]
            while view:
                view = view[connection.recv_into(view) :]
            return whole

        def upload(path: Path) -> Any:
            _send_head(connection, head, path)
            with path.open("rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    connection.sendall(buffer[:count])
            return _sent(connection, buffer)

        yield Ways(save, read, upload)


@contextmanager
def sendfile(origin: str, _: str | None) -> Iterator[Ways]:
    """Have the system do it all."""
    place = urlsplit(origin)
    buffer = memoryview(bytearray(PIECE))
    with socket.create_connection((place.hostname, place.port)) as connection:

        def upload(path: Path) -> Any:
            _send_head(connection, f"Host: {place.netloc}\r\n", path)
            with path.open("rb") as file:
                connection.sendfile(file)
            return _sent(connection, buffer)

        yield Ways(missing, missing, upload)


def _body(connection: socket.socket, buffer: memoryview) -> tuple[int, memoryview]:
    """Read a head; gives the size of what follows, and what of it is there."""
    count = connection.recv_into(buffer)
    head, _, _ = bytes(buffer[: min(count, 4096)]).partition(b"\r\n\r\n")
    size = next(
        int(line[15:])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return size, buffer[len(head) + 4 : count]


def _send_head(connection: socket.socket, head: str, path: Path) -> None:
    part = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content";'
        f' filename="{path.name}"\r\n\r\n'
    )
    size = len(part) + path.stat().st_size + len(TAIL)
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    connection.sendall(
        f"POST /v1/files HTTP/1.1\r\n{head}{kind}Content-Length: {size}\r\n\r\n{part}".encode()
    )


def _sent(connection: socket.socket, buffer: memoryview) -> Any:
    connection.sendall(TAIL)
    _, record = _body(connection, buffer)
    return json.loads(bytes(record))
