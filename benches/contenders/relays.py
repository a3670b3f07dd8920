"""Relaying a model's stream to a service's own clients.

Each contender creates a prediction, decodes the events of its stream and encodes them again, as a
service would. "bare bytes" passes the bytes on undecoded: it is not a peer, but the least that
Python can take.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from contenders import OURS, TOKEN
from contenders.decoders import HandWrittenDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    # Takes a model's name and returns the body of the service's response.
    Relay = Callable[[str], Awaitable[AsyncIterable[bytes | str]]]

INPUT = {"prompt": "Write a haiku about llamas"}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def _encode(id: str, event: str, data: str) -> str:
    lines = data.replace("\n", "\ndata: ")
    return f"id: {id}\nevent: {event}\ndata: {lines}\n\n"


def _path(model: str) -> str:
    return f"/v1/models/{model}/predictions"


@asynccontextmanager
async def _ours(origin: str) -> AsyncIterator[Relay]:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:
        yield lambda model: client.relay(model, INPUT)


@asynccontextmanager
async def _1_0_7(origin: str) -> AsyncIterator[Relay]:
    import httpx
    import replicate

    # A transport of our own lifts the limit on connections, which 1.0.7 has no option for.
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
    client = replicate.Client(
        TOKEN, base_url=origin, timeout=httpx.Timeout(None), transport=transport
    )

    async def body(model: str) -> AsyncIterator[str]:
        async for event in await client.async_stream(model, INPUT):
            yield _encode(event.id, event.event.value, event.data)

    async def relay(model: str) -> AsyncIterator[str]:
        return body(model)

    yield relay


@asynccontextmanager
async def _httpx_sse(origin: str) -> AsyncIterator[Relay]:
    import httpx
    from httpx_sse import aconnect_sse

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=origin, headers=HEADERS, timeout=None, limits=limits
    ) as client:

        async def body(url: str) -> AsyncIterator[str]:
            async with aconnect_sse(client, "GET", url) as source:
                async for event in source.aiter_sse():
                    yield _encode(event.id, event.event, event.data)

        async def relay(model: str) -> AsyncIterator[str]:
            prediction = (await client.post(_path(model), json={"input": INPUT})).json()
            return body(prediction["urls"]["stream"])

        yield relay


@asynccontextmanager
async def _aiohttp(origin: str) -> AsyncIterator[Relay]:
    def reencode(block: str) -> str | None:
        id, event, data = "", "message", []
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id":
                id = value
        # A block without data is a comment.
        return _encode(id, event, "\n".join(data)) if data else None

    async def body(session: Any, url: str) -> AsyncIterator[str]:
        blocks = HandWrittenDecoder().blocks
        async with session.get(url) as response:
            async for chunk in response.content.iter_any():
                for block in blocks(chunk):
                    if (text := reencode(block)) is not None:
                        yield text

    async with _aiohttp_relay(origin, body) as relay:
        yield relay


@asynccontextmanager
async def _bare_bytes(origin: str) -> AsyncIterator[Relay]:
    async def body(session: Any, url: str) -> AsyncIterator[bytes]:
        async with session.get(url) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    async with _aiohttp_relay(origin, body) as relay:
        yield relay


@asynccontextmanager
async def _aiohttp_relay(
    origin: str, body: Callable[[Any, str], AsyncIterator[Any]]
) -> AsyncIterator[Relay]:
    import aiohttp

    async with aiohttp.ClientSession(
        origin,
        headers=HEADERS,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:

        async def relay(model: str) -> AsyncIterator[Any]:
            async with session.post(_path(model), json={"input": INPUT}) as response:
                prediction = await response.json()
            return body(session, prediction["urls"]["stream"])

        yield relay


RELAYS: dict[str, Callable[[str], AbstractAsyncContextManager[Relay]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx-sse": _httpx_sse,
    "aiohttp + hand": _aiohttp,
    "bare bytes": _bare_bytes,
}
