"""Files among a model's inputs: uploaded, or written into the request as `data:` URIs."""

from __future__ import annotations

from time import monotonic

from .._base.checks import limit
from .._base.checks import strategy as checked_strategy
from .._base.operation import run_blocking
from .._base.resource import check_resource
from .._base.session import Async
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Upload, is_plain
from ..exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    FileError,
    InternalServerError,
    file_error,
)
from ..file import REPORTING, File, Files, check
from .content import is_async, is_readable
from .encode import fill, plain
from .sources import Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._base.resource import Options, Resource
    from .._base.types import FileEncodingStrategy
    from .._core import AbortSignal, Part, Pending
    from ..client import Replicate
    from ..file import OnSent
    from .encode import Slot

# Bytes of all files together that are sent inline when they could not be uploaded (the Node
# client's limit).
MOST_INLINE = 10_000_000
# Uploads of one call that are under way at a time.
MOST_UPLOADS = 8


def seconds_until(deadline: float | None) -> float | None:
    """Give what is left until a moment of the monotonic clock; never 0, which would not be a limit."""
    return None if deadline is None else max(deadline - monotonic(), 0.001)


async def encoded(
    resource: Resource[Any],
    value: object,
    inlined: Inlined,
    *,
    strategy: FileEncodingStrategy | None = None,
    progress: OnSent | None = None,
    signal: AbortSignal | None = None,
    deadline: float | None = None,
) -> Any:
    """Give `value` as JSON can carry it, with every file in it, at any depth, replaced by something
    the API takes.

    What is plain already is given as it is, and not copied. The same file is uploaded once, and
    none before all of `value` is known to be sound. Nothing of the caller's is changed beyond being
    read.

    Args:
        resource: Whose uploads these are.
        value: What the caller gave.
        inlined: Takes the files that are sent within the request.
        strategy: How files are sent; the client's if not given.
        progress: Called with the bytes that were sent, and those of all uploads that have begun.
        signal: Stops the uploads.
        deadline: On the monotonic clock.

    Raises:
        FileError: A file cannot be read.
        TypeError: Something in it has no JSON of its own; the message has its path.
        ValueError: JSON cannot carry something in it (the message has its path), the strategy is
            unknown, or a file is too large.

    """
    strategy = strategy or resource._session.file_encoding_strategy
    if is_plain(value):
        return value
    result, slots = plain(value)
    if not slots:
        return result
    # What can be read only once comes last: it is lost when another file is missing.
    found = {slot: await _source(resource, slot) for slot in sorted(slots, key=_is_read)}
    sources = [found[slot] for slot in slots]
    if strategy in ("data-uri", "base64"):
        for slot, source in zip(slots, sources, strict=True):
            slot.text = inlined.data_uri(source)
        return fill(result)
    uploads = _Uploads(
        resource, inlined if strategy == "default" else None, progress, signal, deadline
    )
    try:
        for slot, source in zip(slots, sources, strict=True):
            _check(source, slot.path)
        for slot in slots:
            await uploads.begin(slot, sources.pop(0))
        await uploads.finish()
    finally:
        # When one fails, those that are still under way end here.
        for _, _, pending in uploads.under_way:
            pending.give_up()
    return fill(result)


async def put_input(
    resource: Resource[Any],
    body: dict[str, Any],
    value: object,
    own: Mapping[str, Any],
    others: Options,
) -> Inlined:
    """Put a model's inputs into a request's body; files among them are uploaded within the
    request's time.

    Args:
        resource: Whose request it is.
        body: Takes them.
        value: What the caller gave.
        own: What was said of the prediction.
        others: What was said of the request, whose time gets shorter.

    Returns:
        The files that are sent within the request.

    """
    total = limit("timeout", others.get("timeout"))
    deadline = None if total is None else monotonic() + total
    inlined = Inlined()
    body["input"] = await encoded(
        resource,
        value,
        inlined,
        strategy=own.get("file_encoding_strategy"),
        progress=own.get("upload_progress"),
        signal=others.get("signal"),
        deadline=deadline,
    )
    if deadline is not None:
        others["timeout"] = seconds_until(deadline)
    return inlined


async def _source(resource: Resource[Any], slot: Slot) -> Source:
    """Find the file of a slot; its errors, also those while it is sent, name its place in the
    input.
    """
    try:
        source = await Source.of(resource._transport, slot.file)
    except FileError as error:
        told = file_error(f"{slot.path}: {error.detail}", error.errno, error.filename)
        raise told from error.__cause__ or error
    except TypeError as error:
        raise TypeError(f"{slot.path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{slot.path}: {error}") from error
    return source.within(slot.path)


def _is_read(slot: Slot) -> bool:
    return is_readable(slot.file) or is_async(slot.file)


