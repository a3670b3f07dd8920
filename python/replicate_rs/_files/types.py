"""Types of files, file names and progress functions that callers pass."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from os import PathLike
from typing import IO, Annotated, Any, Protocol, TypeAlias, runtime_checkable

from .._base.types import AsItIs
from .output import FileOutput


@runtime_checkable
class Readable(Protocol):
    """An object with a `read` method that returns bytes or text."""

    def read(self) -> bytes | str:
        """Return the content from the current position on."""
        ...


@runtime_checkable
class ReadsBytes(Protocol):
    """A path with a `read_bytes` method, such as those of `zipfile` and `importlib.resources`."""

    def read_bytes(self) -> bytes:
        """Return the content of the file."""
        ...


@runtime_checkable
class AsyncReadable(Protocol):
    """An object with an async `read` method that returns bytes."""

    async def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; empty at the end."""
        ...


@runtime_checkable
class Image(Protocol):
    """A PIL image."""

    @property
    def mode(self) -> str:
        """The pixel format, such as ``RGB``."""
        ...

    def save(self, fp: IO[bytes], format: str, /) -> object:
        """Write the image."""
        ...


FileLike: TypeAlias = Annotated[
    str
    | PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | IO[str]
    | Readable
    | ReadsBytes
    | AsyncReadable
    | AsyncIterable[bytes]
    | Image,
    AsItIs(),
]
"""A file to upload: a path, bytes, an open file, an object that can be read, an async iterable of
bytes, or a PIL image. Text is the path of a file."""
NamedFile: TypeAlias = tuple[str | None, FileLike] | tuple[str | None, FileLike, str | None]
"""A file with the name, and the media type, that it is uploaded under; None for the file's own."""
FileNames: TypeAlias = Sequence[str] | Annotated[Callable[[int, FileOutput[Any]], str], AsItIs()]
"""A name for each file to save, or a function that returns it for an index and a file."""
OnSent: TypeAlias = Annotated[Callable[[int, int], object], AsItIs()]
"""A function of the bytes sent, and the bytes of all uploads begun."""
OnSaved: TypeAlias = Annotated[Callable[[int, int], object], AsItIs()]
"""A function of the files saved, and the files in all."""
