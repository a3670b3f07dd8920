"""`FileOutput`: a file in a model's output."""

from __future__ import annotations

from io import RawIOBase
from sys import _getframe, modules

from .._base.checks import limit, plain_progress
from .._base.operation import async_operation, operation, run_blocking, unchecked
from .._base.resource import M, Resource, check_resource
from .._base.session import Async, Sync
from .._base.streaming import async_streaming, streaming
from .._base.typing import TYPE_CHECKING, defer_annotations, is_array, is_object, overload
from ..exceptions import NotFoundError
from .interop import URLText, get_call_site, refuse_dict, register_with_fastapi
from .open_file import FileMetadata, OpenFile
from .reporting import Reporter, finish_reporting
from .urls import add_removal_hint, await_file, is_file_url, without_credentials

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
    from io import BufferedReader
    from os import PathLike
    from pathlib import Path
    from typing import Any, Final, Self, TypeGuard

    from .._base.checks import Limit
    from .._base.session import Session
    from .._base.types import OnReceived as OnReceived
    from .._core import AbortSignal

# Bytes that the file of `open()` reads at a time.
BUFFER_SIZE = 256 << 10
# Characters of a URL in a repr.
MAX_URL = 200


class FileOutput(OpenFile[M], URLText):
    """A file in a model's output: fetched when it is read, as often as it is read.

    `read`, `save`, `open` and ``for`` block; those of an `AsyncReplicate` are awaited, and read
    with ``async for``. `aread`, `asave`, `aopen` and ``async for`` are awaited with either client.

    It is also an open file (`read(n)`, `seek`, `readline`, …); its URL, where text is expected; and
    an `os.PathLike`, whose path is that of a local copy and blocks until the file is fetched. The
    API token is sent to no host but the API's.
    """

    __slots__ = ("_keys_call_site",)

    url: str
    """An ``https:`` URL (``http:`` on this machine), or a ``data:`` URI."""
    _keys_call_site: tuple[int, object, int]

    def __init__(self, url: str, session: Session | Resource[Any]) -> None:
        # As `Resource.__init__`, without the call: outputs may have many files.
        self._session = session._session if isinstance(session, Resource) else session
        self._mode = mode = self._session.mode
        self._transport = mode.transport
        self.url = url
        self._metadata = FileMetadata()
        self._cursors = {}

    def _in(self, mode: type[Sync | Async]) -> Self:
        twin = type(self).__new__(type(self))
        twin._session, twin._mode, twin._transport = self._session, mode, mode.transport
        twin.url, twin._metadata, twin._cursors = self.url, self._metadata, self._cursors
        return twin

    @operation
    async def read(
        self,
        size: int | None = -1,
        *,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> bytes:
        """Return the whole content, each time; with a `size`, the next bytes, as an open file does.

        Args:
            size: Bytes to read from the position; fewer are returned only at the end. Without it,
                the whole file is read, wherever the position is; directly after a `seek`, what
                follows the position.
            signal: Stops the request.
            timeout: Seconds for the call, retries included.

        Returns:
            The bytes.

        Raises:
            APIStatusError: The file's host answers with an error.
            APIConnectionError: The file cannot be fetched, or is not what its host announced.

        """
        if size is not None and size >= 0:
            return await self._read_from_position(size, signal, timeout)
        if self._cursors and self._reads_from_position:
            return await self._read_from_position(None, signal, timeout)
        if not self.url.startswith("https:") and self._is_inline:
            return await self._get_inline_content()

        source = self._session.config.core.pieces(
            self.url,
            ahead=False,
            total=None if timeout is None else limit("timeout", timeout),
            signal=signal,
        )
        try:
            # Not through `await_file`, to save a coroutine.
            pieces = await self._transport.finish(source.whole())
            self._metadata.update(source.said)
            if source.ended is not None:
                return b"".join(pieces)
            from .buffer import read_rest

            return await read_rest(self._transport, source, pieces, self._metadata.size)
        except NotFoundError as error:
            add_removal_hint(error)
            raise
        finally:
            source.close()

    aread: Final = async_operation(read)

    @operation
    async def save(
        self,
        path: str | PathLike[str],
        overwrite: bool = True,
        *,
        progress: bool | OnReceived | None = None,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Path:
        """Save the file, without passing its content through Python.

        The path is either complete or as before. A broken connection is resumed. The content is
        checked by its length, and by its checksum if the host gives one.

        Args:
            path: A file's path, in an existing folder.
            overwrite: Replace an existing file; if False, that is an error.
            progress: Called several times a second and at the end with the bytes received and the
                length of the file, None while it is unknown. True for a progress bar.
            signal: Stops the download.
            timeout: Seconds for the download, retries included.

        Returns:
            The path.

        Raises:
            FileError: The path cannot be written.
            APIStatusError: The file's host answers with an error.
            APIConnectionError: The file cannot be fetched, or is not what its host announced.

        """
        from pathlib import Path

        from .._core import DownloadCounters, write_file

        if progress is not None:
            plain_progress("progress", progress)
        target, counters = Path(path), DownloadCounters()
        with Reporter(progress, "B", target.name) as report:
            if self._is_inline:
                content = await self._get_inline_content()
                await self._transport.call(lambda: write_file(target, content, overwrite=overwrite))
                report(len(content), len(content))
                return target
            download = self._core.download(
                self.url,
                target,
                overwrite=overwrite,
                total=limit("timeout", timeout),
                signal=signal,
                counters=counters,
            )
            if not report.is_wanted:
                self._metadata.update(await await_file(self._transport.finish(download)))
                return target
            work = finish_reporting(
                self._transport,
                self._core,
                download,
                lambda: report(counters.received, counters.length),
                signal,
            )
            self._metadata.update(await await_file(work))
            size = self._metadata.size or 0
            report(size, size)
        return target

    asave: Final = async_operation(save)

    @streaming
    async def chunks(
        self, *, signal: AbortSignal | None = None, timeout: Limit | None = None
    ) -> AsyncGenerator[list[bytes], None]:
        """Yield the content as it arrives, in pieces of 64 KiB or more; the last may be smaller.

        Args:
            signal: Stops the request.
            timeout: Seconds for the whole file.

        Raises:
            FileError: The host answers with an error, or the file has changed.
            APIConnectionError: The file cannot be fetched, or is not what its host announced.

        """
        if self._is_inline:
            yield [await self._get_inline_content()]
            return

        source = self._core.pieces(
            self.url, ahead=False, total=limit("timeout", timeout), signal=signal
        )
        try:
            while pieces := await await_file(self._transport.finish(source.next())):
                self._metadata.update(source.said)
                yield pieces
        finally:
            source.close()

    achunks: Final = async_streaming(chunks)

    def __iter__(self: FileOutput[Sync]) -> Iterator[bytes]:
        call_site = getattr(self, "_keys_call_site", None)
        if call_site is not None and call_site == get_call_site(_getframe(1)):
            # dict() asks for `keys` and iterates in a single instruction.
            refuse_dict()
        self._check_blocking()
        return iter(self.chunks())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self.achunks())

    @overload
    def open(self: FileOutput[Sync]) -> BufferedReader: ...
    @overload
    def open(self: FileOutput[Async]) -> Coroutine[Any, Any, BufferedReader]: ...
    def open(self: FileOutput[Any]) -> BufferedReader | Coroutine[Any, Any, BufferedReader]:
        """Open the file for reading and seeking: only what is read is fetched.

        Reading in order uses one connection; a position elsewhere needs another. The file has no
        `fileno`. With an `AsyncReplicate` this is `aopen`, and awaited.
        """
        if self._mode is Async:
            return self.aopen()
        from io import BufferedReader, BytesIO

        if self._is_inline:
            return BufferedReader(BytesIO(self._decode()[1]))
        from .reader import FileReader

        return BufferedReader(FileReader(self.filename, self._make_cursor()), BUFFER_SIZE)

    @operation
    async def _open_copy(self) -> BufferedReader:
        """Fetch the whole file, and open the copy: reading it does not wait for the network."""
        path = await unchecked(FileOutput._make_copy)(self)
        return await self._transport.call(path.open, "rb")

    aopen: Final = async_operation(_open_copy)

    @operation
    async def _make_copy(self) -> Path:
        """Return the path of a copy, which is made once and removed when this process ends."""
        metadata = self._metadata
        if metadata.copy is None or not metadata.copy.exists():
            from .names import make_temporary_path

            path = await self._transport.call(make_temporary_path, self.filename)
            metadata.copy = await unchecked(FileOutput.save)(self, path)
        return metadata.copy

    def __fspath__(self) -> str:
        # Nobody awaits it, so it blocks with either client.
        return str(run_blocking(unchecked(FileOutput._make_copy)(self._in(Sync))))

    @property
    def content_type(self) -> str | None:
        """The media type; a guess by the name until the host was asked; None if unknown."""
        if self._is_inline:
            from .._core import read_data_uri

            return read_data_uri(self.url.partition(",")[0] + ",")[0]
        if self._metadata.content_type:
            return self._metadata.content_type
        from mimetypes import guess_type

        return guess_type(self.filename)[0]

    @property
    def size(self) -> int | None:
        """The length in bytes; None until the host was asked, or if it does not say."""
        return len(self._decode()[1]) if self._is_inline else self._metadata.size

    @property
    def filename(self) -> str:
        """A name to save the file under, without a folder: from its host, else from its URL."""
        from .names import get_file_name

        metadata = self._metadata
        content_type = self.content_type if self._is_inline else metadata.content_type
        return get_file_name(self.url, metadata.disposition, content_type)

    @property
    def name(self) -> str:
        """The `filename`, as open files call it."""
        return self.filename

    @property
    def headers(self) -> dict[str, str]:
        """Headers for a response with this file as its body, as far as they are known.

        They are the media type, or a guess by the name, and the length once the host was asked:
        ``StreamingResponse(output, headers=output.headers)``.
        """
        kind, size = self.content_type, self.size
        headers = {"content-type": kind} if kind and kind.isascii() and kind.isprintable() else {}
        return headers if size is None else {**headers, "content-length": str(size)}

    @property
    def _is_inline(self) -> bool:
        return self.url[:5].lower() == "data:"

    def _decode(self) -> tuple[str, bytes]:
        from .._core import read_data_uri

        return read_data_uri(self.url)

    async def _get_inline_content(self) -> bytes:
        from .reader import decode_data_uri

        return (await decode_data_uri(self._transport, self.url))[1]

    def __repr__(self) -> str:
        # Without credentials, since a repr ends up in logs.
        url = self.url if len(self.url) <= MAX_URL else f"{self.url[: MAX_URL // 2]}…"
        return f"FileOutput({without_credentials(url)!r})"

    def _repr_html_(self) -> str:
        from .._notebook.files import to_html

        return to_html([self])

    def __eq__(self, other: object) -> bool:
        return self.url == other.url if isinstance(other, FileOutput) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.url)

    def __copy__(self) -> Self:
        # Unlike a pickled file, a copy keeps the client and the mode. It is not open.
        twin = self._in(self._mode)
        twin._metadata, twin._cursors = self._metadata.duplicate(), {}
        return twin

    def __deepcopy__(self, _known: object) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[..., FileOutput], tuple[Any, ...]]:
        try:
            session: Session = object.__getattribute__(self, "_session")
        except AttributeError:
            return _detached, (self.url,)
        return _detached, (self.url,) if session.config.is_plain_default else (self.url, session)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Bind unpickled files to the default client when it is needed."""
            if name == "keys":
                self._keys_call_site = get_call_site(_getframe(1))
            if name != "_session":
                raise AttributeError(f"'FileOutput' object has no attribute {name!r}")
            from .._base.package import default_client

            self._session = default_client()._session
            return object.__getattribute__(self, name)

        @property
        def __class__(self) -> type:
            # Code that asks whether this is an `io.IOBase` is about to block in `read`. FastAPI
            # asks for other classes before it looks for an encoder.
            register_with_fastapi(modules, FileOutput)
            return BlockingFileOutput if self._mode is Sync else FileOutput

    @classmethod
    def _validate(cls, value: object) -> FileOutput[Any]:
        if is_file_output(value):
            return value
        if isinstance(value, str) and is_file_url(value):
            return _detached(value)
        raise ValueError("must be a FileOutput, or the URL of a file")


class BlockingFileOutput(FileOutput[Sync]):
    """The `__class__` of a blocking client's files, which can be read as an `io.RawIOBase`."""

    __slots__ = ()


