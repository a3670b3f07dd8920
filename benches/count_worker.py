"""Program whose instructions `counts.py` counts: ``count_worker.py JOB TIMES ORIGIN``.

Any error ends the process with a traceback.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from contenders import PREDICTION_ID, TOKEN, check_prediction
from contenders.runs import INPUT, MODEL
from jobs.runs import check_length
from jobs.streams import PIECE_SIZE, check_events, encoded_events, read, read_async
from replicate_rs import AsyncReplicate, Replicate, Response
from replicate_rs.stream import EventDecoder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replicate_rs import Request

# Events of a stream.
EVENTS = 1000
# Requests at a time.
IN_FLIGHT = 64


async def get(times: int, origin: str) -> None:
    """Fetch predictions, one after another."""
    # The server answers late, so that the waiting thread always goes to sleep. If it answered at
    # once, the thread would do so by chance.
    async with AsyncReplicate(TOKEN, base_url=f"{origin}/late") as client:
        for _ in range(times):
            check_prediction(await client.predictions.get(PREDICTION_ID))


async def get_many(times: int, origin: str) -> None:
    """Fetch predictions, many in flight."""
    async with AsyncReplicate(TOKEN, base_url=origin) as client:
        for _ in range(times):
            for prediction in await asyncio.gather(
                *(client.predictions.get(PREDICTION_ID) for _ in range(IN_FLIGHT))
            ):
                check_prediction(prediction)


async def run(times: int, origin: str) -> None:
    """Run a model and read its output, one run after another, with the blocking client."""
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


async def stream_from_memory(times: int, origin: str) -> None:
    """Read a stream whose body is in memory."""
    body = b"".join(encoded_events(EVENTS, PIECE_SIZE))

    async def fetch(request: Request, send: Callable[[Request], Awaitable[Response]]) -> Response:
        return Response(body=body) if request.url.endswith("/stream") else await send(request)

    async with AsyncReplicate(TOKEN, base_url=origin, fetch=fetch) as client:
        prediction = await client.predictions.get(PREDICTION_ID)
        prediction.urls["stream"] = f"{origin}/stream"
        for _ in range(times):
            check_events(await read_async(prediction.stream()), EVENTS)


async def decode(times: int, _: str) -> None:
    """Decode the bytes of events to objects."""
    pieces = encoded_events(EVENTS, PIECE_SIZE)
    for _ in range(times):
        decoder = EventDecoder()
        check_events(read(event for piece in pieces for event in decoder.feed(piece)), EVENTS)


JOBS = {
    "get": get,
    "get_many": get_many,
    "run": run,
    "stream": stream,
    "stream_from_memory": stream_from_memory,
    "decode": decode,
}


def main() -> None:
    """Repeat a job."""
    job, times, origin = sys.argv[1:]
    asyncio.run(JOBS[job](int(times), origin))


if __name__ == "__main__":
    main()
