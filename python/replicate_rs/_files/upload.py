"""Send files: as uploads, or within the JSON body of a request as `data:` URIs."""

from __future__ import annotations

from time import monotonic

from .._base.encoding import to_json
from .._base.typing import TYPE_CHECKING
from .._core import Expect, Upload
from ..exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    InternalServerError,
)
from .content import MAX_BYTES
from .multipart import check_file, encode_form
from .reporting import PROGRESS_INTERVAL, Reporter, finish_reporting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Unpack

    from .._base.resource import Options, Resource
    from .._core import AbortSignal, Part, Pending
    from .sources import FileSlot, FileSource
    from .types import OnSent as OnSent

# Bytes of all files together that are sent inline when they could not be uploaded (the Node
# client's limit).
MAX_INLINE = 10_000_000
# Concurrent uploads of one input.
MAX_UPLOADS = 8


def seconds_until(deadline: float | None) -> float | None:
    """Return the seconds until a time of the monotonic clock; 1 ms or more, since 0 is no limit."""
    return None if deadline is None else max(deadline - monotonic(), 0.001)


def check_upload(source: FileSource) -> None:
    """Raise `ValueError` if the API would refuse a file for its size or its name."""
    if len(source.part) > MAX_BYTES:
        raise ValueError(
            f"{source.name} has {len(source.part):,} bytes, and Replicate takes files of at most"
            " 100 MB: put it where the model can fetch it, and pass its URL"
        )
    check_file(source)


def begin_upload(
    resource: Resource[Any],
    source: FileSource,
    metadata: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> tuple[Upload, Pending[dict[str, Any]]]:
    """Return an upload's body and its request, which is not begun; see `Files.create`."""
    check_upload(source)
    extra: dict[str, object] = {**(options.pop("extra_body", None) or {})}
    if metadata:
        extra.setdefault("metadata", metadata)
    fields = [
        (name, value if isinstance(value, str) else to_json(value).decode())
        for name, value in extra.items()
    ]
    form = encode_form([*fields, ("content", source)])
    return form[0], resource._send("POST", ("files",), Expect.RECORD, options, form=form)


async def upload(
    resource: Resource[Any],
    source: FileSource,
    metadata: Mapping[str, Any] | None,
    progress: bool | OnSent | None,
    options: Options,
) -> dict[str, Any]:
    """Upload a file, and return its record; see `Files.create`."""
    body, pending = begin_upload(resource, source, metadata, **options)
    with Reporter(progress, "B", source.name) as report:
        if not report.is_wanted:
            return await resource._transport.finish(pending)
        data = await finish_reporting(
            resource._transport,
            resource._core,
            pending,
            lambda: report(body.sent, len(body)),
            options.get("signal"),
        )
        report(len(body), len(body))
    return data


class InlineFiles:
    """Files within a request's JSON: a mark stands for each file's content until it is sent."""

    def __init__(self) -> None:
        self._mark = ""
        self._parts: list[Part] = []

    def add(self, source: FileSource) -> str:
        """Add a file, and return its `data:` URI with a mark for the content."""
        if not self._mark:
            from os import urandom

            # Random, so that no text of the input can contain it.
            self._mark = urandom(16).hex()
        self._parts.append(source.part)
        return f"{source.data_uri_head}{self._mark}{len(self._parts) - 1};"

    def body(self, encoded: bytes, /) -> bytes | Upload:
        """Return a request's body, with the files' content in place of the marks."""
        if not self._parts:
            return encoded
        first, *others = encoded.split(self._mark.encode())
        pieces: list[bytes | Part] = [first]
        for each in others:
            number, _, rest = each.partition(b";")
            pieces += [self._parts[int(number)].in_base64(), rest]
        return Upload(pieces)


class DataURIs(InlineFiles):
    """Files that are read at once, each into the text of its `data:` URI."""

    def add(self, source: FileSource) -> str:
        """Read a file, and return its `data:` URI."""
        return source.to_data_uri()


class Uploads:
    """The uploads of one input, several at a time."""

    def __init__(
        self,
        resource: Resource[Any],
        fallback: InlineFiles | None,
        report: Reporter,
        signal: AbortSignal | None,
        deadline: float | None,
    ) -> None:
        self._resource = resource
        # Gets the files that the server or the network failed to upload.
        self._fallback = fallback
        self._fallback_size = 0
        self._report_to = report
        self._signal = signal
        self._deadline = deadline
        self._begun: list[Upload] = []
        self._pending: list[tuple[FileSlot, FileSource, Pending[dict[str, Any]]]] = []

    async def begin(self, slot: FileSlot, source: FileSource) -> None:
        """Begin to upload a file, once there are fewer than `MAX_UPLOADS`."""
        if len(self._pending) == MAX_UPLOADS:
            await self._finish_one()
        upload, pending = begin_upload(
            self._resource, source, signal=self._signal, timeout=seconds_until(self._deadline)
        )
        pending.begin()
        self._begun.append(upload)
        self._pending.append((slot, source, pending))

    async def finish(self) -> None:
        """Wait until all uploads have ended."""
        while self._pending:
            await self._finish_one()

    def cancel(self) -> None:
        """Cancel the uploads that have not ended."""
        for _, _, pending in self._pending:
            pending.give_up()

    async def _finish_one(self) -> None:
        transport, core = self._resource._transport, self._resource._core
        pendings = [pending for _, _, pending in self._pending]
        interval = PROGRESS_INTERVAL if self._report_to.is_wanted else None
        while (
            index := await transport.finish(
                core.first(pendings, limit=interval, signal=self._signal)
            )
        ) is None:
            self._report(sum(each.sent for each in self._begun))
        slot, source, pending = self._pending.pop(index)
        try:
            file = await transport.finish(pending)
        except (APIConnectionError, InternalServerError) as error:
            slot.text = self._add_to_fallback(source, error)
        else:
            urls: dict[str, str] = file.get("urls") or {}
            slot.text = urls.get("get")
            if slot.text is None:
                raise APIResponseValidationError(
                    detail=f"the answer to an upload has no URL: {file!r}"
                )
        if not self._pending:
            self._report(sum(map(len, self._begun)))

    def _report(self, sent: int) -> None:
        self._report_to(sent, sum(map(len, self._begun)))

    def _add_to_fallback(
        self, source: FileSource, error: APIConnectionError | InternalServerError
    ) -> str:
        """Return the inline text of a file that was not uploaded, or raise the error."""
        is_late = isinstance(error, APITimeoutError) and error.is_deadline
        if self._fallback is None or is_late:
            # The upload was sent, but not the request that needs the file.
            error._sent = False
            raise error
        self._fallback_size += len(source.part)
        if self._fallback_size > MAX_INLINE:
            error.add_note(
                f"(Files of {MAX_INLINE:,} bytes together would have been sent inline; these"
                " are larger.)"
            )
            raise error
        return self._fallback.add(source)
