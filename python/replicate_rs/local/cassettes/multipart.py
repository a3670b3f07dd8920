"""Multipart bodies, whose boundary differs in each request."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from .content import Content, Spool

Buffer = bytes | mmap.mmap
_MAX_HEADERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class RawPart:
    """A part: where its content begins and ends in the body."""

    name: str
    filename: str | None
    media_type: str | None
    start: int
    end: int


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a form; None for another media type."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/form-data" or not boundary:
        return None
    return boundary.encode("utf-8", "surrogateescape")


def find_parts(content: Content, boundary: bytes) -> list[RawPart] | None:
    """Return the parts of a form; None if it is not one."""
    if content.data is not None:
        return _find(content.data, boundary)
    if content.path is None:
        return None
    with content.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as m:
        return _find(m, boundary)


def copy_part(content: Content, part: RawPart, spool: Spool) -> None:
    """Write the content of a part to a spool."""
    for block in content.blocks(part.start, part.end):
        spool.write(block)


def _find(body: Buffer, boundary: bytes) -> list[RawPart] | None:
    parts: list[RawPart] = []
    for start, end in _sections(body, b"--" + boundary):
        head_end = body.find(b"\r\n\r\n", start, min(end, start + _MAX_HEADERS))
        if head_end < 0:
            return None
        head = Message()
        for line in bytes(body[start:head_end]).decode("utf-8", "replace").split("\r\n"):
            key, _, value = line.partition(":")
            head[key.strip()] = value.strip()
        name = head.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            return None
        filename = head.get_param("filename", header="content-disposition")
        parts.append(
            RawPart(
                name,
                filename if isinstance(filename, str) else None,
                head["content-type"],
                head_end + 4,
                end,
            )
        )
    return parts or None


def _sections(body: Buffer, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """Return where each part begins and ends."""
    position = body.find(delimiter)
    while position >= 0:
        start = position + len(delimiter)
        if bytes(body[start : start + 2]) == b"--":
            return
        following = body.find(b"\r\n" + delimiter, start)
        if following < 0:
            return
        yield start + 2, following
        position = following + 2
