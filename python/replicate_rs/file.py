"""Files uploaded to Replicate, which models may read for 24 hours."""

from __future__ import annotations

from ._core import Expect
from ._operation import M, Namespace, awaitable, operation
from ._record import Record
from ._typing import TYPE_CHECKING
from .pagination import page_of

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path
    from types import EllipsisType
    from typing import IO, Any, Final, Protocol, TypeAlias, TypeGuard, Unpack

    from ._core import AbortSignal
    from ._operation import FileEncodingStrategy as FileEncodingStrategy
    from ._operation import Options
    from .pagination import Page

    FileLike: TypeAlias = "str | PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | IO[str]"

    class Readable(Protocol):
        """Anything with a `read` that gives bytes or text."""

        def read(self) -> bytes | str:
            """Give the rest."""
            ...


class File(Record):
    """An uploaded file."""

    __slots__ = ()

    id: str
    name: str | None
    content_type: str | None
    size: int | None
    """Bytes."""
    etag: str | None
    checksums: dict[str, str] | None
    """``sha256`` and ``md5``, in hexadecimal."""
    metadata: dict[str, Any] | None
    created_at: str | None
    expires_at: str | None
    """24 hours after `created_at`."""
    urls: dict[str, str] | None
    """``get`` is what to pass to a model."""


class Files(Namespace[M]):
    """`client.files`."""

    __slots__ = ()

    @operation
    async def create(
        self,
        file: FileLike | None = None,
        *,
        content: FileLike | None = None,
        filename: str | None = None,
        content_type: str | None = None,
        type: str | None = None,
        metadata: dict[str, Any] | None = None,
        signal: AbortSignal | None = None,
        timeout: float | None = None,
    ) -> File:
        """Upload a file, at most 100 MB (https://replicate.com/docs/reference/http#files.create).

        Args:
            file: A path, an open file (read from where it stands to its end, and left open), or bytes.
            content: The same; 2.0 calls it so.
            filename: The name to give it; the file's own where it has one.
            content_type: Its media type; guessed from its name where it is not given.
            type: The same; 2.0 calls it so.
            metadata: Anything that JSON can hold.
            signal: Stops the upload.
            timeout: Seconds for all of it.

        """
        what = content if file is None else file
        if what is None or (file is not None and content is not None):
            raise TypeError("give the file once, as file or as content=")
        source = await self._transport.call(Source.of, what)
        return await self.upload(source.named(filename, content_type or type), metadata, signal=signal, timeout=timeout)

    async_create: Final = awaitable(create)

    async def upload(
        self, source: Source, metadata: dict[str, Any] | None = None, *, signal: AbortSignal | None, timeout: float | None = None
    ) -> File:
        """Send a source; awaits the transport and nothing else."""
        head, tail, boundary = _multipart(source.name, source.content_type, metadata)
        data = await self._transport.finish(
            self._core.send(
                "POST",
                ("files",),
                Expect.OBJECT,
                body=(head, source.content, tail),
                content_type=f"multipart/form-data; boundary={boundary}",
                total=timeout,
                signal=signal,
            )
        )
        return File._of(data, self._session)

    @operation
    async def get(self, file_id: str, *, signal: AbortSignal | None = None, timeout: float | None = None) -> File:
        """Fetch what is known of a file."""
        data = self._core.send("GET", ("files", file_id), Expect.OBJECT, total=timeout, signal=signal)
        return File._of(await self._transport.finish(data), self._session)

    async_get: Final = awaitable(get)

    @operation
    async def delete(self, file_id: str, *, signal: AbortSignal | None = None, timeout: float | None = None) -> bool:
        """Delete a file before its time; True if it is gone."""
        status = self._core.send("DELETE", ("files", file_id), Expect.STATUS, total=timeout, signal=signal)
        return await self._transport.finish(status) < 300

    async_delete: Final = awaitable(delete)

    @operation
    async def download(self, file_id: str, *, owner: str, expiry: int, signature: str, **options: Unpack[Options]) -> bytes:
        """Fetch a file's content with a signed permission (https://replicate.com/docs/reference/http#files.download).

        Args:
            file_id: Which file.
            owner: Who uploaded it.
            expiry: Until when the permission is good; seconds since 1970.
            signature: The base64 of an HMAC-SHA256 of ``owner file_id expiry``.
            options: What every operation takes.

        """
        query = {"owner": owner, "expiry": expiry, "signature": signature}
        return await self._transport.finish(self._send("GET", ("files", file_id, "download"), Expect.BYTES, options, query=query))

    async_download: Final = awaitable(download)

    @operation
    async def list(self, cursor: str | EllipsisType = ..., **options: Unpack[Options]) -> Page[File]:
        """Fetch a page of your files, newest first."""
        return await page_of(self, File, ("files",), cursor, options)

    async_list: Final = awaitable(list)


