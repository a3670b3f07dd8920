"""What callers give as a file: a path, an open file of any kind, bytes, an image; and where its
content is.

What is on the disk stays there until it is sent. Nothing of the caller's is closed, and open files
stand where they stood.
"""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Part
from ..exceptions import FileError, file_error
from .content import (
    BLOCK,
    Drain,
    Turn,
    content_of,
    has_async_read,
    has_own_content,
    is_async,
    is_bytes,
    is_readable,
    pieces_of,
)
from .images import is_image, to_png

if TYPE_CHECKING:
    from typing import Any, Self

    from .._base.transport import Transport
    from .types import AsyncReadable as AsyncReadable
    from .types import FileLike as FileLike
    from .types import Image as Image
    from .types import NamedFile as NamedFile
    from .types import Readable as Readable


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
            ValueError: It is closed, or was read before and cannot be rewound.

        """
        if isinstance(file, tuple):
            return await cls._named(transport, file)
        if is_async(file):
            return await cls._awaited(transport, file)
        return await transport.call(cls.at_hand, file)

    @classmethod
    async def _named(cls, transport: type[Transport], given: tuple[Any, ...]) -> Self:
        """Find the file of a tuple, as 2.0 and httpx take them: a name, the file, its type."""
        if (
            not 2 <= len(given) <= 4
            or not isinstance(given[0], (str, type(None)))
            or isinstance(given[1], tuple)
        ):
            raise TypeError("a tuple for a file is (name, file) or (name, file, type)")
        if len(given) == 4 and given[3]:
            raise TypeError("headers of a file's own are not sent: give (name, file, type)")
        source = await cls.of(transport, given[1])
        return source.named(given[0], given[2] if len(given) > 2 else None)

    @classmethod
    async def _awaited(cls, transport: type[Transport], file: Any) -> Self:
        """Find a file that is read by await."""
        kind = getattr(file, "content_type", None)
        what = (
            f"the read() of a {type(file).__name__}"
            if has_async_read(file)
            else "an async iterable for a file"
        )
        name = "the file"
        try:
            # What is sent to a service has the name that it had on any system.
            name = _name_of(file, "filename", "\\") or _name_of(file, "name", "\\") or name
            # A reader is asked for so much at a time.
            most = BLOCK if has_async_read(file) else None
            with Drain(what, encoding=None) as drain:
                await transport.each(
                    pieces_of(file), lambda piece: drain.take(piece, most), holder=file
                )
                part = await transport.call(drain.part)
        except Exception as error:
            told = _unreadable(error, name)
            if told is error:
                raise
            raise told from error
        return cls(
            part.named(name),
            "file" if name == "the file" else name,
            kind if isinstance(kind, str) else None,
        )

    @classmethod
    def at_hand(cls, file: Any) -> Self:
        """Find a file that needs no await. May block, where the file does."""
        name = "the file"
        try:
            if is_bytes(file):
                return cls(Part(bytes(file)), "file")
            if is_image(file):
                with Turn(file):
                    return cls(Part(to_png(file)), "image.png")
            if isinstance(file, str) or hasattr(file, "__fspath__") or not is_readable(file):
                part, name = _at(file)
                return cls(part, name)
            # The uploads of Werkzeug have the name of their form's field too.
            name = (
                _base_name(getattr(file, "__dict__", {}).get("filename")) or _name_of(file) or name
            )
            part = content_of(file).named(name)
        except Exception as error:
            told = _unreadable(error, name)
            if told is error:
                raise
            raise told from error
        return cls(part, "file" if name == "the file" else name)

    def named(self, name: str | None, content_type: str | None) -> Self:
        """Return the same content under another name or type."""
        if name is None and content_type is None:
            return self
        return type(self)(self.part, self.name if name is None else name, content_type)

    def within(self, path: str) -> Self:
        """Return the same with errors that name its place in an input."""
        return type(self)(
            self.part.named(f"{path}: {self.part.name}"), self.name, self.content_type
        )

    @property
    def data_uri_head(self) -> str:
        """A `data:` URI of it, up to the content."""
        return f"data:{self.content_type};base64,"


def _at(file: Any) -> tuple[Part, str]:
    """Return the content of a path, and its name."""
    from os import fsdecode
    from pathlib import Path

    if isinstance(file, str) or (hasattr(file, "__fspath__") and not has_own_content(file)):
        file = Path(fsdecode(file))
        # Tests with a file system of their own have other paths, of which the core knows nothing.
        # An empty part is false, and read again: what the system makes up has no length.
        if type(file).__module__.partition(".")[0] == "pathlib" and (part := Part(file)):
            return part, file.name
    try:
        shown = str(file)
    except Exception:  # noqa: BLE001 - it is for messages only, and paths into archives without a name have none
        shown = _name_of(file) or type(file).__name__
    try:
        content: object = _read_itself(file)
    except OSError as error:
        raise file_error(
            f"{shown}: {_reason(error)}", _errno_of(error), error.filename or shown
        ) from error
    if not isinstance(content, bytes):
        raise TypeError(f"a {type(file).__name__} must give bytes, not {type(content).__name__}")
    return Part(content).named(shown), _name_of(file) or _name_of(file, "path") or "file"


def _read_itself(file: Any) -> object:
    if callable(getattr(file, "read_bytes", None)):
        return file.read_bytes()
    if not callable(getattr(file, "open", None)):
        raise TypeError(f"file must be a path, an open file or bytes, not {type(file).__name__}")
    # What is opened without saying how is what fsspec has.
    try:
        opened = file.open("rb")
    except TypeError:
        opened = file.open()
    with opened as readable:
        return readable.read()


def _name_of(file: object, attribute: str = "name", separator: str = "/") -> str | None:
    """Return the name that an open file has; one that was opened by its number has that for a name."""
    from os import fsdecode

    try:
        name: Any = getattr(file, attribute, None)
    except Exception:  # noqa: BLE001 - a name is not needed
        return None
    if name is None or isinstance(name, int):
        return None
    if not isinstance(name, (str, bytes)) and not hasattr(name, "__fspath__"):
        raise TypeError(
            f"the {attribute} of a {type(file).__name__} must be text, not {type(name).__name__}"
        )
    return _base_name(fsdecode(name).replace(separator, "/"))


def _base_name(name: object) -> str | None:
    from pathlib import PurePath

    return (PurePath(name).name or None) if isinstance(name, str) else None


def _unreadable(error: Exception, name: str) -> Exception:
    """Return the error of this library for whatever reading a caller's file raised."""
    if isinstance(error, FileError):
        return error
    if isinstance(error, UnicodeDecodeError):
        return file_error(f"{name} is not text ({error}): open it in binary mode, 'rb'")
    if isinstance(error, OSError):
        return file_error(
            f"{name} cannot be read: {_reason(error)}", _errno_of(error), error.filename
        )
    if isinstance(error, (TypeError, ValueError)):
        return error
    return file_error(f"{name} cannot be read: {type(error).__name__}: {error}")


