"""Collect a large file in one buffer that is allocated in advance."""

from __future__ import annotations

from io import BytesIO
from sys import platform

from .._base.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._base.transport import Transport
    from .._core import ResponseStream

# Bytes that are allocated for a file because its host gives that length.
MAX_ALLOCATED = 1 << 30
# Bytes from which on large pages save more time than importing `ctypes` takes.
MIN_LARGE_PAGES = 8 << 20
# From <asm-generic/mman-common.h>: the same on all architectures but alpha and parisc.
MADV_HUGEPAGE = 14


async def read_rest(
    transport: type[Transport], source: ResponseStream[bytes], pieces: list[bytes], size: int | None
) -> bytes:
    """Return a whole file, of which these are the first pieces and its host gave this size.

    Awaits the transport and nothing else.
    """
    # The system provides memory only when it is written to; and `getvalue` does not copy the bytes
    # of a buffer that has no other user.
    buffer = BytesIO(bytes(min(size or 0, MAX_ALLOCATED)))
    buffer.writelines(pieces)
    del pieces
    position = buffer.tell()
    if size is not None and position < size <= MAX_ALLOCATED:
        with buffer.getbuffer() as view:
            if size >= MIN_LARGE_PAGES:
                use_large_pages(view)
            while position < size and (
                count := await transport.finish(source.fill(view, position))
            ):
                position += count
        buffer.seek(position)
    while pieces := await transport.finish(source.next()):
        buffer.writelines(pieces)
    buffer.truncate(buffer.tell())
    return buffer.getvalue()


def use_large_pages(memory: memoryview) -> None:
    """Ask Linux for large pages for memory that was not written to.

    Filling 64 MB took 45 ms in pages of 4 KiB, as long as receiving them, and 10 ms in pages of
    2 MiB (https://docs.kernel.org/admin-guide/mm/transhuge.html).
    """
    if platform != "linux":
        return
    try:
        from ctypes import CDLL, addressof, c_char, c_size_t, c_void_p
        from mmap import PAGESIZE

        start = addressof(c_char.from_buffer(memory))
        # Whole pages only: the rest of the first and the last page is not of this memory.
        first, last = -(-start // PAGESIZE) * PAGESIZE, (start + len(memory)) // PAGESIZE * PAGESIZE
        CDLL(None).madvise(c_void_p(first), c_size_t(last - first), MADV_HUGEPAGE)
    except (AttributeError, ImportError, OSError):
        # Without `ctypes` or `madvise` memory comes in small pages.
        pass
