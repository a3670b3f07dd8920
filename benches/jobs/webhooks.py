"""Jobs: verify webhooks one by one, with their JSON, in batches, and without Python."""

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

from contenders import C_PROGRAM, NODE, OPENSSL_SPEED, check_prediction
from contenders.webhooks import (
    BATCH_CHECKS,
    CHECKS,
    SECRET,
    UNWRAPS,
    SignedWebhook,
    check_verdicts,
    sign_webhook,
)
from jobs.sampling import Meter, Sample, Task
from machine import PROGRAMS, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = Path(__file__).parents[1] / "contenders"
C_SOURCE, C_BINARY = PEERS / "webhook_check.c", PROGRAMS / "webhook_check"
NODE_SOURCE, NODE_MODULES = PEERS / "node_webhook.mjs", ROOT / "tests" / "node" / "node_modules"
RUST = PROGRAMS / "bench_webhook"
# Bytes, the same as in rust/webhook.rs.
SIZES = {"1 KB": 1 << 10, "10 KB": 10 << 10, "100 KB": 100 << 10, "1 MB": 1 << 20}
# Seconds. The clock is read once for a block of calls that takes at least so long: reading it takes
# a tenth of the time of the shortest check.
MIN_BLOCK = 1e-3
# The webhooks of a batch, and the bytes of each.
BATCH, BODY_SIZE = 1000, 1024
# Turns of one thread and of two.
TURNS = 4


def verify(task: Task) -> Sample:
    """Measure the microseconds of one check."""
    webhook = sign_webhook(task.size)
    if task.contender in PROCESSES:
        return PROCESSES[task.contender](task, webhook)
    contender = CHECKS[task.contender]()
    check_verdicts(contender, webhook)
    return _timed(task, contender, webhook)


def unwrap(task: Task) -> Sample:
    """Measure the microseconds of one check and of parsing the body."""
    webhook = sign_webhook(task.size)
    contender = UNWRAPS[task.contender]()
    check_verdicts(contender, webhook)
    check_prediction(contender(*webhook))
    return _timed(task, contender, webhook)


def _timed(task: Task, function: Callable[..., Any], webhook: SignedWebhook) -> Sample:
    headers, body = webhook

    def block(calls: int) -> float:
        started = time.perf_counter()
        for _ in repeat(None, calls):
            function(headers, body)
        return time.perf_counter() - started

    calls, end = 1, time.perf_counter() + task.warm_up
    while (duration := block(calls)) < MIN_BLOCK or time.perf_counter() < end:
        calls *= 2 if duration < MIN_BLOCK else 1
    times: list[float] = []
    meter = Meter(task.server)
    now = time.perf_counter()
    end = now + task.seconds
    while now < end:
        times.append(block(calls))
        now = meter.slices.add(calls)
    sample = meter.sample(calls * len(times))
    sample.value = median(times) / calls * 1e6
    return sample


def _c_program(task: Task, webhook: SignedWebhook) -> Sample:
    """Measure a check written in C, with OpenSSL."""
    _compile()
    headers, body = webhook
    signed = [
        headers["webhook-id"],
        headers["webhook-timestamp"],
        headers["webhook-signature"].removeprefix("v1,"),
    ]
    arguments = [str(task.seconds), SECRET.removeprefix("whsec_"), *signed, str(len(body))]
    return _run_program([str(C_BINARY), *arguments], body)


