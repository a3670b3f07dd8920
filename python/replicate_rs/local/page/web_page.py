"""The endpoints of the web page."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Reversible
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from ..clock import format_time
from ..problem import not_found
from ..runs.prediction import StoredPrediction
from ..state import State
from .details import (
    display_body,
    display_logs,
    display_output,
    example_input,
    find_progress,
    group_answers,
    list_inputs,
)
from .formats import to_clock_time, to_duration, to_line, to_size
from .values import MEDIA_TYPE, DisplayValue, to_display

# Rows of each list.
MAX_ROWS = 100
# Seconds between two updates.
UPDATE_INTERVAL = 0.1
# Milliseconds after which a page that has lost the server connects again.
RECONNECT_DELAY = 500

_TEMPLATES = Path(__file__).with_name("templates")
# Files may be from anyone, and are on the page's origin: scripts in them must not run.
_FILE_HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ),
    "Cache-Control": "private, max-age=3600",
}


def is_page(path: str) -> bool:
    """Return whether a path of the API's origin is one of the web page."""
    return path == "/" or path.startswith(("/p/", "/-/"))


class WebPage:
    """The endpoints of the web page. They need no token, and are not in the request log."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style, script = (
            Markup((_TEMPLATES / name).read_text("utf-8"))  # noqa: S704 - the package's own files
            for name in ("page.css", "page.js")
        )
        # Shown values may be from anyone: only the page's own script runs; media may be anywhere.
        policy = {
            "default-src": "'none'",
            "style-src": _csp_hash(style),
            "script-src": _csp_hash(script),
            "connect-src": "'self'",
            "img-src": "* data:",
            "media-src": "* data:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        self._headers = {
            "Content-Security-Policy": "; ".join(
                f"{name} {value}" for name, value in policy.items()
            ),
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",
        }
        functions: dict[str, Any] = self._templates.globals
        functions |= {
            "answers_of": group_answers,
            "body_of": display_body,
            "example_of": example_input,
            "input_of": self._display_input,
            "inputs_of": list_inputs,
            "logs_of": display_logs,
            "number_of": id,
            "output_of": partial(display_output, state=state),
            "progress_of": find_progress,
            "script": script,
            "style": style,
        }
        filters: dict[str, Any] = self._templates.filters
        filters |= {
            "line": to_line,
            "number": "{:,}".format,
            "seconds": to_duration,
            "size": to_size,
            "time": to_clock_time,
            "utc": format_time,
        }
        self.routes: list[Route] = [
            Route("/", self.predictions),
            Route("/p/{id}", self.prediction),
            Route("/-/webhooks", self.webhooks),
            Route("/-/requests", self.requests),
            Route("/-/changes", self.changes),
            Route("/-/files/{id}", self.file),
        ]

    def _render(self, name: str, status: int = 200, **values: Any) -> Response:
        html = self._templates.get_template(f"{name}.html").render(
            state=self._state, here=name, **values
        )
        # UTF-8 cannot encode a lone surrogate.
        return HTMLResponse(html.encode(errors="replace"), status, self._headers)

    def _display_input(self, prediction: StoredPrediction) -> DisplayValue:
        return to_display(prediction.data["input"], self._state)

    async def predictions(self, _: Request) -> Response:
        """Show the predictions and trainings, the newest first."""
        return self._render("predictions", predictions=_newest(self._state.predictions.values()))

    async def prediction(self, request: Request) -> Response:
        """Show a prediction or training."""
        id = request.path_params["id"]
        prediction = self._state.predictions.get(id)
        if prediction is None:
            return self._render("missing", 404, id=id)
        deliveries = [each for each in self._state.webhooks.deliveries if each.prediction == id]
        return self._render(
            "prediction",
            prediction=prediction,
            deliveries=_newest(deliveries),
            total=len(deliveries),
        )

    async def webhooks(self, _: Request) -> Response:
        """Show the webhooks and the answers to them."""
        deliveries = self._state.webhooks.deliveries
        return self._render("webhooks", deliveries=_newest(deliveries), total=len(deliveries))

    async def requests(self, _: Request) -> Response:
        """Show the request log."""
        return self._render("requests", requests=_newest(self._state.requests))

    async def changes(self, _: Request) -> Response:
        """Stream an event whenever the page should load itself again."""

        async def events() -> AsyncIterator[bytes]:
            yield b"retry: %d\n\n" % RECONNECT_DELAY
            while not self._state.is_stopping:
                await self._state.changes.wait()
                # Further changes before the event is sent need no event of their own: the page
                # loads itself after it.
                await asyncio.sleep(UPDATE_INTERVAL)
                yield b"data: \n\n"

        return StreamingResponse(
            events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def file(self, request: Request) -> Response:
        """Return an uploaded file or an output file."""
        id = request.path_params["id"]
        file = self._state.outputs.get(id) or self._state.find_upload(id)
        if file is None:
            raise not_found()
        # Browsers detect media formats themselves, and show no octet stream as a document.
        media_type = MEDIA_TYPE.match(file.content_type.lower())
        return FileResponse(
            file.path,
            media_type=media_type[0] if media_type else "application/octet-stream",
            headers=_FILE_HEADERS,
        )


def _csp_hash(content: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _newest(items: Reversible[Any]) -> list[Any]:
    return list(islice(reversed(items), MAX_ROWS))