RawIOBase.register(BlockingFileOutput)


def _detached(url: str, session: Session | None = None) -> FileOutput:
    """Return a file that was pickled, with its client's options but for secrets; it blocks."""
    output: FileOutput = FileOutput.__new__(FileOutput)
    if session is not None:
        output._session = session.in_mode(Sync)
    output._mode = Sync
    output._transport = Sync.transport
    output.url = url
    output._metadata = FileMetadata()
    output._cursors = {}
    return output


def is_file_output(value: object) -> TypeGuard[FileOutput[Any]]:
    """Return whether a value is a `FileOutput`."""
    return isinstance(value, FileOutput)


def transform_output(value: object, client: Resource[Any]) -> Any:
    """Return a model's output with a `FileOutput` for each file's URL; 1.0.7's helper.

    Args:
        value: The output.
        client: The client that fetches the files.

    """
    return wrap_files(value, check_resource("client", client)._session)


def wrap_files(value: object, session: Session) -> Any:
    """Return a model's output with a `FileOutput` for each file's URL, at any depth."""
    if isinstance(value, str):
        return FileOutput(value, session) if is_file_url(value) else value
    if is_array(value):
        return [wrap_files(each, session) for each in value]
    if is_object(value):
        return {key: wrap_files(each, session) for key, each in value.items()}
    return value


if "IPython" in modules:
    from .._notebook.lists import register

    register(modules["IPython"])

defer_annotations(globals())
