"""The content of open files: whole, from the beginning, with the position left as it was.

What lies on the disk stays there until it is sent, and its handle is not touched; all else is read
through Python.
"""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Part
from ..exceptions import FileError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Any, Self, TypeGuard
    from weakref import ref

    from .types import AsyncReadable as AsyncReadable
    from .types import Readable as Readable


# The API refuses files above 100 MB (https://replicate.com/docs/reference/http#files.create). Its
# exact limit is not known: what is between that and 100 MiB is left to the API.
MOST_BYTES = 100 << 20
# Bytes of a file that is read through Python that are kept in memory; what is longer waits on the
# disk until it is sent.
MOST_IN_MEMORY = 1 << 20
# Bytes that a file is asked for at a time.
BLOCK = 256 << 10
# How often a file may give the very same object.
MOST_REPEATED = 1000
# Flags of a function's code
# (https://docs.python.org/3/library/inspect.html#code-objects-bit-flags).
CO_VARARGS, CO_COROUTINE = 4, 128


class Drain:
    """What a file gave so far: in memory if it is little, else on the disk."""

    def __init__(self, what: str, *, encoding: str | None) -> None:
        """Begin with nothing.

        Args:
            what: What gives it, in messages.
            encoding: That of text; None if text is refused.

        """
        from tempfile import SpooledTemporaryFile

        self.length: int = 0
        self._what = what
        self._encoding = encoding
        self._is_text: bool | None = None
        # The last piece, and how often it came.
        self._last: object = None
        self._repeated = 0
        self._file = SpooledTemporaryFile(MOST_IN_MEMORY)  # noqa: SIM115 - closed when nobody needs it any more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def take(self, piece: object, most: int | None = None) -> bool:
        """Add what came next, at most `most` bytes or characters; return whether it was anything."""
        is_text = False
        if isinstance(piece, str) and self._encoding is not None:
            content, is_text = piece.encode(self._encoding), True
        elif is_bytes(piece):
            content = bytes(piece)
        else:
            wanted = "bytes" if self._encoding is None else "bytes or text"
            hint = ": it does not block, and has nothing yet" if piece is None else ""
            raise TypeError(f"{self._what} must give {wanted}, not {type(piece).__name__}{hint}")
        # The end of text may be no bytes.
        if piece and self._is_text not in (None, is_text):
            raise TypeError(f"{self._what} must give bytes or text, not both in turn")
        if most is not None and len(piece) > most:
            raise ValueError(
                f"{self._what} gave {len(piece):,} bytes or characters where {most:,} were"
                " asked for"
            )
        self._is_text = is_text
        self._repeated = self._repeated + 1 if piece is self._last and len(piece) > 1 else 0
        self._last = piece
        if self._repeated == MOST_REPEATED:
            raise ValueError(f"{self._what} gives the same without end")
        self._file.write(content)
        self.length += len(content)
        if self.length > MOST_BYTES:
            raise ValueError(
                f"{self._what} gives more than {MOST_BYTES:,} bytes, and Replicate takes files of"
                " at most 100 MB"
            )
        return bool(content)

    def part(self) -> Part:
        """Return all of it."""
        self._file.seek(0)
        return on_disk(self._file) or Part(self._file.read())


def content_of(file: Any) -> Part:
    """Return all that an open file has. May block, where the file does.

    Raises:
        TypeError: It gives something else than bytes or text.
        ValueError: It is closed, or was read before and cannot be rewound.

    """
    from io import BytesIO, TextIOWrapper

    file = _without_wrapper(file)
    if type(file) is BytesIO:
        return Part(file.getvalue())
    if isinstance(file, TextIOWrapper):
        return _read_text(file)
    # An empty part is false, and read again: what the system makes up has no length.
    return on_disk(file) or _read(file)


def on_disk(file: Any) -> Part | None:
    """Return the content of an open file that lies on the disk as it is read."""
    from io import BufferedRandom, BufferedReader, FileIO

    file = _without_wrapper(file)
    raw = file.raw if type(file) in (BufferedReader, BufferedRandom) else file
    # Others have the number of a file too, and give something else: what they unpack, for one.
    if type(raw) is not FileIO or not raw.readable():
        return None
    try:
        if isinstance(file, BufferedRandom):
            file.flush()
        # Opened anew through its number, so that it may have been moved or removed meanwhile.
        part = Part(f"/dev/fd/{file.fileno()}", at_once=True)
    except (FileError, OSError):
        # A pipe, a file that may not be opened again, or a system without these paths.
        return None
    # The system makes up what has no length as it is read.
    return part if len(part) else None


