"""Files among a model's inputs: uploaded, or written into the request as `data:` URIs."""

from __future__ import annotations

from time import monotonic

from ._typing import TYPE_CHECKING, is_array, is_object
from .exceptions import APIConnectionError, APITimeoutError, InternalServerError
from .file import Files, Source, is_file
from .file_output import FileOutput

if TYPE_CHECKING:
    from typing import Any

    from ._core import AbortSignal
    from ._operation import FileEncodingStrategy, Resource

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
    """Give `value` with every file in it, at any depth, replaced by something the API takes.

    The same file is uploaded once. Nothing of the caller's is changed beyond being read. `deadline` is on the monotonic clock.

    Raises:
        ValueError: The strategy is unknown, or the inline files are larger than 10 MB together.

    """
    strategy = strategy or resource._session.file_encoding_strategy
    if strategy not in STRATEGIES:
        raise ValueError(f"file_encoding_strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
    return await _Encoding(resource, strategy, signal, deadline).walk(value)


class _Encoding:
    """One request's inputs."""

    def __init__(
        self, resource: Resource[Any], strategy: FileEncodingStrategy, signal: AbortSignal | None, deadline: float | None
    ) -> None:
        self.resource = resource
        self.strategy = strategy
        self.signal = signal
        self.deadline = deadline
        self.inline = 0
        self.done: dict[int, str] = {}

    async def walk(self, value: object) -> object:
        if value is None or isinstance(value, (str, int, float)):
            return value
        if is_object(value):
            return {key: await self.walk(each) for key, each in value.items()}
        if is_array(value):
            return [await self.walk(each) for each in value]
        if isinstance(value, FileOutput):
            return value.url
        if is_file(value):
            if id(value) not in self.done:
                self.done[id(value)] = await self.file(value)
            return self.done[id(value)]
        return value

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
