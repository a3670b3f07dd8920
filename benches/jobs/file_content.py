"""The content of the server's files, and checks that it arrived."""

from __future__ import annotations

from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from jobs.sampling import Task

# Bytes after which the content repeats itself (server/files.rs).
PERIOD = 262_147
# Bytes up to which a file is compared whole; of a larger one, three pieces are compared.
SMALL = 3_000_000
PIECE_SIZE = 100_000
# Bytes of an upload that the server keeps whole, also in base64.
KEPT = 700_000
# Bytes that an upload may have besides the file's.
MAX_OVERHEAD = 2_000


@cache
def _period() -> bytes:
    state, words = 0x9E3779B97F4A7C15, []
    for _ in range(PERIOD // 8 + 1):
        state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 7
        state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
        words.append(state.to_bytes(8, "little"))
    return b"".join(words)[:PERIOD]


def content(size: int, start: int = 0) -> bytes:
    """Return `size` bytes of the content, which is the same for all files."""
    start %= PERIOD
    return (_period() * (size // PERIOD + 2))[start : start + size]


def create_source(task: Task, size: int) -> Path:
    """Return the path of a file to upload, which the first caller writes."""
    path = Path(task.folder, f"source-{size}.bin")
    if not path.exists():
        with path.open("wb") as file:
            for start in range(0, size, PERIOD):
                file.write(_period()[: size - start])
    return path


def check_bytes(size: int, content: Any) -> None:
    """Raise ValueError unless these are the bytes of a file of that size."""
    view = memoryview(content)
    _check_size(size, len(view))
    for start in _piece_starts(size):
        _check_piece(size, start, view[start : start + PIECE_SIZE])


def check_file(size: int, path: Path) -> None:
    """Raise ValueError unless the file at `path` has the bytes of a file of that size."""
    _check_size(size, path.stat().st_size)
    with path.open("rb") as file:
        for start in _piece_starts(size):
            file.seek(start)
            _check_piece(size, start, file.read(PIECE_SIZE))


def _piece_starts(size: int) -> range | tuple[int, ...]:
    return range(0, size, PIECE_SIZE) if size <= SMALL else (0, size // 2, size - PIECE_SIZE)


def _check_size(size: int, found: int) -> None:
    if found != size:
        raise ValueError(f"wrong answer: {found:,} bytes instead of {size:,}")


def _check_piece(size: int, start: int, piece: bytes | memoryview) -> None:
    if piece != content(min(PIECE_SIZE, size - start), start):
        raise ValueError(f"wrong answer: the bytes at {start:,} differ")


def check_received(task: Task, start: bytes, size: int) -> int:
    """Return the size of the last request body that the server received.

    Raises ValueError unless the body has `start` near its beginning, and `size` bytes besides
    those of a form.
    """
    connection = HTTPConnection(task.origin.removeprefix("http://"))
    connection.request("GET", "/received")
    response = connection.getresponse()
    received = int(response.headers["received"])
    if start not in response.read() or not size < received < size + MAX_OVERHEAD:
        raise ValueError(
            f"wrong answer: the server received {received:,} bytes for {size:,}, or other content"
        )
    return received