def _reason(error: OSError) -> str:
    from os import strerror

    errno = _errno_of(error)
    return error.strerror or (str(error) if errno is None else strerror(errno))


def _errno_of(error: OSError) -> int | None:
    """Return the number of an error; those that Python code raises have only its class."""
    import errno

    numbers = {
        FileNotFoundError: errno.ENOENT,
        IsADirectoryError: errno.EISDIR,
        NotADirectoryError: errno.ENOTDIR,
        PermissionError: errno.EACCES,
    }
    return error.errno or next(
        (number for kind, number in numbers.items() if isinstance(error, kind)), None
    )


def is_file(value: object) -> bool:
    """Return whether a value among a model's inputs stands for its content."""
    return (
        hasattr(value, "__fspath__")
        or is_bytes(value)
        or is_readable(value)
        or is_image(value)
        or is_async(value)
        or has_own_content(value)
    )


def base64_encode_file(file: FileLike) -> str:
    """Write a file, from its beginning, as a ``data:`` URI; 1.0.7 has it in `helpers`."""
    source = Source.at_hand(file)
    return source.data_uri_head + source.part.read_base64()


def _guess(name: str) -> str:
    from mimetypes import guess_type

    return guess_type(name)[0] or "application/octet-stream"


defer_annotations(globals())
