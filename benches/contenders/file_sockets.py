"""The functions that every contender at files has, and those of plain sockets."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Bytes that pass through Python at a time, where a library offers the choice.
BLOCK_SIZE = 1 << 20
BOUNDARY = "bench"
FORM_END = f"\r\n--{BOUNDARY}--\r\n".encode()


class FileFunctions(NamedTuple):
    """A library's functions for files; those of an async library return awaitables."""

    save: Callable[[str, Path], Any]
    """Save what is at a URL to a path that does not exist."""
    read: Callable[[str], Any]
    """Return what is at a URL, as an object that supports the buffer protocol."""
    upload: Callable[[Path], Any]
    """Return a File, or the dict of one."""
    peak: Callable[[], int] | None = None
    """Return the peak memory of the last child process, in bytes; None if there is no child."""
    iterate: Callable[[str, Path], Any] | None = None
    """Save in a loop over chunks; None if `save` is such a loop."""


def not_measured(*_: Any) -> Any:
    """Raise LookupError: stands for a function that no section measures."""
    raise LookupError("no section measures this")


@contextmanager
def plain_socket(origin: str, _: str | None) -> Iterator[FileFunctions]:
    """Move bytes between a socket and a file, `BLOCK_SIZE` at a time."""
    address = urlsplit(origin)
    buffer = memoryview(bytearray(BLOCK_SIZE))
    head = f"Host: {address.netloc}\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:

        def get(url: str) -> tuple[int, memoryview]:
            connection.sendall(f"GET {urlsplit(url).path} HTTP/1.1\r\n{head}\r\n".encode())
            return _read_head(connection, buffer)

        def save(url: str, target: Path) -> None:
            remaining, start = get(url)
            with target.open("wb", buffering=0) as file:
                remaining -= file.write(start)
                while remaining:
                    count = connection.recv_into(buffer)
                    remaining -= count
                    file.write(buffer[:count])

        def read(url: str) -> Any:
            size, start = get(url)
            content = bytearray(size)
            view = memoryview(content)
            view[: len(start)] = start
            view = view[len(start) :]
            while view:
                view = view[connection.recv_into(view) :]
            return content

        def upload(path: Path) -> Any:
            _send_head(connection, head, path)
            with path.open("rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    connection.sendall(buffer[:count])
            return _end_form(connection, buffer)

        yield FileFunctions(save, read, upload)


@contextmanager
def sendfile(origin: str, _: str | None) -> Iterator[FileFunctions]:
    """Let the kernel send the file, with `socket.sendfile`."""
    address = urlsplit(origin)
    buffer = memoryview(bytearray(BLOCK_SIZE))
    with socket.create_connection((address.hostname, address.port)) as connection:

        def upload(path: Path) -> Any:
            _send_head(connection, f"Host: {address.netloc}\r\n", path)
            with path.open("rb") as file:
                connection.sendfile(file)
            return _end_form(connection, buffer)

        yield FileFunctions(not_measured, not_measured, upload)


def _read_head(connection: socket.socket, buffer: memoryview) -> tuple[int, memoryview]:
    """Read a response's head; return the body's size, and the part of it that has arrived."""
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
    size = len(part) + path.stat().st_size + len(FORM_END)
    content_type = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    request = f"POST /v1/files HTTP/1.1\r\n{head}{content_type}Content-Length: {size}\r\n\r\n"
    connection.sendall((request + part).encode())


def _end_form(connection: socket.socket, buffer: memoryview) -> Any:
    connection.sendall(FORM_END)
    _, record = _read_head(connection, buffer)
    return json.loads(bytes(record))