def _compile() -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("there is no C compiler: cc was not found")
    if C_BINARY.exists() and C_BINARY.stat().st_mtime > C_SOURCE.stat().st_mtime:
        return
    command = [compiler, "-O2", str(C_SOURCE), "-o", str(C_BINARY), "-lcrypto"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        errors = (line for line in process.stderr.splitlines() if "error" in line)
        raise SystemExit(next(errors, "cc failed"))


def _node(task: Task, webhook: SignedWebhook) -> Sample:
    """Measure Replicate's client for Node."""
    node = shutil.which("node")
    if node is None or not (NODE_MODULES / "replicate").is_dir():
        raise SystemExit("Node or its client is missing: run npm ci --prefix tests/node")
    options = {
        "headers": webhook.headers,
        "secret": SECRET,
        "warm_up": task.warm_up,
        "seconds": task.seconds,
        "body": webhook.body.decode(),
        "forged": webhook.forged().body.decode(),
    }
    return _run_program([node, str(NODE_SOURCE)], json.dumps(options).encode())


def _run_program(command: list[str], stdin: bytes) -> Sample:
    """Run a program that prints its measurement as JSON."""
    process = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if process.returncode:
        raise SystemExit(process.stderr.decode() or f"exit code {process.returncode}")
    result: dict[str, float] = json.loads(process.stdout)
    return Sample(result["us"], cpu=result["cpu_us"])


PROCESSES: dict[str, Callable[[Task, SignedWebhook], Sample]] = {
    C_PROGRAM: _c_program,
    NODE: _node,
}


def many_webhooks(task: Task) -> Sample:
    """Measure the webhooks that two threads verify in a second, and the ratio to one thread.

    On a machine that others use, two threads may not get two cores; the sample says how many
    they used.
    """
    if hasattr(os, "sched_setaffinity"):
        # Elsewhere, contenders have one core. Here, two threads need two; the server is idle.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    contender = BATCH_CHECKS[task.contender]()
    batches = [[sign_webhook(BODY_SIZE, number) for number in range(BATCH)] for _ in range(2)]
    check_verdicts(
        lambda headers, body: contender([SignedWebhook(dict(headers), body)] * BATCH) == BATCH,
        batches[0][0],
    )

    def load(batch: list[SignedWebhook], seconds: float) -> int:
        end, count = time.perf_counter() + seconds, 0
        while not count or time.perf_counter() < end:
            count += contender(batch)
        return count

    with ThreadPoolExecutor(2) as threads:

        def turn(count: int, seconds: float) -> Sample:
            meter = Meter(task.server)
            return meter.sample(sum(threads.map(load, batches[:count], [seconds] * count)))

        turn(2, task.warm_up)
        # Alternately, so that other load on the machine affects both.
        turns = [
            (turn(1, task.seconds / TURNS), turn(2, task.seconds / TURNS)) for _ in range(TURNS)
        ]
    one, two, cpu = (
        median(values)
        for values in zip(
            *((one.value, two.value, two.cpu or 0) for one, two in turns), strict=True
        )
    )
    ratio = median(two.value / one.value for one, two in turns)
    return Sample(
        two,
        cpu=cpu,
        slices=[cost for _, both in turns for cost in both.slices],
        more={"one thread": one, "times": ratio, "cores used": cpu * two / 1e6},
    )


def fastapi(task: Task) -> Sample:
    """Measure the webhooks that a service receives in a second."""
    # Importing FastAPI takes longer than some jobs.
    from jobs.webhook_service import receive

    return receive(task)


def rust(task: Task) -> Sample:
    """Measure the microseconds of one check in Rust, without Python.

    Other contenders use another crate's hash, or are OpenSSL's hash alone.
    """
    if task.contender == OPENSSL_SPEED:
        times = {name: _openssl_speed(size) for name, size in SIZES.items()}
    else:
        command = [RUST, task.contender]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        times = json.loads(process.stdout)
    return Sample(times.pop("1 KB"), more=times)


def _openssl_speed(size: int) -> float:
    """Return the microseconds of an HMAC, as `openssl speed` measures it.

    It compares no signature and reads no header.
    """
    command = ["openssl", "speed", "-mr", "-seconds", "1", "-bytes", str(size), "-hmac", "sha256"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    # The last line ends with the bytes per second.
    return size / float(process.stdout.strip().rpartition(":")[2]) * 1e6
