"""Measure the local Replicate on one core: start, requests, streams, memory. `make bench-local`.

The client has another core. CPU time and memory are those of the server's process.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import IO

CREATES, FETCHES, STREAMS, TOKENS = 10_000, 20_000, 500, 50
CONCURRENCY = 32


def serve() -> None:
    """Serve two models; print CPU time and memory for each line of standard input."""
    started = time.perf_counter()
    from replicate_rs.local import LocalReplicate, sleep

    server = LocalReplicate()

    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    @server.model("acme/ticks", stream=True)
    def ticks() -> Iterator[str]:
        for number in range(TOKENS):
            sleep(0.1)
            yield f"token {number} "

    with server:
        print(server.base_url, time.perf_counter() - started, flush=True)
        for _ in sys.stdin:
            print(
                time.process_time(),
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                flush=True,
            )


async def load(base_url: str, process: subprocess.Popen[str]) -> None:
    """Measure each kind of request."""
    import replicate_rs as replicate

    client = replicate.AsyncReplicate(api_token="r8_local", base_url=base_url)

    def usage() -> tuple[float, float]:
        print(file=process.stdin, flush=True)
        cpu, memory = _output(process).readline().split()
        return float(cpu), float(memory)

    async def repeat(times: int, call: Callable[[], Awaitable[object]]) -> None:
        async def some() -> None:
            for _ in range(times // CONCURRENCY):
                await call()

        await asyncio.gather(*(some() for _ in range(CONCURRENCY)))

    async def measure(name: str, times: int, work: Awaitable[object]) -> None:
        (cpu_before, _), start = usage(), time.perf_counter()
        await work
        wall, (cpu, memory) = time.perf_counter() - start, usage()
        print(
            f"{name:28} {times / wall:8.0f} /s  {1e6 * (cpu - cpu_before) / times:6.0f} us CPU each"
            f"  {memory:5.0f} MB peak"
        )

    text = {"text": "x" * 100}
    first = await client.predictions.create(model="acme/shout", input=text, wait=True)
    await measure(
        "GET /predictions/{id}", FETCHES, repeat(FETCHES, lambda: client.predictions.get(first.id))
    )
    create = repeat(
        CREATES, lambda: client.predictions.create(model="acme/shout", input=text, wait=True)
    )
    await measure("create, with Prefer: wait", CREATES, create)

    async def read_stream() -> None:
        events = [event async for event in client.stream("acme/ticks", input={})]
        if len(events) != TOKENS + 1:
            raise AssertionError(len(events))

    async def streams() -> None:
        await asyncio.gather(*(read_stream() for _ in range(STREAMS)))

    await measure(f"{STREAMS} streams, events", STREAMS * TOKENS, streams())


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def main() -> None:
    """Start the server on one core, and load it from another."""
    command = ["taskset", "-c", "0", sys.executable, __file__, "serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        base_url, start = _output(process).readline().split()
        print(f"imports and start: {float(start):.2f} s")
        os.sched_setaffinity(0, {1})
        asyncio.run(load(base_url, process))
        assert process.stdin is not None
        process.stdin.close()
        started = time.perf_counter()
        process.wait(20)
        print(f"stop: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    serve() if "serve" in sys.argv else main()
