"""The methods that make an output file an open binary file for the code that takes one."""

from __future__ import annotations

from .._base.checks import limit
from .._base.operation import operation, run_blocking, unchecked
from .._base.resource import M, Resource
from .._base.session import Async, Sync
from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, ClassVar, NoReturn, Self

    from .._base.checks import Limit
    from .._core import AbortSignal
    from .reader import FileCursor, FileInfo


class FileMetadata:
    """What a file's host has said of it so far, and the path of its copy."""

    content_type: str | None = None
    size: int | None = None
    disposition: str | None = None
    copy: Path | None = None
    # The content, once a notebook has shown the file.
    preview: bytes | None = None

    def update(self, info: FileInfo | None) -> None:
        """Take over what a response says, if there was one."""
        if info is not None:
            self.content_type, self.size, self.disposition = info[:3]

    def duplicate(self) -> FileMetadata:
        """Return an independent copy."""
        twin = FileMetadata()
        twin.__dict__.update(self.__dict__)
        return twin


class OpenFile(Resource[M]):
    """A file at a URL with one position; the first read opens it."""

    __slots__ = ("_cursors", "_metadata", "url")

    url: str
    mode: ClassVar[str] = "rb"
    """``rb``: files of an output are read as bytes."""
    _metadata: FileMetadata
    # Has the cursor once the file is open. Shared with the same file in the other mode.
    _cursors: dict[str, FileCursor]

    @property
    def _cursor(self) -> FileCursor:
        try:
            return self._cursors["cursor"]
        except KeyError:
            # Of two threads, both get the cursor of the first.
            return self._cursors.setdefault("cursor", self._make_cursor())

    def _make_cursor(self) -> FileCursor:
        from .reader import FileCursor

        return FileCursor(self._core, self.url, self._metadata.update)

    @property
    def _reads_from_position(self) -> bool:
        """Whether a `read()` without a size begins at the position."""
        cursor = self._cursors.get("cursor")
        return (
            cursor is not None
            and not cursor.closed
            and (cursor.reads_from_position or cursor.has_read_ahead)
        )

    async def _read_from_position(
        self, size: int | None, signal: AbortSignal | None, timeout: Limit | None
    ) -> bytes:
        total = limit("timeout", timeout)
        return await self._cursor.read(self._transport, size, signal=signal, total=total)

    def read1(self, size: int = -1, /) -> bytes:
        """Return what has arrived of the next `size` bytes, for `io.TextIOWrapper`.

        Args:
            size: The number of bytes, at most; -1 for all that have arrived.

        """
        self._check_blocking()
        return run_blocking(
            self._cursor.read(Sync.transport, None if size < 0 else size, once=True)
        )

    @operation
    async def readinto(self, buffer: Any) -> int:
        """Fill a writable buffer with the next bytes, and return their number.

        It is less than the buffer's length only at the end of the file.

        Args:
            buffer: A `bytearray`, or another object with a writable buffer.

        Raises:
            FileError: The host answers with an error, or the file has changed.

        """
        return await self._cursor.readinto(self._transport, buffer)

    @operation
    async def readline(self, size: int | None = -1) -> bytes:
        """Return the next line with its end; nothing at the end of the file.

        Args:
            size: The number of bytes at most; -1 or None is no limit.

        Raises:
            FileError: The host answers with an error, or the file has changed.

        """
        return await self._cursor.readline(
            self._transport, -1 if size is None or size < 0 else size
        )

    @operation
    async def readlines(self, size: int | None = -1) -> list[bytes]:
        """Return the lines that follow.

        Args:
            size: The number of bytes after which no further line is read; -1 or None is no limit.

        Raises:
            FileError: The host answers with an error, or the file has changed.

        """
        lines: list[bytes] = []
        total = 0
        while line := await unchecked(OpenFile[M].readline)(self):
            lines.append(line)
            total += len(line)
            if size is not None and 0 < size <= total:
                break
        return lines

    @operation
    async def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position, and return it. After it, `read()` without a size begins there.

        Args:
            offset: Bytes from the beginning, from the position (`whence` 1) or from the end (2,
                which may send a request for the size).
            whence: 0, 1 or 2.

        Raises:
            ValueError: The position is before the beginning of the file.
            FileError: The host answers with an error, or the file has changed.

        """
        return await self._cursor.seek(self._transport, offset, whence)

    def tell(self) -> int:
        """Return the position, in bytes; a `read()` of the whole file does not change it."""
        return self._cursor.tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return False."""
        return False

    def isatty(self) -> bool:
        """Return False."""
        return False

    def fileno(self) -> NoReturn:
        """Raise `io.UnsupportedOperation`: the file is not on this machine."""
        from io import UnsupportedOperation

        raise UnsupportedOperation(
            "a FileOutput has no file descriptor: open a copy, by open(os.fspath(output), 'rb')"
        )

    def flush(self) -> None:
        """Do nothing, since the file is not writable."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called, after which nothing can be read from the position."""
        cursor = self._cursors.get("cursor")
        return cursor is not None and cursor.closed

    def close(self) -> None:
        """Close the open file and its connection.

        `read()` of the whole file, `save`, `open` and ``for`` still work.
        """
        self._cursor.close()

    async def aclose(self) -> None:
        """Close the file; see `close`."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _check_blocking(self) -> None:
        if self._mode is Async:
            raise TypeError(
                "a file of an AsyncReplicate is read with 'async for', or with await and its"
                " read(); what blocks takes await output.open()"
            )


defer_annotations(globals())
