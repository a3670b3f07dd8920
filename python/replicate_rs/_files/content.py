"""Read the whole content of open files, and leave their position as it was.

A file on the disk is not read here: the core opens it again, through its descriptor, and reads it
while it is sent. All others are read through Python.
"""

from __future__ import annotations

from .._base.operation import run_blocking
from .._base.typing import TYPE_CHECKING
from .._core import Part
from ..exceptions import FileError
from .detect import has_async_read, is_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Any, Self
    from weakref import ref


# The API refuses files above 100 MB (https://replicate.com/docs/reference/http#files.create). Its
# exact limit is not documented: files between 100 MB and 100 MiB are sent, and the API decides.
MAX_BYTES = 100 << 20
# Bytes of content kept in memory; longer content goes to a temporary file.
MAX_IN_MEMORY = 1 << 20
# Bytes per read.
BLOCK_SIZE = 256 << 10
# How often in a row a file may return the very same object.
MAX_REPEATS = 1000


class ContentBuffer:
    """The content read so far, in memory or in a temporary file."""

    def __init__(self, source: str, *, encoding: str | None) -> None:
        """Create an empty buffer for the content of `source`; text needs an encoding."""
        from tempfile import SpooledTemporaryFile

        self.length: int = 0
        self._source = source
        self._encoding = encoding
        self._is_text: bool | None = None
        self._last_piece: object = None
        self._repeats = 0
        self._file = SpooledTemporaryFile(MAX_IN_MEMORY)  # noqa: SIM115 - closed by __exit__, or with the last Part that reads it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, piece: object, max_length: int | None = None) -> bool:
        """Add a piece of at most `max_length` bytes or characters; return whether it has any."""
        is_text = False
        if isinstance(piece, str) and self._encoding is not None:
            content, is_text = piece.encode(self._encoding), True
        elif is_bytes(piece):
            content = bytes(piece)
        else:
            wanted = "bytes" if self._encoding is None else "bytes or text"
            hint = ": it does not block, and has nothing yet" if piece is None else ""
            raise TypeError(f"{self._source} must give {wanted}, not {type(piece).__name__}{hint}")
        # Text files may end with empty bytes.
        if piece and self._is_text not in (None, is_text):
            raise TypeError(f"{self._source} must give bytes or text, not both in turn")
        if max_length is not None and len(piece) > max_length:
            raise ValueError(
                f"{self._source} gave {len(piece):,} bytes or characters where {max_length:,} were"
                " asked for"
            )
        self._is_text = is_text
        self._repeats = self._repeats + 1 if piece is self._last_piece and len(piece) > 1 else 0
        self._last_piece = piece
        if self._repeats == MAX_REPEATS:
            raise ValueError(f"{self._source} gives the same without end")
        self._file.write(content)
        self.length += len(content)
        if self.length > MAX_BYTES:
            raise ValueError(
                f"{self._source} gives more than {MAX_BYTES:,} bytes, and Replicate takes files of"
                " at most 100 MB"
            )
        return bool(content)

    def to_part(self) -> Part:
        """Return the content as a part of a request's body."""
        self._file.seek(0)
        return _part_on_disk(self._file) or Part(self._file.read())


def read_content(file: Any) -> Part:
    """Return the whole content of an open file; may block.

    Raises:
        TypeError: The file returns something other than bytes or text.
        ValueError: The file is closed, or was read before and cannot be rewound.

    """
    from io import BytesIO, TextIOWrapper

    file = _without_wrapper(file)
    if type(file) is BytesIO:
        return Part(file.getvalue())
    if isinstance(file, TextIOWrapper):
        return _read_text(file)
    return _part_on_disk(file) or _read(file)


def _part_on_disk(file: Any) -> Part | None:
    """Return the content of an open file on the disk, to be read by the core."""
    from io import BufferedRandom, BufferedReader, FileIO

    file = _without_wrapper(file)
    raw = file.raw if type(file) in (BufferedReader, BufferedRandom) else file
    # Other types may have a descriptor too and return something else, such as what they decompress.
    if type(raw) is not FileIO or not raw.readable():
        return None
    try:
        if isinstance(file, BufferedRandom):
            file.flush()
        # The path leads to the open file, even if that was moved or removed.
        part = Part(f"/dev/fd/{file.fileno()}", at_once=True)
    except (FileError, OSError):
        # A pipe, a file that may not be opened again, or a system without these paths.
        return None
    # Files in /proc have content and a length of 0.
    return part if len(part) else None


def _without_wrapper(file: Any) -> Any:
    if type(file).__module__ == "tempfile":
        return getattr(file, "_file", None) or getattr(file, "file", file)
    return file


def _read_text(file: Any) -> Part:
    """Read the bytes of a text file, which cannot tell its position during iteration."""
    if not file.seekable():
        part = _read(file)
        # A text file ends where a non-blocking file has no data yet.
        if file.buffer.read(1) != b"":
            raise TypeError(
                f"the read() of a {type(file).__name__} must give all there is: it does not block,"
                " and has more to come"
            )
        return part
    file.flush()
    with FileLock(file):
        content = run_blocking(_read_all(file.buffer))
    content.decode(file.encoding, file.errors or "strict")
    return Part(content)


