"""Files that a model made."""

from __future__ import annotations

from ._core import Expect
from ._operation import Async, Resource, Sync, awaitable, operation
from ._streaming import asynchronously, streaming
from ._transport import Blocking
from ._typing import TYPE_CHECKING, is_array, is_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
    from os import PathLike
    from pathlib import Path
    from typing import Any, Final, Self

    from ._core import AbortSignal
    from ._operation import Session


class FileOutput(Resource[Sync]):
    """A file that a model made: nothing is fetched before it is asked for, and it can be read again.

    `read`, `save` and `for` block; `aread`, `asave` and `async for` are awaited. The API token never goes to a file host.
    """

    __slots__ = ("url",)

    url: str
    """An ``https:`` URL (``http:`` on this machine), or a ``data:`` URI."""

    def __init__(self, url: str, session: Session | Resource[Any]) -> None:
        super().__init__(session._session if isinstance(session, Resource) else session, Sync)
        self.url = url

    def _in(self, mode: type[Sync | Async]) -> Self:
        twin = type(self)(self.url, self._session)
        twin._mode = mode
        twin._transport = mode.transport
        return twin

    @operation
    async def read(self, *, signal: AbortSignal | None = None, timeout: float | None = None) -> bytes:
        """Give the whole content."""
        if self._is_inline:
            return self._inline()[1]
        data = self._core.send("GET", self.url, Expect.BYTES, total=timeout, signal=signal)
        return await self._transport.finish(data)

    aread: Final = awaitable(read)

    @operation
    async def save(self, path: str | PathLike[str], *, signal: AbortSignal | None = None, timeout: float | None = None) -> Path:
        """Write the content to `path`, without passing it through Python; the path is either as before or complete.

        Returns:
            The path.

        Raises:
            FileError: The path cannot be written.

        """
        from pathlib import Path

        from ._core import write_file

        target = Path(path)
        if self._is_inline:
            await self._transport.call(write_file, target, self._inline()[1])
        else:
            await self._transport.finish(self._core.download(self.url, target, total=timeout, signal=signal))
        return target

    asave: Final = awaitable(save)

    @streaming
    async def chunks(
        self, *, signal: AbortSignal | None = None, timeout: float | None = None
    ) -> AsyncGenerator[list[bytes], None]:
        """Give the content in pieces as they arrive."""
        if self._is_inline:
            yield [self._inline()[1]]
            return
        source = self._core.pieces(self.url, total=timeout, signal=signal)
        try:
            while pieces := await self._transport.finish(source.next()):
                yield pieces
        finally:
            source.close()

    achunks: Final = asynchronously(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self.achunks())

    @property
    def __url__(self) -> str:
        """The same as `url`; 2.0's `get_path_url` asks for it."""
        return self.url

    @property
    def _is_inline(self) -> bool:
        return self.url[:5].lower() == "data:"

    def _inline(self) -> tuple[str, bytes]:
        from ._core import read_data_uri

        return read_data_uri(self.url)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        shown = self.url if len(self.url) <= 200 else f"{self.url[:100]}…"
        return f"FileOutput({shown!r})"

    def __eq__(self, other: object) -> bool:
        return self.url == other.url if isinstance(other, FileOutput) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.url)

    def __reduce__(self) -> tuple[Callable[[str], FileOutput], tuple[str]]:
        return _detached, (self.url,)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Bind files that were unpickled to the default client."""
            if name not in ("_session", "_core"):
                raise AttributeError(f"'FileOutput' object has no attribute {name!r}")
            from . import default_client

            self._session = default_client._session
            self._core = self._session.core
            return object.__getattribute__(self, name)


def _detached(url: str) -> FileOutput:
    output = FileOutput.__new__(FileOutput)
    output._mode = Sync
    output._transport = Blocking
    output.url = url
    return output


def transform_output(value: object, client: Resource[Any]) -> Any:
    """Give a model's output with its files as `FileOutput`; 1.0.7 has it in `helpers`."""
    return outputs(value, client._session)


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
    scheme = scheme.lower()
    if not colon or scheme not in ("https", "http", "data"):
        return False
    if scheme == "data":
        about, comma, _ = rest.partition(",")
        kind = about.partition(";")[0]
        return bool(comma) and kind.count("/") == 1 and kind.isascii() and not any(each.isspace() for each in about)
    if not rest.startswith("//") or any(each.isspace() or not each.isprintable() for each in rest):
        return False
    host = rest[2:].partition("/")[0].partition("?")[0].partition("#")[0]
    return bool(host) and (scheme == "https" or _is_loopback(host.rpartition("@")[2]))


def get_path_url(path: object) -> str | None:
    """Give the URL of a file that a model made, or None for anything else; 2.0 has it for its `URLPath`."""
    url = getattr(path, "__url__", None)
    return url if isinstance(url, str) else None


def _is_loopback(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name in ("localhost", "::1") or name.startswith("127.") or name.endswith(".localhost")
