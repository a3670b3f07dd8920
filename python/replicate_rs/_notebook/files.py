"""The files of a display: which are fetched, and how they are shown.

A small file is embedded, since its link is dead an hour after the end of its prediction. Only what
a display shows is fetched: images, audio and video, and files of an unknown type.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

from .._base.session import Async
from .._base.typing import is_array, is_object
from .._files.open_file import OpenFile
from .._files.urls import await_file, without_credentials
from ..exceptions import APITimeoutError, NotFoundError, ReplicateException
from .html import cut
from .media import MAX_SHOWN, Shown, is_media, to_sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from .._base.transport import Transport
    from .._core import Core, ResponseStream
    from .._files.open_file import FileMetadata

    class File(Protocol):
        """What a display needs of a `FileOutput`."""

        url: str
        _mode: Any
        _transport: type[Transport]
        _metadata: FileMetadata

        @property
        def filename(self) -> str: ...
        @property
        def content_type(self) -> str | None: ...
        @property
        def size(self) -> int | None: ...
        @property
        def _core(self) -> Core: ...
        @property
        def _is_inline(self) -> bool: ...
        def _decode(self) -> tuple[str, bytes]: ...


# Bytes of a file that is embedded, and of all files in one display: notebooks are text, and those
# of more than some tens of megabytes are slow to open.
MAX_EMBEDDED = 2 << 20
MAX_TOTAL = 16 << 20
# Seconds for all files of a display.
TIMEOUT = 5.0
# Files that are fetched at once.
MAX_CONCURRENT = 16
# Media types that hosts send for files of which they do not know the type.
UNKNOWN_TYPES = ("", "application/octet-stream", "binary/octet-stream")
# Characters of an error.
MAX_ERROR = 300

LINKED = "shown by its link, which ends an hour after its prediction"
EMBEDDED_BY = "; await async_contact_sheet(…) of replicate_rs.notebook embeds it"


def is_file(value: object) -> bool:
    """Return whether a value is a `FileOutput`."""
    return isinstance(value, OpenFile)


def find_files(value: object) -> Iterator[Any]:
    """Yield the files in an output, at any depth, in order."""
    if is_file(value):
        yield value
    elif is_array(value):
        for each in value:
            yield from find_files(each)
    elif is_object(value):
        for each in value.values():
            yield from find_files(each)


def to_html(files: Sequence[File]) -> str:
    """Return files as HTML; those of an `AsyncReplicate` are not fetched."""
    return to_sheet(show_all(files))


def show_all(files: Sequence[File]) -> list[Shown]:
    """Return what is shown of files, in their order; blocking files are fetched."""
    from .._base.operation import run_blocking

    fetched = [file for file in files[:MAX_SHOWN] if file._mode is not Async]
    if fetched:
        found = iter(run_blocking(fetch_all(fetched, fetched[0]._transport)))
        return [
            next(found) if index < MAX_SHOWN and file._mode is not Async else show_known(file)
            for index, file in enumerate(files)
        ]
    return [show_known(file) for file in files]


def show_known(file: File) -> Shown:
    """Return what is shown of a file without fetching it."""
    try:
        shown = _begin(file)
        if shown.content is None and shown.remark is None and is_media(shown.media_type):
            shown.remark = LINKED + (EMBEDDED_BY if file._mode is Async else "")
    except Exception as error:  # noqa: BLE001 - a display must not raise, whatever is wrong with a file
        shown = _failed(file, error)
    return shown


async def fetch_all(files: Sequence[File], transport: type[Transport]) -> list[Shown]:
    """Return what is shown of files, several of which are fetched at a time."""
    deadline = monotonic() + TIMEOUT
    # An error where the request could not be begun.
    sources: dict[int, ResponseStream[bytes] | Exception] = {}
    result: list[Shown] = []
    left = MAX_TOTAL
    begun = 0
    try:
        for index, file in enumerate(files):
            while begun < min(index + MAX_CONCURRENT, len(files)):
                _open(files[begun], begun, sources, deadline)
                begun += 1
            shown = await _fetch(file, sources.pop(index, None), transport, left)
            left -= len(shown.content or b"")
            result.append(shown)
    finally:
        for source in sources.values():
            if not isinstance(source, Exception):
                source.close()
    return result


def _open(
    file: File, index: int, sources: dict[int, ResponseStream[bytes] | Exception], deadline: float
) -> None:
    """Begin to fetch a file, if its content is wanted and not known yet."""
    if file._is_inline or file._metadata.preview is not None or not _is_wanted(file):
        return
    seconds = deadline - monotonic()
    if seconds <= 0:
        return
    try:
        # Its content is read ahead from now on, unless a `fetch=` sends the request.
        sources[index] = file._core.pieces(file.url, total=seconds)
    except Exception as error:  # noqa: BLE001 - a display must not raise: the client may be closed
        sources[index] = error


def _is_wanted(file: File) -> bool:
    """Return whether a file may be embedded, as far as is known."""
    size = file._metadata.size
    if size is not None and size > MAX_EMBEDDED:
        return False
    media_type = _get_type(file)
    return media_type is None or is_media(media_type)


async def _fetch(
    file: File,
    source: ResponseStream[bytes] | Exception | None,
    transport: type[Transport],
    left: int,
) -> Shown:
    if source is None:
        return show_known(file)
    if isinstance(source, Exception):
        return _failed(file, source)
    try:
        try:
            content = await _read(file, source, transport, min(left, MAX_EMBEDDED))
        finally:
            source.close()
        if content is not None:
            file._metadata.preview = content
        return show_known(file)
    except Exception as error:  # noqa: BLE001 - a display must not raise; a `fetch=` raises anything
        return _failed(file, error)


async def _read(
    file: File, source: ResponseStream[bytes], transport: type[Transport], limit: int
) -> bytes | None:
    """Return the content of a file; None if it is too large, or of a type that is not shown."""
    await await_file(transport.finish(source.opened()))
    file._metadata.update(source.said)
    if not is_media(_get_type(file)) or (file._metadata.size or 0) > limit:
        return None
    pieces: list[bytes] = []
    count = 0
    while batch := await await_file(transport.finish(source.next())):
        pieces += batch
        count += sum(map(len, batch))
        if count > limit:
            return None
    return b"".join(pieces)


def _begin(file: File) -> Shown:
    if file._is_inline:
        inline = file._decode()[1]
        shown = Shown(file.filename, "", _get_type(file), len(inline))
        if len(inline) > MAX_EMBEDDED:
            shown.remark, shown.is_missing = "not shown, because it is large", True
        else:
            shown.content = inline
        return shown
    content = file._metadata.preview
    size = file.size if content is None else len(content)
    return Shown(file.filename, without_credentials(file.url), _get_type(file), size, content)


def _get_type(file: File) -> str | None:
    """Return a file's media type: what its host said, else a guess by its name."""
    told = (file.content_type or "").partition(";")[0].strip().lower()
    if told not in UNKNOWN_TYPES:
        return told
    from mimetypes import guess_type

    return guess_type(file.filename)[0]


