"""Simulate `map` in several processes that share a journal in PostgreSQL. `make simulate-batch`.

`results/batch.json` has the result, and docs/hundred-million.md says what follows from it for 10⁸
inputs; its tables are written here. It takes half an hour. Arguments name the steps that are
measured again; `plan` writes the tables alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.request import urlopen

import replicate_rs
from machine import describe_machine, running_server
from replicate_rs.batch import Journal
from simulation.database import Database, running_database
from simulation.plan import tables
from simulation.round_trips import counting_round_trips
from simulation.rows import Kind, write_rows
from simulation.workers import Load, Used, run_workers

RESULT = Path(__file__).parent / "results" / "batch.json"
PAGE = Path(__file__).parents[1] / "docs" / "hundred-million.md"
# The step that writes the tables.
PLAN = "plan"
WORKERS = (1, 2, 4)
CONCURRENCY = 64
# The model of benches/server, which answers at once, and one that takes some seconds.
FAST, SLOW = "echo/text", "acme/slow"
SLOW_SECONDS = 10.0

INPUTS = 20_000
COUNTED_INPUTS = 6_400
# Creates a minute: the account's limit, and for 10⁸ inputs in a week and in a day.
RATES = {600: 20, 9_921: 20, 69_444: 20}
# Creates a minute with the slow model, seconds for which they are sent, and workers.
POLLED_RATES, POLLED_SECONDS, POLLERS = (600, 3_000, 6_000), 25, (1, 4)
JOURNALS = (Kind(100_000), Kind(100_000, 500), Kind(100_000, has_keys=True), Kind(1_000_000))
# Rows that are written after a checkpoint, and that are read again.
AFTER_CHECKPOINT, READ_AGAIN = 4_096, 20_000

Rows = list[dict[str, Any]]


class Site(NamedTuple):
    """What runs meanwhile."""

    database: Database
    origin: str


def count_created(origin: str) -> int:
    """Return how many predictions the server has created."""
    with urlopen(f"{origin}/created") as response:
        return int(response.read())


def measure_workers(site: Site) -> Iterator[dict[str, Any]]:
    """Measure what an input takes while nothing but the machine limits workers."""
    database = site.database
    for count in WORKERS:
        journal = database.journal(f"workers_{count}")
        load = Load(site.origin, FAST, journal, INPUTS, CONCURRENCY)
        before = database.usage()
        used = run_workers(count, load, database.port)
        database_used = database.usage().since(before)
        yield {
            "workers": count,
            "inputs_per_second": INPUTS / used.seconds,
            "worker_us": used.cpu / INPUTS * 1e6,
            "database_us": database_used.cpu / INPUTS * 1e6,
            "api_connections": used.api_connections,
            "database_connections": used.database_connections,
            "transactions": database_used.transactions / INPUTS,
            "syncs": database_used.syncs / INPUTS,
            "wal_bytes": database_used.wal / INPUTS,
        }


def measure_round_trips(site: Site) -> Iterator[dict[str, Any]]:
    """Count round trips to the database; the way on which they are counted takes time itself."""
    for rate in (0, *RATES):
        inputs = COUNTED_INPUTS if rate == 0 else min(rate * 15 // 60, COUNTED_INPUTS)
        with counting_round_trips(site.database.port) as trips:
            journal = site.database.journal(f"trips_{rate}", trips.port)
            load = Load(site.origin, FAST, journal, inputs, CONCURRENCY, rate)
            run_workers(1, load, site.database.port)
            yield {"rate": rate, "round_trips": trips.count / inputs}


def measure_rates(site: Site) -> Iterator[dict[str, Any]]:
    """Measure the rate that workers keep together, and what it takes."""
    database = site.database
    for rate, seconds in RATES.items():
        for count in WORKERS:
            inputs = rate * seconds // 60 // count * count
            journal = database.journal(f"rate_{rate}_{count}")
            load = Load(site.origin, FAST, journal, inputs, CONCURRENCY, rate)
            created, before = count_created(site.origin), database.usage()
            used = run_workers(count, load, database.port, lambda: count_created(site.origin))
            created = count_created(site.origin) - created - count
            if created != inputs:
                raise SystemExit(f"{created:,} predictions for {inputs:,} inputs")
            database_used = database.usage().since(before)
            kept, highest = find_rates(used, seconds / 4)
            yield {
                "rate": rate,
                "workers": count,
                "kept": kept / rate,
                "highest": highest / rate,
                "transactions": database_used.transactions / inputs,
                "syncs": database_used.syncs / inputs,
                "wal_bytes": database_used.wal / inputs,
                "worker_us": used.cpu / inputs * 1e6,
                "database_us": database_used.cpu / inputs * 1e6,
            }


def find_rates(used: Used, window: float) -> tuple[float, float]:
    """Return the mean of creates a minute, and the highest over a window of seconds.

    The first and the last second are left out.
    """
    begin, end = used.samples[0][0] + 1, used.samples[-1][0] - 1
    samples = [each for each in used.samples if begin <= each[0] <= end]

    def rate(first: tuple[float, float], last: tuple[float, float]) -> float:
        return (last[1] - first[1]) / (last[0] - first[0]) * 60

    highest = max(
        rate(first, last) for first in samples for last in samples if last[0] - first[0] >= window
    )
    return rate(samples[0], samples[-1]), highest


def measure_polls(site: Site) -> Iterator[dict[str, Any]]:
    """Count the requests of workers whose predictions outlast the create request."""
    for rate in POLLED_RATES:
        for count in POLLERS:
            inputs = rate * POLLED_SECONDS // 60 // count * count
            concurrency = rate * POLLED_SECONDS // 60 // count
            with serving_slowly() as (origin, get_counts):
                journal = site.database.journal(f"polls_{rate}_{count}")
                load = Load(origin, SLOW, journal, inputs, concurrency, rate)
                used = run_workers(count, load, site.database.port)
                counts = get_counts()
            yield {
                "rate": rate,
                "workers": count,
                "inputs": inputs,
                "seconds": used.seconds,
                "api_connections": used.api_connections,
                **counts,
            }


@contextmanager
def serving_slowly() -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Run the local Replicate with the API's limits and a model that takes some seconds."""
    with subprocess.Popen(
        [sys.executable, __file__, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def read() -> str:
            stream: IO[str] | None = process.stdout
            assert stream is not None
            return stream.readline()

        def get_counts() -> dict[str, float]:
            print(file=process.stdin, flush=True)
            counts: dict[str, float] = json.loads(read())
            return counts

        try:
            yield read().strip(), get_counts
        finally:
            process.kill()


def serve() -> None:
    """Serve a slow model; print its requests when a line is written to it."""
    from replicate_rs.local import LocalReplicate, RateLimits, Settings, sleep

    # Creates are limited by the workers.
    settings = Settings(rate_limits=RateLimits(create=1e6, get=3000), concurrency=100_000)
    server = LocalReplicate(token="r8_local", settings=settings)

    @server.model(SLOW)
    def slow(prompt: str) -> str:
        if prompt != "warm":
            sleep(SLOW_SECONDS)
        return prompt

    with server:
        print(server.base_url, flush=True)
        sys.stdin.readline()
        requests = server.requests
        kinds = {"POST/predictions": "creates", "GET/predictions": "lists"}
        times: dict[str, list[float]] = {name: [] for name in ("creates", "lists", "gets")}
        refused = 0
        for each in requests:
            times[kinds.get(each.method + each.path[-12:], "gets")].append(each.time)
            refused += each.status == 429
        polls = sorted(times["lists"] + times["gets"])
        report = {name: len(each) for name, each in times.items()} | {
            "refused": refused,
            "most_polls_per_minute": 6
            * max(bisect(polls, each + 10) - at for at, each in enumerate(polls)),
        }
        print(json.dumps(report), flush=True)
        sys.stdin.readline()


def measure_rows(site: Site) -> Iterator[dict[str, Any]]:
    """Measure journals of many rows: their size, writing, vacuum and opening them again."""
    database = site.database
    for number, kind in enumerate(JOURNALS):
        count = kind.rows
        schema = f"rows_{number}"
        journal = database.journal(schema)
        database.run("CHECKPOINT")
        tenth = count // 10
        first = write_rows(database, journal, FAST, kind, 0, tenth)
        middle = write_rows(database, journal, FAST, kind, tenth, count - 2 * tenth)
        last = write_rows(database, journal, FAST, kind, count - tenth, tenth)
        written = (first, middle, last)
        sizes = database.sizes(schema)
        vacuums = database.get(
            "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relid = %s::regclass",
            f"{schema}.inputs",
        )
        begun_at, cpu = time.perf_counter(), database.usage().cpu
        database.run(f"VACUUM {schema}.inputs")
        vacuum = time.perf_counter() - begun_at
        vacuum_cpu = database.usage().cpu - cpu
        database.run("CHECKPOINT")
        after = write_rows(database, journal, FAST, kind, count, AFTER_CHECKPOINT)
        yield {
            **kind._asdict(),
            "rows_per_second": count / sum(each.seconds for each in written),
            "writer_us": sum(each.cpu for each in written) / count * 1e6,
            "database_us": sum(each.database.cpu for each in written) / count * 1e6,
            "first_database_us": first.database.cpu / tenth * 1e6,
            "last_database_us": last.database.cpu / tenth * 1e6,
            "wal_bytes": sum(each.database.wal for each in written) / count,
            "last_wal_bytes": last.database.wal / tenth,
            "wal_bytes_after_checkpoint": after.database.wal / AFTER_CHECKPOINT,
            "table_bytes": sizes.table / count,
            "number_index_bytes": sizes.by_number / count,
            "key_index_bytes": sizes.by_key / count,
            "other_bytes": sizes.others / count,
            "dead_rows": sizes.dead / count,
            "autovacuums": vacuums,
            "vacuum_seconds": vacuum,
            "vacuum_cpu_us": vacuum_cpu / count * 1e6,
            **measure_opening(site, journal, kind),
        }


def measure_opening(site: Site, journal: str, kind: Kind) -> dict[str, float]:
    """Measure what a journal that has many inputs answers, and how fast."""
    from replicate_rs._batch.lookup import CLOCK_DIFFERENCE, MAX_CLAIM
    from replicate_rs._batch.postgres import PostgresStore

    with replicate_rs.Replicate("r8_local", base_url=site.origin) as client:
        client.run(FAST, {"prompt": "warm"})
        begun_at = time.perf_counter()
        inputs = kind.create(kind.rows + AFTER_CHECKPOINT, 1)
        (new,) = client.map(FAST, inputs, journal=journal)
        opening = time.perf_counter() - begun_at
        begun_at = time.perf_counter()
        known = sum(
            each.from_journal
            for each in client.map(FAST, kind.create(0, READ_AGAIN), journal=journal)
        )
        reading = time.perf_counter() - begun_at
    if new.from_journal or known != READ_AGAIN:
        raise SystemExit("the journal has other inputs")
    store = PostgresStore.open_to_read(journal)
    begun_at = time.perf_counter()
    # All of them were sent within the hour in which they are looked for.
    since = time.time() - MAX_CLAIM - CLOCK_DIFFERENCE
    found = store.find_known([f"{number:026}" for number in range(1, 101)], since)
    finding = time.perf_counter() - begun_at
    store.close()
    if len(found) != 100:
        raise SystemExit("the journal has other predictions")
    begun_at = time.perf_counter()
    with Journal(journal) as opened:
        opened.summary()
    return {
        "first_create_seconds": opening,
        "known_per_second": READ_AGAIN / reading,
        "find_predictions_seconds": finding,
        "summary_seconds": time.perf_counter() - begun_at,
    }


STEPS: dict[str, Callable[[Site], Iterator[dict[str, Any]]]] = {
    "workers": measure_workers,
    "round_trips": measure_round_trips,
    "rates": measure_rates,
    "polls": measure_polls,
    "rows": measure_rows,
}


def main(names: list[str]) -> None:
    """Measure steps, and write the result after each."""
    result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in names or [*STEPS, PLAN]:
        if name == PLAN:
            write_tables(result)
            continue
        rows: Rows = []
        with running_server() as server, running_database() as database:
            version = database.get("SHOW server_version")
            for row in STEPS[name](Site(database, server.origin)):
                rows.append(row)
                print(name, json.dumps({each: _round(value) for each, value in row.items()}))
        machine = {**describe_machine(["psycopg"]), "postgresql": version}
        result[name] = {"machine": machine, "date": time.strftime("%Y-%m-%d"), "rows": rows}
        RESULT.write_text(json.dumps(result, indent=1, default=_round) + "\n")


def write_tables(result: dict[str, Any]) -> None:
    """Write the tables of the page, each between two comments with its name."""
    text = PAGE.read_text()
    for name, lines in tables(result).items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{PAGE} has no place for the table {name}")
        text = "\n".join([f"{before}{begin}", "", *lines, "", f"{end}{after}"])
    PAGE.write_text(text)


def _round(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main(sys.argv[1:])
