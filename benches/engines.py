"""Measure `Mapper` on Ray Data: beside a loop over `run` on the same engine, and beside `map`.

`make bench-engines` runs it in the environment of the engines. Each output is checked, and the
server counts one prediction for each input. CPU time is that of Ray's actors, without their start;
rows a second are counted from the first create. Other load changes the rows more than the CPU time.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self
from urllib.request import urlopen

from machine import running_server

# The token of the local Replicate; the server in Rust takes any.
TOKEN = "r8_local"
# What the server in Rust answers at once, with the input's text as its output.
MODEL = "echo/text"
# A model of the local Replicate, which takes so many seconds.
SLOW_MODEL, SECONDS = "acme/slow", 1.0
WORKERS = 2
BATCH_SIZE = 1024
# Inputs of each measurement; fewer where each takes a second, and where one runs after the other.
INPUTS, SLOW_INPUTS, SLOW_INPUTS_IN_TURN = 20_000, 2_048, 60
# Seconds between two looks at the CPU time of processes.
INTERVAL = 0.02


class Measured(NamedTuple):
    """What a run of all inputs took."""

    rows_per_second: float
    cpu: float
    """Microseconds of CPU time an input."""


def create_prompts(count: int) -> list[str]:
    """Return as many different texts."""
    return [f"an iguana on the beach, pointillism, {number}" for number in range(count)]


def check(outputs: Iterable[tuple[str, Any]], count: int, created: int) -> None:
    """Raise ValueError unless each text has its output, and one prediction."""
    found = dict(outputs)
    if found != {each: each for each in create_prompts(count)} or created != count:
        raise ValueError(
            f"wrong answer: {len(found):,} outputs, {created:,} predictions for {count:,} inputs"
        )


# Servers.


class Service(NamedTuple):
    """A server, its model, and a function that returns how many predictions were created."""

    origin: str
    model: str
    count: Callable[[], int]


@contextmanager
def fast_service() -> Iterator[Service]:
    """Run the benchmark server, which answers at once."""
    with running_server() as server:

        def count() -> int:
            with urlopen(f"{server.origin}/created") as response:
                return int(response.read())

        yield Service(server.origin, MODEL, count)


@contextmanager
def slow_service() -> Iterator[Service]:
    """Run a local Replicate in another process, whose model takes a second."""
    with subprocess.Popen(
        [sys.executable, __file__, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        commands, answers = process.stdin, process.stdout
        assert commands is not None
        assert answers is not None

        def count() -> int:
            print(file=commands, flush=True)
            return int(answers.readline())

        yield Service(answers.readline().strip(), SLOW_MODEL, count)
        commands.close()


def serve() -> None:
    """Serve the slow model; print how often it ran for each line of standard input."""
    from replicate_rs.local import LocalReplicate, sleep

    server = LocalReplicate()
    calls: list[None] = []

    @server.model(SLOW_MODEL)
    def slow(prompt: str) -> str:
        calls.append(None)
        sleep(SECONDS)
        return prompt

    with server:
        print(server.base_url, flush=True)
        for _ in sys.stdin:
            print(len(calls), flush=True)


# Ray.


class InTurn:
    """What people write without `Mapper`: an actor that runs its rows one after the other."""

    def __init__(self, origin: str, model: str) -> None:
        import replicate_rs

        self._client = replicate_rs.Replicate(TOKEN, base_url=origin)
        self._model = model

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch with the outputs."""
        outputs = [self._client.run(self._model, {"prompt": each}) for each in batch["prompt"]]
        return {**batch, "output": outputs}


