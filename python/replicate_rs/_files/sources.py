"""Where the content of a caller's file is, and what the file is called.

The content of a file on the disk stays there until it is sent. Files of the caller are not closed,
and open files keep their position.
"""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Part
from ..exceptions import FileError, file_error
from .content import BLOCK_SIZE, ContentBuffer, FileLock, read_async, read_content
from .detect import has_async_read, is_async, is_bytes, is_image, is_readable, is_virtual_path

if TYPE_CHECKING:
    from typing import Any, NoReturn, Self

    from .._base.transport import Transport
    from .types import FileLike as FileLike
    from .types import NamedFile as NamedFile

# What messages call a file without a name.
UNNAMED = "the file"


class FileSlot:
    """A file in an input, and the text that takes its place."""

    __slots__ = ("file", "path", "text")

    def __init__(self, file: Any, path: str) -> None:
        self.file: Any = file
        self.path: str = path
        self.text: str | None = None


class FileSource:
    """The content, the name and the media type of a file to send."""

    __slots__ = ("content_type", "name", "part")

    def __init__(self, part: Part, name: str, content_type: str | None = None) -> None:
        self.part: Part = part
        self.name: str = name
        self.content_type: str = content_type or _guess_type(name)

    @classmethod
    async def of(cls, transport: type[Transport], file: FileLike | NamedFile) -> Self:
        """Return the source of a caller's file. Awaits the transport and nothing else.

        Raises:
            FileError: The file cannot be read.
            TypeError: The value is not a file, or is an async one and the client is not.
            ValueError: The file is closed, or was read before and cannot be rewound.

        """
        if isinstance(file, tuple):
            return await cls._of_tuple(transport, file)
        if is_async(file):
            return await cls._of_async(transport, file)
        return await transport.call(cls.of_sync, file)

    @classmethod
    async def _of_tuple(cls, transport: type[Transport], file: tuple[Any, ...]) -> Self:
        """Return the source of ``(name, file)`` or ``(name, file, type)``, as httpx takes them."""
        if (
            not 2 <= len(file) <= 4
            or not isinstance(file[0], (str, type(None)))
            or isinstance(file[1], tuple)
        ):
            raise TypeError("a tuple for a file is (name, file) or (name, file, type)")
        if len(file) == 4 and file[3]:
            raise TypeError("headers of a file's own are not sent: give (name, file, type)")
        source = await cls.of(transport, file[1])
        return source.renamed(file[0], file[2] if len(file) > 2 else None)

    @classmethod
    async def _of_async(cls, transport: type[Transport], file: Any) -> Self:
        content_type = getattr(file, "content_type", None)
        # An async file is asked for a number of bytes; an iterable chooses its own.
        what, max_length = (
            (f"the read() of a {type(file).__name__}", BLOCK_SIZE)
            if has_async_read(file)
            else ("an async iterable for a file", None)
        )
        name = UNNAMED
        try:
            # The name of an uploaded file may come from any system.
            name = _get_name(file, "filename", "\\") or _get_name(file, "name", "\\") or name
            with ContentBuffer(what, encoding=None) as buffer:
                await transport.each(
                    read_async(file), lambda piece: buffer.write(piece, max_length), holder=file
                )
                part = await transport.call(buffer.to_part)
        except Exception as error:  # noqa: BLE001 - raised again
            _raise_read_error(error, name)
        return cls(
            part.named(name),
            "file" if name == UNNAMED else name,
            content_type if isinstance(content_type, str) else None,
        )

    @classmethod
    def of_sync(cls, file: Any) -> Self:
        """Return the source of a file that can be read without an event loop; may block."""
        name = UNNAMED
        try:
            if is_bytes(file):
                return cls(Part(bytes(file)), "file")
            if is_image(file):
                from .images import to_png

                with FileLock(file):
                    return cls(Part(to_png(file)), "image.png")
            if isinstance(file, str) or hasattr(file, "__fspath__") or not is_readable(file):
                return cls(*_read_path(file))
            # Werkzeug's FileStorage has the name of the form's field as its `name`.
            filename = getattr(file, "__dict__", {}).get("filename")
            name = _get_base_name(filename) or _get_name(file) or name
            part = read_content(file).named(name)
        except Exception as error:  # noqa: BLE001 - raised again
            _raise_read_error(error, name)
        return cls(part, "file" if name == UNNAMED else name)

    def renamed(self, name: str | None, content_type: str | None) -> Self:
        """Return the same content with another name or media type."""
        if name is None and content_type is None:
            return self
        return type(self)(self.part, self.name if name is None else name, content_type)

    def at_path(self, path: str) -> Self:
        """Return the same file with errors that begin with its path in an input."""
        return type(self)(
            self.part.named(f"{path}: {self.part.name}"), self.name, self.content_type
        )

    @property
    def data_uri_head(self) -> str:
        """The file's `data:` URI up to the content."""
        return f"data:{self.content_type};base64,"

    def to_data_uri(self) -> str:
        """Read the file, and return its `data:` URI."""
        return self.data_uri_head + self.part.read_base64()


