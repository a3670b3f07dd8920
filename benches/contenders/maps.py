"""Running a model on many inputs: `map`, and the loop over `run` that people write without it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from contenders import OURS, TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    Inputs = Iterable[dict[str, Any]]
    # Runs the model on all inputs, some at a time, and yields the text of each input with the
    # output for it. Takes the server's origin, the inputs, how many run at a time, and the path of
    # a journal.
    Map = Callable[[str, Inputs, int, str], AsyncIterator[tuple[str, Any]]]

# The server answers with the input's text.
MODEL = "echo/text"
SYNC, NO_JOURNAL, LOOP = f"{OURS}, sync", f"{OURS}, no journal", f"{OURS}, loop"


async def _ours(
    origin: str, inputs: Inputs, in_flight: int, journal: str | None
) -> AsyncIterator[tuple[str, Any]]:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:
        async for result in client.map(MODEL, inputs, concurrency=in_flight, journal=journal):
            yield result.input["prompt"], result.output


async def _no_journal(
    origin: str, inputs: Inputs, in_flight: int, _journal: str
) -> AsyncIterator[tuple[str, Any]]:
    async for pair in _ours(origin, inputs, in_flight, None):
        yield pair


async def _sync(
    origin: str, inputs: Inputs, in_flight: int, journal: str
) -> AsyncIterator[tuple[str, Any]]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        for result in client.map(MODEL, inputs, concurrency=in_flight, journal=journal):
            yield result.input["prompt"], result.output


async def _loop(
    origin: str, inputs: Inputs, in_flight: int, _journal: str
) -> AsyncIterator[tuple[str, Any]]:
    import replicate_rs

    async with replicate_rs.AsyncReplicate(TOKEN, base_url=origin) as client:

        async def run(model_input: dict[str, Any]) -> Any:
            return await client.run(MODEL, model_input)

        for pair in await _gather(run, inputs, in_flight):
            yield pair


async def _1_0_7(
    origin: str, inputs: Inputs, in_flight: int, _journal: str
) -> AsyncIterator[tuple[str, Any]]:
    import replicate

    client = replicate.Client(TOKEN, base_url=origin)

    async def run(model_input: dict[str, Any]) -> Any:
        return await client.async_run(MODEL, input=model_input)

    for pair in await _gather(run, inputs, in_flight):
        yield pair


async def _gather(
    run: Callable[[dict[str, Any]], Any], inputs: Inputs, in_flight: int
) -> list[tuple[str, Any]]:
    limit = asyncio.Semaphore(in_flight)

    async def run_one(model_input: dict[str, Any]) -> tuple[str, Any]:
        async with limit:
            return model_input["prompt"], await run(model_input)

    return await asyncio.gather(*(run_one(each) for each in inputs))


MAPS: dict[str, Map] = {
    OURS: _ours,
    NO_JOURNAL: _no_journal,
    SYNC: _sync,
    LOOP: _loop,
    "1.0.7": _1_0_7,
}
