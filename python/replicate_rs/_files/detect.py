"""Which values are files, and how each is read.

The module of a type that is not built in is looked up among the imported modules, never imported.
"""

from __future__ import annotations

from sys import modules

from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from typing import TypeGuard

    from .types import AsyncReadable as AsyncReadable
    from .types import Image as Image
    from .types import Readable as Readable

# Flags of a function's code
# (https://docs.python.org/3/library/inspect.html#code-objects-bit-flags).
CO_VARARGS, CO_COROUTINE = 4, 128


def is_file_like(value: object) -> bool:
    """Return whether a value in a model's input stands for its content."""
    return (
        hasattr(value, "__fspath__")
        or is_bytes(value)
        or is_readable(value)
        or is_image(value)
        or is_async(value)
        or is_virtual_path(value)
    )


def is_bytes(value: object) -> TypeGuard[bytes | bytearray]:
    """Return whether a value holds bytes; a memoryview does too."""
    return isinstance(value, (bytes, bytearray, memoryview))


def is_image(value: object) -> TypeGuard[Image]:
    """Return whether a value is a PIL image."""
    return isinstance(value, getattr(modules.get("PIL.Image"), "Image", ()))


def is_readable(value: object) -> TypeGuard[Readable]:
    """Return whether a value has a `read` method, as open files do."""
    return callable(getattr(value, "read", None))


def is_async(value: object) -> bool:
    """Return whether a value can only be read on an event loop.

    Paths can be read without one, and so can a `FileOutput`, which is a path too.
    """
    if hasattr(value, "__fspath__"):
        return False
    return has_async_read(value) or (
        hasattr(type(value), "__aiter__") and not hasattr(type(value), "__iter__")
    )


def is_read_by_await(value: object) -> bool:
    """Return whether a value's `read` is an ``async def``."""
    return bool(_read_code(value)[0] & CO_COROUTINE)


def has_async_read(value: object) -> TypeGuard[AsyncReadable]:
    """Return whether a value's `read` is an ``async def`` that takes a size.

    The `read` of an HTTP client's response takes none.
    """
    flags, arguments = _read_code(value)
    return bool(flags & CO_COROUTINE) and (arguments > 1 or bool(flags & CO_VARARGS))


def _read_code(value: object) -> tuple[int, int]:
    """Return the flags of the code of `read`, and its number of arguments."""
    code = getattr(getattr(value, "read", None), "__code__", None)
    return getattr(code, "co_flags", 0), getattr(code, "co_argcount", 0)


def is_virtual_path(value: object) -> bool:
    """Return whether a value is a path that reads its content itself.

    Paths into archives and into memory do.
    """
    read = getattr(type(value), "read_bytes", None)
    if not callable(read) or getattr(getattr(read, "__code__", None), "co_flags", 0) & CO_COROUTINE:
        return False
    return (
        not hasattr(value, "__fspath__")
        or str(getattr(read, "__module__", None)).partition(".")[0] != "pathlib"
    )


defer_annotations(globals())
