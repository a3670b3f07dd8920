"""Reading a stream of server-sent events.

Libraries without a decoder for events use `HandWrittenDecoder`. Every event has the attribute
`data`. Limits on the time between events, and buffers that would delay them, are switched off.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from contenders import OURS, PREDICTION_ID, TOKEN
from contenders.decoders import HandWrittenDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    # Both take a path of the server and return its events.
    Stream = Callable[[str], Iterator[Any]]
    AsyncStream = Callable[[str], AsyncIterator[Any]]


@contextmanager
def _ours(origin: str) -> Iterator[Stream]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        prediction = client.predictions.get(PREDICTION_ID)

        def stream(path: str) -> Iterator[Any]:
            prediction.urls["stream"] = origin + path
            return prediction.stream()

        yield stream


@contextmanager
def _1_0_7(origin: str) -> Iterator[Stream]:
    import replicate

    prediction = replicate.Client(TOKEN, base_url=origin).predictions.get(PREDICTION_ID)

    def stream(path: str) -> Iterator[Any]:
        prediction.urls["stream"] = origin + path
        return prediction.stream()

    yield stream


@contextmanager
def _httpx_sse(origin: str) -> Iterator[Stream]:
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client(timeout=None) as client:

        def stream(path: str) -> Iterator[Any]:
            with connect_sse(client, "GET", origin + path) as source:
                yield from source.iter_sse()

        yield stream


@contextmanager
def _pyreqwest(origin: str) -> Iterator[Stream]:
    from pyreqwest.client import SyncClientBuilder

    with SyncClientBuilder().build() as client:

        def stream(path: str) -> Iterator[Any]:
            feed = HandWrittenDecoder().feed
            with (
                client.get(origin + path).streamed_read_buffer_limit(0).build_streamed() as response
            ):
                read = response.body_reader.read_chunk
                while (chunk := read()) is not None:
                    yield from feed(chunk)

        yield stream


@contextmanager
def _urllib3(origin: str) -> Iterator[Stream]:
    import urllib3

    with urllib3.PoolManager() as client:

        def stream(path: str) -> Iterator[Any]:
            feed = HandWrittenDecoder().feed
            response = client.request("GET", origin + path, preload_content=False)
            for chunk in response.stream():
                yield from feed(chunk)
            response.release_conn()

        yield stream


@asynccontextmanager
async def _async_ours(origin: str) -> AsyncIterator[AsyncStream]:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:
        prediction = await client.predictions.get(PREDICTION_ID)

        def stream(path: str) -> AsyncIterator[Any]:
            prediction.urls["stream"] = origin + path
            return prediction.async_stream()

        yield stream


@asynccontextmanager
async def _async_1_0_7(origin: str) -> AsyncIterator[AsyncStream]:
    import replicate

    prediction = await replicate.Client(TOKEN, base_url=origin).predictions.async_get(PREDICTION_ID)

    def stream(path: str) -> AsyncIterator[Any]:
        prediction.urls["stream"] = origin + path
        return prediction.async_stream()

    yield stream


@asynccontextmanager
async def _async_httpx_sse(origin: str) -> AsyncIterator[AsyncStream]:
    import httpx
    from httpx_sse import aconnect_sse

    async with httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None)) as client:

        async def stream(path: str) -> AsyncIterator[Any]:
            async with aconnect_sse(client, "GET", origin + path) as source:
                async for event in source.aiter_sse():
                    yield event

        yield stream


@asynccontextmanager
async def _async_aiohttp(origin: str) -> AsyncIterator[AsyncStream]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def stream(path: str) -> AsyncIterator[Any]:
            feed = HandWrittenDecoder().feed
            async with session.get(origin + path) as response:
                async for chunk in response.content.iter_any():
                    for event in feed(chunk):
                        yield event

        yield stream


@asynccontextmanager
async def _async_pyreqwest(origin: str) -> AsyncIterator[AsyncStream]:
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().build() as client:

        async def stream(path: str) -> AsyncIterator[Any]:
            feed = HandWrittenDecoder().feed
            async with (
                client.get(origin + path).streamed_read_buffer_limit(0).build_streamed() as response
            ):
                read = response.body_reader.read_chunk
                while (chunk := await read()) is not None:
                    for event in feed(chunk):
                        yield event

        yield stream


STREAMS: dict[str, Callable[[str], AbstractContextManager[Stream]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx-sse": _httpx_sse,
    "pyreqwest + hand": _pyreqwest,
    "urllib3 + hand": _urllib3,
}
ASYNC_STREAMS: dict[str, Callable[[str], AbstractAsyncContextManager[AsyncStream]]] = {
    OURS: _async_ours,
    "1.0.7": _async_1_0_7,
    "httpx-sse": _async_httpx_sse,
    "aiohttp + hand": _async_aiohttp,
    "pyreqwest + hand": _async_pyreqwest,
}