class Source:
    """What there is to send: bytes, or a path whose content the core reads while it sends it."""

    __slots__ = ("content", "content_type", "name")

    def __init__(self, content: bytes | Path, name: str, content_type: str | None = None) -> None:
        self.content: bytes | Path = content
        self.name: str = name
        self.content_type: str = content_type or _guess(name)

    @classmethod
    def of(cls, file: FileLike | Readable) -> Source:
        """Read a caller's file. May block, where the file does."""
        from os import PathLike, fspath
        from pathlib import Path

        if isinstance(file, (str, PathLike)):
            path = Path(fspath(file))
            return cls(path, path.name)
        if isinstance(file, (bytes, bytearray, memoryview)):
            return cls(bytes(file), "file")
        if not is_readable(file):
            raise TypeError(f"file must be a path, an open file or bytes, not {type(file).__name__}")
        name = getattr(file, "name", None)
        content = file.read()
        if isinstance(content, str):
            content = content.encode(getattr(file, "encoding", None) or "utf-8")
        return cls(content, Path(name).name if isinstance(name, str) else "file")

    def named(self, name: str | None, content_type: str | None) -> Source:
        """Give the same content under another name or type."""
        name = name or self.name
        return Source(self.content, name, content_type)

    def data_uri(self) -> str:
        """Write the content as a `data:` URI. May block, where it reads a path."""
        from base64 import b64encode

        content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return f"data:{self.content_type};base64,{b64encode(content).decode('ascii')}"


def base64_encode_file(file: FileLike | Readable) -> str:
    """Write a file, from its beginning, as a ``data:`` URI; 1.0.7 has it in `helpers`."""
    seek = getattr(file, "seek", None)
    if seek is not None:
        seek(0)
    return Source.of(file).data_uri()


def is_readable(value: object) -> TypeGuard[Readable]:
    """Whether a value is an open file, or reads like one."""
    return callable(getattr(value, "read", None))


def is_file(value: object) -> bool:
    """Whether a value among a model's inputs stands for its content: a path object, bytes, or an open file."""
    return hasattr(value, "__fspath__") or isinstance(value, (bytes, bytearray, memoryview)) or is_readable(value)


def _guess(name: str) -> str:
    from mimetypes import guess_type

    return guess_type(name)[0] or "application/octet-stream"


def _multipart(name: str, kind: str, metadata: dict[str, Any] | None) -> tuple[bytes, bytes, str]:
    """Build what stands before and after the file's content (RFC 7578), and the boundary."""
    from json import dumps
    from os import urandom

    if any(each in kind for each in "\r\n\0"):
        raise ValueError(f"content_type must not hold a line break: {kind!r}")
    boundary = f"replicate-rs-{urandom(16).hex()}"
    # Escaped as the HTML standard says ("multipart form data", §4.10.21.8).
    shown = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").replace("\0", "")
    parts: list[str] = []
    if metadata:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{dumps(metadata)}\r\n')
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{shown}"\r\nContent-Type: {kind}\r\n\r\n'
    )
    return "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode(), boundary
