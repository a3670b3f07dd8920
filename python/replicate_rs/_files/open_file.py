"""The methods by which a file that a model made is an open file to whoever takes one."""

from __future__ import annotations

from .._base.checks import limit
from .._base.operation import operation, run_blocking, unchecked
from .._base.resource import M, Resource
from .._base.session import Async, Sync
from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Any, ClassVar, NoReturn, Self

    from .._base.checks import Limit
    from .._base.operation import Said
    from .._core import AbortSignal
    from .reader import FileCursor


class FileFacts:
    """What is known of a file, once something was asked for."""

    content_type: str | None = None
    size: int | None = None
    disposition: str | None = None
    copy: Path | None = None

    def note(self, said: Said | None) -> None:
        """Take over what its host says."""
        if said is not None:
            self.content_type, self.size, self.disposition = said[:3]

    def duplicate(self) -> FileFacts:
        """Return another with the same facts."""
        twin = FileFacts()
        twin.__dict__.update(self.__dict__)
        return twin


class OpenFile(Resource[M]):
    """One open file: it is opened when something of it is read, and read in order from there on."""

    __slots__ = ("_known", "_opened", "url")

    url: str
    mode: ClassVar[str] = "rb"
    _known: FileFacts
    # The same for this file in another mode, and another for a copy.
    _opened: dict[str, FileCursor]

    @property
    def _cursor(self) -> FileCursor:
        try:
            return self._opened["cursor"]
        except KeyError:
            from .reader import FileCursor

            # Of two threads, both get that of the first.
            return self._opened.setdefault("cursor", FileCursor(self._core, self.url))

    @property
    def _is_read_on(self) -> bool:
        """Whether a `read()` without a size goes on from the position."""
        cursor = self._opened.get("cursor")
        return (
            cursor is not None and not cursor.closed and (cursor.reads_on or cursor.has_read_ahead)
        )

    async def _read_on(
        self, size: int | None, signal: AbortSignal | None, timeout: Limit | None
    ) -> bytes:
        cursor = self._cursor
        part = await cursor.read(
            self._transport, size, signal=signal, total=limit("timeout", timeout)
        )
        self._known.note(cursor.said)
        return part

    def read1(self, size: int = -1, /) -> bytes:
        """Return what there is of the next `size` bytes; `io.TextIOWrapper` reads by this."""
        self._check_blocking()
        cursor = self._cursor
        part = run_blocking(cursor.read(Sync.transport, None if size < 0 else size, once=True))
        self._known.note(cursor.said)
        return part

    @operation
    async def readinto(self, buffer: Any) -> int:
        """Fill a writable buffer with the next bytes, and return how many they are: fewer than fit
        only at the end.
        """
        cursor = self._cursor
        count = await cursor.readinto(self._transport, buffer)
        self._known.note(cursor.said)
        return count

    @operation
    async def readline(self, size: int | None = -1) -> bytes:
        """Return the next line with its end, at most `size` bytes of it; nothing at the end."""
        cursor = self._cursor
        line = await cursor.readline(self._transport, -1 if size is None or size < 0 else size)
        self._known.note(cursor.said)
        return line

    @operation
    async def readlines(self, size: int | None = -1) -> list[bytes]:
        """Return the lines that are left, or as many as have `size` bytes together."""
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
        """Go to a position, and return it: from the beginning, from the position (`whence` 1) or
        from the end (2).

        Nothing is fetched, unless the length has to be known. After it, `read()` without a size
        reads from there to the end.
        """
        cursor = self._cursor
        position = await cursor.seek(self._transport, offset, whence)
        self._known.note(cursor.said)
        return position

    def tell(self) -> int:
        """Return the position: how many bytes `read(n)`, `readline` and their like have read, or
        where `seek` went.
        """
        return self._cursor.tell()

    def readable(self) -> bool:
        """Return whether it can be read: True."""
        return True

    def seekable(self) -> bool:
        """Return whether it can be read from anywhere: True."""
        return True

    def writable(self) -> bool:
        """Return whether it can be written: False."""
        return False

    def isatty(self) -> bool:
        """Return whether it is a terminal: False."""
        return False

    def fileno(self) -> NoReturn:
        """Raise `io.UnsupportedOperation`: it is no file of this machine."""
        from io import UnsupportedOperation

        raise UnsupportedOperation(
            "a FileOutput has no file descriptor: open a copy, by open(os.fspath(output), 'rb')"
        )

    def flush(self) -> None:
        """Do nothing: there is nothing to write."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called.

        All but what reads from the position can be used all the same.
        """
        cursor = self._opened.get("cursor")
        return cursor is not None and cursor.closed

    def close(self) -> None:
        """Close the open file, and its connection if there is one; `read()`, `save`, `open` and
        ``for`` go on to work.
        """
        self._cursor.close()

    async def aclose(self) -> None:
        """Close the file, as `close` does."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_blocking(self) -> None:
        if self._mode is Async:
            raise TypeError(
                "a file of an AsyncReplicate is read with 'async for', or with await and its"
                " read(); what blocks takes await output.open()"
            )


defer_annotations(globals())
