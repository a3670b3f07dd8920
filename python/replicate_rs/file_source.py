"""What callers give as a file: a path, an open file of any kind, bytes, an image; and where its content is.

What is on the disk stays there until it is sent. Nothing of the caller's is closed, or changed beyond being read.
"""

from __future__ import annotations

from sys import modules

from ._core import Part
from ._typing import TYPE_CHECKING, defer_annotations
from .exceptions import FileError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any, Self, TypeGuard

    from ._transport import Transport
    from .types import AsyncReadable as AsyncReadable
    from .types import FileLike as FileLike
    from .types import Image as Image
    from .types import NamedFile as NamedFile
    from .types import Readable as Readable


# Bytes of an async file that are kept in memory; what is longer waits on the disk until it is sent.
MOST_IN_MEMORY = 1 << 20
# Bytes that an async file is asked for at a time.
BLOCK = 256 << 10
# Flags of a function's code (https://docs.python.org/3/library/inspect.html#code-objects-bit-flags).
CO_VARARGS, CO_COROUTINE = 4, 128
# How PNG can store the pixels of an image (https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html#png).
OF_PNG = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")


class Source:
    """Where a file's content is, and what it is called."""

    __slots__ = ("content_type", "name", "part")

    def __init__(self, part: Part, name: str, content_type: str | None = None) -> None:
        self.part: Part = part
        self.name: str = name
        self.content_type: str = content_type or _guess(name)

    @classmethod
    async def of(cls, transport: type[Transport], file: FileLike | NamedFile) -> Self:
        """Find a caller's file. Awaits the transport and nothing else.

        Raises:
            FileError: It cannot be read.
            TypeError: It is no file, or an async one that this client cannot read.
            ValueError: It is closed.

        """
        if isinstance(file, tuple):
            return await cls._named(transport, file)
        if is_async(file):
            with Drain() as drain:
                await transport.each(_pieces(file), drain.take)
                return await transport.call(cls._drained, drain, file)
        return await transport.call(cls.at_hand, file)

    @classmethod
    async def _named(cls, transport: type[Transport], given: tuple[Any, ...]) -> Self:
        """Find the file of a tuple, as 2.0 and httpx take them: a name, the file, its type."""
        if not 2 <= len(given) <= 4 or not isinstance(given[0], (str, type(None))) or isinstance(given[1], tuple):
            raise TypeError("a tuple for a file is (name, file) or (name, file, type)")
        if len(given) == 4 and given[3]:
            raise TypeError("headers of a file's own are not sent: give (name, file, type)")
        source = await cls.of(transport, given[1])
        return source.named(given[0], given[2] if len(given) > 2 else None)

    @classmethod
    def at_hand(cls, file: Any) -> Self:
        """Find a file that needs no await. May block, where the file does."""
        from os import PathLike, fspath
        from pathlib import Path

        if isinstance(file, (str, PathLike)):
            path = Path(fspath(file))
            return cls(_at(path), path.name)
        if is_bytes(file):
            return cls(Part(bytes(file)), "file")
        if is_image(file):
            return cls(Part(_png(file)), "image.png")
        if not is_readable(file):
            raise TypeError(f"file must be a path, an open file or bytes, not {type(file).__name__}")
        name = getattr(file, "name", None)
        shown = Path(name).name if isinstance(name, str) else ""
        try:
            # An empty part is false, and read again: what the system makes up has no length.
            part = _on_disk(file) or Part(_read(file))
        except FileError:
            raise
        except UnicodeDecodeError as error:
            raise FileError(detail=f"{shown or 'the file'} is not text ({error}): open it in binary mode, 'rb'") from error
        except OSError as error:
            raise FileError(detail=f"{shown or 'the file'} cannot be read: {error}") from error
        return cls(part, shown or "file")

    @classmethod
    def _drained(cls, drain: Drain, file: object) -> Self:
        name = getattr(file, "filename", None) or getattr(file, "name", None)
        shown = name.replace("\\", "/").rpartition("/")[2] if isinstance(name, str) else ""
        kind = getattr(file, "content_type", None)
        return cls(drain.part(), shown or "file", kind if isinstance(kind, str) else None)

    def named(self, name: str | None, content_type: str | None) -> Self:
        """Give the same content under another name or type."""
        if name is None and content_type is None:
            return self
        return type(self)(self.part, self.name if name is None else name, content_type)

    @property
    def data_uri_head(self) -> str:
        """A `data:` URI of it, up to the content."""
        return f"data:{self.content_type};base64,"


