"""A file that a model made, to be read like one on the disk."""

from __future__ import annotations

from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase, UnsupportedOperation

from ._transport import wait
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from ._core import Source
    from .file_output import FileOutput


class FileReader(RawIOBase):
    """Reads a file where it is. Each seek to somewhere else is a request of its own, for the rest from there."""

    def __init__(self, output: FileOutput) -> None:
        self.name: str = output.filename
        self.mode: str = "rb"
        self._output = output
        self._at = 0
        self._source: Source[bytes] | None = None
        # What came and was not read yet.
        self._ready: list[bytes] = []

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from anywhere."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what there is, at most as much as fits."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        target = memoryview(buffer).cast("B")
        if not target:
            return 0
        if not self._ready:
            self._ready = self._next()
        if not self._ready:
            return 0
        piece = self._ready[0]
        taken = min(len(piece), len(target))
        target[:taken] = piece[:taken]
        if taken < len(piece):
            self._ready[0] = piece[taken:]
        else:
            del self._ready[0]
        self._at += taken
        return taken

    def _next(self) -> list[bytes]:
        if self._source is None:
            self._source = self._output._core.pieces(self._output.url, start=self._at)
        try:
            pieces = wait(self._source.next())
        except BaseException:
            # The next attempt is one of its own.
            self._leave()
            raise
        self._output._known.note(self._source.said)
        return pieces

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Go somewhere; nothing is fetched, but for the length of the file if it has to be known."""
        if whence == SEEK_CUR:
            offset += self._at
        elif whence == SEEK_END:
            offset += self._length()
        elif whence != SEEK_SET:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
        if offset < 0:
            raise ValueError(f"cannot seek to {offset}, before the beginning")
        if offset != self._at:
            self._leave()
            self._at = offset
        return self._at

    def tell(self) -> int:
        """Give the position."""
        return self._at

    def _length(self) -> int:
        if self._output.size is None:
            source = self._source or self._output._core.pieces(self._output.url)
            try:
                wait(source.opened())
                self._output._known.note(source.said)
            finally:
                if source is not self._source:
                    source.close()
        if self._output.size is None:
            raise UnsupportedOperation("the file's host does not say how long it is: save() it, and open the copy")
        return self._output.size

    def _leave(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None
        self._ready = []

    def close(self) -> None:
        """Close the connection."""
        self._leave()
        super().close()
