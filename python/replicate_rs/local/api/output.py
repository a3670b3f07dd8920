"""The output origin: output files and event streams, which need no token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from ..problem import HANDLERS, not_found
from ..runs.prediction import StoredPrediction
from ..state import State

FILE_PATH = "/pbxt/"
_FIRST_COMMENT, _TIMEOUT_COMMENT = b": hi\n\n", b":408: 408 Request Timeout\n\n"
_FILE_HEADERS = {"Cache-Control": "public,max-age=3600", "Access-Control-Allow-Origin": "*"}
_STREAM_HEADERS = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}


class OutputEndpoints:
    """The endpoints of the output origin."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.routes: list[Route] = [
            Route(f"{FILE_PATH}{{id}}/{{name}}", self.file),
            Route("/v1/streams/{id}", self.stream),
            Route("/v1/files/local-{id}", self.file_stream),
        ]

    async def file(self, request: Request) -> Response:
        """Return an output file, with support for ranges and an ETag."""
        file = self._state.outputs.get(request.path_params["id"])
        if file is None:
            raise not_found()
        return FileResponse(file.path, media_type=file.content_type, headers=_FILE_HEADERS)

    async def stream(self, request: Request) -> Response:
        """Return the events of a prediction."""
        return self._stream(request, is_file_stream=False)

    async def file_stream(self, request: Request) -> Response:
        """Return the events of a prediction whose outputs are files."""
        return self._stream(request, is_file_stream=True)

    def _stream(self, request: Request, *, is_file_stream: bool) -> Response:
        prediction = self._state.predictions.get(request.path_params["id"])
        if (
            prediction is None
            or prediction.data_removed
            or prediction.version.definition.signature.returns_files != is_file_stream
        ):
            raise not_found()
        timestamp, _, index = request.headers.get("last-event-id", "").partition(":")
        is_known = timestamp == str(int(prediction.created_at)) and (
            index.isascii() and index.isdigit()
        )
        first = int(index[:18]) + 1 if is_known else 0
        return StreamingResponse(
            self.events(prediction, first),
            media_type="text/event-stream",
            headers=_STREAM_HEADERS,
        )

    async def events(self, prediction: StoredPrediction, first: int) -> AsyncIterator[bytes]:
        """Yield the encoded events of a prediction from the index `first`, until its end."""
        yield _FIRST_COMMENT
        index = first
        while True:
            # Read together: while the events are sent, more may be added, and the end may come.
            events, is_done = b"".join(prediction.events[index:]), prediction.is_done
            index = max(index, len(prediction.events))
            if events:
                yield self._rewrite_urls(events) if prediction.file_ids else events
            if is_done:
                return
            try:
                await asyncio.wait_for(prediction.wait_for_event(index), self._state.settings.idle)
            except TimeoutError:
                yield _TIMEOUT_COMMENT
                return

    def _rewrite_urls(self, events: bytes) -> bytes:
        addresses = self._state.addresses
        stored, current = (
            f"{origins.output}{FILE_PATH}".encode()
            for origins in (addresses.own, addresses.current)
        )
        return events.replace(stored, current)


def create_output_app(state: State) -> Starlette:
    """Return the application of the output origin."""
    return Starlette(routes=OutputEndpoints(state).routes, exception_handlers=HANDLERS)
