"""The web page: predictions, webhooks and requests, as they happen."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Reversible
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from ..._typing import is_array, is_object
from ...prediction import parse_progress_from_logs
from ..clock import text
from ..files import Stored
from ..models.model import Model
from ..problem import not_found
from ..request_log import LoggedRequest
from ..runs.prediction import Run
from ..runs.webhooks import Delivery
from ..state import State
from .json_text import indented

# Rows of each list.
MOST_SHOWN = 100
# Characters of a text, of a log, of a request's body; items of an output.
MOST_TEXT, MOST_LOGS, MOST_BODY, MOST_ITEMS = 100_000, 200_000, 20_000, 100
# Characters of a value beside its name.
SHORT = 60
# Characters of a summary, and of a data URI that cannot be shown as what it is.
MOST_LINE = 200
# Lists and objects in each other; those further in are written as JSON.
DEEPEST = 4
# Seconds between two updates.
PAUSE = 0.1
# Milliseconds after which a page that has lost the server asks for it again.
RETRY = 500

_TEMPLATES = Path(__file__).with_name("templates")
_KINDS = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".avif"),
    "audio": (".mp3", ".wav", ".ogg", ".flac", ".m4a"),
    "video": (".mp4", ".webm", ".mov"),
}
_MEDIA_TYPE = re.compile(r"(image|audio|video)/([a-z0-9.-]+)(\+xml)?")
# A file is anybody's, and on the page's own origin: nothing in it runs.
_FILE_HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ),
    "Cache-Control": "private, max-age=3600",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A value, as the page shows it.

    Args:
        kind: `image`, `audio`, `video`, `link`, `text`, `code`; `list` and `fields` have `items`.
        text: What it says; a file's name.
        source: Where the browser has a picture, sound or film from.
        target: Where its link leads, if it has one.
        note: What else there is to say.
        items: Names and values; the names of a list are empty.

    """

    kind: str
    text: str = ""
    source: str = ""
    target: str = ""
    note: str = ""
    items: tuple[tuple[str, Shown], ...] = ()

    @property
    def is_short(self) -> bool:
        """Whether it fits beside its name."""
        return (
            self.kind in ("text", "code")
            and not self.note
            and len(self.text) <= SHORT
            and "\n" not in self.text
        )

    @property
    def is_chips(self) -> bool:
        """Whether it is a list of short values."""
        return all(each.is_short for _, each in self.items)

    @property
    def line(self) -> str:
        """A summary in one line."""
        named = (f"{name}: {each.line}" if name else each.line for name, each in self.items)
        return _one_line(", ".join(named) if self.items else self.text)

    @property
    def picture(self) -> Shown | None:
        """The first picture that can be sent again with every update."""
        if self.kind == "image" and len(self.source) <= MOST_TEXT:
            return self
        return next((found for _, each in self.items if (found := each.picture) is not None), None)