def _failed(file: File, error: Exception) -> Shown:
    """Return what is shown of a file that cannot be fetched."""
    url = "" if file._is_inline else without_credentials(file.url)
    try:
        shown = Shown(file.filename, url, _get_type(file), file._metadata.size)
    except Exception:  # noqa: BLE001 - a malformed `data:` URI has neither name nor type
        shown = Shown("file", url)
    if isinstance(error, APITimeoutError):
        shown.remark = f"not embedded: it did not arrive within {TIMEOUT:.0f} s"
        return shown
    if isinstance(error, NotFoundError) or getattr(error, "status", None) == 410:
        shown.remark = (
            "This file is gone: outputs are removed an hour after their prediction has ended."
        )
    else:
        detail = getattr(error, "detail", None) if isinstance(error, ReplicateException) else error
        text = cut(str(detail or error), MAX_ERROR)
        shown.remark = f"This file cannot be fetched: {type(error).__name__}: {text}"
    shown.is_missing = True
    return shown


def show_paths(paths: Iterable[Path]) -> list[Shown]:
    """Return what is shown of files on this machine."""
    return [_show_path(path) for path in paths]


def _show_path(path: Path) -> Shown:
    from mimetypes import guess_type

    shown = Shown(path.name, "", guess_type(path.name)[0])
    try:
        shown.size = path.stat().st_size
        if is_media(shown.media_type) and shown.size <= MAX_EMBEDDED:
            shown.content = path.read_bytes()
        elif is_media(shown.media_type):
            shown.remark = "not shown, because it is large"
    except OSError as error:
        shown.remark = f"{path}: {error.strerror or error}"
    return shown
