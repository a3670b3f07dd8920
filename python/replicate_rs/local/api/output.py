"""The other origin: output files, and streams of events. Neither asks for a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from ..problem import Problem, not_found, on_crash, on_http_exception, on_problem
from ..runs.prediction import Run
from ..state import State

_GREETING, _TIMEOUT = b": hi\n\n", b":408: 408 Request Timeout\n\n"
_SHARED = {"Cache-Control": "public,max-age=3600", "Access-Control-Allow-Origin": "*"}


class Delivery:
    """Its endpoints."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.app: Starlette = Starlette(
            routes=[
                Route("/pbxt/{id}/{name}", self.output),
                Route("/v1/streams/{id}", self.text),
                Route("/v1/files/local-{id}", self.files),
            ],
            exception_handlers={
                Problem: on_problem,
                HTTPException: on_http_exception,
                Exception: on_crash,
            },
        )

    async def output(self, request: Request) -> Response:
        """Give a file that a model made; with ranges, and an ETag."""
        stored = self._state.outputs.get(request.path_params["id"])
        if stored is None:
            raise not_found()
        return FileResponse(stored.path, media_type=stored.content_type, headers=_SHARED)

    async def text(self, request: Request) -> Response:
        """Give a prediction's events."""
        return self._stream(request, files=False)

    async def files(self, request: Request) -> Response:
        """Give the events of a prediction whose output is files."""
        return self._stream(request, files=True)

    def _stream(self, request: Request, *, files: bool) -> Response:
        run = self._state.runs.get(request.path_params["id"])
        if run is None or run.data_removed or run.version.definition.signature.gives_files != files:
            raise not_found()
        stamp, _, last = request.headers.get("last-event-id", "").partition(":")
        known = stamp == str(int(run.created)) and last.isascii() and last.isdigit()
        return StreamingResponse(
            self._events(run, int(last[:18]) + 1 if known else 0),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
        )

    def _located(self, frames: bytes) -> bytes:
        kept, known = (
            f"{each.output}/pbxt/".encode()
            for each in (self._state.addresses.own, self._state.addresses.here)
        )
        return frames.replace(kept, known)

    async def _events(self, run: Run, at: int) -> AsyncIterator[bytes]:
        yield _GREETING
        while True:
            # Asked together: more may happen while these are sent.
            frames, is_done = run.frames(at), run.is_done
            at = max(at, len(run.events))
            if frames:
                yield self._located(frames) if run.files else frames
            if is_done:
                return
            try:
                await asyncio.wait_for(run.more(at), self._state.settings.idle)
            except TimeoutError:
                yield _TIMEOUT
                return
