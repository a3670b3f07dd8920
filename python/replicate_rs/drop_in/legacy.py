"""Names of 1.0.7 that this library does not use, for programs that import them."""

from __future__ import annotations

import os
from typing import Any, Literal, NotRequired, TypedDict

from .._base.credentials import get_cog_tokens
from .._files.output import transform_output
from ..exceptions import ModelError
from ..model import Model
from ..prediction import Prediction
from ..stream import EventDecoder, ServerSentEvent

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

FileEncodingStrategy = Literal["base64", "url"]
# 1.0.7 has this class as `Models.model`.
model = Model


class CreateFileParams(TypedDict):
    """Parameters of `files.create` in 1.0.7."""

    filename: NotRequired[str]
    content_type: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]


class CreateModelParams(TypedDict):
    """Parameters of `models.create` in 1.0.7."""

    hardware: str
    visibility: Literal["public", "private"]
    description: NotRequired[str]
    github_url: NotRequired[str]
    paper_url: NotRequired[str]
    license_url: NotRequired[str]
    cover_image_url: NotRequired[str]


class CreateDeploymentParams(TypedDict):
    """Parameters of `deployments.create` in 1.0.7."""

    name: str
    model: str
    version: str
    hardware: str
    min_instances: int
    max_instances: int


class UpdateDeploymentParams(TypedDict, total=False):
    """Parameters of `deployments.update` in 1.0.7."""

    version: str
    hardware: str
    min_instances: int
    max_instances: int


class CreatePredictionParams(TypedDict):
    """Parameters of `predictions.create`, `run` and `stream` in 1.0.7."""

    webhook: NotRequired[str]
    webhook_completed: NotRequired[str]
    webhook_events_filter: NotRequired[list[str]]
    stream: NotRequired[bool]
    wait: NotRequired[int | bool]
    file_encoding_strategy: NotRequired[FileEncodingStrategy]


class CreateTrainingParams(TypedDict):
    """Parameters of `trainings.create` in 1.0.7."""

    destination: Any
    webhook: NotRequired[str]
    webhook_completed: NotRequired[str]
    webhook_events_filter: NotRequired[list[str]]
    file_encoding_strategy: NotRequired[FileEncodingStrategy]


class CreatePredictionRequestParams(TypedDict):
    """Options of the request that creates a prediction in 1.0.7."""

    headers: NotRequired[dict[str, str] | None]
    timeout: NotRequired[Any]


def _get_api_token_from_environment() -> str | None:  # pyright: ignore[reportUnusedFunction] - `replicate.client` has it
    """Return the API token of cog's scope, even if it is blank, or that of the environment."""
    tokens = get_cog_tokens()
    return tokens[0] if tokens else os.environ.get("REPLICATE_API_TOKEN")


class EventSource:
    """Iterates over the events in a response of httpx."""

    class Decoder:
        """Decodes an event stream line by line."""

        def __init__(self) -> None:
            self._decoder = EventDecoder()

        def decode(self, line: str) -> ServerSentEvent | None:
            """Decode a line without its line break; return the event that it completes, or None."""
            return next(iter(self._decoder.feed(f"{line}\n".encode())), None)

    def __init__(self, client: Any, response: Any, *, use_file_output: bool | None = True) -> None:
        kind = str(response.headers["content-type"]).partition(";")[0]
        if kind != "text/event-stream":
            raise ValueError(
                f"Expected response Content-Type to be 'text/event-stream', got {kind!r}"
            )
        self.client = client
        self.response = response
        self.use_file_output = use_file_output

    def __iter__(self) -> Iterator[ServerSentEvent]:
        decoder = EventDecoder()
        for piece in self.response.iter_bytes():
            for event in decoder.feed(piece):
                yield self._read(event)
                if event.event == "done":
                    return

    async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        decoder = EventDecoder()
        async for piece in self.response.aiter_bytes():
            for event in decoder.feed(piece):
                yield self._read(event)
                if event.event == "done":
                    return

    def _read(self, event: ServerSentEvent) -> ServerSentEvent:
        """Convert the file in an output event to a `FileOutput`; raise for an error event."""
        if event.event == "error":
            failed = Prediction.parse_obj({"status": "failed", "error": str(event.data)})
            raise ModelError(failed)
        if event.event != "output" or not self.use_file_output:
            return event
        return ServerSentEvent(
            event.event, transform_output(event.data, self.client), event.id, event.retry
        )