class Page:
    """Its endpoints."""

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
        # What is shown may be anybody's: nothing of it runs, and pictures come from where they are.
        policy = {
            "default-src": "'none'",
            "style-src": _hash(style),
            "script-src": _hash(script),
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
        helpers: dict[str, Any] = self._templates.globals
        helpers |= {
            "answers_of": _answers,
            "body_of": _body,
            "example_of": _example,
            "input_of": self._input,
            "inputs_of": _inputs,
            "logs_of": _logs,
            "number_of": id,
            "output_of": self._output,
            "progress_of": _progress,
            "script": script,
            "style": style,
        }
        filters: dict[str, Any] = self._templates.filters
        filters |= {
            "line": _one_line,
            "number": "{:,}".format,
            "seconds": _seconds,
            "size": _size,
            "time": _time,
            "utc": text,
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
        page = self._templates.get_template(f"{name}.html").render(
            state=self._state, here=name, **values
        )
        # Half a surrogate pair is JSON, but not UTF-8.
        return HTMLResponse(page.encode(errors="replace"), status, self._headers)

    async def predictions(self, _: Request) -> Response:
        """Show all predictions and trainings, newest first."""
        return self._render("predictions", runs=_last(self._state.runs.values()))

    async def prediction(self, request: Request) -> Response:
        """Show one of them."""
        run = self._state.runs.get(request.path_params["id"])
        if run is None:
            return self._render("missing", 404, id=request.path_params["id"])
        deliveries = [each for each in self._state.webhooks.deliveries if each.prediction == run.id]
        return self._render(
            "prediction", run=run, deliveries=_last(deliveries), total=len(deliveries)
        )

    async def webhooks(self, _: Request) -> Response:
        """Show the deliveries of webhooks, and what they were answered."""
        deliveries = self._state.webhooks.deliveries
        return self._render("webhooks", deliveries=_last(deliveries), total=len(deliveries))

    async def requests(self, _: Request) -> Response:
        """Show the request log."""
        return self._render("requests", requests=_last(self._state.requests))

    async def changes(self, _: Request) -> Response:
        """Tell the page when to look again."""

        async def events() -> AsyncIterator[bytes]:
            yield b"retry: %d\n\n" % RETRY
            while not self._state.stopping:
                await self._state.changes.changed()
                # What changes until the event is sent is told by it; the page looks when it has it.
                await asyncio.sleep(PAUSE)
                yield b"data: \n\n"

        return StreamingResponse(
            events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def file(self, request: Request) -> Response:
        """Give an uploaded file or a model's, for the page only: it needs no token, and is not in
        the request log.
        """
        id = request.path_params["id"]
        stored = self._state.outputs.get(id) or self._state.upload(id)
        if stored is None:
            raise not_found()
        # A browser finds out itself what else a picture or a sound is, but takes none for a
        # document.
        media = _MEDIA_TYPE.match(stored.content_type.lower())
        return FileResponse(
            stored.path,
            media_type=media[0] if media else "application/octet-stream",
            headers=_FILE_HEADERS,
        )

    def _input(self, run: Run) -> Shown:
        return self._shown(run.data["input"])

    def _output(self, run: Run) -> Shown | None:
        value, signature = self._state.output(run), run.version.definition.signature
        if value is None:
            return None
        if (
            is_array(value)
            and signature.iterates
            and not signature.gives_files
            and all(isinstance(each, str) for each in value)
        ):
            return _text("".join(value))
        return self._shown(value)

    def _shown(self, value: object, depth: int = 0) -> Shown:
        if isinstance(value, str):
            return self._shown_text(value)
        if is_object(value) and value and depth < DEEPEST:
            fields = (
                (str(name), self._shown(each, depth + 1))
                for name, each in islice(value.items(), MOST_ITEMS)
            )
            return Shown(kind="fields", items=tuple(fields), note=_more(len(value)))
        if (
            is_array(value)
            and depth < DEEPEST
            and any(isinstance(each, (str, list, dict)) for each in value)
        ):
            items = (("", self._shown(each, depth + 1)) for each in value[:MOST_ITEMS])
            return Shown(kind="list", items=tuple(items), note=_more(len(value)))
        return _text(_json(value), "code")

    def _shown_text(self, value: str) -> Shown:
        if value.startswith("data:"):
            head, comma, content = value.partition(",")
            kind, size = (
                _kind_of_type(head[5:]),
                _size(len(content) * 3 // 4 if ";base64" in head else len(content)),
            )
            if comma and kind != "link":
                return Shown(kind=kind, text=head, source=value, note=size)
            return Shown(kind="text", text=_one_line(value), note=size)
        if not value.startswith(("http://", "https://")) or any(each.isspace() for each in value):
            return _text(value)
        uploads, outputs = f"{self._state.api}/files/", f"{self._state.delivery}/pbxt/"
        stored = self._state.stored_at(value)
        if stored is not None or value.startswith((uploads, outputs)):
            return _file(
                value, stored, is_open=stored is not None and stored.id in self._state.outputs
            )
        try:
            path = unquote(urlsplit(value).path)
        except ValueError:
            return _text(value)
        kind = _kind_of_name(path)
        name = value if kind == "link" else path.rpartition("/")[2]
        return Shown(kind=kind, text=name, source=value, target=value)


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _file(url: str, stored: Stored | None, *, is_open: bool) -> Shown:
    """Show a file of this server's; its own URL opens only if that asks for no token."""
    if stored is None:
        return Shown(kind="text", text=url, note="no longer there")
    kind, source = _kind_of_name(stored.name), f"/-/files/{stored.id}"
    if kind == "link":
        kind = _kind_of_type(stored.content_type)
    return Shown(
        kind=kind,
        text=stored.name,
        source=source,
        target=url if is_open else source,
        note=_size(stored.size),
    )


def _text(value: str, kind: str = "text") -> Shown:
    left = len(value) - MOST_TEXT
    return Shown(
        kind=kind, text=value[:MOST_TEXT], note=f"and {left:,} characters more" if left > 0 else ""
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _kind_of_name(name: str) -> str:
    return next(
        (kind for kind, endings in _KINDS.items() if name.lower().endswith(endings)), "link"
    )


def _kind_of_type(content_type: str) -> str:
    media = _MEDIA_TYPE.match(content_type.lower())
    if media is None:
        return "link"
    return _kind_of_name(f".{media[2]}") if media[1] == "image" else media[1]


def _last(items: Reversible[Any]) -> list[Any]:
    return list(islice(reversed(items), MOST_SHOWN))


def _more(count: int) -> str:
    return f"and {count - MOST_ITEMS:,} more" if count > MOST_ITEMS else ""


def _one_line(value: str) -> str:
    line = " ".join(value[: 2 * MOST_LINE].split())
    return f"{line[:MOST_LINE]}…" if len(line) > MOST_LINE or len(value) > 2 * MOST_LINE else line


def _time(moment: float) -> str:
    # The browser is on this machine too.
    return datetime.fromtimestamp(moment).astimezone().strftime("%H:%M:%S")


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _size(size: int) -> str:
    if size < 1000:
        return f"{size} {'byte' if size == 1 else 'bytes'}"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _logs(run: Run) -> Shown:
    """Give the end of the logs, from a line's beginning if it has one."""
    logs: str = run.data["logs"]
    start = max(0, len(logs) - MOST_LOGS)
    if start:
        start = max(start, logs.find("\n", start, -1) + 1)
    return Shown(
        kind="code", text=logs[start:], note=f"{start:,} characters before" if start else ""
    )


def _progress(run: Run) -> object:
    # What a model prints may have more digits than Python reads.
    with suppress(ValueError, OverflowError):
        return (
            parse_progress_from_logs(_logs(run).text)
            if run.data["status"] == "processing"
            else None
        )
    return None


def _body(request: LoggedRequest) -> Shown | None:
    """Show a request's body: text, and JSON with line breaks."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if not request.body:
        return None
    if kind.startswith("multipart/") or b"\0" in request.body:
        return Shown(kind="link", text=kind or "binary")
    written = request.body[:MOST_BODY].decode(errors="replace")
    left = request.size - MOST_BODY
    if left <= 0:
        written = indented(written, MOST_BODY)
    return Shown(kind="code", text=written, note=f"and {left:,} bytes more" if left > 0 else "")


def _answers(delivery: Delivery) -> list[tuple[str, int, bool]]:
    """Give what a webhook was answered, as `(answer, times in a row, whether that is success)`."""
    prefix = f"POST {delivery.url}: "
    return [
        (
            str(answer).removeprefix(prefix),
            sum(1 for _ in same),
            isinstance(answer, int) and 200 <= answer < 300,
        )
        for answer, same in groupby(delivery.answers)
    ]


def _inputs(model: Model) -> list[tuple[str, str, str]]:
    """Give the inputs of a model's newest version, as `(name, type, default)`; one that is required
    has no default.
    """
    if not model.versions:
        return []
    schema = model.versions[-1].definition.signature.input
    needed = schema.get("required", ())
    return [
        (name, _type(each), "" if name in needed else _one_line(_json(each.get("default"))))
        for name, each in schema["properties"].items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(_json, schema["enum"]))
    if schema.get("format") == "uri":
        return "file"
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "any"))


def _example(model: Model) -> str:
    """Give the Python of a model's input: something for each that is required."""
    values = {
        "any": "None",
        "array": "[]",
        "boolean": "True",
        "file": 'open("file", "rb")',
        "integer": "1",
        "number": "1.0",
    }
    values |= {"object": "{}", "string": '"hello"'}
    needed = ((name, type) for name, type, default in _inputs(model) if not default)
    written = (
        f'"{name}":'
        f" {values.get(type) or ('[]' if type.startswith('list of ') else type.partition(' | ')[0])}"
        for name, type in needed
    )
    return "{" + ", ".join(written) + "}"