def _without_wrapper(file: Any) -> Any:
    # What `tempfile` gives are wrappers.
    if type(file).__module__ == "tempfile":
        return getattr(file, "_file", None) or getattr(file, "file", file)
    return file


def _read_text(file: Any) -> Part:
    """Read the bytes of text, for it cannot tell its position while its lines are iterated over."""
    if not file.seekable():
        part = _read(file)
        # Text takes what does not block, and has nothing yet, for the end.
        if file.buffer.read(1) != b"":
            raise TypeError(
                f"the read() of a {type(file).__name__} must give all there is: it does not block,"
                " and has more to come"
            )
        return part
    file.flush()
    with Turn(file), _Rewound(file.buffer):
        content = file.buffer.read()
    content.decode(file.encoding, file.errors or "strict")
    return Part(content)


def _read(file: Any) -> Part:
    """Read a file through Python."""
    what = f"the read() of a {type(file).__name__}"
    with (
        Turn(file),
        Drain(what, encoding=getattr(file, "encoding", None) or "utf-8") as drain,
        _Rewound(file) as rewound,
    ):
        if not rewound.is_at_beginning:
            begin_once(file)
        try:
            piece = file.read(BLOCK)
        except TypeError:
            # It takes no size.
            _read_all_at_once(file, drain)
        else:
            while drain.take(piece, BLOCK):
                piece = file.read(BLOCK)
        if not rewound.is_at_beginning and not drain.length:
            raise spent(file)
        return drain.part()


def _read_all_at_once(file: Any, drain: Drain) -> None:
    first: object = file.read()
    if not drain.take(first):
        return
    # Connections give what they have at the time.
    while piece := file.read():
        if type(piece) is type(first) and piece == first:
            # It gives all it has, each time.
            _once.pop(id(file), None)
            return
        drain.take(piece)


