"""Job: how long a program takes to import a library and to fetch a first prediction."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import certifi

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
    source = f"{_source(task)}\n{PRINT_CLOCKS}"
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
    # A slice is a start; a fast one is compared with a fast one of Python alone.
    fast_bare = sorted(each for _, each in bare)[len(bare) // 10]
    slices = [each - fast_bare for _, each in complete]
    return Sample(wall - bare_wall, cpu=cpu - bare_cpu, slices=slices, bare=bare_wall)


def _source(task: Task) -> str:
    """Return the program without the measurement."""
    program = PROGRAMS[task.contender]
    if task.variant == "import":
        return program.imports
    origin, first = task.origin, program.first
    if task.secure:
        origin, first = task.secure_origin, program.secure or program.first
        os.environ["SSL_CERT_FILE"] = str(_trusted(task))
    assert first is not None
    names = {
        "origin": origin,
        "prediction_id": PREDICTION_ID,
        "trusted": str(_trusted(task)),
        "certificate": task.certificate,
    }
    return "\n".join(
        [
            program.imports,
            *(f"{name} = {value!r}" for name, value in names.items()),
            first,
            f"assert (status, id) == ('succeeded', {PREDICTION_ID!r})",
        ]
    )


def _trusted(task: Task) -> Path:
    """Return a file with the usual authorities, which programs read, and the server's."""
    path = Path(task.folder, "trusted.pem")
    if not path.exists():
        path.write_text(certifi.contents() + Path(task.certificate).read_text())
    return path


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
