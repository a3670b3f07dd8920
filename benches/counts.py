"""The instructions that an operation takes, counted by valgrind: ``make bench-counts``, or ``counts.py [--update]``.

A count is the same however busy the machine is, where a time is not: what became slower shows here on any machine. It is the
difference of two runs, one of few operations and one of many, divided by what the second has more, so that starting counts for
nothing. Only the client's process is counted, and of it what it does itself: neither the server nor the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from counted import EVENTS, IN_FLIGHT
from machine import PROGRAMS, environment, running_server

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "counts.json"
RUST = [str(PROGRAMS / "bench_counts")]
PYTHON = [sys.executable, str(HERE / "counted.py")]
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
    Count("predictions.get, one after another", PYTHON, "get", 50, 250),
    Count("predictions.get, 64 in flight", PYTHON, "get_many", 2, 8, IN_FLIGHT),
]


def instructions(command: list[str]) -> int:
    """Run a program under valgrind, and give how many instructions it took."""
    with tempfile.NamedTemporaryFile("r") as log:
        tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={log.name}"]
        _run([*tool, *command])
        found = re.search(r"I +refs: +([\d,]+)", log.read())
    if found is None:
        raise SystemExit(f"valgrind counted nothing of {command}")
    return int(found[1].replace(",", ""))


def _run(command: list[str]) -> None:
    subprocess.run(command, env={**environment(), "PYTHONHASHSEED": "0"}, timeout=PATIENCE, check=True)


def measure(count: Count, origin: str) -> float:
    """Give the instructions of one operation."""
    few, many = ([*count.program, count.job, str(times), *([origin] if count.program is PYTHON else [])] for times in (count.few, count.many))
    # Once without valgrind: for the bytecode, and to see that it works.
    _run(few)
    return count.cost(instructions(few), instructions(many))
