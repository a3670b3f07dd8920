"""The contenders: how each library fetches one prediction, in its own plainest way.

The runner reads the names from here and has none of the libraries, so each is imported where it is
used. Limits on the number of connections are lifted where a library has such an option: "512 in
flight" must mean 512. (1.0.7 has none, and stays at 100.)
"""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contenders.request_sockets import bare, bare_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    # Both give a Prediction, or the dict of one.
    Get = Callable[[], Any]
    AsyncGet = Callable[[], Awaitable[Any]]

BETA = Path(__file__).parents[2] / ".bench" / "beta"
# What begins with this name is no peer.
OURS = "ours"
PACKAGES = (
    "replicate-rs",
    "replicate",
    "httpx",
    "httpx-sse",
    "aiohttp",
    "pyreqwest",
    "wreq",
    "primp",
    "urllib3",
    "requests",
    "openai",
    "svix",
    "standardwebhooks",
    "fastapi",
    "uvicorn",
)
TOKEN = "bench"
# What the server answers (prediction.json).
PREDICTION_ID = "gm3qorzdhgbfurvjtvhg6dckhu"


def beta() -> Any:
    """Import the package of 2.0, which has the name of 1.0.7's."""
    sys.path.insert(0, str(BETA))
    import replicate

    return replicate


def check(answer: Any) -> None:
    """Raise unless this is the prediction that was asked for."""
    found = (
        (answer["id"], answer["status"]) if isinstance(answer, dict) else (answer.id, answer.status)
    )
    if found != (PREDICTION_ID, "succeeded"):
        raise ValueError(f"wrong answer: {found}")


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
    async with beta().AsyncReplicate(bearer_token=TOKEN, base_url=f"{origin}/v1") as client:
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
    with beta().Replicate(bearer_token=TOKEN, base_url=f"{origin}/v1") as client:
        yield lambda: client.predictions.get(prediction_id=PREDICTION_ID)


@contextmanager
def _requests(origin: str) -> Iterator[Get]:
    import requests

    with requests.Session() as session:
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
    "bare transports": lambda origin: bare_async(_url(origin)),
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
# A connection has one thread.
ALONE = {**SYNC, "bare socket": lambda origin: bare(_url(origin))}


def check_page(answer: Any) -> None:
    """Raise unless these are the hundred predictions that were asked for."""
    if isinstance(answer, bytes):
        answer = json.loads(answer)
    results = answer["results"] if isinstance(answer, dict) else answer.results
    if len(results) != 100:
        raise ValueError(f"wrong answer: {len(results)} predictions")
    check(results[99])


@contextmanager
def _page_ours(origin: str) -> Iterator[Get]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        yield client.predictions.list


@contextmanager
def _page_1_0_7(origin: str) -> Iterator[Get]:
    import replicate

    client = replicate.Client(TOKEN, base_url=origin)
    yield client.predictions.list


@contextmanager
def _page_httpx(origin: str) -> Iterator[Get]:
    import httpx

    with httpx.Client() as client:
        yield lambda: client.get(f"{origin}/v1/predictions").json()


@contextmanager
def _page_msgspec(origin: str) -> Iterator[Get]:
    import msgspec
    from pyreqwest.client import SyncClientBuilder

    required: list[Any] = [
        (name, str) for name in ("id", "model", "version", "status", "created_at")
    ]
    objects: list[Any] = [("input", dict[str, Any]), ("urls", dict[str, str])]
    optional: list[Any] = [("output", Any, None), ("metrics", dict[str, Any] | None, None)]
    optional += [
        (name, str | None, None) for name in ("logs", "error", "started_at", "completed_at")
    ]
    prediction = msgspec.defstruct("Prediction", required + objects + optional)
    links: list[Any] = [(name, str | None, None) for name in ("next", "previous")]
    book = msgspec.defstruct("Page", [("results", list[prediction]), *links])  # type: ignore[valid-type]  # made just now
    decode = msgspec.json.Decoder(book).decode
    with SyncClientBuilder().build() as client:
        yield lambda: decode(bytes(client.get(f"{origin}/v1/predictions").build().send().bytes()))


PAGE: dict[str, Callable[[str], AbstractContextManager[Get]]] = {
    OURS: _page_ours,
    "1.0.7": _page_1_0_7,
    "httpx": _page_httpx,
    "pyreqwest + msgspec": _page_msgspec,
    "bare socket, not read": lambda origin: bare(f"{origin}/v1/predictions", bytes),
}


class Program(NamedTuple):
    """The two steps of a program that prints one prediction, as source code."""

    imports: str
    first: str | None = None
    """Assigns `status` and `id`; `origin` and `prediction_id` are there."""


_DECODED = "status, id = answer['status'], answer['id']"
_RECORD = "status, id = answer.status, answer.id"
_PATH = "f'{origin}/v1/predictions/{prediction_id}'"

PROGRAMS: dict[str, Program] = {
    # The bare package imports nothing until a name is used, which is no match for what the peers'
    # imports give.
    f"{OURS}, no name used": Program("import replicate_rs"),
    OURS: Program(
        "from replicate_rs import AsyncReplicate, Replicate",
        f"answer = Replicate({TOKEN!r}, base_url=origin).predictions.get(prediction_id); {_RECORD}",
    ),
    "1.0.7": Program(
        "import replicate",
        f"answer = replicate.Client({TOKEN!r}, base_url=origin).predictions.get(prediction_id);"
        f" {_RECORD}",
    ),
    "2.0 beta": Program(
        f"import sys; sys.path.insert(0, {str(BETA)!r}); import replicate",
        f"answer = replicate.Replicate(bearer_token={TOKEN!r}, base_url=origin +"
        f" '/v1').predictions.get(prediction_id=prediction_id); {_RECORD}",
    ),
    "httpx": Program("import httpx", f"answer = httpx.Client().get({_PATH}).json(); {_DECODED}"),
    "pyreqwest": Program(
        "from pyreqwest.client import SyncClientBuilder",
        f"answer = SyncClientBuilder().build().get({_PATH}).build().send().json(); {_DECODED}",
    ),
    "primp": Program("import primp", f"answer = primp.Client().get({_PATH}).json(); {_DECODED}"),
    "aiohttp": Program("import aiohttp"),
}
