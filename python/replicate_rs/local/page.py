"""The web page: predictions, webhooks and requests, as they happen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from .._typing import is_array, is_object
from .clock import text
from .problem import Problem
from .run import Run
from .state import State

# Rows of each table.
MOST_SHOWN = 100
# Seconds between two updates.
PAUSE = 0.2
_KINDS = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".avif"),
    "audio": (".mp3", ".wav", ".ogg", ".flac", ".m4a"),
    "video": (".mp4", ".webm", ".mov"),
}


class Page:
    """Its endpoints."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=select_autoescape(), trim_blocks=True
        )
        self._templates.filters["time"] = _time  # pyright: ignore[reportArgumentType] - the type of jinja2's own filters
        helpers: dict[str, Any] = self._templates.globals
        helpers["media"] = self._media
        self.routes: list[Route] = [
            Route("/", self.predictions),
            Route("/p/{id}", self.prediction),
            Route("/-/webhooks", self.webhooks),
            Route("/-/requests", self.requests),
            Route("/-/changes", self.changes),
        ]

    def _render(self, name: str, status: int = 200, **values: Any) -> Response:
        page = self._templates.get_template(f"{name}.html").render(state=self._state, here=name, **values)
        # What is shown may be anybody's input: nothing of it runs, and pictures come from where they are.
        own = "'self' 'unsafe-inline'"
        policy = f"default-src 'self'; style-src {own}; script-src {own}; img-src * data:; media-src * data:"
        return HTMLResponse(page, status, {"Content-Security-Policy": policy})

    async def predictions(self, _: Request) -> Response:
        """Show all predictions and trainings, newest first."""
        runs = list(islice(reversed(self._state.runs.values()), MOST_SHOWN))
        return self._render("predictions", runs=runs)

    async def prediction(self, request: Request) -> Response:
        """Show one of them."""
        run = self._state.runs.get(request.path_params["id"])
        if run is None:
            raise Problem(404, f"There is no prediction {request.path_params['id']}.")
        deliveries = [each for each in self._state.webhooks.deliveries if each.prediction == run.id]
        return self._render("prediction", run=run, deliveries=deliveries)

    async def webhooks(self, _: Request) -> Response:
        """Show the deliveries of webhooks, and what they were answered."""
        return self._render("webhooks", deliveries=list(islice(reversed(self._state.webhooks.deliveries), MOST_SHOWN)))

    async def requests(self, _: Request) -> Response:
        """Show the request log."""
        return self._render("requests", requests=list(islice(reversed(self._state.requests), MOST_SHOWN)))

    async def changes(self, _: Request) -> Response:
        """Tell the page when to look again."""

        async def events() -> AsyncIterator[bytes]:
            yield b": hi\n\n"
            while not self._state.stopping:
                await self._state.changes.changed()
                yield b"data: \n\n"
                await asyncio.sleep(PAUSE)

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    def _media(self, run: Run, value: object) -> Iterator[tuple[str, str]]:
        """Give the parts of an input or output, as `(kind, value)`: pictures, sound and films to show, or text."""
        if is_array(value) and not all(isinstance(each, str) for each in value):
            yield "text", _pretty(value)
        elif is_array(value) and run.version.definition.signature.iterates and not run.version.definition.signature.gives_files:
            yield "text", "".join(value)
        elif is_array(value):
            for each in value:
                yield from self._media(run, each)
        elif is_object(value):
            for name, each in value.items():
                yield "name", name
                yield from self._media(run, each)
        elif isinstance(value, str):
            yield _kind(value), value
        elif value is not None:
            yield "text", _pretty(value)


def _time(moment: float) -> str:
    return text(moment)[11:19]


def _kind(value: str) -> str:
    if value.startswith("data:"):
        kind = value[5:].partition("/")[0]
        return kind if kind in _KINDS else "link"
    if not value.startswith(("http://", "https://")) or any(each.isspace() for each in value):
        return "text"
    try:
        path = urlsplit(value).path.lower()
    except ValueError:
        return "text"
    return next((kind for kind, endings in _KINDS.items() if path.endswith(endings)), "link")


def _pretty(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
