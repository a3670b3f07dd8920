"""Files that a model made."""

from __future__ import annotations

from io import RawIOBase
from sys import _getframe, modules

from ._checks import limit
from ._operation import Async, M, Resource, Sync, awaitable, operation, resource, run, unchecked
from ._streaming import asynchronously, streaming
from ._typing import TYPE_CHECKING, defer_annotations, is_array, is_object, overload
from .file_errors import fetched, without_secrets
from .file_text import Caller, URLText, refuse_dict, tell_fastapi
from .file_text import get_path_url as get_path_url
from .file_text import is_file as is_file
from .open_file import FileFacts, OpenFile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
    from io import BufferedReader
    from os import PathLike
    from pathlib import Path
    from typing import Any, Final, Self, TypeGuard

    from ._checks import Limit
    from ._core import AbortSignal, ResponseStream
    from ._operation import Session

# Bytes that are set aside for a file whose host says that it has as many.
MOST_AHEAD = 1 << 30
# Bytes from which on it is worth what `ctypes` takes to import to have memory in large pages.
LARGE = 8 << 20
# Bytes that an open file reads at a time.
BUFFER = 256 << 10


class FileOutput(OpenFile[M], URLText):
    """A file that a model made: nothing is fetched before it is asked for, and it can be read again
    and again.

    `read`, `save`, `open` and ``for`` block; those of an `AsyncReplicate` are awaited, and read
    with ``async for``. `aread`, `asave`, `aopen` and ``async for`` are awaited with either client.
    What takes a file reads it as an open one (`read(n)`, `seek`, `readline`, …); what takes text
    gets its URL. It is also an `os.PathLike`: what takes a path gets that of a copy on this
    machine, which blocks. The API token goes to no other host than the API's.
    """

    __slots__ = ("_keys_asked_at",)

    url: str
    """An ``https:`` URL (``http:`` on this machine), or a ``data:`` URI."""
    _keys_asked_at: Caller

    def __init__(self, url: str, session: Session | Resource[Any]) -> None:
        # As a resource's, without one more call for each file.
        self._session = session._session if isinstance(session, Resource) else session
        self._mode = mode = self._session.mode
        self._transport = mode.transport
        self.url = url
        self._known = FileFacts()
        self._opened = {}

    def _in(self, mode: type[Sync | Async]) -> Self:
        twin = type(self).__new__(type(self))
        twin._session, twin._mode, twin._transport = self._session, mode, mode.transport
        twin.url, twin._known, twin._opened = self.url, self._known, self._opened
        return twin

    @operation
    async def read(
        self,
        size: int | None = -1,
        *,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> bytes:
        """Return the whole content, each time; with a `size`, the next bytes, as of an open file.

        Args:
            size: How many bytes to read from the position on; fewer come at the end only. Without
                one, all of the file is read, wherever the position is; but directly after a `seek`,
                what is left from there on.
            signal: Stops it.
            timeout: Seconds for this call.

        Raises:
            APIStatusError: The file's host refuses it.
            APIConnectionError: It cannot be fetched, or is not what the host says of it.

        """
        if size is not None and size >= 0:
            return await self._read_on(size, signal, timeout)
        if self._is_read_on:
            return await self._read_on(None, signal, timeout)
        if not self.url.startswith("https:") and self._is_inline:
            return (await self._inline())[1]

        source = self._core.pieces(
            self.url, ahead=False, total=limit("timeout", timeout), signal=signal
        )
        try:
            pieces = await fetched(self._transport.finish(source.whole()))
            self._known.note(source.said)
            return (
                b"".join(pieces)
                if source.ended is not None
                else await self._gathered(source, pieces)
            )
        finally:
            source.close()

    aread: Final = awaitable(read)

    async def _gathered(self, source: ResponseStream[bytes], pieces: list[bytes]) -> bytes:
        """Return the whole content, of which these are the first pieces; awaits the transport and
        nothing else.
        """
        from io import BytesIO

        finish = self._transport.finish
        length = self.size
        # Memory that is not touched is not taken; and what nobody else has, a buffer gives away
        # without a copy.
        whole = BytesIO(bytes(min(length or 0, MOST_AHEAD)))
        whole.writelines(pieces)
        del pieces
        if length is not None and whole.tell() < length <= MOST_AHEAD:
            at = whole.tell()
            with whole.getbuffer() as view:
                if length >= LARGE:
                    from .large_pages import ask_for_large_pages

                    ask_for_large_pages(view)
                while at < length and (count := await finish(source.fill(view, at))):
                    at += count
            whole.seek(at)
        while pieces := await finish(source.next()):
            whole.writelines(pieces)
        whole.truncate(whole.tell())
        return whole.getvalue()

    @operation
    async def save(
        self,
        path: str | PathLike[str],
        overwrite: bool = True,
        *,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Path:
        """Write the content to `path`, without passing it through Python; the path is either as
        before or complete.

        After a break the rest is fetched. The length, and the checksum if the host gives one, are
        those of what was written.

        Args:
            path: A file's path, in a folder that exists.
            overwrite: Replace a file that is there; else that is an error.
            signal: Stops it.
            timeout: Seconds for all of it.

        Returns:
            The path.

        Raises:
            FileError: The path cannot be written.
            APIStatusError: The file's host refuses it.
            APIConnectionError: It cannot be fetched, or is not what the host says of it.

        """
        from pathlib import Path

        from ._core import write_file

        target = Path(path)
        if self._is_inline:
            content = (await self._inline())[1]
            await self._transport.call(lambda: write_file(target, content, overwrite=overwrite))
        else:
            download = self._core.download(
                self.url,
                target,
                overwrite=overwrite,
                total=limit("timeout", timeout),
                signal=signal,
            )
            self._known.note(await fetched(self._transport.finish(download)))
        return target

    asave: Final = awaitable(save)

    @streaming
    async def chunks(
        self, *, signal: AbortSignal | None = None, timeout: Limit | None = None
    ) -> AsyncGenerator[list[bytes], None]:
        """Give the content in pieces of 64 KiB and more as they arrive; the last may be smaller."""
        if self._is_inline:
            yield [(await self._inline())[1]]
            return

        source = self._core.pieces(self.url, total=limit("timeout", timeout), signal=signal)
        try:
            while pieces := await fetched(self._transport.finish(source.next())):
                self._known.note(source.said)
                yield pieces
        finally:
            source.close()

    achunks: Final = asynchronously(chunks)

    def __iter__(self: FileOutput[Sync]) -> Iterator[bytes]:
        asked = getattr(self, "_keys_asked_at", None)
        if asked is not None and asked.is_at(_getframe(1)):
            # Who asks for keys and for items in one instruction is making a dict.
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
        """Open it for reading and seeking, as a file: what is read is fetched, and nothing else.

        Reading on needs one connection; going elsewhere, a new one. Its `fileno` is none. With an
        `AsyncReplicate` it is awaited, and does what `aopen` does: an open file can only be read by
        blocking, so the whole is fetched first.
        """
        if self._mode is Async:
            return self.aopen()
        from io import BufferedReader, BytesIO

        if self._is_inline:
            return BufferedReader(BytesIO(self._inline_content))
        from .file_reader import FileReader

        return BufferedReader(FileReader(self), BUFFER)

    @operation
    async def _opened_copy(self) -> BufferedReader:
        """Fetch it, and open the copy: reading that does not wait for the network."""
        path = await unchecked(FileOutput._copied)(self)
        return await self._transport.call(path.open, "rb")

    aopen: Final = awaitable(_opened_copy)

    @operation
    async def _copied(self) -> Path:
        """Give the path of a copy, which is made once, and is there until this process ends."""
        known = self._known
        if known.copy is None or not known.copy.exists():
            from .file_name import new_place

            place = await self._transport.call(new_place, self.filename)
            known.copy = await unchecked(FileOutput.save)(self, place)
        return known.copy

    def __fspath__(self) -> str:
        # It cannot be awaited, so it blocks with either client.
        return str(run(unchecked(FileOutput._copied)(self._in(Sync))))

    @property
    def content_type(self) -> str | None:
        """The media type: what the host said when it was first asked, until then a guess by the
        name; None: not known.
        """
        if self._is_inline:
            from ._core import read_data_uri

            return read_data_uri(self.url.partition(",")[0] + ",")[0]
        if self._known.content_type:
            return self._known.content_type
        from mimetypes import guess_type

        return guess_type(self.filename)[0]

    @property
    def size(self) -> int | None:
        """The length in bytes; None before the file was asked for, or if its host does not say."""
        if self._is_inline:
            return len(self._inline_content)
        return self._known.size

    @property
    def filename(self) -> str:
        """A name to save it under: its host's, else the last part of its URL; without a folder."""
        from .file_name import name_of

        return name_of(
            self.url,
            self._known.disposition,
            self.content_type if self._is_inline else self._known.content_type,
        )

    @property
    def name(self) -> str:
        """The same as `filename`, under the name that open files have for it."""
        return self.filename

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a response with it as its body, as far as known:
        ``StreamingResponse(output, headers=output.headers)``.

        Its media type, or a guess by its name, and its length once it was asked for.
        """
        kind, size = self.content_type, self.size
        headers = {"content-type": kind} if kind and kind.isascii() and kind.isprintable() else {}
        return headers if size is None else {**headers, "content-length": str(size)}

    @property
    def _is_inline(self) -> bool:
        return self.url[:5].lower() == "data:"

    @property
    def _inline_content(self) -> bytes:
        from ._core import read_data_uri

        return read_data_uri(self.url)[1]

    async def _inline(self) -> tuple[str, bytes]:
        from .file_reader import decoded

        return await decoded(self._transport, self.url)

    def __repr__(self) -> str:
        # A repr ends up in logs.
        return f"FileOutput({without_secrets(self.url if len(self.url) <= 200 else f'{self.url[:100]}…')!r})"

    def __eq__(self, other: object) -> bool:
        return self.url == other.url if isinstance(other, FileOutput) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.url)

    def __copy__(self) -> Self:
        # Pickling forgets the client, and with it the mode; a copy has both. It is not open yet.
        twin = self._in(self._mode)
        twin._known, twin._opened = self._known.duplicate(), {}
        return twin

    def __deepcopy__(self, _known: object) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[..., FileOutput], tuple[Any, ...]]:
        try:
            session: Session = object.__getattribute__(self, "_session")
        except AttributeError:
            return _detached, (self.url,)
        return _detached, (self.url,) if session.settings.is_plain_default else (self.url, session)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Bind files that were unpickled to the default client."""
            if name == "keys":
                self._keys_asked_at = Caller(_getframe(1))
            if name != "_session":
                raise AttributeError(f"'FileOutput' object has no attribute {name!r}")
            from . import default_client

            self._session = default_client._session
            return object.__getattribute__(self, name)

        @property
        def __class__(self) -> type:
            # Who asks whether it is an `io.IOBase` is going to read it by blocking. FastAPI asks
            # for several classes before it looks for an encoder.
            tell_fastapi(modules, FileOutput)
            return BlockingFileOutput if self._mode is Sync else FileOutput

    @classmethod
    def _validated(cls, value: object) -> FileOutput[Any]:
        if is_file_output(value):
            return value
        if isinstance(value, str) and is_file(value):
            return _detached(value)
        raise ValueError("must be a FileOutput, or the URL of a file")


class BlockingFileOutput(FileOutput[Sync]):
    """What a file of a blocking client is an instance of, beside `FileOutput`, since only it can be
    read as an `io.RawIOBase`.
    """

    __slots__ = ()


RawIOBase.register(BlockingFileOutput)


def _detached(url: str, session: Session | None = None) -> FileOutput:
    """Return a file that was pickled: with its client's options, but for secrets.

    Its methods block.
    """
    output: FileOutput = FileOutput.__new__(FileOutput)
    if session is not None:
        output._session = session.in_mode(Sync)
    output._mode = Sync
    output._transport = Sync.transport
    output.url = url
    output._known = FileFacts()
    output._opened = {}
    return output


def is_file_output(value: object) -> TypeGuard[FileOutput[Any]]:
    """Whether a value is a file that a model made."""
    return isinstance(value, FileOutput)


def transform_output(value: object, client: Resource[Any]) -> Any:
    """Give a model's output with its files as `FileOutput`; 1.0.7 has it in `helpers`."""
    return outputs(value, resource("client", client)._session)


def outputs(value: object, session: Session) -> Any:
    """Give a model's output with every file in it, at any depth, as a `FileOutput`."""
    if isinstance(value, str):
        return FileOutput(value, session) if is_file(value) else value
    if is_array(value):
        return [outputs(each, session) for each in value]
    if is_object(value):
        return {key: outputs(each, session) for key, each in value.items()}
    return value


defer_annotations(globals())
