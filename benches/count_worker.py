"""What `counts.py` counts the instructions of, in a process of its own: ``counted.py JOB TIMES
ORIGIN``.

Anything that goes wrong ends the process with a traceback.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from contenders.predictions import PREDICTION_ID, TOKEN, check
from contenders.runs import INPUT, MODEL
from jobs.runs import check_length
from jobs.streams import PIECE, check_events, in_pieces, read, read_async
from replicate_rs import AsyncReplicate, Replicate, Response
from replicate_rs.stream import EventDecoder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replicate_rs import Request

# Tokens of a stream.
EVENTS = 1000
# What is awaited at once.
IN_FLIGHT = 64


async def get(times: int, origin: str) -> None:
    """Await predictions, one after another."""
    # Were they there at once, it would be chance whether a thread still looks for them or has gone
    # to sleep.
    async with AsyncReplicate(TOKEN, base_url=f"{origin}/late") as client:
        for _ in range(times):
            check(await client.predictions.get(PREDICTION_ID))


async def get_many(times: int, origin: str) -> None:
    """Await predictions, many in flight."""
    async with AsyncReplicate(TOKEN, base_url=origin) as client:
        for _ in range(times):
            for prediction in await asyncio.gather(
                *(client.predictions.get(PREDICTION_ID) for _ in range(IN_FLIGHT))
            ):
                check(prediction)


async def run(times: int, origin: str) -> None:
    """Run a model and read its output, one run after another; without an event loop, though there
    is one.
    """
    with Replicate(TOKEN, base_url=origin) as client:
        for _ in range(times):
            check_length(client.run(MODEL, INPUT).read())


async def stream(times: int, origin: str) -> None:
    """Read events from the server."""
    async with AsyncReplicate(TOKEN, base_url=origin) as client:
        prediction = await client.predictions.get(PREDICTION_ID)
        prediction.urls["stream"] = f"{origin}/stream/blocks/{EVENTS}"
        for _ in range(times):
            check_events(await read_async(prediction.stream()), EVENTS)


async def recorded(times: int, origin: str) -> None:
    """Read events that are there already."""
    body = b"".join(in_pieces(EVENTS, PIECE))

    async def fetch(
        request: Request, following: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        return Response(body=body) if request.url.endswith("/stream") else await following(request)

    async with AsyncReplicate(TOKEN, base_url=origin, fetch=fetch) as client:
        prediction = await client.predictions.get(PREDICTION_ID)
        prediction.urls["stream"] = f"{origin}/stream"
        for _ in range(times):
            check_events(await read_async(prediction.stream()), EVENTS)


async def decode(times: int, _: str) -> None:
    """Decode events to objects."""
    stream = in_pieces(EVENTS, PIECE)
    for _ in range(times):
        decoder = EventDecoder()
        check_events(read(event for piece in stream for event in decoder.feed(piece)), EVENTS)


JOBS = {
    "get": get,
    "get_many": get_many,
    "run": run,
    "stream": stream,
    "recorded": recorded,
    "decode": decode,
}


def main() -> None:
    """Do a job so many times."""
    job, times, origin = sys.argv[1:]
    asyncio.run(JOBS[job](int(times), origin))


if __name__ == "__main__":
    main()
