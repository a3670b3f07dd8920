"""The jobs of webhooks: one check, a check and what the body says, many at once, the Rust core
alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders.predictions import OURS, check
from contenders.webhooks import CHECKS, SECRET, UNWRAPS, Signed, check_verdicts, signed
from jobs.sampling import Meter, Sample, Task
from machine import PROGRAMS, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
FLOOR_SOURCE, FLOOR = HERE.parent / "contenders" / "webhook_check.c", PROGRAMS / "webhook_floor"
NODE_SOURCE, NODE_MODULES = (
    HERE.parent / "contenders" / "node_webhook.mjs",
    ROOT / "tests" / "node" / "node_modules",
)
RUST = PROGRAMS / "bench_webhook"
OPENSSL = "openssl speed"
# As bench_webhook has them, in bytes.
SIZES = {"1 KB": 1 << 10, "10 KB": 10 << 10, "100 KB": 100 << 10, "1 MB": 1 << 20}
# Seconds of the blocks that the clock is read around, at least: reading it takes a tenth of the
# shortest check.
BLOCK = 1e-3
# The webhooks of a batch, and the bytes of each.
BATCH, EACH = 1000, 1024
# Turns of one thread and of two.
TURNS = 4


def verify(task: Task) -> Sample:
    """Give the microseconds of one check."""
    webhook = signed(task.size)
    if task.contender in PROCESSES:
        return PROCESSES[task.contender](task, webhook)
    contender = CHECKS[task.contender]()
    check_verdicts(contender, webhook)
    return _timed(task, contender, webhook)


def unwrap(task: Task) -> Sample:
    """Give the microseconds of one check, and of making a prediction of the body."""
    webhook = signed(task.size)
    contender = UNWRAPS[task.contender]()
    check_verdicts(contender, webhook)
    check(contender(*webhook))
    return _timed(task, contender, webhook)


def _timed(task: Task, function: Callable[..., Any], webhook: Signed) -> Sample:
    headers, body = webhook

    def block(calls: int) -> float:
        began = time.perf_counter()
        for _ in repeat(None, calls):
            function(headers, body)
        return time.perf_counter() - began

    calls, end = 1, time.perf_counter() + task.warm_up
    while (took := block(calls)) < BLOCK or time.perf_counter() < end:
        calls *= 2 if took < BLOCK else 1
    times: list[float] = []
    end = time.perf_counter() + task.seconds
    meter = Meter(task.server)
    while not times or time.perf_counter() < end:
        times.append(block(calls))
    sample = meter.sample(calls * len(times))
    sample.value = median(times) / calls * 1e6
    return sample


def _floor(task: Task, webhook: Signed) -> Sample:
    """Measure what C and OpenSSL need."""
    _compile()
    headers, body = webhook
    parts = [
        headers["webhook-id"],
        headers["webhook-timestamp"],
        headers["webhook-signature"].removeprefix("v1,"),
    ]
    arguments = [str(task.seconds), SECRET.removeprefix("whsec_"), *parts, str(len(body))]
    return _told([str(FLOOR), *arguments], body)


def _compile() -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("there is no C compiler, cc")
    if FLOOR.exists() and FLOOR.stat().st_mtime > FLOOR_SOURCE.stat().st_mtime:
        return
    command = [compiler, "-O2", str(FLOOR_SOURCE), "-o", str(FLOOR), "-lcrypto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        # What follows the first error is its consequence.
        raise SystemExit(
            next((line for line in done.stderr.splitlines() if "error" in line), "cc failed")
        )


def _node(task: Task, webhook: Signed) -> Sample:
    """Measure Node's official client."""
    node = shutil.which("node")
    if node is None or not (NODE_MODULES / "replicate").is_dir():
        raise SystemExit("there is no Node, or not its client: npm ci --prefix tests/node")
    given = {
        "headers": webhook.headers,
        "secret": SECRET,
        "warm_up": task.warm_up,
        "seconds": task.seconds,
    }
    given |= {"body": webhook.body.decode(), "forged": webhook.forged().body.decode()}
    return _told([node, str(NODE_SOURCE)], json.dumps(given).encode())


