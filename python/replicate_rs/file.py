"""Files uploaded to Replicate, which models may read for 24 hours."""

from __future__ import annotations

from ._checks import identity, limit, plain_function, text
from ._core import Expect, Upload
from ._operation import M, Namespace, awaitable, operation
from ._record import Record
from ._typing import TYPE_CHECKING
from .file_content import MOST_BYTES
from .file_source import Source
from .pagination import Page, page_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import EllipsisType
    from typing import Any, Final, TypeAlias, Unpack

    from ._checks import Limit
    from ._core import AbortSignal, Pending
    from ._operation import FileEncodingStrategy as FileEncodingStrategy
    from ._operation import Options
    from .file_source import FileLike as FileLike
    from .file_source import NamedFile as NamedFile
    from .identifier import HasId

    OnSent: TypeAlias = Callable[[int, int], object]

# Of UTF-8 (the same page).
LONGEST_NAME = 255
# Seconds between two reports of an upload.
REPORTING = 0.05


class File(Record[M]):
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


class FilePage(Page[File[M]]):
    """A page of files that is also what 1.0.7 gives, a list: it compares as one, and is false when it is empty."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return bool(self.results)

    def __eq__(self, other: object) -> bool:
        return self.results == other if isinstance(other, list) else super().__eq__(other)

    __hash__ = Page.__hash__


class Files(Namespace[M]):
    """`client.files`."""

    __slots__ = ()

    @operation
    async def create(
        self,
        file: FileLike | NamedFile | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        content: FileLike | NamedFile | None = None,
        filename: str | None = None,
        content_type: str | None = None,
        type: str | None = None,
        progress: OnSent | None = None,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> File[M]:
        """Upload a file, at most 100 MB (https://replicate.com/docs/reference/http#files.create).

        Args:
            file: A path, an open file (sent from its beginning to its end, and left open and where it stood), bytes, a PIL image,
                or a tuple of a name, one of these, and optionally its type. Awaited, an async iterable of bytes or an async file
                too.
            metadata: Anything that JSON can hold.
            content: The file; 2.0 calls it so.
            filename: The name to give it; the file's own where it has one.
            content_type: Its media type; guessed from its name where it is not given.
            type: The same; 2.0 calls it so.
            progress: Called with the bytes that were sent and all there are, a few times a second, and at the end.
            signal: Stops the upload.
            timeout: Seconds for all of it.

        Raises:
            FileError: The file cannot be read, or changed its size meanwhile.
            ValueError: It is closed, larger than 100 MB, its name is not one, or it was read before and cannot be rewound.

        """
        what = content if file is None else file
        if what is None or (file is not None and content is not None):
            raise TypeError("give the file once, as file or as content=")
        if progress is not None:
            plain_function("progress", progress)
        source = await Source.of(self._transport, what)
        upload, pending = self.begin(
            source.named(filename, content_type or type), metadata, signal=signal, timeout=limit("timeout", timeout)
        )
        if progress is not None:
            pending.begin()
            try:
                while await self._transport.finish(self._core.first([pending], limit=REPORTING, signal=signal)) is None:
                    progress(upload.sent, len(upload))
            except BaseException:
                pending.give_up()
                raise
        data = await self._transport.finish(pending)
        if progress is not None:
            progress(len(upload), len(upload))
        return File._of(data, self._session)

    async_create: Final = awaitable(create)

    def begin(
        self, source: Source, metadata: Mapping[str, Any] | None = None, *, signal: AbortSignal | None, timeout: float | None
    ) -> tuple[Upload, Pending[dict[str, Any]]]:
        """Give what is to be sent, and the answer to wait for.

        Raises:
            ValueError: The file is too large, or its name is not one.

        """
        check(source)
        head, tail, boundary = _multipart(source.name, source.content_type, metadata)
        upload = Upload([head, source.part, tail])
        pending = self._core.send(
            "POST",
            ("files",),
            Expect.RECORD,
            body=upload,
            content_type=f"multipart/form-data; boundary={boundary}",
            total=timeout,
            signal=signal,
        )
        return upload, pending

    @operation
    async def get(self, file_id: str | HasId, *, signal: AbortSignal | None = None, timeout: Limit | None = None) -> File[M]:
        """Fetch what is known of a file."""
        where = ("files", identity("file_id", file_id))
        data = self._core.send("GET", where, Expect.RECORD, total=limit("timeout", timeout), signal=signal)
        return File._of(await self._transport.finish(data), self._session)

    async_get: Final = awaitable(get)

    @operation
    async def delete(self, file_id: str | HasId, *, signal: AbortSignal | None = None, timeout: Limit | None = None) -> bool:
        """Delete a file before its time; True if it is gone."""
        where = ("files", identity("file_id", file_id))
        status = self._core.send("DELETE", where, Expect.STATUS, total=limit("timeout", timeout), signal=signal)
        return await self._transport.finish(status) < 300

    async_delete: Final = awaitable(delete)

    @operation
    async def download(
        self, file_id: str | HasId, *, owner: str, expiry: int, signature: str, **options: Unpack[Options]
    ) -> bytes:
        """Fetch a file's content with a signed permission (https://replicate.com/docs/reference/http#files.download).

        Args:
            file_id: Which file.
            owner: Who uploaded it.
            expiry: Until when the permission is good; seconds since 1970.
            signature: The base64 of an HMAC-SHA256 of ``owner file_id expiry``.
            options: What every operation takes.

        """
        query = {"owner": text("owner", owner), "expiry": expiry, "signature": signature}
        where = ("files", identity("file_id", file_id), "download")
        return await self._transport.finish(self._send("GET", where, Expect.BYTES, options, query=query))

    async_download: Final = awaitable(download)

    @operation
    async def list(self, cursor: str | EllipsisType = ..., **options: Unpack[Options]) -> FilePage[M]:
        """Fetch a page of your files; it can be used as the list that 1.0.7 gives."""
        page = await page_of(self, File[M], ("files",), cursor, options)
        return FilePage[M]._like(page)

    async_list: Final = awaitable(list)


def check(source: Source) -> None:
    """Refuse a file that the API would refuse for its size or its name. Raises `ValueError`."""
    name, kind = source.name, source.content_type
    if len(source.part) > MOST_BYTES:
        raise ValueError(
            f"{name} has {len(source.part):,} bytes, and Replicate takes files of at most 100 MB: "
            "put it where the model can fetch it, and pass its URL"
        )
    if any(each in kind for each in "\r\n\0"):
        raise ValueError(f"content_type must not hold a line break: {kind!r}")
    if not name or any(each in name for each in "/\0"):
        raise ValueError(f"a file's name must not be empty, or hold a slash or NUL: {name!r}")
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        raise ValueError(f"a file's name must not be longer than {LONGEST_NAME} bytes: {name!r}")


def _multipart(name: str, kind: str, metadata: Mapping[str, Any] | None) -> tuple[bytes, bytes, str]:
    """Build what stands before and after the file's content (RFC 7578), and the boundary."""
    from json import dumps
    from os import urandom

    boundary = f"replicate-rs-{urandom(16).hex()}"
    # Escaped as the HTML standard says ("multipart form data", §4.10.21.8).
    shown = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    parts: list[str] = []
    if metadata:
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{dumps(metadata, allow_nan=False)}\r\n'
        )
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{shown}"\r\nContent-Type: {kind}\r\n\r\n'
    )
    return "".join(parts).encode("utf-8", "surrogateescape"), f"\r\n--{boundary}--\r\n".encode(), boundary
