"""Reading a file that a model made from any position: what is read is fetched, and nothing else."""

from __future__ import annotations

from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase, UnsupportedOperation
from os import getpid
from threading import Lock

from ._core import read_data_uri
from ._operation import run
from ._transport import Blocking
from ._typing import TYPE_CHECKING
from .file_errors import changed, fetched

if TYPE_CHECKING:
    from typing import Any

    from ._core import AbortSignal, Core, ResponseStream
    from ._operation import Said
    from ._transport import Transport
    from .file_output import FileOutput

# Bytes that are read and dropped rather than asked for anew, when a position lies so far ahead.
MAX_SKIP = 256 << 10
# Seconds between two tries to get at a file that another thread or task is reading.
TURN = 0.001
# Characters of a `data:` URI that are decoded where they are; longer ones would hold an event loop
# up.
MAX_DECODED_INLINE = 256 << 10


class FileCursor:
    """A position in a file, and what has been fetched from there on.

    Its ``async`` methods await the transport and nothing else. One of them runs at a time: threads
    and tasks wait for each other. A connection serves all that is read in order; another is made
    for a position elsewhere. All answers must be of the same version of the file.
    """

    def __init__(self, core: Core, url: str) -> None:
        self.at: int = 0
        self.size: int | None = None
        self.said: Said | None = None
        self.closed: bool = False
        # Whether the position is where `read()` without a size begins: for one time after a `seek`,
        # and always for those who use `read1`, since they keep to themselves what it gave.
        self.reads_on: bool = False
        self.has_read_ahead: bool = False
        self._core = core
        self._url = url
        self._lock = Lock()
        self._process = getpid()
        self._source: ResponseStream[bytes] | None = None
        # Where the source was opened, what of it is here, and the position of the first byte of
        # that.
        self._opened_at = 0
        self._pieces: list[bytes] = []
        self._start = 0
        # The validator and the length that the first answer gave.
        self._version: tuple[str | None, int | None] | None = None
        self._has_changed = False
        # Of a `data:` URI.
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
        """Return the next `size` bytes, or fewer at the end; all that are left if it is None; with
        `once`, what is there.
        """
        lock = await self._acquire(transport)
        limits = (
            {"signal": signal, "total": total} if signal is not None or total is not None else None
        )
        try:
            if limits is not None:
                # A source has the limits that it was opened with.
                self._drop()
            parts: list[bytes] = []
            at, left = self.at, size
            while left is None or left > 0:
                found = await self._piece(transport, at, limits)
                if found is None:
                    break
                piece, offset = found
                part = piece[offset:] if left is None else piece[offset : offset + left]
                parts.append(part)
                at += len(part)
                left = None if left is None else left - len(part)
                if once:
                    break
            self.at, self.reads_on = at, False
            self.has_read_ahead |= once
            return b"".join(parts)
        finally:
            if limits is not None:
                self._drop()
            lock.release()

    async def readinto(self, transport: type[Transport], buffer: Any, *, once: bool = False) -> int:
        """Fill a buffer, or as much of it as there is; return how many bytes that were."""
        target = memoryview(buffer).cast("B")
        lock = await self._acquire(transport)
        try:
            filled = 0
            while filled < len(target) and not (once and filled):
                found = await self._piece(transport, self.at + filled)
                if found is None:
                    break
                piece, offset = found
                count = min(len(piece) - offset, len(target) - filled)
                target[filled : filled + count] = memoryview(piece)[offset : offset + count]
                filled += count
            self.at, self.reads_on = self.at + filled, False
            return filled
        finally:
            lock.release()

    async def readline(self, transport: type[Transport], size: int = -1) -> bytes:
        """Return the next line with its end, at most `size` bytes of it."""
        lock = await self._acquire(transport)
        try:
            parts: list[bytes] = []
            at, left = self.at, size
            while left:
                found = await self._piece(transport, at)
                if found is None:
                    break
                piece, offset = found
                last = len(piece) if left < 0 else min(len(piece), offset + left)
                end = piece.find(b"\n", offset, last) + 1
                part = piece[offset : end or last]
                parts.append(part)
                at += len(part)
                left = left if left < 0 else left - len(part)
                if end:
                    break
            self.at, self.reads_on = at, False
            return b"".join(parts)
        finally:
            lock.release()

    async def seek(self, transport: type[Transport], offset: int, whence: int = SEEK_SET) -> int:
        """Go to a position, and return it; nothing is fetched, but for the length of the file if it
        has to be known.
        """
        lock = await self._acquire(transport)
        try:
            if whence == SEEK_CUR:
                offset += self.at
            elif whence == SEEK_END:
                offset += await self._length(transport)
            elif whence != SEEK_SET:
                raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
            if offset < 0:
                # An `OSError` and a `ValueError`: files on a disk raise the one, those in memory
                # the other.
                raise UnsupportedOperation(f"cannot seek to {offset}, before the beginning")
            if offset == 0 and self._has_changed:
                # Whoever was told reads the new version, from its beginning.
                self.size, self._version, self._has_changed = None, None, False
            self.at, self.reads_on = offset, offset > 0
            return offset
        finally:
            lock.release()

    def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self.at

    def close(self) -> None:
        """Close the connection; nothing more can be read."""
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
            # The lock and the connection are the parent's; the position is not.
            self._process, self._lock, self._source = getpid(), Lock(), None
            self._drop()
        lock = self._lock
        while not lock.acquire(blocking=False):
            await transport.finish(self._core.sleep(TURN))
        try:
            self._check_open()
        except ValueError:
            lock.release()
            raise
        return lock

    async def _piece(
        self, transport: type[Transport], at: int, limits: dict[str, Any] | None = None
    ) -> tuple[bytes, int] | None:
        """Return the piece that holds the byte `at`, and where in it that is; None at the end."""
        if self._url[:5].lower() == "data:":
            content = await self._inline(transport)
            return (content, at) if at < len(content) else None
        if self._has_changed:
            raise changed(self._url)
        if at < self._start:
            self._drop()
        while not self._holds(at):
            if self.size is not None and at >= self.size:
                return None
            if self._source is None or at - self._start > MAX_SKIP:
                self._open(at, limits)
            self._pieces = await self._next(transport)
            if not self._pieces:
                self._end()
                return None
        return self._pieces[0], at - self._start

    def _holds(self, at: int) -> bool:
        """Drop the pieces that end before the byte `at`; whether one is left, which begins no
        later.
        """
        while self._pieces and self._start + len(self._pieces[0]) <= at:
            self._start += len(self._pieces.pop(0))
        return bool(self._pieces)

    def _end(self) -> None:
        """Take what has come for all that there is."""
        # Another thread may have closed it meanwhile.
        self._check_open()
        if self.size is None and (self._start > self._opened_at or self._opened_at == 0):
            self.size = self._start
        self._drop()

    def _open(self, at: int, limits: dict[str, Any] | None = None) -> ResponseStream[bytes]:
        self._drop()
        self._start = self._opened_at = at
        self._source = self._core.pieces(self._url, start=at, **(limits or {}))
        return self._source

    async def _next(self, transport: type[Transport]) -> list[bytes]:
        source = self._source
        if source is None:
            return []
        try:
            pieces = await fetched(transport.finish(source.next()))
            self._note(source.said)
        except BaseException:
            # The next attempt is one of its own.
            self._drop()
            raise
        return pieces

    def _note(self, said: Said | None) -> None:
        """Take over what an answer says of the file, which must be the same file as before."""
        if said is None:
            return
        self.said = said
        version = (said[3], said[1])
        if self._version is None:
            self._version = version
        elif any(
            None not in pair and pair[0] != pair[1]
            for pair in zip(self._version, version, strict=True)
        ):
            self._has_changed = True
            raise changed(self._url)
        self.size = said[1] if self.size is None else self.size

    async def _inline(self, transport: type[Transport]) -> bytes:
        if self._content is None:
            self._content = (await decoded(transport, self._url))[1]
            self.size = len(self._content)
        return self._content

    async def _length(self, transport: type[Transport]) -> int:
        if self._url[:5].lower() == "data:":
            return len(await self._inline(transport))
        if self._has_changed:
            raise changed(self._url)
        if self.size is None:
            source = self._source or self._open(self.at)
            try:
                await fetched(transport.finish(source.opened()))
                self._note(source.said)
            except BaseException:
                self._drop()
                raise
        if self.size is None:
            raise UnsupportedOperation(
                "the file's host does not say how long it is: save() it, and open the copy"
            )
        return self.size

    def _drop(self) -> None:
        """Close the connection, and forget what has come."""
        source, self._source = self._source, None
        if source is not None:
            source.close()
        self._pieces = []
        self._start = self.at


async def decoded(transport: type[Transport], uri: str) -> tuple[str, bytes]:
    """Return the media type and the content of a `data:` URI."""
    if len(uri) <= MAX_DECODED_INLINE:
        return read_data_uri(uri)
    return await transport.call(read_data_uri, uri)


class FileReader(RawIOBase):
    """An open file of its own, for what buffers it."""

    def __init__(self, output: FileOutput) -> None:
        self.name: str = output.filename
        self.mode: str = "rb"
        self._output = output
        self._cursor = FileCursor(output._core, output.url)

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from anywhere."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what there is, at most as much as fits."""
        count = run(self._cursor.readinto(Blocking, buffer, once=True))
        self._output._known.note(self._cursor.said)
        return count

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Go somewhere; nothing is fetched, but for the length of the file if it has to be known."""
        position = run(self._cursor.seek(Blocking, offset, whence))
        self._output._known.note(self._cursor.said)
        return position

    def tell(self) -> int:
        """Return the position."""
        return self._cursor.tell()

    def close(self) -> None:
        """Close the connection."""
        self._cursor.close()
        super().close()
