"""The recording proxy: an application that passes requests on and writes what comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from ..addresses import Origins
from ..clock import monotonic
from ..problem import Problem
from ..request_log import LoggedRequest
from ..state import State
from .content import Content, Spool
from .event_stream import EventRecorder, LineRewriter
from .exchange import RecordedRequest, RecordedResponse
from .inline import find_output_files, to_data_uri
from .redaction import Headers, Redactor
from .requests import HOP_BY_HOP, header, is_json, read_headers, to_recorded, upstream_url
from .upstream import RawHeaders, UpstreamError, UpstreamRequest, UpstreamResponse, send
from .urls import UrlMap, origin_of
from .writing import CassetteWriter

# Headers of a response that do not apply to the body that is passed on.
_OF_THE_ENCODING = ("content-encoding", "content-length")
_BODILESS = (204, 304)
_DONE = re.compile(r"^event: ?done\r?\n", re.MULTILINE)


@dataclass(slots=True)
class _Call:
    """A request that is being passed on.

    Args:
        number: Its place in the cassette.
        is_api: Whether it came to the API's origin.
        url: The URL on the upstream.
        local: The origins by which its client reaches this server.
        headers: The request's headers.
        body: The request's body, collected while it is passed on.

    """

    number: int
    method: str
    is_api: bool
    url: str
    local: Origins
    headers: Headers
    body: Spool
    is_sent: asyncio.Event


class Recorder:
    """Passes requests on to the upstream, and records them with the responses.

    Args:
        state: The server's state.
        writer: Where exchanges are written.
        urls: Moves URLs between the upstream's hosts and this server.
        redactor: What removes the secrets from what is written.

    """

    def __init__(
        self, state: State, writer: CassetteWriter, urls: UrlMap, redactor: Redactor
    ) -> None:
        self._state = state
        self._writer = writer
        self._urls = urls
        self._redactor = redactor
        # Output files as `data:` URIs, by their URLs.
        self._inline: dict[str, str] = {}

    async def api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the API's origin."""
        await self._serve(scope, receive, send, is_api=True)

    async def output(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the output origin."""
        await self._serve(scope, receive, send, is_api=False)

    def redact_log(self, request: LoggedRequest) -> None:
        """Remove secrets from an entry of the request log."""
        self._redactor.add_token(request.headers.get("authorization", ""))
        request.headers = dict(self._redactor.headers(list(request.headers.items())))
        request.query = self._redactor.query(request.query)
        request.body = self._redactor.body(request.body)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, is_api: bool) -> None:
        try:
            call = self._begin(scope, is_api=is_api)
            await self._pass_on_until_left(call, receive, send)
        except Problem as problem:
            await problem.response()(scope, receive, send)

    def _begin(self, scope: Scope, *, is_api: bool) -> _Call:
        url = upstream_url(scope, self._urls, is_api=is_api)
        if not is_api and origin_of(url) not in self._urls.hosts:
            # This is no open proxy.
            raise Problem(
                403, f"no response of the API has named the host of {self._redactor.url(url)}"
            )
        headers = read_headers(scope)
        self._redactor.add_token(header(headers, "authorization"))
        number = self._writer.next_number()
        return _Call(
            number,
            scope["method"],
            is_api,
            url,
            self._state.addresses.current,
            headers,
            Spool(self._writer.spool_path(number, "request")),
            asyncio.Event(),
        )

    async def _pass_on_until_left(self, call: _Call, receive: Receive, send: Send) -> None:
        """Pass a request on, and stop if the client leaves."""
        passing = asyncio.create_task(self._pass_on(call, receive, send))
        watching = asyncio.create_task(_wait_until_left(call, receive))
        try:
            await asyncio.wait({passing, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            if not passing.done():
                passing.cancel()
            await asyncio.gather(passing, watching, return_exceptions=True)
            call.body.close()
        if not passing.cancelled():
            passing.result()

    async def _pass_on(self, call: _Call, receive: Receive, send_to_client: Send) -> None:
        request = await self._upstream_request(call, receive)
        try:
            async with send(request) as response:
                is_whole = call.is_api and call.method != "HEAD"
                if not (is_whole and is_json(response.header("content-type"))):
                    await self._pass_stream(call, response, send_to_client)
                    return
                body = b"".join([block async for block in response.blocks()])
            await self._pass_json(call, response, body, send_to_client)
        except UpstreamError as error:
            if not call.is_sent.is_set():
                # A client reads no response while it still sends.
                async for _ in _read_body(call, receive):
                    pass
            raise Problem(502, self._redactor.text(str(error)), title="Bad gateway") from error

    async def _upstream_request(self, call: _Call, receive: Receive) -> UpstreamRequest:
        headers: RawHeaders = []
        is_range = bool(header(call.headers, "range"))
        accepts_gzip = "gzip" in header(call.headers, "accept-encoding") and not is_range
        length = header(call.headers, "content-length")
        for name, value in call.headers:
            if name in HOP_BY_HOP or name in ("accept-encoding", "content-length"):
                continue
            if name == "authorization" and not call.is_api:
                # The hosts of output files do not get the token.
                continue
            headers.append((name.encode("latin-1"), value.encode("latin-1")))
        headers.append((b"accept-encoding", b"gzip" if accepts_gzip else b"identity"))
        body = _read_body(call, receive)
        if is_json(header(call.headers, "content-type")):
            data = b"".join([block async for block in body])
            data = self._urls.json_to_upstream(data, call.local)
            # As it is compared and written.
            call.body.close()
            call.body = _collected(data)
            headers.append((b"content-length", str(len(data)).encode()))
            return UpstreamRequest(call.method, call.url, headers, _one(data))
        if length:
            headers.append((b"content-length", length.encode("latin-1")))
        elif header(call.headers, "transfer-encoding"):
            headers.append((b"transfer-encoding", b"chunked"))
        return UpstreamRequest(call.method, call.url, headers, body)

    async def _pass_json(
        self, call: _Call, response: UpstreamResponse, body: bytes, send: Send
    ) -> None:
        headers = self._response_headers(response)
        self._urls.learn_json(body)
        recorded = RecordedResponse(
            response.status,
            self._redactor.headers(headers),
            Content.of(self._redactor.body(body)),
        )
        self._write(call, recorded)
        is_inline = self._state.settings.files == "data"
        for url in find_output_files(body) if is_inline else ():
            if url not in self._inline:
                await self._fetch(url, call.local)
        inline = self._inline if is_inline else None
        local = self._urls.json_to_local(body, call.local, inline)
        await send(self._head(call, response.status, headers, length=len(local)))
        await send({"type": "http.response.body", "body": local})

    async def _fetch(self, url: str, local: Origins) -> None:
        """Record an output file that is sent within a response."""
        number = self._writer.next_number()
        call = _Call(number, "GET", False, url, local, [], Spool(), asyncio.Event())
        spool = Spool(self._writer.spool_path(number, "response"))
        headers: RawHeaders = [(b"accept", b"*/*"), (b"accept-encoding", b"identity")]
        try:
            async with send(UpstreamRequest("GET", url, headers, _one(b""))) as response:
                media_type = response.header("content-type")
                async for block in response.blocks():
                    spool.write(block)
            content = self._redactor.content(spool.content())
            recorded = self._redactor.headers(self._response_headers(response))
            self._write(call, RecordedResponse(response.status, recorded, content))
            if response.status == 200:
                self._inline[url] = to_data_uri(content, media_type)
        except UpstreamError:
            # The response has the URL instead, which says when it is read why it cannot be.
            return
        finally:
            spool.close()

    async def _pass_stream(self, call: _Call, response: UpstreamResponse, send: Send) -> None:
        """Pass a body on while it comes, and record it at its end."""
        headers = self._response_headers(response)
        body: _Events | _File
        if response.header("content-type").lower().startswith("text/event-stream"):
            body = _Events(self._urls, call, self._redactor)
        else:
            body = _File(Spool(self._writer.spool_path(call.number, "response")), self._redactor)
        length = response.header("content-length")
        is_plain = isinstance(body, _File) and not response.is_gzip
        missing = int(length) if length and is_plain and call.method != "HEAD" else None
        is_complete = False
        last = b""
        try:
            await send(
                self._head(
                    call, response.status, headers, int(length) if length and is_plain else None
                )
            )
            async for block in response.blocks():
                passed = body.feed(block)
                missing = None if missing is None else missing - len(block)
                if missing == 0:
                    # The client has the whole response only when it is recorded.
                    last = passed
                    break
                await send({"type": "http.response.body", "body": passed, "more_body": True})
            is_complete = True
        except UpstreamError:
            # The client's connection breaks too, without a word: its response has begun.
            pass
        finally:
            if (not is_complete or call.method == "HEAD") and length and is_plain:
                headers.append(("content-length", length))
            self._write(
                call,
                body.response(response.status, self._redactor.headers(headers), is_complete),
            )
            body.close()
        if is_complete:
            await send({"type": "http.response.body", "body": last + body.rest()})

    def _response_headers(self, response: UpstreamResponse) -> Headers:
        """Return the headers to record."""
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
        ]
        dropped = HOP_BY_HOP | set(_OF_THE_ENCODING)
        if not response.is_gzip:
            # An encoding that is not undone here is the client's to undo.
            dropped -= {"content-encoding"}
        return [each for each in headers if each[0] not in dropped]

    def _head(
        self, call: _Call, status: int, headers: Headers, length: int | None
    ) -> dict[str, object]:
        passed: RawHeaders = []
        for name, value in headers:
            if name == "location":
                self._urls.learn_url(value)
                value = self._urls.to_local(value, call.local)
            passed.append((name.encode("latin-1"), value.encode("latin-1")))
        if length is not None and status not in _BODILESS:
            passed.append((b"content-length", str(length).encode()))
        return {"type": "http.response.start", "status": status, "headers": passed}

    def _write(self, call: _Call, response: RecordedResponse) -> None:
        request, spools = self._recorded_request(call)
        try:
            self._writer.write(call.number, request, response)
        finally:
            for spool in spools:
                spool.close()

    def _recorded_request(self, call: _Call) -> tuple[RecordedRequest, list[Spool]]:
        return to_recorded(call.method, call.url, call.headers, call.body.content(), self._redactor)


class _Events:
    """The body of a stream of events."""

    def __init__(self, urls: UrlMap, call: _Call, redactor: Redactor) -> None:
        self._recorder = EventRecorder()
        self._lines = LineRewriter(lambda url: urls.stream_to_local(url, call.url, call.local))
        self._redactor = redactor
        self._started = monotonic()

    def feed(self, block: bytes) -> bytes:
        """Record a block, and return what to pass on."""
        self._recorder.feed(monotonic() - self._started, block)
        return self._lines.feed(block)

    def rest(self) -> bytes:
        """Return what is left to pass on at the end."""
        return self._lines.close()

    def response(self, status: int, headers: Headers, is_complete: bool) -> RecordedResponse:
        """Return the response to record."""
        events = self._recorder.entries(monotonic() - self._started, self._redactor)
        # Clients may leave after the last event, without waiting for the end of the response.
        is_complete = is_complete or bool(events and _DONE.search(events[-1][1]))
        return RecordedResponse(status, headers, Content.of(b""), events, is_complete)

    def close(self) -> None:
        """Nothing is open."""


class _File:
    """A body that is passed on as it is."""

    def __init__(self, spool: Spool, redactor: Redactor) -> None:
        self._spool = spool
        self._redactor = redactor

    def feed(self, block: bytes) -> bytes:
        """Record a block, and return what to pass on."""
        self._spool.write(block)
        return block

    def rest(self) -> bytes:
        """Return what is left to pass on at the end."""
        return b""

    def response(self, status: int, headers: Headers, is_complete: bool) -> RecordedResponse:
        """Return the response to record."""
        content = self._redactor.content(self._spool.content())
        return RecordedResponse(status, headers, content, None, is_complete)

    def close(self) -> None:
        """Delete the temporary file."""
        self._spool.close()


async def _read_body(call: _Call, receive: Receive) -> AsyncIterator[bytes]:
    """Return the blocks of the client's request, and collect them."""
    while not call.is_sent.is_set():
        message = await receive()
        if message["type"] == "http.disconnect":
            raise UpstreamError("the client closed the connection")
        block: bytes = message.get("body", b"")
        if block:
            call.body.write(block)
            yield block
        if not message.get("more_body"):
            call.is_sent.set()


async def _wait_until_left(call: _Call, receive: Receive) -> None:
    await call.is_sent.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _one(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _collected(data: bytes) -> Spool:
    spool = Spool()
    spool.write(data)
    return spool
