"""Running a model and reading its output, a file; over TLS, as with Replicate."""

from __future__ import annotations

import os
import ssl
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import MAX_THREADS, OURS, TOKEN, import_beta
from contenders.run_sockets import RunRequests, finish, tls_connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    # Both run the model once and return the content of its output.
    Run = Callable[[], Any]
    AsyncRun = Callable[[], Awaitable[Any]]

# Bytes of the output, which the server reads from the model's name.
OUTPUT_SIZE = 100_000
MODEL = f"file/{OUTPUT_SIZE}"
INPUT = {"prompt": "an iguana on the beach, pointillism", "num_outputs": 1, "seed": 42}
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Prefer": "wait"}


def predictions_url(origin: str) -> str:
    """Return the URL at which the model's predictions are created."""
    return f"{origin}/v1/models/{MODEL}/predictions"


@asynccontextmanager
async def _async_ours(origin: str, trusted: str) -> AsyncIterator[AsyncRun]:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin, ssl_cert_file=trusted) as client:

        async def run() -> Any:
            output = await client.run(MODEL, INPUT)
            return await output.aread()

        yield run


@asynccontextmanager
async def _async_1_0_7(origin: str, trusted: str) -> AsyncIterator[AsyncRun]:
    import replicate

    os.environ["SSL_CERT_FILE"] = trusted
    client = replicate.Client(TOKEN, base_url=origin)

    async def run() -> Any:
        output: Any = await client.async_run(MODEL, input=INPUT)
        return await output.aread()

    yield run


@asynccontextmanager
async def _async_2_0(origin: str, trusted: str) -> AsyncIterator[AsyncRun]:
    import httpx

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=trusted), limits=limits
    ) as http:
        client = import_beta().AsyncReplicate(
            bearer_token=TOKEN, base_url=f"{origin}/v1", http_client=http
        )

        async def run() -> Any:
            output = await client.run(MODEL, input=INPUT)
            return await output.read()

        yield run


@asynccontextmanager
async def _async_pyreqwest(origin: str, trusted: str) -> AsyncIterator[AsyncRun]:
    from pyreqwest.client import ClientBuilder

    builder = ClientBuilder().add_root_certificate_pem(_certificate(trusted))
    async with builder.default_headers(HEADERS).build() as client:

        async def run() -> Any:
            prediction = await (
                await client.post(predictions_url(origin))
                .body_json({"input": INPUT})
                .build()
                .send()
            ).json()
            return await (await client.get(prediction["output"]).build().send()).bytes()

        yield run


@asynccontextmanager
async def _async_aiohttp(origin: str, trusted: str) -> AsyncIterator[AsyncRun]:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=trusted))
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def run() -> Any:
            async with session.post(predictions_url(origin), json={"input": INPUT}) as response:
                prediction = await response.json()
            async with session.get(prediction["output"]) as response:
                return await response.read()

        yield run


@contextmanager
def _ours(origin: str, trusted: str) -> Iterator[Run]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin, ssl_cert_file=trusted) as client:
        yield lambda: client.run(MODEL, INPUT).read()


@contextmanager
def _1_0_7(origin: str, trusted: str) -> Iterator[Run]:
    import replicate

    os.environ["SSL_CERT_FILE"] = trusted
    client: Any = replicate.Client(TOKEN, base_url=origin)
    yield lambda: client.run(MODEL, input=INPUT).read()


@contextmanager
def _2_0(origin: str, trusted: str) -> Iterator[Run]:
    import httpx

    with httpx.Client(verify=ssl.create_default_context(cafile=trusted)) as http:
        client = import_beta().Replicate(
            bearer_token=TOKEN, base_url=f"{origin}/v1", http_client=http
        )
        yield lambda: client.run(MODEL, input=INPUT).read()


@contextmanager
def _pyreqwest(origin: str, trusted: str) -> Iterator[Run]:
    from pyreqwest.client import SyncClientBuilder

    builder = SyncClientBuilder().add_root_certificate_pem(_certificate(trusted))
    with builder.default_headers(HEADERS).build() as client:

        def run() -> Any:
            prediction = (
                client.post(predictions_url(origin))
                .body_json({"input": INPUT})
                .build()
                .send()
                .json()
            )
            return client.get(prediction["output"]).build().send().bytes()

        yield run


@contextmanager
def _requests(origin: str, trusted: str) -> Iterator[Run]:
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(pool_maxsize=MAX_THREADS))
        session.headers.update(HEADERS)

        def run() -> Any:
            prediction = session.post(
                predictions_url(origin), json={"input": INPUT}, verify=trusted
            ).json()
            return session.get(prediction["output"], verify=trusted).content

        yield run


@contextmanager
def _plain_socket(origin: str, trusted: str) -> Iterator[Run]:
    requests = RunRequests(predictions_url(origin), INPUT, OUTPUT_SIZE)
    with tls_connection(requests, trusted) as connection:
        yield lambda: finish(requests.run(connection))


def _certificate(trusted: str) -> bytes:
    return Path(trusted).read_bytes()


RUN_ASYNC: dict[str, Callable[[str, str], AbstractAsyncContextManager[AsyncRun]]] = {
    OURS: _async_ours,
    "1.0.7": _async_1_0_7,
    "2.0 beta": _async_2_0,
    "pyreqwest + hand": _async_pyreqwest,
    "aiohttp + hand": _async_aiohttp,
}
RUN: dict[str, Callable[[str, str], AbstractContextManager[Run]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "2.0 beta": _2_0,
    "pyreqwest + hand": _pyreqwest,
    "requests + hand": _requests,
}
# A bare socket serves one thread only.
RUN_ONE_THREAD = {**RUN, "bare socket": _plain_socket}