class _Rewound:
    """A file that is read from its beginning, and then stands where it stood before."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> Self:
        self._position = _position_of(self._file)
        self.is_at_beginning = _rewind(self._file)
        if not self.is_at_beginning and self._position:
            raise spent(self._file)
        return self

    def __exit__(self, *_: object) -> None:
        if self._position is None or not self.is_at_beginning:
            return
        from contextlib import suppress

        # What fails here stood at its beginning already, and could not be rewound: next time it is
        # refused.
        with suppress(Exception):
            self._file.seek(self._position)


def _position_of(file: Any) -> int | None:
    try:
        position = file.tell()
    except Exception:  # noqa: BLE001 - whatever the reason is, it may still be read
        return None
    return position if type(position) is int else None


def _rewind(file: Any) -> bool:
    seekable = getattr(file, "seekable", None)
    try:
        if callable(seekable) and not seekable():
            return False
        file.seek(0)
    except Exception:  # noqa: BLE001 - as above
        return False
    return _position_of(file) in (0, None)


class Turn:
    """One thread at a time for each file, since its position is one."""

    def __init__(self, file: object) -> None:
        from os import getpid

        # A child process does not wait for a thread of its parent.
        self._key = (getpid(), id(file))

    def __enter__(self) -> None:
        from threading import Lock

        while True:
            lock = _turns.setdefault(self._key, Lock())
            lock.acquire()
            # Whoever had it before has taken it away.
            if _turns.get(self._key) is lock:
                return
            lock.release()

    def __exit__(self, *_: object) -> None:
        _turns.pop(self._key).release()


_turns: dict[tuple[int, int], Any] = {}
# What cannot be rewound and was read, by identity, as long as it exists.
_once: dict[int, ref[Any]] = {}


def begin_once(file: object) -> None:
    """Note that a file that cannot be rewound is read. Raises `ValueError` if it was before."""
    from contextlib import suppress
    from weakref import ref

    key = id(file)
    if key in _once:
        raise spent(file)
    # What cannot be remembered gives nothing the second time, which is refused too.
    with suppress(TypeError):
        _once[key] = ref(file, lambda _: _once.pop(key, None))


def spent(file: object) -> ValueError:
    """Return the error for a file that was read before, or else has nothing at all."""
    return ValueError(
        f"this {type(file).__name__} was read before, or is empty, and cannot be rewound: "
        "open it anew, or pass its content as bytes"
    )


def pieces_of(file: Any) -> AsyncGenerator[object, None]:
    """Yield what an async file has; one that can be rewound from its beginning, and its position is
    then as it was.
    """
    return _pieces_of_reader(file) if has_async_read(file) else _pieces_of_iterable(file)


async def _pieces_of_iterable(file: Any) -> AsyncGenerator[object, None]:
    is_iterator = hasattr(file, "__anext__")
    if is_iterator:
        begin_once(file)
    is_empty = True
    async for piece in file:
        is_empty = False
        yield piece
    if is_iterator and is_empty:
        raise spent(file)


async def _pieces_of_reader(file: Any) -> AsyncGenerator[object, None]:
    position = await _async_position_of(file)
    is_at_beginning = await _async_rewind(file)
    if not is_at_beginning:
        if position:
            raise spent(file)
        begin_once(file)
    is_empty = True
    try:
        while piece := await file.read(BLOCK):
            is_empty = False
            yield piece
    finally:
        if is_at_beginning and position is not None:
            await _called(file.seek, position)
    if is_empty and not is_at_beginning:
        raise spent(file)


async def _async_position_of(file: Any) -> int | None:
    # The uploads of Starlette and of Litestar do not tell, and the files in them do.
    tell = getattr(file, "tell", None) or getattr(getattr(file, "file", None), "tell", None)
    try:
        position = await _called(tell)
    except Exception:  # noqa: BLE001 - as above
        return None
    return position if type(position) is int else None


async def _async_rewind(file: Any) -> bool:
    seekable = getattr(file, "seekable", None)
    try:
        if callable(seekable) and not await _called(seekable):
            return False
        await _called(file.seek, 0)
    except Exception:  # noqa: BLE001 - as above
        return False
    return await _async_position_of(file) in (0, None)


async def _called(function: Any, *args: object) -> Any:
    result = function(*args)
    return await result if hasattr(result, "__await__") else result


def is_bytes(value: object) -> TypeGuard[bytes | bytearray]:
    """Return whether a value holds bytes; a memoryview does too."""
    return isinstance(value, (bytes, bytearray, memoryview))


def is_readable(value: object) -> TypeGuard[Readable]:
    """Return whether a value is an open file, or reads like one."""
    return callable(getattr(value, "read", None))


def is_async(value: object) -> bool:
    """Return whether a value gives its content to those who await it; a path, as a `FileOutput` is
    too, does so to anybody.
    """
    if hasattr(value, "__fspath__"):
        return False
    return has_async_read(value) or (
        hasattr(type(value), "__aiter__") and not hasattr(type(value), "__iter__")
    )


def is_read_by_await(value: object) -> bool:
    """Return whether a value's `read` is an ``async def``."""
    return bool(_flags_of(value, "read")[0] & CO_COROUTINE)


def has_async_read(value: object) -> TypeGuard[AsyncReadable]:
    """Return whether a value's `read` is an ``async def`` that takes a size; answers of HTTP
    clients are read all at once.
    """
    flags, arguments = _flags_of(value, "read")
    return bool(flags & CO_COROUTINE) and (arguments > 1 or bool(flags & CO_VARARGS))


def _flags_of(value: object, method: str) -> tuple[int, int]:
    code = getattr(getattr(value, method, None), "__code__", None)
    return getattr(code, "co_flags", 0), getattr(code, "co_argcount", 0)


def has_own_content(value: object) -> bool:
    """Return whether a value is a path that reads its content itself, as those into archives and
    into memory do.
    """
    read = getattr(type(value), "read_bytes", None)
    if not callable(read) or getattr(getattr(read, "__code__", None), "co_flags", 0) & CO_COROUTINE:
        return False
    return (
        not hasattr(value, "__fspath__")
        or str(getattr(read, "__module__", None)).partition(".")[0] != "pathlib"
    )


defer_annotations(globals())
