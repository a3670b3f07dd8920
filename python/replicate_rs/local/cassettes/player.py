"""The player: an application that answers requests from a cassette."""

from __future__ import annotations

import asyncio
import re
from itertools import count

from starlette.types import Receive, Scope, Send

from ..addresses import Origins
from ..clock import monotonic
from ..problem import Problem
from ..request_log import LoggedRequest
from ..state import State
from .content import Content, Spool
from .event_stream import LineRewriter, to_bytes
from .exchange import Exchange, RecordedRequest, RecordedResponse
from .inline import find_output_files, to_data_uri
from .matching import Found, Recordings
from .reading import Cassette
from .redaction import Redactor
from .requests import header, is_json, read_headers, to_recorded, upstream_url
from .upstream import RawHeaders
from .urls import UrlMap

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_EVENT_ID = re.compile(r"^id: ?(.*?)\r?$", re.MULTILINE)
_BODILESS = (204, 304)


class Player:
    """Answers requests with recorded responses.

    Args:
        state: The server's state.
        cassette: The recordings.
        at_once: Whether streams send their events without the pauses that they had.

    """

    def __init__(self, state: State, cassette: Cassette, *, at_once: bool) -> None:
        self._state = state
        self._at_once = at_once
        self._recordings = Recordings(cassette.exchanges)
        self._redactor = Redactor(cassette.redact)
        self._urls = UrlMap(cassette.upstream)
        for each in cassette.exchanges:
            self._learn(each)
        self._numbers = count(1)
        # Messages about requests that were not recorded.
        self.missing: list[str] = []

    def _learn(self, exchange: Exchange) -> None:
        """Learn which hosts have output files and streams, as the recorder did."""
        self._urls.learn_url(exchange.request.url)
        self._urls.learn_url(header(exchange.response.headers, "location"))
        if exchange.response.body.data is not None:
            self._urls.learn_json(exchange.response.body.data)

    async def api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the API's origin."""
        await self._serve(scope, receive, send, is_api=True)

    async def output(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the output origin."""
        await self._serve(scope, receive, send, is_api=False)

    def redact_log(self, request: LoggedRequest) -> None:
        """Leave an entry of the request log as it is: a test's own requests have no secrets."""

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, is_api: bool) -> None:
        try:
            await self._answer(scope, receive, send, is_api=is_api)
        except Problem as problem:
            await problem.response()(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, is_api: bool) -> None:
        local = self._state.addresses.current
        headers = read_headers(scope)
        self._redactor.add_token(header(headers, "authorization"))
        spool = Spool(
            None
            if is_json(header(headers, "content-type"))
            else self._state.folder / f"request-{next(self._numbers)}"
        )
        spools = [spool]
        try:
            more = True
            while more:
                message = await receive()
                spool.write(message.get("body", b""))
                more = message.get("more_body", False)
            body = spool.content()
            if body.data is not None:
                body = Content.of(self._urls.json_to_upstream(body.data, local))
            url = upstream_url(scope, self._urls, is_api=is_api)
            request, parts = to_recorded(scope["method"], url, headers, body, self._redactor)
            spools += parts
            found = self._find(request)
        finally:
            for each in spools:
                each.close()
        await self._play(found, request, local, send)

    def _find(self, request: RecordedRequest) -> Found:
        found = self._recordings.find(request)
        if isinstance(found, Found):
            return found
        self.missing.append(found.detail)
        raise Problem(
            # Clients repeat no request for a 400, and programs seldom expect one.
            400,
            found.detail,
            title="Not recorded",
            nearest=found.nearest,
            differences=found.differences,
        )

    async def _play(
        self, found: Found, request: RecordedRequest, local: Origins, send: Send
    ) -> None:
        response = found.exchange.response
        if response.events is not None:
            last_id = request.header("last-event-id") if found.is_whole else None
            await self._play_events(response, request.url, local, send, last_id)
            return
        body = response.body
        if (
            self._urls.is_api(request.url)
            and body.data is not None
            and is_json(header(response.headers, "content-type"))
        ):
            inline = self._find_inline(body.data)
            body = Content.of(self._urls.json_to_local(body.data, local, inline))
        status, start, end = response.status, 0, body.size
        headers = self._headers(response, local)
        if found.is_whole and (part := _find_part(request, response)) is not None:
            start, end = part
            status = 206
            headers.append((b"content-range", f"bytes {start}-{end - 1}/{body.size}".encode()))
        if not any(name == b"content-length" for name, _ in headers) and status not in _BODILESS:
            headers.append((b"content-length", str(end - start).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for block in body.blocks(start, end):
            await send({"type": "http.response.body", "body": block, "more_body": True})
        if response.is_complete:
            await send({"type": "http.response.body", "body": b""})
        # Otherwise uvicorn closes the connection, as the upstream did.

    def _find_inline(self, body: bytes) -> dict[str, str]:
        """Return the recorded output files that are sent within a response."""
        if self._state.settings.files != "data":
            return {}
        files = {
            url: self._recordings.find_file(self._redactor.url(url))
            for url in find_output_files(body)
        }
        return {
            url: to_data_uri(file.body, header(file.headers, "content-type"))
            for url, file in files.items()
            if file is not None
        }

    async def _play_events(
        self,
        response: RecordedResponse,
        url: str,
        local: Origins,
        send: Send,
        last_id: str | None,
    ) -> None:
        lines = LineRewriter(lambda each: self._urls.stream_to_local(each, url, local))
        events = response.events or []
        if last_id is not None:
            ids = [match and match[1] for match in (_EVENT_ID.search(text) for _, text in events)]
            events = events[ids.index(last_id) + 1 :] if last_id in ids else events
        headers = self._headers(response, local)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        started = monotonic()
        for seconds, text in events:
            if not self._at_once:
                await asyncio.sleep(max(0.0, started + seconds - monotonic()))
            block = lines.feed(to_bytes(text))
            await send({"type": "http.response.body", "body": block, "more_body": True})
        if response.is_complete:
            await send({"type": "http.response.body", "body": lines.close()})

    def _headers(self, response: RecordedResponse, local: Origins) -> RawHeaders:
        return [
            (
                name.encode("latin-1"),
                (self._urls.to_local(value, local) if name == "location" else value).encode(
                    "latin-1"
                ),
            )
            for name, value in response.headers
        ]


def _find_part(request: RecordedRequest, response: RecordedResponse) -> tuple[int, int] | None:
    """Return where the requested part of a file begins and ends; None: the whole file is sent."""
    match = _RANGE.match(request.header("range") or "")
    condition = request.header("if-range")
    if match is None or response.status != 200 or not response.is_complete:
        return None
    if condition is not None and condition not in (
        header(response.headers, "etag"),
        header(response.headers, "last-modified"),
    ):
        return None
    first, last = match.groups()
    size = response.body.size
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    elif last:
        start, end = max(size - int(last), 0), size
    else:
        return None
    return (start, end) if start < end else None