def _check(source: Source, path: str) -> None:
    try:
        check(source)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class Inlined:
    """Files that are sent within a request's JSON: a mark stands there for the content of each,
    until it is sent.
    """

    def __init__(self) -> None:
        self._mark = ""
        self._parts: list[Part] = []

    def data_uri(self, source: Source) -> str:
        """Give the `data:` URI of a file, with a mark for its content."""
        if not self._mark:
            from os import urandom

            # What nobody who gave a part of the input can know.
            self._mark = urandom(16).hex()
        self._parts.append(source.part)
        return f"{source.data_uri_head}{self._mark}{len(self._parts) - 1};"

    def body(self, json: bytes) -> bytes | Upload:
        """Give a request's body with the files in it."""
        if not self._parts:
            return json
        first, *others = json.split(self._mark.encode())
        pieces: list[bytes | Part] = [first]
        for each in others:
            number, _, rest = each.partition(b";")
            pieces += [self._parts[int(number)].in_base64(), rest]
        return Upload(pieces)


class Written(Inlined):
    """The same as text, at once."""

    def data_uri(self, source: Source) -> str:
        """Give all of a file."""
        return source.data_uri_head + source.part.read_base64()


class _Uploads:
    """One request's uploads, several at a time."""

    def __init__(
        self,
        resource: Resource[Any],
        inlined: Inlined | None,
        progress: OnSent | None,
        signal: AbortSignal | None,
        deadline: float | None,
    ) -> None:
        self.resource = resource
        # Takes those that fail on the server's side.
        self.inlined = inlined
        self.progress = progress
        self.signal = signal
        self.deadline = deadline
        self.begun: list[Upload] = []
        self.under_way: list[tuple[Slot, Source, Pending[dict[str, Any]]]] = []
        # Bytes of those that are sent inline.
        self.inline = 0

    async def begin(self, slot: Slot, source: Source) -> None:
        if len(self.under_way) == MOST_UPLOADS:
            await self.finish_one()
        files: Files[Any] = Files(self.resource._session, self.resource._mode)
        upload, pending = files.begin(
            source, signal=self.signal, timeout=seconds_until(self.deadline)
        )
        pending.begin()
        self.begun.append(upload)
        self.under_way.append((slot, source, pending))

    async def finish(self) -> None:
        while self.under_way:
            await self.finish_one()

    async def finish_one(self) -> None:
        transport, core = self.resource._transport, self.resource._core
        pendings = [pending for _, _, pending in self.under_way]
        limit = None if self.progress is None else REPORTING
        while (
            index := await transport.finish(core.first(pendings, limit=limit, signal=self.signal))
        ) is None:
            if self.progress is not None:
                self.progress(sum(each.sent for each in self.begun), sum(map(len, self.begun)))
        slot, source, pending = self.under_way.pop(index)
        try:
            uploaded: File = File._of(await transport.finish(pending), self.resource._session)
        except (APIConnectionError, InternalServerError) as error:
            late = isinstance(error, APITimeoutError) and error.is_deadline
            if self.inlined is None or late:
                # The upload was sent, but not the request that the file is for.
                error._sent = False
                raise
            self.inline += len(source.part)
            if self.inline > MOST_INLINE:
                error.add_note(
                    f"(Files of {MOST_INLINE:,} bytes together would have been sent inline; these"
                    " are larger.)"
                )
                raise
            slot.text = self.inlined.data_uri(source)
        else:
            slot.text = (uploaded.urls or {}).get("get")
            if slot.text is None:
                raise APIResponseValidationError(
                    detail=f"the answer to an upload has no URL: {uploaded!r}"
                )
        if self.progress is not None and not self.under_way:
            self.progress(*(sum(map(len, self.begun)),) * 2)


def encode_json(
    obj: object, client: Replicate, file_encoding_strategy: FileEncodingStrategy | None = None
) -> Any:
    """Do what is done to a model's inputs; 1.0.7 has it in `helpers`."""
    from copy import deepcopy

    return deepcopy(
        run_blocking(
            encoded(
                check_resource("client", client),
                obj,
                Written(),
                strategy=_strategy(file_encoding_strategy),
            )
        )
    )


async def async_encode_json(
    obj: object, client: Resource[Any], file_encoding_strategy: FileEncodingStrategy | None = None
) -> Any:
    """Do what is done to a model's inputs; 1.0.7 has it in `helpers`."""
    from copy import deepcopy

    twin = check_resource("client", client)._in(Async)
    return deepcopy(await encoded(twin, obj, Written(), strategy=_strategy(file_encoding_strategy)))


def _strategy(given: FileEncodingStrategy | None) -> FileEncodingStrategy | None:
    return None if given is None else checked_strategy("file_encoding_strategy", given)


defer_annotations(globals())
