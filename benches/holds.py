"""Measure how much later `run` learns of a prediction's end than a create that waits for it.

`run` lets the server hold the create for a few seconds only, and then polls, so that it can cancel
the prediction of a caller who leaves. Runs of 1 to 60 s are made at the same time against the local
Replicate, each with its own client, and beside each a create with the longest ``Prefer: wait``. The
delay is the time from the model's end to the client's result. ``make bench-holds`` takes 70 s.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "holds.json"
# Seconds that a model takes.
DURATIONS = [number + 0.37 for number in range(1, 60)]


def serve() -> None:
    """Serve a model that sleeps for some seconds and returns the time of its end."""
    from replicate_rs.local import LocalReplicate, sleep

    server = LocalReplicate()

    @server.model("acme/slow")
    def slow(seconds: float) -> float:
        sleep(seconds)
        return time.time()

    with server:
        print(server.base_url, flush=True)
        sys.stdin.read()


async def measure_one(base_url: str, seconds: float, *, held: bool) -> tuple[float, int]:
    """Return the seconds from the model's end to the client's result, and the requests made."""
    import replicate_rs as replicate

    async with replicate.AsyncReplicate("r8_local", base_url=base_url) as client:
        model_input = {"seconds": seconds}
        if held:
            prediction = await client.predictions.create(
                model="acme/slow", input=model_input, wait=True
            )
            end: float = prediction.output
        else:
            end = await client.run("acme/slow", model_input)
        return time.time() - end, client.stats().requests


async def measure(base_url: str) -> dict[str, Any]:
    """Measure runs and held creates at the same time."""

    async def measure_all(*, held: bool) -> list[tuple[float, int]]:
        return await asyncio.gather(
            *(measure_one(base_url, seconds, held=held) for seconds in DURATIONS)
        )

    runs, creates = await asyncio.gather(measure_all(held=False), measure_all(held=True))
    delays = [run - create for (run, _), (create, _) in zip(runs, creates, strict=True)]
    rates = [
        (requests - 1) / seconds * 60
        for (_, requests), seconds in zip(runs, DURATIONS, strict=True)
    ]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "runs": len(DURATIONS),
        "p50_ms": round(statistics.median(delays) * 1000),
        "p90_ms": round(statistics.quantiles(delays, n=10)[-1] * 1000),
        "max_ms": round(max(delays) * 1000),
        "requests_per_minute": round(statistics.mean(rates)),
    }


def lines(result: dict[str, Any]) -> list[str]:
    """Return a section for the page of details."""
    return [
        "",
        "## Delay of a run",
        "",
        "`run` lets the server hold the create for at most 3 s, and then polls, so that it can",
        "cancel the prediction within 5 s after its caller leaves. Compared with a create that",
        f"waits for the whole prediction, {result['runs']} runs of 1 to 60 s learned of their end",
        f"{result['p50_ms']} ms later (median; 90 %: {result['p90_ms']} ms, maximum:",
        f"{result['max_ms']} ms), with {result['requests_per_minute']} requests a minute each. All",
        "runs of one client share 1,800 requests a minute; the API allows 3,000.",
        "",
        f"Measured on {result['date']} against the local Replicate (`make bench-holds`).",
    ]


def main() -> None:
    """Start the server in another process, measure, and write the result."""
    with subprocess.Popen(
        [sys.executable, __file__, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        result = asyncio.run(measure(server.stdout.readline().strip()))
        assert server.stdin is not None
        server.stdin.close()
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(*lines(result), sep="\n")


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