class Meter:
    """Measures the CPU time of Ray's actors from the first create on, on a thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._created = service.count()
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._begun_at: float | None = None
        self._has_ended = threading.Event()
        self._ended_at = 0.0
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended_at = time.perf_counter()
        self._has_ended.set()
        self._thread.join()

    def _sample(self) -> None:
        import psutil

        root = psutil.Process()
        actors: dict[int, psutil.Process] = {}
        looked_at = 0.0
        while not self._has_ended.wait(INTERVAL):
            # All processes are listed more seldom than their CPU time is read.
            if self._begun_at is None or time.perf_counter() - looked_at > 0.5:
                looked_at = time.perf_counter()
                actors |= {
                    each.pid: each for each in root.children(recursive=True) if _is_actor(each)
                }
            for pid, process in [*actors.items()]:
                try:
                    used = process.cpu_times()
                except psutil.NoSuchProcess:
                    del actors[pid]
                    continue
                self._last[pid] = used.user + used.system
            if self._begun_at is None:
                if self._service.count() > self._created:
                    self._begun_at = time.perf_counter()
                else:
                    self._first = dict(self._last)

    def evaluate(self, count: int) -> tuple[Measured, int]:
        """Return what `count` inputs took, and how many predictions were created."""
        assert self._begun_at is not None
        cpu = sum(used - self._first.get(pid, 0.0) for pid, used in self._last.items())
        measured = Measured(count / (self._ended_at - self._begun_at), 1e6 * cpu / count)
        return measured, self._service.count() - self._created


def _is_actor(process: Any) -> bool:
    import psutil

    try:
        return any("ray::MapWorker" in each for each in process.cmdline()[:1])
    except psutil.Error:
        return False


def measure_ray(service: Service, count: int, change: Callable[[Any], Any]) -> Measured:
    """Run all inputs of a dataset.

    Args:
        service: The server.
        count: How many inputs.
        change: Returns the dataset with the column of outputs.

    """
    import ray

    rows = [{"prompt": each} for each in create_prompts(count)]
    dataset = change(ray.data.from_items(rows, override_num_blocks=8))
    with Meter(service) as meter:
        found = dataset.take_all()
    measured, created = meter.evaluate(count)
    check(((each["prompt"], each["output"]) for each in found), count, created)
    return measured


def run_in_turn(service: Service, count: int) -> Measured:
    """Run the inputs with a loop over `run` in each actor."""

    def change(dataset: Any) -> Any:
        import ray

        return dataset.map_batches(
            InTurn,
            fn_constructor_args=(service.origin, service.model),
            compute=ray.data.ActorPoolStrategy(size=WORKERS, max_tasks_in_flight_per_actor=1),
            # Both actors have the same number of rows.
            batch_size=min(BATCH_SIZE, count // WORKERS),
            num_cpus=0.25,
        )

    return measure_ray(service, count, change)


def run_mapper(service: Service, count: int, journal: str | None) -> Measured:
    """Run the inputs with `map_dataset`."""

    def change(dataset: Any) -> Any:
        from replicate_rs.batch.ray import map_dataset

        return map_dataset(
            dataset,
            service.model,
            workers=WORKERS,
            batch_size=min(BATCH_SIZE, count // WORKERS),
            journal=journal,
            token=get_token,
            client={"base_url": service.origin},
        )

    return measure_ray(service, count, change)


def get_token() -> str:
    """Return the token, on the worker."""
    return TOKEN


def run_map(service: Service, count: int, journal: str | None) -> Measured:
    """Run the inputs with `map` in one process, a new one as the actors are."""
    created = service.count()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured, outputs = pool.apply(map_all, (service.origin, service.model, count, journal))
    check(outputs, count, service.count() - created)
    return measured


def map_all(
    origin: str, model: str, count: int, journal: str | None
) -> tuple[Measured, list[tuple[str, Any]]]:
    """Run the inputs in this process."""
    import replicate_rs

    inputs = [{"prompt": each} for each in create_prompts(count)]
    with replicate_rs.Replicate(TOKEN, base_url=origin, use_file_output=False) as client:
        begun_at, cpu = time.perf_counter(), time.process_time()
        found = [
            (each.input["prompt"], each.output)
            for each in client.map(model, inputs, journal=journal)
        ]
        seconds, cpu = time.perf_counter() - begun_at, time.process_time() - cpu
    return Measured(count / seconds, 1e6 * cpu / count), found


def show(name: str, measured: Measured) -> None:
    """Print a measurement."""
    print(
        f"  {name:42} {measured.rows_per_second:8,.1f} rows/s {measured.cpu:8,.0f} us CPU an input",
        flush=True,
    )


def main() -> None:
    """Measure each, and print ratios."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    with tempfile.TemporaryDirectory(prefix="replicate-rs-bench-") as folder:
        print(f"a model that takes {SECONDS:.0f} s, {WORKERS} actors:")
        with slow_service() as service:
            in_turn = run_in_turn(service, SLOW_INPUTS_IN_TURN)
            show("run, one row after the other", in_turn)
            mapper = run_mapper(service, SLOW_INPUTS, f"{folder}/slow.db")
            show("map_dataset, journal in SQLite", mapper)
            ratio = mapper.rows_per_second / in_turn.rows_per_second
            print(f"  rows/s: {ratio:.1f} x (at least 5 x)")
        print(f"a model that answers at once, {WORKERS} actors:")
        with fast_service() as service:
            in_turn = run_in_turn(service, INPUTS)
            show("run, one row after the other", in_turn)
            for name, suffix in (("journal in SQLite", ".db"), ("no journal", None)):
                journal = suffix and f"{folder}/ray{suffix}"
                mapper = run_mapper(service, INPUTS, journal)
                show(f"map_dataset, {name}", mapper)
                alone = run_map(service, INPUTS, journal and f"{folder}/map{suffix}")
                show(f"map in one process, {name}", alone)
                ratio = mapper.rows_per_second / in_turn.rows_per_second
                print(f"  rows/s: {ratio:.2f} x of one after the other")
                print(f"  CPU an input: {mapper.cpu / alone.cpu:.2f} x of map (at most 1.5 x)")
    ray.shutdown()


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
