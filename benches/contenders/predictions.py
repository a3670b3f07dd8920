"""Fetching one prediction."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from contenders import MAX_THREADS, OURS, PREDICTION_ID, TOKEN, import_beta
from contenders.request_sockets import socket_get, transport_get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    # Both return a Prediction, or the dict of one.
    Get = Callable[[], Any]
    AsyncGet = Callable[[], Awaitable[Any]]


def _url(origin: str) -> str:
    return f"{origin}/v1/predictions/{PREDICTION_ID}"


@asynccontextmanager
async def _async_ours(origin: str) -> AsyncIterator[AsyncGet]:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:
        yield lambda: client.predictions.get(PREDICTION_ID)


@asynccontextmanager
async def _async_1_0_7(origin: str) -> AsyncIterator[AsyncGet]:
    import replicate

    client = replicate.Client(TOKEN, base_url=origin)
    yield lambda: client.predictions.async_get(PREDICTION_ID)


@asynccontextmanager
async def _async_2_0(origin: str) -> AsyncIterator[AsyncGet]:
    async with import_beta().AsyncReplicate(bearer_token=TOKEN, base_url=f"{origin}/v1") as client:
        yield lambda: client.predictions.get(prediction_id=PREDICTION_ID)


@asynccontextmanager
async def _async_httpx(origin: str) -> AsyncIterator[AsyncGet]:
    import httpx

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as client:

        async def get() -> Any:
            return (await client.get(_url(origin))).json()

        yield get


@asynccontextmanager
async def _async_aiohttp(origin: str) -> AsyncIterator[AsyncGet]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def get() -> Any:
            async with session.get(_url(origin)) as response:
                return await response.json()

        yield get


@asynccontextmanager
async def _async_pyreqwest(origin: str) -> AsyncIterator[AsyncGet]:
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().build() as client:

        async def get() -> Any:
            return await (await client.get(_url(origin)).build().send()).json()

        yield get


@asynccontextmanager
async def _async_wreq(origin: str) -> AsyncIterator[AsyncGet]:
    import wreq

    client = wreq.Client()

    async def get() -> Any:
        return await (await client.get(_url(origin))).json()

    yield get


@contextmanager
def _ours(origin: str) -> Iterator[Get]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        yield lambda: client.predictions.get(PREDICTION_ID)


@contextmanager
def _1_0_7(origin: str) -> Iterator[Get]:
    import replicate

    client = replicate.Client(TOKEN, base_url=origin)
    yield lambda: client.predictions.get(PREDICTION_ID)


@contextmanager
def _2_0(origin: str) -> Iterator[Get]:
    with import_beta().Replicate(bearer_token=TOKEN, base_url=f"{origin}/v1") as client:
        yield lambda: client.predictions.get(prediction_id=PREDICTION_ID)


@contextmanager
def _requests(origin: str) -> Iterator[Get]:
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=MAX_THREADS))
        yield lambda: session.get(_url(origin)).json()


@contextmanager
def _httpx(origin: str) -> Iterator[Get]:
    import httpx

    with httpx.Client() as client:
        yield lambda: client.get(_url(origin)).json()


@contextmanager
def _pyreqwest(origin: str) -> Iterator[Get]:
    from pyreqwest.client import SyncClientBuilder

    with SyncClientBuilder().build() as client:
        yield lambda: client.get(_url(origin)).build().send().json()


@contextmanager
def _primp(origin: str) -> Iterator[Get]:
    import primp

    client = primp.Client()
    yield lambda: client.get(_url(origin)).json()


@contextmanager
def _wreq(origin: str) -> Iterator[Get]:
    import wreq.blocking

    client = wreq.blocking.Client()
    yield lambda: client.get(_url(origin)).json()


ASYNC: dict[str, Callable[[str], AbstractAsyncContextManager[AsyncGet]]] = {
    OURS: _async_ours,
    "1.0.7": _async_1_0_7,
    "2.0 beta": _async_2_0,
    "httpx": _async_httpx,
    "aiohttp": _async_aiohttp,
    "pyreqwest": _async_pyreqwest,
    "wreq": _async_wreq,
    "bare transports": lambda origin: transport_get(_url(origin)),
}
SYNC: dict[str, Callable[[str], AbstractContextManager[Get]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "2.0 beta": _2_0,
    "httpx": _httpx,
    "requests": _requests,
    "pyreqwest": _pyreqwest,
    "primp": _primp,
    "wreq": _wreq,
}
# A bare socket serves one thread only.
ONE_THREAD = {**SYNC, "bare socket": lambda origin: socket_get(_url(origin))}