async def _read_all(file: Any) -> bytes:
    async with _Rewound(file):
        content: bytes = file.read()
    return content


def _read(file: Any) -> Part:
    """Read a file through Python."""
    source = f"the read() of a {type(file).__name__}"
    encoding = getattr(file, "encoding", None) or "utf-8"
    with FileLock(file), ContentBuffer(source, encoding=encoding) as buffer:
        run_blocking(_read_into(file, buffer))
        return buffer.to_part()


async def _read_into(file: Any, buffer: ContentBuffer) -> None:
    """Read a file without async methods, which never suspends."""
    async with _Rewound(file) as rewound:
        if not rewound.is_at_start:
            mark_read(file)
        try:
            piece = file.read(BLOCK_SIZE)
        except TypeError:
            # Its read() takes no size.
            _read_without_size(file, buffer)
        else:
            while buffer.write(piece, BLOCK_SIZE):
                piece = file.read(BLOCK_SIZE)
        if not rewound.is_at_start and not buffer.length:
            raise already_read_error(file)


def _read_without_size(file: Any, buffer: ContentBuffer) -> None:
    first: object = file.read()
    if not buffer.write(first):
        return
    # Connections return what has arrived so far; other objects return everything, each time.
    while piece := file.read():
        if type(piece) is type(first) and piece == first:
            _read_once.pop(id(file), None)
            return
        buffer.write(piece)


class _Rewound:
    """Rewinds a file, async or not, if that is possible, and restores its position at the end."""

    def __init__(self, file: Any) -> None:
        self._file = file

    async def __aenter__(self) -> Self:
        self._position = await self._get_position()
        self.is_at_start = await self._rewind()
        if not self.is_at_start and self._position:
            raise already_read_error(self._file)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._position is None or not self.is_at_start:
            return
        from contextlib import suppress

        # A file that fails here was at its beginning and cannot seek: the next read refuses it.
        with suppress(Exception):
            await _await_if_needed(self._file.seek(self._position))

    async def _get_position(self) -> int | None:
        # Starlette's and Litestar's UploadFile have no tell(); the file within does.
        file: Any = self._file if hasattr(self._file, "tell") else getattr(self._file, "file", None)
        try:
            position = await _await_if_needed(file.tell())
        except Exception:  # noqa: BLE001 - a file without a position may still be readable
            return None
        return position if type(position) is int else None

    async def _rewind(self) -> bool:
        seekable = getattr(self._file, "seekable", None)
        try:
            if callable(seekable) and not await _await_if_needed(seekable()):
                return False
            await _await_if_needed(self._file.seek(0))
        except Exception:  # noqa: BLE001 - as above
            return False
        return await self._get_position() in (0, None)


async def _await_if_needed(result: Any) -> Any:
    return await result if hasattr(result, "__await__") else result


class FileLock:
    """Lets one thread at a time read a file, which has a single position."""

    def __init__(self, file: object) -> None:
        from os import getpid

        # A forked process must not wait for a thread of its parent.
        self._key = (getpid(), id(file))

    def __enter__(self) -> None:
        from threading import Lock

        while True:
            lock = _locks.setdefault(self._key, Lock())
            lock.acquire()
            # The previous owner has removed its lock from the dict.
            if _locks.get(self._key) is lock:
                return
            lock.release()

    def __exit__(self, *_: object) -> None:
        _locks.pop(self._key).release()


_locks: dict[tuple[int, int], Any] = {}
# Files that were read and cannot be rewound, by identity, as long as they exist.
_read_once: dict[int, ref[Any]] = {}


def mark_read(file: object) -> None:
    """Remember that a file that cannot be rewound is read.

    Raises `ValueError` if it was read before.
    """
    from contextlib import suppress
    from weakref import ref

    key = id(file)
    if key in _read_once:
        raise already_read_error(file)
    # A file without weak references has no content at the second read, which is refused too.
    with suppress(TypeError):
        _read_once[key] = ref(file, lambda _: _read_once.pop(key, None))


def already_read_error(file: object) -> ValueError:
    """Return the error for a file without content that cannot be rewound."""
    return ValueError(
        f"this {type(file).__name__} was read before, or is empty, and cannot be rewound: "
        "open it anew, or pass its content as bytes"
    )


def read_async(file: Any) -> AsyncGenerator[object, None]:
    """Yield the whole content of an async file or an async iterable.

    A file that can be rewound is read from its beginning, and its position is restored.
    """
    return _read_async_file(file) if has_async_read(file) else _read_async_iterable(file)


async def _read_async_iterable(file: Any) -> AsyncGenerator[object, None]:
    is_iterator = hasattr(file, "__anext__")
    if is_iterator:
        mark_read(file)
    is_empty = True
    async for piece in file:
        is_empty = False
        yield piece
    if is_iterator and is_empty:
        raise already_read_error(file)


async def _read_async_file(file: Any) -> AsyncGenerator[object, None]:
    is_empty = True
    async with _Rewound(file) as rewound:
        if not rewound.is_at_start:
            mark_read(file)
        while piece := await file.read(BLOCK_SIZE):
            is_empty = False
            yield piece
    if is_empty and not rewound.is_at_start:
        raise already_read_error(file)
