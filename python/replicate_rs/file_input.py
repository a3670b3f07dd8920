"""Files among a model's inputs: uploaded, or written into the request as `data:` URIs."""

from __future__ import annotations

from time import monotonic

from ._operation import Async, run
from ._typing import TYPE_CHECKING
from .exceptions import APIConnectionError, APITimeoutError, InternalServerError
from .file import Files, Source
from .input import fill, plain

if TYPE_CHECKING:
    from typing import Any

    from ._core import AbortSignal
    from ._operation import FileEncodingStrategy, Resource
    from .client import Replicate

# Characters of all data URIs together that a request may carry.
MOST_INLINE = 10_000_000

STRATEGIES = ("default", "upload", "url", "data-uri", "base64")


def seconds_until(deadline: float | None) -> float | None:
    """Give what is left until a moment of the monotonic clock; never 0, which would not be a limit."""
    return None if deadline is None else max(deadline - monotonic(), 0.001)


async def encoded(
    resource: Resource[Any],
    value: object,
    strategy: FileEncodingStrategy | None,
    signal: AbortSignal | None,
    deadline: float | None,
) -> Any:
    """Give `value` as JSON can carry it, with every file in it, at any depth, replaced by something the API takes.

    The same file is uploaded once, and none before all of `value` is known to be sound. Nothing of the caller's is changed beyond
    being read. `deadline` is on the monotonic clock.

    Raises:
        TypeError: Something in it has no JSON of its own; the message has its path.
        ValueError: JSON cannot carry something in it (the message has its path), the strategy is unknown, or the inline files are
            larger than 10 MB together.

    """
    strategy = strategy or resource._session.file_encoding_strategy
    if strategy not in STRATEGIES:
        raise ValueError(f"file_encoding_strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
    result, slots = plain(value)
    if not slots:
        return result
    encoding = _Encoding(resource, strategy, signal, deadline)
    for slot in slots:
        slot.text = await encoding.file(slot.file)
    return fill(result)


class _Encoding:
    """One request's files."""

    def __init__(
        self, resource: Resource[Any], strategy: FileEncodingStrategy, signal: AbortSignal | None, deadline: float | None
    ) -> None:
        self.resource = resource
        self.strategy = strategy
        self.signal = signal
        self.deadline = deadline
        self.inline = 0

    async def file(self, file: Any) -> str:
        source = await self.resource._transport.call(Source.of, file)
        if self.strategy in ("data-uri", "base64"):
            return await self.data_uri(source)
        try:
            uploaded = await Files(self.resource._session, self.resource._mode).upload(
                source, signal=self.signal, timeout=seconds_until(self.deadline)
            )
        except (APIConnectionError, InternalServerError) as error:
            late = isinstance(error, APITimeoutError) and error.is_deadline
            if self.strategy != "default" or late:
                raise
            return await self.data_uri(source)
        return (uploaded.urls or {})["get"]

    async def data_uri(self, source: Source) -> str:
        text = await self.resource._transport.call(source.data_uri)
        self.inline += len(text)
        if self.inline > MOST_INLINE:
            raise ValueError(
                f"the files of this input are larger than {MOST_INLINE} characters together as data URIs: "
                "use file_encoding_strategy='upload', or pass URLs"
            )
        return text


def encode_json(obj: object, client: Replicate, file_encoding_strategy: FileEncodingStrategy | None = None) -> Any:
    """Do what is done to a model's inputs; 1.0.7 has it in `helpers`."""
    return run(encoded(client, obj, file_encoding_strategy, None, None))


async def async_encode_json(
    obj: object, client: Resource[Any], file_encoding_strategy: FileEncodingStrategy | None = None
) -> Any:
    """Do what is done to a model's inputs; 1.0.7 has it in `helpers`."""
    return await encoded(client._in(Async), obj, file_encoding_strategy, None, None)
