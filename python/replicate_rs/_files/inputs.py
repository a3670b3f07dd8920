"""Encode a model's input as JSON; files in it are uploaded, or sent within the request."""

from __future__ import annotations

from time import monotonic

from .._base.checks import limit
from .._base.checks import strategy as check_strategy
from .._base.operation import run_blocking
from .._base.resource import check_resource
from .._base.session import Async
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import is_plain
from ..exceptions import FileError, file_error
from .detect import is_async, is_readable
from .encode import fill_slots, to_plain
from .reporting import Reporter
from .sources import FileSource
from .upload import DataURIs, InlineFiles, Uploads, check_upload, seconds_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._base.resource import Options, Resource
    from .._base.session import Sync
    from .._base.types import FileEncodingStrategy
    from .._core import AbortSignal
    from .sources import FileSlot
    from .types import OnSent as OnSent


async def encode_input(
    resource: Resource[Any],
    value: object,
    inline: InlineFiles,
    *,
    strategy: FileEncodingStrategy | None = None,
    progress: bool | OnSent | None = None,
    signal: AbortSignal | None = None,
    deadline: float | None = None,
) -> Any:
    """Return `value` as JSON can carry it, with each file in it, at any depth, replaced by text.

    A value without files that JSON can carry is returned itself, not a copy. A file is uploaded
    once however often it is in `value`, and only after all of `value` was checked. The caller's
    objects are read and not changed.

    Args:
        resource: Sends the uploads.
        value: The caller's value.
        inline: Collects the files that are sent within the request.
        strategy: None for the client's strategy.
        progress: Called with the bytes sent and the bytes of all uploads begun so far; True for a
            progress bar.
        signal: Stops the uploads.
        deadline: Seconds of the monotonic clock.

    Raises:
        FileError: A file cannot be read.
        TypeError: JSON has no form for a value; the message has its path.
        ValueError: JSON cannot carry a value (the message has its path), a file is too large, or
            the strategy is unknown.

    """
    strategy = strategy or resource._session.file_encoding_strategy
    if is_plain(value):
        return value
    result, slots = to_plain(value)
    if not slots:
        return result
    # Streams last: their content would be lost if another file is missing.
    sources = {slot: await _get_source(resource, slot) for slot in sorted(slots, key=_is_stream)}
    if strategy in ("data-uri", "base64"):
        for slot in slots:
            slot.text = inline.add(sources[slot])
        return fill_slots(result)
    fallback = inline if strategy == "default" else None
    with Reporter(progress, "B", "upload") as report:
        uploads = Uploads(resource, fallback, report, signal, deadline)
        try:
            for slot in slots:
                _check(sources[slot], slot.path)
            for slot in slots:
                await uploads.begin(slot, sources.pop(slot))
            await uploads.finish()
        finally:
            uploads.cancel()
    return fill_slots(result)


async def put_input(
    resource: Resource[Any],
    body: dict[str, Any],
    value: object,
    params: Mapping[str, Any],
    request_options: Options,
) -> InlineFiles:
    """Put a model's input into a request's body; return the files to send within the request.

    The time of the uploads is taken off the request's timeout, in `request_options`.
    """
    total = limit("timeout", request_options.get("timeout"))
    deadline = None if total is None else monotonic() + total
    inline = InlineFiles()
    body["input"] = await encode_input(
        resource,
        value,
        inline,
        strategy=params.get("file_encoding_strategy"),
        progress=params.get("upload_progress"),
        signal=request_options.get("signal"),
        deadline=deadline,
    )
    if deadline is not None:
        request_options["timeout"] = seconds_until(deadline)
    return inline


async def _get_source(resource: Resource[Any], slot: FileSlot) -> FileSource:
    """Return a slot's file; its errors, those while it is sent too, begin with the slot's path."""
    try:
        source = await FileSource.of(resource._transport, slot.file)
    except FileError as error:
        placed = file_error(f"{slot.path}: {error.detail}", error.errno, error.filename)
        raise placed from error.__cause__ or error
    except TypeError as error:
        raise TypeError(f"{slot.path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{slot.path}: {error}") from error
    return source.at_path(slot.path)


def _is_stream(slot: FileSlot) -> bool:
    return is_readable(slot.file) or is_async(slot.file)


def _check(source: FileSource, path: str) -> None:
    try:
        check_upload(source)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def encode_json(
    obj: object,
    client: Resource[Sync],
    file_encoding_strategy: FileEncodingStrategy | None = None,
) -> Any:
    """Return a copy of `obj` as a model's input is encoded, files included; 1.0.7's helper.

    Args:
        obj: The value, such as a dict of inputs.
        client: The client that uploads files.
        file_encoding_strategy: How files are sent; as the client's option says if not given.

    """
    return run_blocking(_encode_json(obj, check_resource("client", client), file_encoding_strategy))


async def async_encode_json(
    obj: object, client: Resource[Any], file_encoding_strategy: FileEncodingStrategy | None = None
) -> Any:
    """Return a copy of `obj` as a model's input is encoded, files included; 1.0.7's helper.

    Args:
        obj: The value, such as a dict of inputs.
        client: The client that uploads files.
        file_encoding_strategy: How files are sent; as the client's option says if not given.

    """
    return await _encode_json(
        obj, check_resource("client", client)._in(Async), file_encoding_strategy
    )


async def _encode_json(
    obj: object, client: Resource[Any], strategy: FileEncodingStrategy | None
) -> Any:
    from copy import deepcopy

    if strategy is not None:
        check_strategy("file_encoding_strategy", strategy)
    return deepcopy(await encode_input(client, obj, DataURIs(), strategy=strategy))


defer_annotations(globals())
