"""Read a file at a host from any position: what is read is fetched, and nothing else."""

from __future__ import annotations

from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase, UnsupportedOperation
from os import getpid
from threading import Lock

from .._base.operation import run_blocking
from .._base.transport import Blocking
from .._base.typing import TYPE_CHECKING, TypeVar
from .._core import read_data_uri
from .urls import await_file, changed_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from .._base.transport import Transport
    from .._core import AbortSignal, Core, Pending, ResponseStream

    # What a host says of a file: its media type, its length in bytes, its `Content-Disposition`,
    # and its `ETag` or `Last-Modified`.
    FileInfo: TypeAlias = tuple[str | None, int | None, str | None, str | None]

T = TypeVar("T")

# Bytes that are read and dropped, rather than sending a new request, to get to a later position.
MAX_SKIP = 256 << 10
# Seconds between two attempts to lock a file that another thread or task is reading.
LOCK_INTERVAL = 0.001
# Characters of a `data:` URI that are decoded in the caller's thread; longer ones would block an
# event loop.
MAX_DECODED_HERE = 256 << 10


class FileCursor:
    """A position in a file, and the content fetched from there on.

    Its ``async`` methods await the transport and nothing else. They run one at a time: threads and
    tasks wait for each other. Reading in order uses one connection; a position elsewhere needs
    another. All responses must be of the same version of the file.
    """

    def __init__(self, core: Core, url: str, on_info: Callable[[FileInfo], object]) -> None:
        """Create a cursor at the file's beginning; `on_info` gets what the file's host says."""
        self.position: int = 0
        self.size: int | None = None
        self.closed: bool = False
        # Whether `read()` without a size begins at the position: once after a `seek`, and always
        # after `read1`, since whoever calls that has a buffer with what was read.
        self.reads_from_position: bool = False
        self.has_read_ahead: bool = False
        self._core = core
        self._url = url
        self._on_info = on_info
        self._lock = Lock()
        self._process = getpid()
        self._source: ResponseStream[bytes] | None = None
        # The position where the source was opened, the pieces that have come from it, and the
        # position of the first of these.
        self._source_start = 0
        self._pieces: list[bytes] = []
        self._pieces_start = 0
        # The validator and the size in the first response.
        self._version: tuple[str | None, int | None] | None = None
        self._has_changed = False
        # The content of a `data:` URI.
        self._content: bytes | None = None

    async def read(
        self,
        transport: type[Transport],
        size: int | None,
        *,
        once: bool = False,
        signal: AbortSignal | None = None,
        total: float | None = None,
    ) -> bytes:
        """Return the next `size` bytes, fewer at the end, or all that follow if it is None.

        With `once`, return what one piece of the response has of these.
        """
        lock = await self._acquire(transport)
        limits = (
            {"signal": signal, "total": total} if signal is not None or total is not None else None
        )
        try:
            if limits is not None:
                # An open source has the limits of an earlier call.
                self._drop()
            parts: list[bytes] = []
            position, left = self.position, size
            while left is None or left > 0:
                found = await self._piece_at(transport, position, limits)
                if found is None:
                    break
                piece, offset = found
                part = piece[offset:] if left is None else piece[offset : offset + left]
                parts.append(part)
                position += len(part)
                left = None if left is None else left - len(part)
                if once:
                    break
            self.position, self.reads_from_position = position, False
            self.has_read_ahead |= once
            return b"".join(parts)
        finally:
            if limits is not None:
                self._drop()
            lock.release()

    async def readinto(self, transport: type[Transport], buffer: Any, *, once: bool = False) -> int:
        """Fill a buffer, and return the number of bytes; with `once`, copy one piece at most."""
        target = memoryview(buffer).cast("B")
        lock = await self._acquire(transport)
        try:
            filled = 0
            while filled < len(target) and not (once and filled):
                found = await self._piece_at(transport, self.position + filled)
                if found is None:
                    break
                piece, offset = found
                count = min(len(piece) - offset, len(target) - filled)
                target[filled : filled + count] = memoryview(piece)[offset : offset + count]
                filled += count
            self.position, self.reads_from_position = self.position + filled, False
            return filled
        finally:
            lock.release()

    async def readline(self, transport: type[Transport], size: int = -1) -> bytes:
        """Return the next line with its end, at most `size` bytes of it."""
        lock = await self._acquire(transport)
        try:
            parts: list[bytes] = []
            position, left = self.position, size
            while left:
                found = await self._piece_at(transport, position)
                if found is None:
                    break
                piece, offset = found
                last = len(piece) if left < 0 else min(len(piece), offset + left)
                end = piece.find(b"\n", offset, last) + 1
                part = piece[offset : end or last]
                parts.append(part)
                position += len(part)
                left = left if left < 0 else left - len(part)
                if end:
                    break
            self.position, self.reads_from_position = position, False
            return b"".join(parts)
        finally:
            lock.release()

    async def seek(self, transport: type[Transport], offset: int, whence: int = SEEK_SET) -> int:
        """Set the position, and return it; only `SEEK_END` may need a request, for the size."""
        lock = await self._acquire(transport)
        try:
            if whence == SEEK_CUR:
                offset += self.position
            elif whence == SEEK_END:
                offset += await self._get_size(transport)
            elif whence != SEEK_SET:
                raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
            if offset < 0:
                # Both an `OSError`, as files on a disk raise, and a `ValueError`, as BytesIO does.
                raise UnsupportedOperation(f"cannot seek to {offset}, before the beginning")
            if offset == 0 and self._has_changed:
                # The caller got the error, and begins to read the new version.
                self.size, self._version, self._has_changed = None, None, False
            self.position, self.reads_from_position = offset, offset > 0
            return offset
        finally:
            lock.release()

    def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self.position

    def close(self) -> None:
        """Close the connection, and refuse further reads."""
        self.closed = True
        self._drop()
        self._content = None

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(
                "I/O operation on closed file: open() opens it again, and read() without a size"
                " returns all of it"
            )

    async def _acquire(self, transport: type[Transport]) -> Lock:
        if self._process != getpid():
            # A forked process keeps the position, but not its parent's lock and connection.
            self._process, self._lock, self._source = getpid(), Lock(), None
            self._drop()
        lock = self._lock
        while not lock.acquire(blocking=False):
            await transport.finish(self._core.sleep(LOCK_INTERVAL))
        try:
            self._check_open()
        except ValueError:
            lock.release()
            raise
        return lock

    async def _piece_at(
        self, transport: type[Transport], position: int, limits: dict[str, Any] | None = None
    ) -> tuple[bytes, int] | None:
        """Return the piece with the byte at a position, and its offset there; None at the end."""
        if self._is_inline:
            content = await self._get_inline_content(transport)
            return (content, position) if position < len(content) else None
        if self._has_changed:
            raise changed_error(self._url)
        if position < self._pieces_start:
            self._drop()
        while not self._has_piece_at(position):
            if self.size is not None and position >= self.size:
                return None
            if self._source is None or position - self._pieces_start > MAX_SKIP:
                self._open(position, limits)
            self._pieces = await self._fetch_pieces(transport)
            if not self._pieces:
                self._end()
                return None
        return self._pieces[0], position - self._pieces_start

    def _has_piece_at(self, position: int) -> bool:
        """Drop the pieces before a position, and return whether any is left."""
        while self._pieces and self._pieces_start + len(self._pieces[0]) <= position:
            self._pieces_start += len(self._pieces.pop(0))
        return bool(self._pieces)

    def _end(self) -> None:
        """Take the end of the response for the end of the file."""
        # Another thread may have closed the file.
        self._check_open()
        has_content = self._pieces_start > self._source_start
        if self.size is None and (has_content or self._source_start == 0):
            self.size = self._pieces_start
        self._drop()

    def _open(self, start: int, limits: dict[str, Any] | None = None) -> ResponseStream[bytes]:
        self._drop()
        self._pieces_start = self._source_start = start
        self._source = self._core.pieces(self._url, start=start, **(limits or {}))
        return self._source

    async def _fetch_pieces(self, transport: type[Transport]) -> list[bytes]:
        source = self._source
        return [] if source is None else await self._finish(transport, source, source.next())

    async def _finish(
        self, transport: type[Transport], source: ResponseStream[bytes], pending: Pending[T]
    ) -> T:
        """Wait for a source, and check that the file is the same as before."""
        try:
            result = await await_file(transport.finish(pending))
            if source.said is not None:
                self._check_info(source.said)
        except BaseException:
            # A later read opens another source.
            self._drop()
            raise
        return result

    def _check_info(self, info: FileInfo) -> None:
        version = (info[3], info[1])
        if self._version is None:
            self._version = version
        elif any(
            None not in pair and pair[0] != pair[1]
            for pair in zip(self._version, version, strict=True)
        ):
            self._has_changed = True
            raise changed_error(self._url)
        self.size = info[1] if self.size is None else self.size
        self._on_info(info)

    @property
    def _is_inline(self) -> bool:
        return self._url[:5].lower() == "data:"

    async def _get_inline_content(self, transport: type[Transport]) -> bytes:
        if self._content is None:
            self._content = (await decode_data_uri(transport, self._url))[1]
            self.size = len(self._content)
        return self._content

    async def _get_size(self, transport: type[Transport]) -> int:
        if self._is_inline:
            return len(await self._get_inline_content(transport))
        if self._has_changed:
            raise changed_error(self._url)
        if self.size is None:
            source = self._source or self._open(self.position)
            await self._finish(transport, source, source.opened())
        if self.size is None:
            raise UnsupportedOperation(
                "the file's host does not say how long it is: save() it, and open the copy"
            )
        return self.size

    def _drop(self) -> None:
        """Close the connection, and drop what was fetched."""
        source, self._source = self._source, None
        if source is not None:
            source.close()
        self._pieces = []
        self._pieces_start = self.position


async def decode_data_uri(transport: type[Transport], uri: str) -> tuple[str, bytes]:
    """Return the media type and the content of a `data:` URI."""
    if len(uri) <= MAX_DECODED_HERE:
        return read_data_uri(uri)
    return await transport.call(read_data_uri, uri)


class FileReader(RawIOBase):
    """A raw file object with its own cursor, to be buffered."""

    def __init__(self, name: str, cursor: FileCursor) -> None:
        self.name: str = name
        self.mode: str = "rb"
        self._cursor = cursor

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Copy one piece of the file into a buffer, and return the number of bytes."""
        return run_blocking(self._cursor.readinto(Blocking, buffer, once=True))

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Set the position, and return it; only `SEEK_END` may need a request, for the size."""
        return run_blocking(self._cursor.seek(Blocking, offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return self._cursor.tell()

    def close(self) -> None:
        """Close the connection."""
        self._cursor.close()
        super().close()
