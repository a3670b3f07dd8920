"""Files that a model made."""

from __future__ import annotations

from ._checks import limit
from ._operation import Async, M, Resource, Sync, awaitable, operation, resource, run, unchecked
from ._streaming import asynchronously, streaming
from ._typing import TYPE_CHECKING, defer_annotations, is_array, is_object, overload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
    from io import BufferedReader
    from os import PathLike
    from pathlib import Path
    from typing import Any, Final, Self

    from ._checks import Limit
    from ._core import AbortSignal, Source
    from ._operation import Said, Session

# Characters of a `data:` URI that are decoded where they are; longer ones would hold an event loop up.
FEW = 256 << 10
# Bytes that are set aside for a file whose host says that it has as many.
MOST_AHEAD = 1 << 30
# Bytes from which on it is worth what `ctypes` takes to import to have memory in large pages.
LARGE = 8 << 20
# Bytes that an open file reads at a time.
BUFFER = 256 << 10


class _Known:
    """What is known of a file, once something was asked for."""

    content_type: str | None = None
    size: int | None = None
    disposition: str | None = None
    copy: Path | None = None

    def note(self, said: Said | None) -> None:
        if said is not None:
            self.content_type, self.size, self.disposition = said


class FileOutput(Resource[M]):
    """A file that a model made: nothing is fetched before it is asked for, and it can be read again and again.

    `read`, `save`, `open` and ``for`` block; those of an `AsyncReplicate` are awaited, and read with ``async for``. `aread`,
    `asave`, `aopen` and ``async for`` are awaited with either client. It is also an `os.PathLike`: what takes a path gets that of
    a copy on this machine, which blocks. The API token goes to no other host than the API's.
    """

    __slots__ = ("_known", "url")

    url: str
    """An ``https:`` URL (``http:`` on this machine), or a ``data:`` URI."""

    def __init__(self, url: str, session: Session | Resource[Any]) -> None:
        # As a resource's, without one more call for each file.
        self._session = session._session if isinstance(session, Resource) else session
        self._mode = mode = self._session.mode
        self._transport = mode.transport
        self.url = url
        self._known = _Known()

    def _in(self, mode: type[Sync | Async]) -> Self:
        twin = type(self).__new__(type(self))
        twin._session, twin._mode, twin._transport = self._session, mode, mode.transport
        twin.url, twin._known = self.url, self._known
        return twin

    @operation
    async def read(self, size: int = -1, *, signal: AbortSignal | None = None, timeout: Limit | None = None) -> bytes:
        """Give the whole content, or its first `size` bytes.

        Args:
            size: At most so many bytes, from the beginning each time; all of them if it is negative.
            signal: Stops it.
            timeout: Seconds for all of it.

        Raises:
            APIStatusError: The file's host refuses it.
            APIConnectionError: It cannot be fetched, or is not what the host says of it.

        """
        if not self.url.startswith("https:") and self._is_inline:
            content = (await self._inline())[1]
            return content if size < 0 else content[:size]
        source = self._core.pieces(self.url, ahead=False, total=limit("timeout", timeout), signal=signal)
        try:
            pieces = await self._transport.finish(source.next() if size >= 0 else source.whole())
            self._known.note(source.said)
            if source.ended is not None:
                whole = b"".join(pieces)
                return whole if size < 0 else whole[:size]
            return await self._gathered(source, pieces, size)
        finally:
            source.close()

    aread: Final = awaitable(read)

    async def _gathered(self, source: Source[bytes], pieces: list[bytes], most: int) -> bytes:
        """Give the whole content, or `most` bytes of it, of which these are the first; awaits the transport and nothing else."""
        from io import BytesIO

        finish = self._transport.finish
        length = self.size if most < 0 else None
        # Memory that is not touched is not taken; and what nobody else has, a buffer gives away without a copy.
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
        while not 0 <= most <= whole.tell() and (pieces := await finish(source.next())):
            whole.writelines(pieces)
        whole.truncate(whole.tell() if most < 0 else min(most, whole.tell()))
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
        """Write the content to `path`, without passing it through Python; the path is either as before or complete.

        After a break the rest is fetched. The length, and the checksum if the host gives one, are those of what was written.

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
            download = self._core.download(self.url, target, overwrite=overwrite, total=limit("timeout", timeout), signal=signal)
            self._known.note(await self._transport.finish(download))
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
            while pieces := await self._transport.finish(source.next()):
                self._known.note(source.said)
                yield pieces
        finally:
            source.close()

    achunks: Final = asynchronously(chunks)

    def __iter__(self: FileOutput[Sync]) -> Iterator[bytes]:
        if self._mode is Async:
            raise TypeError("a file of an AsyncReplicate is read with 'async for', or with await and its read()")
        return iter(self.chunks())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self.achunks())

    @overload
    def open(self: FileOutput[Sync]) -> BufferedReader: ...
    @overload
    def open(self: FileOutput[Async]) -> Coroutine[Any, Any, BufferedReader]: ...
    def open(self: FileOutput[Any]) -> BufferedReader | Coroutine[Any, Any, BufferedReader]:
        """Open it for reading and seeking, as a file: what is read is fetched, and nothing else.

        Reading on needs one connection; going elsewhere, a new one. Its `fileno` is none. With an `AsyncReplicate` it is awaited,
        and does what `aopen` does: an open file can only be read by blocking, so the whole is fetched first.
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
        """The media type: what the host said when it was first asked, until then a guess by the name; None: not known."""
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

        return name_of(self.url, self._known.disposition, self.content_type if self._is_inline else self._known.content_type)

    @property
    def __url__(self) -> str:
        """The same as `url`; 2.0's `get_path_url` asks for it."""
        return self.url

    @property
    def _is_inline(self) -> bool:
        return self.url[:5].lower() == "data:"

    @property
    def _inline_content(self) -> bytes:
        from ._core import read_data_uri

        return read_data_uri(self.url)[1]

    async def _inline(self) -> tuple[str, bytes]:
        from ._core import read_data_uri

        if len(self.url) <= FEW:
            return read_data_uri(self.url)
        return await self._transport.call(read_data_uri, self.url)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002 - IPython's
        """Show pictures, audio and video in notebooks, by their URL."""
        from .file_name import html_of

        shown = {"text/plain": repr(self)}
        html = html_of(self.url, self.content_type)
        return shown if html is None else {**shown, "text/html": html}

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        shown = self.url if len(self.url) <= 200 else f"{self.url[:100]}…"
        scheme, mark, rest = shown.partition("://")
        user, at, host = rest.partition("/")[0].rpartition("@")
        if mark and at:
            # A repr ends up in logs.
            shown = f"{scheme}://{host}{rest[len(user) + 1 + len(host) :]}"
        return f"FileOutput({shown!r})"

    def __eq__(self, other: object) -> bool:
        return self.url == other.url if isinstance(other, FileOutput) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.url)

    def __copy__(self) -> Self:
        # Pickling forgets the client, and with it the mode; a copy has both.
        return self._in(self._mode)

    def __deepcopy__(self, _known: object) -> Self:
        return self._in(self._mode)

    def __reduce__(self) -> tuple[Callable[..., FileOutput], tuple[Any, ...]]:
        try:
            session: Session = object.__getattribute__(self, "_session")
        except AttributeError:
            return _detached, (self.url,)
        return _detached, (self.url,) if session.settings.is_plain_default else (self.url, session)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Bind files that were unpickled to the default client."""
            if name != "_session":
                raise AttributeError(f"'FileOutput' object has no attribute {name!r}")
            from . import default_client

            self._session = default_client._session
            return object.__getattribute__(self, name)


def _detached(url: str, session: Session | None = None) -> FileOutput:
    """Return a file that was pickled: with its client's options, but for secrets. Its methods block."""
    output: FileOutput = FileOutput.__new__(FileOutput)
    if session is not None:
        output._session = session.in_mode(Sync)
    output._mode = Sync
    output._transport = Sync.transport
    output.url = url
    output._known = _Known()
    return output


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


def is_file(text: str) -> bool:
    """Whether a whole output is a file's address, and not text that only begins like one."""
    scheme, colon, rest = text.partition(":")
    if scheme != "https":
        scheme = scheme.lower()
    if not colon or scheme not in ("https", "http", "data"):
        return False
    if scheme == "data":
        about, comma, _ = rest.partition(",")
        kind = about.partition(";")[0]
        return bool(comma) and kind.count("/") == 1 and kind.isascii() and not any(each.isspace() for each in about)
    if not rest.startswith("//") or " " in rest or not rest.isprintable() or rest[2:3] in ("", "/", "?", "#"):
        return False
    return scheme == "https" or _is_loopback(rest[2:].partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2])


def get_path_url(path: object) -> str | None:
    """Give the URL of a file that a model made, or None for anything else; 2.0 has it for its `URLPath`."""
    url = getattr(path, "__url__", None)
    return url if isinstance(url, str) else None


def _is_loopback(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name in ("localhost", "::1") or name.startswith("127.") or name.endswith(".localhost")


defer_annotations(globals())
