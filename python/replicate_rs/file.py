"""Uploaded files, and the operations on them (https://replicate.com/docs/reference/http#files)."""

from __future__ import annotations

from ._base.checks import plain_progress, resource_id, text
from ._base.operation import async_operation, operation
from ._base.record import Record, fetch
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, cast, defer_annotations
from ._core import Expect
from .pagination import Page, page_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from types import EllipsisType
    from typing import Any, Final, Unpack

    from ._base.resource import Options
    from ._base.types import FileEncodingStrategy as FileEncodingStrategy
    from ._files.types import FileLike as FileLike
    from ._files.types import NamedFile as NamedFile
    from ._files.types import OnSent as OnSent
    from .identifier import HasId


class File(Record[M]):
    """An uploaded file, which models may read for 24 hours."""

    __slots__ = ()

    id: str
    """The id that other calls take."""
    name: str | None
    """The name that it was uploaded under."""
    content_type: str | None
    """The media type, such as ``image/png``."""
    size: int | None
    """Bytes."""
    etag: str | None
    """A tag of the content, which changes with it."""
    checksums: dict[str, str] | None
    """``sha256`` and ``md5``, in hexadecimal."""
    metadata: dict[str, Any] | None
    """What was passed as `metadata=`."""
    created_at: str | None
    """When it was uploaded; ISO 8601, in UTC."""
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
        file: FileLike | NamedFile,
        metadata: Mapping[str, Any] | None = None,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        progress: bool | OnSent | None = None,
        **options: Unpack[Options],
    ) -> File[M]:
        """Upload a file of at most 100 MB.

        API: https://replicate.com/docs/reference/http#files.create

        Args:
            file: A path, an open file (sent from beginning to end; it stays open and keeps its
                position), bytes, a PIL image, or a tuple of a name, one of these, and optionally a
                media type. Awaited, also an async iterable of bytes or an async file.
            metadata: JSON to store with the file.
            filename: The file's name; by default the name of the path or the open file.
            content_type: The media type; by default guessed from the name.
            progress: Called with the bytes sent and the size of the request's body, in bytes, a few
                times a second and at the end. True for a progress bar.
            options: The shared options; `extra_body` adds fields to the form.

        Raises:
            FileError: The file cannot be read, or its size changed during the upload.
            ValueError: The file is closed, larger than 100 MB, has a name that cannot be sent, or
                was read before and cannot be rewound.

        """
        if file is None:  # pyright: ignore[reportUnnecessaryComparison] - callers' types are not checked
            raise TypeError("file cannot be None: give the file, as file or as content=")
        if progress is not None:
            plain_progress("progress", progress)
        from ._files.sources import FileSource
        from ._files.upload import upload

        source = (await FileSource.of(self._transport, file)).renamed(filename, content_type)
        return File._of(await upload(self, source, metadata, progress, options), self._session)

    async_create: Final = async_operation(create)

    @operation
    def get(self, file_id: str | HasId, **options: Unpack[Options]) -> Awaitable[File[M]]:
        """Fetch the metadata of a file.

        API: https://replicate.com/docs/reference/http#files.get

        Args:
            file_id: The file's id, or a file.

        Raises:
            NotFoundError: The file does not exist.

        """
        target = ("files", resource_id("file_id", file_id))
        return fetch(self, File[M], "GET", target, options, expect=Expect.RECORD)

    async_get: Final = async_operation(get)

    @operation
    def delete(self, file_id: str | HasId, **options: Unpack[Options]) -> Awaitable[bool]:
        """Delete a file before it expires.

        API: https://replicate.com/docs/reference/http#files.delete

        Args:
            file_id: The file's id, or a file.

        Returns:
            True.

        Raises:
            NotFoundError: The file does not exist.

        """
        return self._delete(("files", resource_id("file_id", file_id)), options)

    async_delete: Final = async_operation(delete)

    @operation
    def download(
        self,
        file_id: str | HasId,
        *,
        owner: str,
        expiry: int,
        signature: str,
        **options: Unpack[Options],
    ) -> Awaitable[bytes]:
        """Download a file with a signed permission.

        API: https://replicate.com/docs/reference/http#files.download

        Args:
            file_id: The file's id, or a file.
            owner: The user or organization that uploaded the file.
            expiry: When the permission ends, in seconds since 1970.
            signature: The HMAC-SHA256 of ``owner file_id expiry``, in base64.

        Returns:
            The content of the file.

        Raises:
            APIStatusError: The permission has ended, or the signature is wrong.

        """
        query = {"owner": text("owner", owner), "expiry": expiry, "signature": signature}
        target = ("files", resource_id("file_id", file_id), "download")
        return self._transport.finish(self._send("GET", target, Expect.BYTES, options, query=query))

    async_download: Final = async_operation(download)

    @operation
    def list(
        self, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Awaitable[FilePage[M]]:
        """Fetch a page of your files; it compares as a list, which it is in 1.0.7.

        API: https://replicate.com/docs/reference/http#files.list

        Args:
            cursor: The `next` or `previous` of another page.

        Raises:
            ReplicateError: The request failed.

        """
        page = page_of(self, File[M], ("files",), cursor, options, page_class=FilePage[M])
        return cast("Awaitable[FilePage[M]]", page)

    async_list: Final = async_operation(list)


defer_annotations(globals())
