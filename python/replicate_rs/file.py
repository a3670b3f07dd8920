"""Uploaded files, and the operations on them (https://replicate.com/docs/reference/http#files)."""

from __future__ import annotations

from ._base.checks import identity, plain_function, text
from ._base.operation import M, Namespace, async_operation, operation
from ._base.record import Record
from ._base.typing import TYPE_CHECKING, cast, defer_annotations
from ._core import Expect
from .pagination import Page, page_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import EllipsisType
    from typing import Any, Final, Unpack

    from ._base.operation import Options
    from ._base.types import FileEncodingStrategy as FileEncodingStrategy
    from ._files.types import FileLike as FileLike
    from ._files.types import NamedFile as NamedFile
    from ._files.types import OnSent as OnSent
    from .identifier import HasId


class File(Record[M]):
    """An uploaded file, which models may read for 24 hours."""

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
    """``get`` is the URL to pass to a model."""


class FilePage(Page[File[M]]):
    """A page of files that can be used as the list that 1.0.7 returns.

    It is equal to a list of its results, and false if it has none.
    """

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
        **options: Unpack[Options],
    ) -> File[M]:
        """Upload a file of at most 100 MB.

        See https://replicate.com/docs/reference/http#files.create.

        Args:
            file: A path, an open file (sent from its beginning to its end; it stays open and keeps
                its position), bytes, a PIL image, or a tuple of a name, one of these, and
                optionally its media type. With an `AsyncReplicate`, an async iterable of bytes or
                an async file too.
            metadata: An object that JSON can hold.
            content: The file, as in 2.0.
            filename: Another name for the file.
            content_type: Its media type; by default guessed from its name.
            type: The media type, as in 2.0.
            progress: Called with the bytes sent and the bytes in all, a few times a second, and at
                the end.
            options: Options of every operation; `extra_body` adds fields to the form.

        Returns:
            The uploaded file; ``urls["get"]`` is the URL to pass to a model.

        Raises:
            FileError: The file cannot be read, or its size changed meanwhile.
            ValueError: The file is closed or larger than 100 MB, has a name that cannot be sent, or
                was read before and cannot be rewound.

        """
        what = content if file is None else file
        if what is None or (file is not None and content is not None):
            raise TypeError("give the file once, as file or as content=")
        if progress is not None:
            plain_function("progress", progress)
        from ._files.sources import FileSource
        from ._files.upload import upload

        source = await FileSource.of(self._transport, what)
        source = source.renamed(filename, content_type or type)
        return File._of(await upload(self, source, metadata, progress, options), self._session)

    async_create: Final = async_operation(create)

    @operation
    async def get(self, file_id: str | HasId, **options: Unpack[Options]) -> File[M]:
        """Fetch a file's record; see https://replicate.com/docs/reference/http#files.get.

        Args:
            file_id: The file's id.
            options: Options of every operation.

        Returns:
            The record, without the content.

        Raises:
            NotFoundError: The file does not exist, or was removed after 24 hours.

        """
        where = ("files", identity("file_id", file_id))
        data = self._send("GET", where, Expect.RECORD, options)
        return File._of(await self._transport.finish(data), self._session)

    async_get: Final = async_operation(get)

    @operation
    async def delete(self, file_id: str | HasId, **options: Unpack[Options]) -> bool:
        """Delete a file; see https://replicate.com/docs/reference/http#files.delete.

        Args:
            file_id: The file's id.
            options: Options of every operation.

        Returns:
            Whether the file was deleted.

        Raises:
            NotFoundError: The file does not exist.

        """
        where = ("files", identity("file_id", file_id))
        status = self._send("DELETE", where, Expect.STATUS, options)
        return await self._transport.finish(status) < 300

    async_delete: Final = async_operation(delete)

    @operation
    async def download(
        self,
        file_id: str | HasId,
        *,
        owner: str,
        expiry: int,
        signature: str,
        **options: Unpack[Options],
    ) -> bytes:
        """Fetch a file's content with a signature of its owner.

        See https://replicate.com/docs/reference/http#files.download.

        Args:
            file_id: The file's id.
            owner: The user or organization that uploaded the file.
            expiry: When the signature expires; seconds since 1970.
            signature: An HMAC-SHA256 of ``owner file_id expiry``, in base64.
            options: Options of every operation.

        Returns:
            The content.

        Raises:
            APIStatusError: The signature is wrong or has expired.

        """
        query = {"owner": text("owner", owner), "expiry": expiry, "signature": signature}
        where = ("files", identity("file_id", file_id), "download")
        return await self._transport.finish(
            self._send("GET", where, Expect.BYTES, options, query=query)
        )

    async_download: Final = async_operation(download)

    @operation
    async def list(
        self, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> FilePage[M]:
        """Fetch a page of your files; see https://replicate.com/docs/reference/http#files.list.

        Args:
            cursor: The `next` or `previous` of a page; by default the first page is fetched.
            options: Options of every operation.

        Returns:
            The page, which can be used as the list that 1.0.7 returns.

        """
        page = await page_of(self, File[M], ("files",), cursor, options, page_class=FilePage[M])
        return cast("FilePage[M]", page)

    async_list: Final = async_operation(list)


defer_annotations(globals())
