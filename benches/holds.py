"""How much later a run learns of its end than a create that is held open: `make bench-holds`, some
70 s.

A run holds its create open for a few seconds and then asks for the prediction, so that a caller who
leaves can cancel it in time. Runs of 1 to 60 s go on side by side against the local Replicate, each
with a client of its own; beside each, a create that is held open for as long as the API allows.
What is measured is the time from the end of the model to the answer.
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
# Seconds that the models take.
DURATIONS = [number + 0.37 for number in range(1, 60)]


def serve() -> None:
    """Serve a model that takes as long as it is told, and gives the time of its end."""
    from replicate_rs.local import LocalReplicate, sleep

    server = LocalReplicate()

    @server.model("acme/slow")
    def slow(seconds: float) -> float:
        sleep(seconds)
        return time.time()

    with server:
        print(server.base_url, flush=True)
        sys.stdin.read()


async def one(base_url: str, seconds: float, *, held: bool) -> tuple[float, int]:
    """Return the seconds between the end of a model and the answer, and how many requests that
    took.
    """
    import replicate_rs as replicate

    async with replicate.AsyncReplicate("r8_local", base_url=base_url) as client:
        given = {"seconds": seconds}
        if held:
            prediction = await client.predictions.create(model="acme/slow", input=given, wait=True)
            end: float = prediction.output
        else:
            end = await client.run("acme/slow", given)
        return time.time() - end, client.stats().requests


async def measure(base_url: str) -> dict[str, Any]:
    """Measure runs and held creates side by side."""

    async def all_of(held: bool) -> list[tuple[float, int]]:
        return await asyncio.gather(*(one(base_url, seconds, held=held) for seconds in DURATIONS))

    runs, creates = await asyncio.gather(all_of(False), all_of(True))
    gained = [run - create for (run, _), (create, _) in zip(runs, creates, strict=True)]
    rates = [
        (requests - 1) / seconds * 60
        for (_, requests), seconds in zip(runs, DURATIONS, strict=True)
    ]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "runs": len(DURATIONS),
        "p50_ms": round(statistics.median(gained) * 1000),
        "p90_ms": round(statistics.quantiles(gained, n=10)[-1] * 1000),
        "max_ms": round(max(gained) * 1000),
        "requests_per_minute": round(statistics.mean(rates)),
    }


def lines(result: dict[str, Any]) -> list[str]:
    """Return a section of the page."""
    return [
        "",
        "## What a short hold costs",
        "",
        (
            "A run holds its create open for 3 s at most, so that a caller who leaves can cancel it"
            " within 5 s."
        ),
        (
            f"{result['runs']} runs of 1 to 60 s, each alone with its client, learned of their end"
            f" {result['p50_ms']} ms later"
        ),
        "than a create that is held open for all of its time would",
        (
            f"(median; 90 %: {result['p90_ms']} ms, at most {result['max_ms']} ms), for"
            f" {result['requests_per_minute']} requests a"
        ),
        (
            "minute while they wait. Many runs of one client share 1,800 requests a minute, where"
            " the API allows 3,000."
        ),
        f"Measured on {result['date']}",
        "against the local Replicate (`make bench-holds`).",
    ]


def main() -> None:
    """Start the server in a process of its own, measure, and keep the result."""
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