class Drain:
    """What an async file gave so far: in memory if it is little, else on the disk."""

    def __init__(self) -> None:
        from tempfile import SpooledTemporaryFile

        self._file = SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115 - closed when nobody needs it any more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def take(self, piece: object) -> None:
        """Add what came next."""
        if not is_bytes(piece):
            raise TypeError(f"an async iterable for a file must give bytes, not {type(piece).__name__}")
        self._file.write(piece)

    def part(self) -> Part:
        """Give all of it."""
        self._file.seek(0)
        return _on_disk(self._file) or Part(self._file.read())


async def _pieces(file: Any) -> AsyncIterator[object]:
    if _has_async_read(file):
        while piece := await file.read(BLOCK):
            yield piece
    else:
        async for piece in file:
            yield piece


def _at(path: Path) -> Part:
    """Give the content of a path."""
    part = Part(path)
    if len(part):
        return part
    # Files that a system makes up have no length, and a content.
    try:
        return Part(path.read_bytes())
    except OSError as error:
        raise FileError(detail=f"{path}: {error.strerror}") from error


def _on_disk(file: Any) -> Part | None:
    """Give the content of an open file that lies on the disk as it is read, from where it stands to its end."""
    from io import BufferedRandom, BufferedReader, FileIO

    # What `tempfile` gives are wrappers.
    if type(file).__module__ == "tempfile":
        file = getattr(file, "_file", None) or getattr(file, "file", file)
    raw = file.raw if type(file) in (BufferedReader, BufferedRandom) else file
    # Others have the number of a file too, and give something else: what they unpack, for one.
    if type(raw) is not FileIO:
        return None
    try:
        if isinstance(file, BufferedRandom):
            file.flush()
        position = file.tell()
        # Opened anew through its number, so that it may have been moved or removed meanwhile.
        part = Part(f"/dev/fd/{file.fileno()}", offset=position, at_once=True)
        if not len(part):
            # Nothing is left, or the system makes it up as it is read.
            return None
        file.seek(position + len(part))
    except (FileError, OSError):
        # A pipe, a file that may not be opened again, or a system without these paths.
        return None
    return part


def _read(file: Readable) -> bytes:
    content: object = file.read()
    if isinstance(content, str):
        return content.encode(getattr(file, "encoding", None) or "utf-8")
    if is_bytes(content):
        return bytes(content)
    raise TypeError(f"the read() of a {type(file).__name__} must give bytes or text, not {type(content).__name__}")


def _png(image: Image) -> bytes:
    from io import BytesIO

    if image.mode not in OF_PNG:
        raise TypeError(f"PNG cannot store an image of mode {image.mode}: convert it to RGB or RGBA, or save it to an io.BytesIO")
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def is_bytes(value: object) -> TypeGuard[bytes | bytearray]:
    """Whether a value holds bytes; a memoryview does too."""
    return isinstance(value, (bytes, bytearray, memoryview))


def is_image(value: object) -> TypeGuard[Image]:
    """Whether a value is an image of PIL, which may not have been imported."""
    return isinstance(value, getattr(modules.get("PIL.Image"), "Image", ()))


def is_readable(value: object) -> TypeGuard[Readable]:
    """Whether a value is an open file, or reads like one."""
    return callable(getattr(value, "read", None))


def is_async(value: object) -> bool:
    """Whether a value gives its content to those who await it; a path, as a `FileOutput` is too, does so to anybody."""
    if hasattr(value, "__fspath__"):
        return False
    return _has_async_read(value) or (hasattr(type(value), "__aiter__") and not hasattr(type(value), "__iter__"))


def is_read_by_await(value: object) -> bool:
    """Whether a value's `read` is an ``async def``."""
    return bool(_flags_of_read(value)[0] & CO_COROUTINE)


def _has_async_read(value: object) -> TypeGuard[AsyncReadable]:
    flags, arguments = _flags_of_read(value)
    # Answers of HTTP clients are read all at once.
    return bool(flags & CO_COROUTINE) and (arguments > 1 or bool(flags & CO_VARARGS))


def _flags_of_read(value: object) -> tuple[int, int]:
    code = getattr(getattr(value, "read", None), "__code__", None)
    return getattr(code, "co_flags", 0), getattr(code, "co_argcount", 0)


def is_file(value: object) -> bool:
    """Whether a value among a model's inputs stands for its content."""
    return hasattr(value, "__fspath__") or is_bytes(value) or is_readable(value) or is_image(value) or is_async(value)


def base64_encode_file(file: FileLike) -> str:
    """Write a file, from its beginning, as a ``data:`` URI; 1.0.7 has it in `helpers`."""
    seek = getattr(file, "seek", None)
    if seek is not None:
        seek(0)
    source = Source.at_hand(file)
    return source.data_uri_head + source.part.read_base64()


def _guess(name: str) -> str:
    from mimetypes import guess_type

    return guess_type(name)[0] or "application/octet-stream"


defer_annotations(globals())
