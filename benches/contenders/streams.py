"""The contenders at streams: how each library follows one, in its own plainest way.

A client that has no decoder gets the one made by hand. All give objects with an event's `data`. As
in contenders.py, libraries are imported where they are used, and there is no limit on connections;
nor is there one on how long a stream may be silent, and nothing is collected before it is given.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from contenders.decoders import ByHand
from contenders.predictions import OURS, PREDICTION_ID, TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    # Both take a path of the server.
    Follow = Callable[[str], Iterator[Any]]
    AsyncFollow = Callable[[str], AsyncIterator[Any]]


@contextmanager
def _ours(origin: str) -> Iterator[Follow]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        prediction = client.predictions.get(PREDICTION_ID)

        def follow(path: str) -> Iterator[Any]:
            prediction.urls["stream"] = origin + path
            return prediction.stream()

        yield follow


@contextmanager
def _1_0_7(origin: str) -> Iterator[Follow]:
    import replicate

    prediction = replicate.Client(TOKEN, base_url=origin).predictions.get(PREDICTION_ID)

    def follow(path: str) -> Iterator[Any]:
        prediction.urls["stream"] = origin + path
        return prediction.stream()

    yield follow


@contextmanager
def _httpx_sse(origin: str) -> Iterator[Follow]:
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client(timeout=None) as client:

        def follow(path: str) -> Iterator[Any]:
            with connect_sse(client, "GET", origin + path) as source:
                yield from source.iter_sse()

        yield follow


@contextmanager
def _pyreqwest(origin: str) -> Iterator[Follow]:
    from pyreqwest.client import SyncClientBuilder

    with SyncClientBuilder().build() as client:

        def follow(path: str) -> Iterator[Any]:
            feed = ByHand().feed
            with (
                client.get(origin + path).streamed_read_buffer_limit(0).build_streamed() as response
            ):
                read = response.body_reader.read_chunk
                while (chunk := read()) is not None:
                    yield from feed(chunk)

        yield follow


@contextmanager
def _urllib3(origin: str) -> Iterator[Follow]:
    import urllib3

    with urllib3.PoolManager() as client:

        def follow(path: str) -> Iterator[Any]:
            feed = ByHand().feed
            response = client.request("GET", origin + path, preload_content=False)
            for chunk in response.stream():
                yield from feed(chunk)
            response.release_conn()

        yield follow


@asynccontextmanager
async def _async_ours(origin: str) -> AsyncIterator[AsyncFollow]:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:
        prediction = await client.predictions.get(PREDICTION_ID)

        def follow(path: str) -> AsyncIterator[Any]:
            prediction.urls["stream"] = origin + path
            return prediction.async_stream()

        yield follow


@asynccontextmanager
async def _async_1_0_7(origin: str) -> AsyncIterator[AsyncFollow]:
    import replicate

    prediction = await replicate.Client(TOKEN, base_url=origin).predictions.async_get(PREDICTION_ID)

    def follow(path: str) -> AsyncIterator[Any]:
        prediction.urls["stream"] = origin + path
        return prediction.async_stream()

    yield follow


@asynccontextmanager
async def _async_httpx_sse(origin: str) -> AsyncIterator[AsyncFollow]:
    import httpx
    from httpx_sse import aconnect_sse

    async with httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None)) as client:

        async def follow(path: str) -> AsyncIterator[Any]:
            async with aconnect_sse(client, "GET", origin + path) as source:
                async for event in source.aiter_sse():
                    yield event

        yield follow


@asynccontextmanager
async def _async_aiohttp(origin: str) -> AsyncIterator[AsyncFollow]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def follow(path: str) -> AsyncIterator[Any]:
            feed = ByHand().feed
            async with session.get(origin + path) as response:
                async for chunk in response.content.iter_any():
                    for event in feed(chunk):
                        yield event

        yield follow


@asynccontextmanager
async def _async_pyreqwest(origin: str) -> AsyncIterator[AsyncFollow]:
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().build() as client:

        async def follow(path: str) -> AsyncIterator[Any]:
            feed = ByHand().feed
            async with (
                client.get(origin + path).streamed_read_buffer_limit(0).build_streamed() as response
            ):
                read = response.body_reader.read_chunk
                while (chunk := await read()) is not None:
                    for event in feed(chunk):
                        yield event

        yield follow


FOLLOW: dict[str, Callable[[str], AbstractContextManager[Follow]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx-sse": _httpx_sse,
    "pyreqwest + hand": _pyreqwest,
    "urllib3 + hand": _urllib3,
}
FOLLOW_ASYNC: dict[str, Callable[[str], AbstractAsyncContextManager[AsyncFollow]]] = {
    OURS: _async_ours,
    "1.0.7": _async_1_0_7,
    "httpx-sse": _async_httpx_sse,
    "aiohttp + hand": _async_aiohttp,
    "pyreqwest + hand": _async_pyreqwest,
}