def _told(command: list[str], given: bytes) -> Sample:
    """Run a program that prints what it measured."""
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode() or f"exit code {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout)
    return Sample(found["us"], cpu=found["cpu_us"])


PROCESSES: dict[str, Callable[[Task, Signed], Sample]] = {"C floor": _floor, "Node": _node}


def many_webhooks(task: Task) -> Sample:
    """Give the webhooks that two threads check in a second, on all cores, and how many that is for
    each that one thread does.

    Where others use the machine, two threads do not have two cores; how many they used is told,
    too.
    """
    if hasattr(os, "sched_setaffinity"):
        # The benchmark has one core for what it measures; here it is two threads, and the server
        # has nothing to do.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    contender = MANY[task.contender]()
    batches = [[signed(EACH, number) for number in range(BATCH)] for _ in range(2)]
    check_verdicts(
        lambda headers, body: contender([Signed(dict(headers), body)] * BATCH) == BATCH,
        batches[0][0],
    )

    def load(batch: list[Signed], seconds: float) -> int:
        end, count = time.perf_counter() + seconds, 0
        while not count or time.perf_counter() < end:
            count += contender(batch)
        return count

    with ThreadPoolExecutor(2) as threads:

        def turn(count: int, seconds: float) -> Sample:
            meter = Meter(task.server)
            return meter.sample(sum(threads.map(load, batches[:count], [seconds] * count)))

        turn(2, task.warm_up)
        # In turns, so that what the machine does meanwhile meets both.
        turns = [
            (turn(1, task.seconds / TURNS), turn(2, task.seconds / TURNS)) for _ in range(TURNS)
        ]
    one, two, cpu = (
        median(each)
        for each in zip(*((one.value, two.value, two.cpu or 0) for one, two in turns), strict=True)
    )
    times = median(two.value / one.value for one, two in turns)
    return Sample(
        two, cpu=cpu, more={"one thread": one, "times": times, "cores used": cpu * two / 1e6}
    )


def _many_ours() -> Callable[[list[Signed]], int]:
    from replicate_rs import WebhookVerifier

    verify_many = WebhookVerifier(SECRET).verify_many
    # None is what each genuine one gives.
    return lambda batch: verify_many(batch).count(None)


def _one_by_one(name: str) -> Callable[[], Callable[[list[Signed]], int]]:
    def make() -> Callable[[list[Signed]], int]:
        contender = CHECKS[name]()

        def all_of(batch: list[Signed]) -> int:
            return sum(contender(headers, body) is not False for headers, body in batch)

        return all_of

    return make


MANY: dict[str, Callable[[], Callable[[list[Signed]], int]]] = {
    OURS: _many_ours,
    f"{OURS}, verify one by one": _one_by_one(OURS),
    "svix": _one_by_one("svix"),
    "by hand": _one_by_one("by hand"),
}


def fastapi(task: Task) -> Sample:
    """Give the webhooks that a service takes in a second."""
    # Imported here, for it takes longer than some jobs do.
    from jobs.webhook_service import receive

    return receive(task)


def rust(task: Task) -> Sample:
    """Give the microseconds of the core's check without Python, or with another crate's hash, or of
    OpenSSL's hash alone.
    """
    if task.contender == OPENSSL:
        found = {name: _openssl(size) for name, size in SIZES.items()}
        return Sample(found.pop("1 KB"), more=found)
    answer = subprocess.run([RUST, task.contender], capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout)
    return Sample(found.pop("1 KB"), more=found)


def _openssl(size: int) -> float:
    """Give the microseconds of a hash with a key, by OpenSSL's own measurement: nothing is
    compared, nor any header read.
    """
    command = ["openssl", "speed", "-mr", "-seconds", "1", "-bytes", str(size), "-hmac", "sha256"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    # The last line ends in the bytes of a second.
    return size / float(answer.stdout.strip().rpartition(":")[2]) * 1e6
