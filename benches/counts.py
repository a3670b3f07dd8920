"""Count the instructions of operations with valgrind: ``make bench-counts``.

Unlike a time, a count does not depend on how busy the machine is, so that it shows on any machine
whether code became longer; it does not show how long the code takes. A count is the difference
between a run of few operations and one of many, divided by the difference in operations, so that
the start of the process is not counted. Only the client's process is counted, without the server
and the kernel, and without TLS.

Crates (memchr, sha2, base64, aws-lc) and the libc choose code by the processor's features, which
valgrind emulates: they are the same on every x86-64 machine with AVX2, except F16C and random
numbers. valgrind lacks SHA instructions, so that SHA-256, most of a webhook's count, is counted in
its portable form. Counts change with the compiler, Python, libc, valgrind and the architecture, so
that the results file names them.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from count_worker import EVENTS, IN_FLIGHT
from machine import PROGRAMS, clean_environment, pin_server_and_clients, running_server

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "counts.json"
RUST = [str(PROGRAMS / "bench_counts")]
PYTHON = [sys.executable, str(HERE / "count_worker.py")]
# Seconds for a program to end.
TIMEOUT = 60
# More than any count varies, and less than a change that matters.
MARGIN = 0.05


@dataclass(frozen=True)
class Count:
    """An operation to count."""

    name: str
    program: list[str]
    job: str
    few: int
    many: int
    operations: int = 1
    """Operations of the job each time."""

    def cost(self, few: int, many: int) -> float:
        """Return the instructions of one operation, from those of both runs."""
        return (many - few) / ((self.many - self.few) * self.operations)


COUNTS = [
    Count("parser, an event", RUST, "parser", 10, 110, EVENTS),
    Count("webhook of 1 KB, a check", RUST, "webhook", 100, 2100),
    Count("EventDecoder, an event", PYTHON, "decode", 5, 25, EVENTS),
    Count("stream from memory, an event", PYTHON, "stream_from_memory", 5, 25, EVENTS),
    Count("stream, an event", PYTHON, "stream", 5, 25, EVENTS),
    Count("predictions.get, one after another", PYTHON, "get", 50, 350),
    Count("predictions.get, 64 in flight", PYTHON, "get_many", 2, 8, IN_FLIGHT),
    Count("run and read, one after another", PYTHON, "run", 20, 120),
]


def count_instructions(command: list[str]) -> int:
    """Run a program under valgrind, and return the number of its instructions."""
    with tempfile.NamedTemporaryFile("r") as log:
        valgrind = [
            "valgrind",
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
            f"--log-file={log.name}",
        ]
        _run([*valgrind, *command])
        found = re.search(r"I +refs: +([\d,]+)", log.read())
    if found is None:
        raise SystemExit(f"valgrind reported no instructions for {command}")
    return int(found[1].replace(",", ""))


def _run(command: list[str]) -> None:
    subprocess.run(
        command, env={**clean_environment(), "PYTHONHASHSEED": "0"}, timeout=TIMEOUT, check=True
    )


def measure(count: Count, origin: str) -> float:
    """Return the instructions of one operation."""
    few, many = (
        [*count.program, count.job, str(times), origin] for times in (count.few, count.many)
    )
    # The first run, without valgrind, compiles bytecode and shows that the program works.
    _run(few)
    return count.cost(count_instructions(few), count_instructions(many))


def facts() -> dict[str, str]:
    """Return the versions that counts depend on."""
    rustc, valgrind = (
        subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for program in ("rustc", "valgrind")
    )
    python = (
        f"{platform.python_implementation()} {platform.python_version()},"
        f" {platform.python_compiler()}"
    )
    libc = " ".join(platform.libc_ver())
    return {
        "machine": platform.machine(),
        "libc": libc,
        "rustc": rustc,
        "python": python,
        "valgrind": valgrind,
    }


def change(committed: float, now: float) -> float:
    """Return the relative change."""
    return now / committed - 1


def worse(committed: dict[str, float], now: dict[str, float]) -> list[str]:
    """Return the names of counts that grew by more than the margin."""
    return [name for name, count in now.items() if change(committed[name], count) > MARGIN]


def table(committed: dict[str, float], now: dict[str, float]) -> str:
    """Return a table of both counts."""
    lines = [f"{'instructions':<40}{'committed':>12}{'now':>12}{'change':>10}"]
    lines += [
        f"{name:<40}{committed[name]:>12,.0f}{count:>12,.0f}"
        f"{change(committed[name], count):>+10.1%}"
        for name, count in now.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Count everything, and compare it with the committed counts."""
    parser = argparse.ArgumentParser(
        description="Count instructions and compare them with the committed counts."
    )
    parser.add_argument(
        "--update", action="store_true", help="write these counts to the results file"
    )
    arguments = parser.parse_args()

    with running_server() as server:
        pin_server_and_clients(server.process)
        now = {count.name: round(measure(count, server.origin), 1) for count in COUNTS}
    result: dict[str, Any] = {"facts": facts(), "counts": now}
    if arguments.update:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    committed = json.loads(RESULTS.read_text())
    if committed["counts"].keys() != now.keys():
        raise SystemExit(f"{RESULTS} has other operations: run make bench-counts UPDATE=1")
    print(table(committed["counts"], now))
    for name, fact in result["facts"].items():
        if fact != committed["facts"][name]:
            print(f"{name} differs: {committed['facts'][name]} was committed, {fact} is used now")
    if names := worse(committed["counts"], now):
        raise SystemExit(f"more than {MARGIN:.0%} above the committed counts: {', '.join(names)}")


if __name__ == "__main__":
    main()
