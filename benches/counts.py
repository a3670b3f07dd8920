"""The instructions that an operation takes, counted by valgrind: ``make bench-counts``, or
``counts.py [--update]``.

A count is the same however busy the machine is, where a time is not: what became slower shows here
on any machine. It is the difference of two runs, one of few operations and one of many, divided by
what the second has more, so that starting counts for nothing. Only the client's process is counted,
and of it what it does itself: neither the server nor the kernel.

Where a crate (memchr, sha2, base64, aws-lc) or the libc chooses code by what the processor can do,
valgrind answers for the processor: the same on every x86-64 machine with AVX2, but for F16C and
random numbers. It leaves out what it cannot do itself, so SHA-256 is counted in its portable form,
where most machines have instructions for it, and is nearly all of a webhook's count. Nothing here
uses TLS. A count shows whether code became longer, and not how long it takes. Another compiler,
Python, libc or valgrind counts otherwise, and so does another architecture: the file says what
there was.
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

from count_worker import EVENTS, IN_FLIGHT
from machine import PROGRAMS, environment, pin_server_and_clients, running_server

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "counts.json"
RUST = [str(PROGRAMS / "bench_counts")]
PYTHON = [sys.executable, str(HERE / "count_worker.py")]
# Seconds after which a program is taken to hang.
PATIENCE = 60
# More than any count varies by, and less than a change that matters.
MARGIN = 0.05


@dataclass(frozen=True)
class Count:
    """Something to count."""

    name: str
    program: list[str]
    job: str
    few: int
    many: int
    each: int = 1
    """Operations that the job does each time."""

    def cost(self, few: int, many: int) -> float:
        """Give the instructions of one operation, from those of both runs."""
        return (many - few) / ((self.many - self.few) * self.each)


COUNTS = [
    Count("parser, an event", RUST, "parser", 10, 110, EVENTS),
    Count("webhook of 1 KB, a check", RUST, "webhook", 100, 2100),
    Count("EventDecoder, an event", PYTHON, "decode", 5, 25, EVENTS),
    Count("stream from memory, an event", PYTHON, "recorded", 5, 25, EVENTS),
    Count("stream, an event", PYTHON, "stream", 5, 25, EVENTS),
    Count("predictions.get, one after another", PYTHON, "get", 50, 350),
    Count("predictions.get, 64 in flight", PYTHON, "get_many", 2, 8, IN_FLIGHT),
    Count("run and read, one after another", PYTHON, "run", 20, 120),
]


def instructions(command: list[str]) -> int:
    """Run a program under valgrind, and give how many instructions it took."""
    with tempfile.NamedTemporaryFile("r") as log:
        tool = [
            "valgrind",
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
            f"--log-file={log.name}",
        ]
        _run([*tool, *command])
        found = re.search(r"I +refs: +([\d,]+)", log.read())
    if found is None:
        raise SystemExit(f"valgrind counted nothing of {command}")
    return int(found[1].replace(",", ""))


def _run(command: list[str]) -> None:
    subprocess.run(
        command, env={**environment(), "PYTHONHASHSEED": "0"}, timeout=PATIENCE, check=True
    )


def measure(count: Count, origin: str) -> float:
    """Give the instructions of one operation."""
    few, many = (
        [*count.program, count.job, str(times), origin] for times in (count.few, count.many)
    )
    # Once without valgrind: for the bytecode, and to see that it works.
    _run(few)
    return count.cost(instructions(few), instructions(many))


def facts() -> dict[str, str]:
    """Say what counts depend on, wherever they are counted."""
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
    """Give what was added, as a part of what there was."""
    return now / committed - 1


def worse(committed: dict[str, float], now: dict[str, float]) -> list[str]:
    """Name what takes more than it may."""
    return [name for name, count in now.items() if change(committed[name], count) > MARGIN]


def table(committed: dict[str, float], now: dict[str, float]) -> str:
    """Give all counts, side by side."""
    lines = [f"{'instructions':<40}{'committed':>12}{'now':>12}{'change':>10}"]
    lines += [
        f"{name:<40}{committed[name]:>12,.0f}{count:>12,.0f}{change(committed[name], count):>+10.1%}"
        for name, count in now.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Count everything, and compare it with what is committed."""
    parser = argparse.ArgumentParser(
        description="Count instructions, and compare them with the committed ones."
    )
    parser.add_argument(
        "--update", action="store_true", help="commit to these counts: write the file"
    )
    arguments = parser.parse_args()

    with running_server() as server:
        pin_server_and_clients(server.process)
        now = {count.name: round(measure(count, server.origin), 1) for count in COUNTS}
    found = {"facts": facts(), "counts": now}
    if arguments.update:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    committed = json.loads(RESULTS.read_text())
    if committed["counts"].keys() != now.keys():
        raise SystemExit(f"{RESULTS} is of other operations: make bench-counts UPDATE=1")
    print(table(committed["counts"], now))
    for name, fact in found["facts"].items():
        if fact != committed["facts"][name]:
            print(f"{name} is another: {committed['facts'][name]} was counted with, {fact} now")
    if more := worse(committed["counts"], now):
        raise SystemExit(f"more than {MARGIN:.0%} above what is committed: {', '.join(more)}")


if __name__ == "__main__":
    main()
