"""The contenders at passing a model's stream on: how a service has its answer's body from each
library, in its own plainest way.

Each starts the model, as a service would, and writes its events anew. Only "bare bytes" passes on
what came, unread: it is no peer, but the least that is possible in Python. Limits are lifted as in
followers.py; 1.0.7's by the transport, which it takes.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from contenders.decoders import ByHand
from contenders.predictions import OURS, TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    # Takes a model's name, and gives the body.
    Relay = Callable[[str], Awaitable[AsyncIterable[bytes | str]]]

BARE = "bare bytes"
INPUT = {"prompt": "Write a haiku about llamas"}
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def _text(id: str, event: str, data: str) -> str:
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

    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
    client = replicate.Client(
        TOKEN, base_url=origin, timeout=httpx.Timeout(None), transport=transport
    )

    async def body(model: str) -> AsyncIterator[str]:
        async for event in await client.async_stream(model, INPUT):
            yield _text(event.id, event.event.value, event.data)

    async def relay(model: str) -> AsyncIterator[str]:
        return body(model)

    yield relay


@asynccontextmanager
async def _httpx_sse(origin: str) -> AsyncIterator[Relay]:
    import httpx
    from httpx_sse import aconnect_sse

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=origin, headers=AUTHORIZED, timeout=None, limits=limits
    ) as client:

        async def body(url: str) -> AsyncIterator[str]:
            async with aconnect_sse(client, "GET", url) as source:
                async for event in source.aiter_sse():
                    yield _text(event.id, event.event, event.data)

        async def relay(model: str) -> AsyncIterator[str]:
            prediction = (await client.post(_path(model), json={"input": INPUT})).json()
            return body(prediction["urls"]["stream"])

        yield relay


@asynccontextmanager
async def _aiohttp(origin: str) -> AsyncIterator[Relay]:
    def text_of(block: str) -> str | None:
        id, event, data = "", "message", []
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id":
                id = value
        # A comment has no data.
        return _text(id, event, "\n".join(data)) if data else None

    async def body(session: Any, url: str) -> AsyncIterator[str]:
        blocks = ByHand().blocks
        async with session.get(url) as response:
            async for chunk in response.content.iter_any():
                for block in blocks(chunk):
                    if (text := text_of(block)) is not None:
                        yield text

    async with _on_aiohttp(origin, body) as relay:
        yield relay


@asynccontextmanager
async def _bare(origin: str) -> AsyncIterator[Relay]:
    async def body(session: Any, url: str) -> AsyncIterator[bytes]:
        async with session.get(url) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    async with _on_aiohttp(origin, body) as relay:
        yield relay


@asynccontextmanager
async def _on_aiohttp(
    origin: str, body: Callable[[Any, str], AsyncIterator[Any]]
) -> AsyncIterator[Relay]:
    import aiohttp

    parts: dict[str, Any] = {
        "connector": aiohttp.TCPConnector(limit=0),
        "timeout": aiohttp.ClientTimeout(total=None),
    }
    async with aiohttp.ClientSession(origin, headers=AUTHORIZED, **parts) as session:

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
    BARE: _bare,
}
