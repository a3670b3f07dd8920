"""The content of a body, in memory if it is small, and otherwise in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# Bytes of a body that are kept in memory.
MAX_IN_MEMORY = 256 * 1024
BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a body.

    Args:
        data: The bytes, if they are in memory.
        path: The file, if they are not.
        size: The number of bytes.

    """

    data: bytes | None
    path: Path | None
    size: int

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Return content in memory."""
        return cls(data, None, len(data))

    def read(self) -> bytes:
        """Return all bytes."""
        if self.data is not None:
            return self.data
        return b"".join(self.blocks())

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Return the bytes from `start` up to `end` in blocks."""
        end = self.size if end is None else min(end, self.size)
        if self.data is not None:
            if self.data[start:end]:
                yield self.data[start:end]
        elif self.path is not None:
            with self.path.open("rb") as file:
                file.seek(start)
                while start < end and (block := file.read(min(BLOCK, end - start))):
                    yield block
                    start += len(block)

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes, in hexadecimal digits."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


class Spool:
    """Collects the bytes of a body, in a file as soon as they are many.

    Args:
        path: The file, which `close` deletes; None: the bytes stay in memory.

    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._data = bytearray()
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, block: bytes) -> None:
        """Add bytes."""
        self._size += len(block)
        if self._path is None or (self._file is None and self._size <= MAX_IN_MEMORY):
            self._data += block
            return
        if self._file is None:
            self._file = self._path.open("wb")
            self._file.write(self._data)
            self._data.clear()
        self._file.write(block)

    def content(self) -> Content:
        """Return what was collected."""
        if self._file is None:
            return Content.of(bytes(self._data))
        self._file.flush()
        return Content(None, self._path, self._size)

    def close(self) -> None:
        """Close and delete the file."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
