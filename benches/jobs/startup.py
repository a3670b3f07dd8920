"""Job: how long a program takes to import a library and to fetch a first prediction."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from contenders import PREDICTION_ID
from contenders.startup import PROGRAMS
from jobs.sampling import Sample, Task

# Processes started for one sample.
MIN_STARTS = 3
# Seconds.
TIMEOUT = 10
# Prints the times at which a program is done.
PRINT_CLOCKS = "import time\nprint(time.monotonic_ns(), time.process_time_ns(), flush=True)"


def startup(task: Task) -> Sample:
    """Measure the milliseconds that a program takes beyond the start of Python.

    Python alone is started in turn with the program.
    """
    program = PROGRAMS[task.contender]
    source = program.imports
    if task.variant == "first":
        assert program.first is not None
        source += f"\norigin, prediction_id = {task.origin!r}, {PREDICTION_ID!r}\n{program.first}"
        source += f"\nassert (status, id) == ('succeeded', {PREDICTION_ID!r})"
    source += f"\n{PRINT_CLOCKS}"
    # The first start compiles bytecode, fills the file cache and shows that the program works.
    _start(PRINT_CLOCKS)
    _start(source)
    bare: list[tuple[float, float]] = []
    complete: list[tuple[float, float]] = []
    end = time.monotonic() + task.seconds
    while len(complete) < MIN_STARTS or time.monotonic() < end:
        bare.append(_start(PRINT_CLOCKS))
        complete.append(_start(source))
    bare_wall, bare_cpu = (median(times) for times in zip(*bare, strict=True))
    wall, cpu = (median(times) for times in zip(*complete, strict=True))
    return Sample(wall - bare_wall, cpu=cpu - bare_cpu, bare=bare_wall)


def _start(source: str) -> tuple[float, float]:
    """Run a program in a new interpreter; return wall and CPU milliseconds until it prints."""
    # All processes of a system share the monotonic clock, so that the time that the interpreter
    # takes to exit is not counted.
    started = time.monotonic_ns()
    try:
        process = subprocess.run(
            [sys.executable, "-I", "-c", source],
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        what = "did not exit" if error.stdout else "printed nothing"
        raise SystemExit(f"the program {what} within {TIMEOUT} s") from None
    if not process.stdout:
        # The program has printed its traceback to standard error.
        raise SystemExit(1)
    printed, cpu = map(int, process.stdout.split())
    return (printed - started) / 1e6, cpu / 1e6
