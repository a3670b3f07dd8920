"""What the local Replicate can carry on one core: its start, fetches, streams, memory. `make
bench-local`.

The server is on one core, the client on the other. Figures are the server's: CPU seconds and memory
of its process.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

CREATED, FETCHED, STREAMS, TOKENS = 10_000, 20_000, 500, 50


def serve() -> None:
    """Serve two models, and tell of the process whenever asked."""
    begun = time.perf_counter()
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
        print(server.base_url, time.perf_counter() - begun, flush=True)
        for _ in sys.stdin:
            print(
                time.process_time(),
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                flush=True,
            )


async def load(base_url: str, process: subprocess.Popen[str]) -> None:
    """Ask for each thing as often as the bars say."""
    import replicate_rs as replicate

    client = replicate.AsyncReplicate(api_token="r8_local", base_url=base_url)

    def usage() -> tuple[float, float]:
        print(file=process.stdin, flush=True)
        cpu, memory = process.stdout.readline().split()
        return float(cpu), float(memory)

    async def many(times: int, call: object) -> None:
        async def some() -> None:
            for _ in range(times // 32):
                await call()

        await asyncio.gather(*(some() for _ in range(32)))

    async def timed(name: str, times: int, work: object) -> None:
        before, start = usage(), time.perf_counter()
        await work
        wall, after = time.perf_counter() - start, usage()
        cpu = after[0] - before[0]
        print(
            f"{name:28} {times / wall:8.0f} /s  {1e6 * cpu / times:6.0f} us CPU each "
            f" {after[1]:5.0f} MB at most"
        )

    text = {"text": "x" * 100}
    first = await client.predictions.create(model="acme/shout", input=text, wait=True)
    await timed(
        "GET /predictions/{id}", FETCHED, many(FETCHED, lambda: client.predictions.get(first.id))
    )
    create = many(
        CREATED, lambda: client.predictions.create(model="acme/shout", input=text, wait=True)
    )
    await timed("create, with Prefer: wait", CREATED, create)

    async def follow() -> None:
        events = [event async for event in client.stream("acme/ticks", input={})]
        if len(events) != TOKENS + 1:
            raise AssertionError(len(events))

    async def streams() -> None:
        await asyncio.gather(*(follow() for _ in range(STREAMS)))

    await timed(f"{STREAMS} streams at once, events", STREAMS * TOKENS, streams())


def main() -> None:
    """Start the server on one core, and load it from the other."""
    command = ["taskset", "-c", "0", sys.executable, __file__, "serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        base_url, start = process.stdout.readline().split()
        print(f"imports and start: {float(start):.2f} s")
        os.sched_setaffinity(0, {1})
        asyncio.run(load(base_url, process))
        process.stdin.close()
        begun = time.perf_counter()
        process.wait(20)
        print(f"stop: {time.perf_counter() - begun:.2f} s")


if __name__ == "__main__":
    serve() if "serve" in sys.argv else main()
