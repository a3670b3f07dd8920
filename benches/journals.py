"""Measure journals in PostgreSQL: outcomes a second, round trips, and the rate of several workers.

`make bench-engines` runs it, with a PostgreSQL of its own. The database, the benchmark server and
both workers share the machine's cores. Each input has its output, and one prediction.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from machine import Server, running_server

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOKEN = "bench"
MODEL = "echo/text"
WORKERS = 2
# Inputs of each worker; inputs whose round trips are counted.
INPUTS, COUNTED = 10_000, 5_000
# Workers that share a rate of creates a minute, and the seconds for which they do.
RATED_WORKERS, RATE, RATE_SECONDS = 3, 6000.0, 60
# What `map` claims, and about what it writes, at once.
BATCH = 64


def create_inputs(worker: int, count: int) -> list[dict[str, Any]]:
    """Return inputs that no other worker has."""
    return [{"prompt": f"an iguana on the beach, {worker}-{number}"} for number in range(count)]


# What a worker does.


def write_outcomes(_origin: str, journal: str, worker: int, count: int) -> None:
    """Claim inputs and write their outcomes, without running them."""
    from replicate_rs._batch.connect import open_store
    from replicate_rs._batch.keys import Input, read_input, target_digest
    from replicate_rs._batch.rows import Outcome

    store = open_store(journal, MODEL)
    target = target_digest(MODEL)
    read = [
        read_input(each, index, target) for index, each in enumerate(create_inputs(worker, count))
    ]
    items = [each for each in read if isinstance(each, Input)]
    for first in range(0, count, BATCH):
        claims = store.claim(items[first : first + BATCH], expect_new=True)
        numbers = [claim.number for claim in claims]
        output = '"an iguana on the beach, 0-1000"'
        store.write(
            [(f"{number:026}", number) for number in numbers],
            [
                Outcome(number, "succeeded", time.time(), 0.1, output, None, None)
                for number in numbers
            ],
        )
    store.release([])
    store.close()


def run_map(origin: str, journal: str, worker: int, count: int, rate: float | None = None) -> None:
    """Run inputs with `map`."""
    import replicate_rs

    inputs = create_inputs(worker, count)
    with replicate_rs.Replicate(TOKEN, base_url=origin, use_file_output=False) as client:
        found = {
            each.input["prompt"]: each.output
            for each in client.map(MODEL, inputs, journal=journal, rate=rate)
        }
    if found != {each["prompt"]: each["prompt"] for each in inputs}:
        raise ValueError(f"wrong answer: {len(found):,} outputs for {count:,} inputs")


# Measurements.


def work(
    function: Callable[..., None], arguments: tuple[Any, ...], barrier: Any, times: Any
) -> None:
    """Call a function when all workers have started; report when it ran, and its CPU time."""
    import replicate_rs  # noqa: F401 - its import is not measured

    barrier.wait()
    begun_at, cpu = time.time(), time.process_time()
    function(*arguments)
    times.put((begun_at, time.time(), time.process_time() - cpu))


def run_workers(
    function: Callable[..., None], arguments: Sequence[tuple[Any, ...]]
) -> list[tuple[float, float, float]]:
    """Call a function in a process for each tuple of arguments; return what `work` reports."""
    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(len(arguments)), context.Queue()
    processes = [
        context.Process(target=work, args=(function, each, barrier, times)) for each in arguments
    ]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    if any(each.exitcode for each in processes):
        raise SystemExit("a worker failed")
    return [times.get() for _ in processes]


def measure(
    name: str, function: Callable[..., None], server: Server, database: PostgresServer
) -> None:
    """Run a function in two processes at once, and print how many inputs they do a second."""
    journal = f"{database.address}?schema={function.__name__}"
    created, used = count_created(server), database_seconds(database)
    found = run_workers(
        function, [(server.origin, journal, worker, INPUTS) for worker in range(WORKERS)]
    )
    total = WORKERS * INPUTS
    used = database_seconds(database) - used
    created = count_created(server) - created
    rows = count_rows(journal)
    if rows != total or created not in (0, total):
        raise ValueError(f"wrong answer: {created:,} predictions and {rows:,} rows for {total:,}")
    seconds = max(end for _, end, _ in found) - min(begin for begin, _, _ in found)
    cpu = 1e6 * sum(each for *_, each in found) / total
    show(
        name,
        f"{total / seconds:,.0f} outcomes/s; CPU an input: {cpu:,.0f} us in the workers,"
        f" {1e6 * used / total:,.0f} us in the database",
    )


def measure_rate(server: Server, database: PostgresServer) -> None:
    """Print by how much three workers together exceed the rate that each was given."""
    created, total = count_created(server), int(RATE / 60 * RATE_SECONDS)
    share = total // RATED_WORKERS
    # When the server has created as many.
    times: dict[int, float] = {}

    def watch() -> None:
        while len(times) == 0 or max(times) < total:
            times.setdefault(count_created(server) - created, time.monotonic())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    journal = f"{database.address}?schema=rate"
    run_workers(
        run_map, [(server.origin, journal, each, share, RATE) for each in range(RATED_WORKERS)]
    )
    watcher.join(10)
    first = min(count for count in times if count)
    seconds = times[total] - times[first]
    excess = (total - first) / seconds / (RATE / 60) - 1
    show(
        f"{RATED_WORKERS} workers, {RATE:,.0f} creates a minute for all",
        f"{excess:+.1%} of the rate in {seconds:.0f} s",
    )


def show(name: str, result: str) -> None:
    """Print a measurement."""
    print(f"{name:44} {result}", flush=True)


def database_seconds(database: PostgresServer) -> float:
    """Return the CPU time of the database's processes for connections that were closed."""
    stat = Path(f"/proc/{database.process}/stat").read_text()
    # Fields 16 and 17. The second field, the program's name, may contain spaces.
    user, system = stat.rpartition(")")[2].split()[13:15]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def count_created(server: Server) -> int:
    """Return how many predictions the server has created."""
    with urlopen(f"{server.origin}/created") as response:
        return int(response.read())