def _read_path(file: Any) -> tuple[Part, str]:
    """Return the content and the name of a path."""
    from os import fsdecode
    from pathlib import Path

    if isinstance(file, str) or (hasattr(file, "__fspath__") and not is_virtual_path(file)):
        file = Path(fsdecode(file))
        # The core knows nothing of pyfakefs, whose paths are of another module. An empty part is
        # false and read through Python: files in /proc have content and a length of 0.
        if type(file).__module__.partition(".")[0] == "pathlib" and (part := Part(file)):
            return part, file.name
    try:
        shown = str(file)
    except Exception:  # noqa: BLE001 - for messages only; zipfile.Path fails without a file name
        shown = _get_name(file) or type(file).__name__
    try:
        content: object = _read_virtual_path(file)
    except OSError as error:
        raise file_error(
            f"{shown}: {_get_reason(error)}", _get_errno(error), error.filename or shown
        ) from error
    if not isinstance(content, bytes):
        raise TypeError(f"a {type(file).__name__} must give bytes, not {type(content).__name__}")
    return Part(content).named(shown), _get_name(file) or _get_name(file, "path") or "file"


def _read_virtual_path(file: Any) -> object:
    if callable(getattr(file, "read_bytes", None)):
        return file.read_bytes()
    if not callable(getattr(file, "open", None)):
        raise TypeError(f"file must be a path, an open file or bytes, not {type(file).__name__}")
    try:
        opened = file.open("rb")
    except TypeError:
        # The open() of an fsspec.OpenFile takes no mode.
        opened = file.open()
    with opened as readable:
        return readable.read()


def _get_name(file: object, attribute: str = "name", separator: str = "/") -> str | None:
    """Return an open file's name without its folder; None if it was opened by its descriptor."""
    from os import fsdecode

    try:
        name: Any = getattr(file, attribute, None)
    except Exception:  # noqa: BLE001 - a file may have no name
        return None
    if name is None or isinstance(name, int):
        return None
    if not isinstance(name, (str, bytes)) and not hasattr(name, "__fspath__"):
        raise TypeError(
            f"the {attribute} of a {type(file).__name__} must be text, not {type(name).__name__}"
        )
    return _get_base_name(fsdecode(name).replace(separator, "/"))


def _get_base_name(name: object) -> str | None:
    from pathlib import PurePath

    return (PurePath(name).name or None) if isinstance(name, str) else None


def _raise_read_error(error: Exception, name: str) -> NoReturn:
    """Raise the error for an exception from reading a caller's file."""
    if isinstance(error, UnicodeDecodeError):
        raise file_error(f"{name} is not text ({error}): open it in binary mode, 'rb'") from error
    if isinstance(error, FileError):
        raise error
    # Before ValueError: `io.UnsupportedOperation` is both.
    if isinstance(error, OSError):
        raise file_error(
            f"{name} cannot be read: {_get_reason(error)}", _get_errno(error), error.filename
        ) from error
    if isinstance(error, (TypeError, ValueError)):
        raise error
    raise file_error(f"{name} cannot be read: {type(error).__name__}: {error}") from error


def _get_reason(error: OSError) -> str:
    from os import strerror

    errno = _get_errno(error)
    return error.strerror or (str(error) if errno is None else strerror(errno))


def _get_errno(error: OSError) -> int | None:
    """Return an error's number, or that of its class: Python code often raises without one."""
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


def base64_encode_file(file: FileLike) -> str:
    """Return a file's content, from its beginning, as a ``data:`` URI; 1.0.7's helper.

    Args:
        file: The file: a path, bytes, or an open file.

    """
    return FileSource.of_sync(file).to_data_uri()


def _guess_type(name: str) -> str:
    from mimetypes import guess_type

    return guess_type(name)[0] or "application/octet-stream"


defer_annotations(globals())
