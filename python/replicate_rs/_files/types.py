"""Types of files, as callers give them and name them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from os import PathLike
from typing import IO, Annotated, Any, Protocol, TypeAlias, runtime_checkable

from .._base.types import AsItIs
from .output import FileOutput


@runtime_checkable
class Readable(Protocol):
    """Anything with a `read` that gives bytes or text."""

    def read(self) -> bytes | str:
        """Return the rest."""
        ...


@runtime_checkable
class ReadsBytes(Protocol):
    """A path that is read through Python, as those of `zipfile` and of `importlib.resources` are."""

    def read_bytes(self) -> bytes:
        """Return its content."""
        ...


@runtime_checkable
class AsyncReadable(Protocol):
    """Anything with an async `read` that gives bytes."""

    async def read(self, size: int, /) -> bytes:
        """Return so many bytes, or fewer; none at the end."""
        ...


@runtime_checkable
class Image(Protocol):
    """An image of PIL."""

    @property
    def mode(self) -> str:
        """How its pixels are stored."""
        ...

    def save(self, fp: IO[bytes], format: str, /) -> object:
        """Write it."""
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
NamedFile: TypeAlias = tuple[str | None, FileLike] | tuple[str | None, FileLike, str | None]
# Of files that are saved: a name for each, or a function of its index and the file.
FileNames: TypeAlias = Sequence[str] | Annotated[Callable[[int, FileOutput[Any]], str], AsItIs()]
OnSent: TypeAlias = Annotated[Callable[[int, int], object], AsItIs()]