def count_rows(journal: str) -> int:
    """Return how many inputs of a journal have succeeded."""
    from replicate_rs.batch import Journal

    with Journal(journal) as opened:
        return opened.summary().succeeded


class Proxy:
    """Passes bytes on between a client and the database, and counts round trips.

    A round trip is a change from the database's bytes to the client's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.trips = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        is_answered = True

        async def pass_on(
            source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_client: bool
        ) -> None:
            nonlocal is_answered
            while data := await source.read(1 << 20):
                if is_client and is_answered:
                    self.trips += 1
                is_answered = not is_client
                target.write(data)
                await target.drain()
            target.close()

        with suppress(ConnectionError):
            await asyncio.gather(
                pass_on(reader, up_writer, is_client=True),
                pass_on(up_reader, writer, is_client=False),
            )

    async def join(self) -> None:
        """Wait until all connections were closed."""
        await asyncio.gather(*self._tasks)


async def count_trips(server: Server, database: PostgresServer) -> None:
    """Print how many round trips to the database `map` needs for an input."""
    proxy = Proxy(database.port)
    async with await asyncio.start_server(proxy.connect, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        address = database.address.replace(f":{database.port}/", f":{port}/")
        await asyncio.to_thread(run_map, server.origin, f"{address}?schema=trips", 0, COUNTED)
        await proxy.join()
    show("map, round trips to the database", f"{proxy.trips / COUNTED:.2f} an input")


def main() -> None:
    """Measure the journal alone and `map` with it."""
    with PostgresServer() as database, running_server() as server:
        measure("the journal alone, two workers", write_outcomes, server, database)
        measure("map, two workers", run_map, server, database)
        asyncio.run(count_trips(server, database))
        measure_rate(server, database)


if __name__ == "__main__":
    main()
