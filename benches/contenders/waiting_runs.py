"""Runs of a model that takes long: they poll, and wait between two polls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from contenders import OURS, TOKEN
from contenders.runs import INPUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

# A prediction of it never ends.
MODEL = "slow/model"
# Between two polls: none happens while memory is measured.
POLL_INTERVAL = timedelta(hours=1)
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class WaitingRuns(NamedTuple):
    """A library's runs."""

    run: Callable[[], Coroutine[Any, Any, Any]]
    """Run the model and return its output."""
    waiting: Callable[[], int]
    """Return how many runs wait for their next poll."""


@asynccontextmanager
async def _ours(origin: str) -> AsyncIterator[WaitingRuns]:
    import replicate_rs

    wait: Any = {"mode": "poll", "interval": POLL_INTERVAL}
    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:

        def waiting() -> int:
            stats = client.stats()
            return stats.requests - stats.in_flight

        yield WaitingRuns(
            lambda: client.run(MODEL, INPUT, wait=wait, cancel_on_exit=False), waiting
        )


class HandWritten:
    """Runs by hand, with a function that returns the JSON of a response."""

    def __init__(self, origin: str, fetch: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._origin = origin
        self._fetch = fetch
        self._waiting = 0

    async def run(self) -> Any:
        """Run the model and return its output."""
        create = f"{self._origin}/v1/models/{MODEL}/predictions"
        prediction = await self._fetch(create, {"input": INPUT})
        while prediction["status"] in {"starting", "processing"}:
            self._waiting += 1
            await asyncio.sleep(POLL_INTERVAL.total_seconds())
            self._waiting -= 1
            prediction = await self._fetch(prediction["urls"]["get"])
        return prediction["output"]

    def runs(self) -> WaitingRuns:
        """Return what is measured."""
        return WaitingRuns(self.run, lambda: self._waiting)


@asynccontextmanager
async def _pyreqwest(origin: str) -> AsyncIterator[WaitingRuns]:
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().default_headers(HEADERS).build() as client:

        async def fetch(url: str, body: Any = None) -> Any:
            request = client.get(url) if body is None else client.post(url).body_json(body)
            return await (await request.build().send()).json()

        yield HandWritten(origin, fetch).runs()


@asynccontextmanager
async def _aiohttp(origin: str) -> AsyncIterator[WaitingRuns]:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def fetch(url: str, body: Any = None) -> Any:
            method = "GET" if body is None else "POST"
            async with session.request(method, url, json=body) as response:
                return await response.json()

        yield HandWritten(origin, fetch).runs()


WAITING_RUNS: dict[str, Callable[[str], AbstractAsyncContextManager[WaitingRuns]]] = {
    OURS: _ours,
    "pyreqwest + hand": _pyreqwest,
    "aiohttp + hand": _aiohttp,
}
