"""Measure speed and memory against other libraries: ``make bench``, or ``bench.py [--job JOB]``.

Contenders take turns, round by round, each time in a new process, so that other load on the machine
affects all of them. Each round takes the same time; contenders differ in how much they do in it.
Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contenders import PACKAGES
from machine import (
    CERTIFICATE,
    clean_environment,
    describe_machine,
    pin_server_and_clients,
    running_server,
    temporary_folder,
)
from report.results import Result, Sample, Section, median_of, to_row, write
from report.tables import text_table
from sections import all_sections

HERE = Path(__file__).parent
RESULT = HERE / "results" / "latest.json"
# Seconds for a worker to end, and for one that is measured once.
TIMEOUT, LONG_TIMEOUT = 60, 1800


def measure(section: Section, rounds: int, common: dict[str, Any]) -> None:
    """Measure a section's contenders; one that fails is left out of further rounds."""
    samples: dict[str, list[Sample]] = {name: [] for name in section.contenders}
    crashes = dict.fromkeys(section.contenders, 0)
    if section.slow:
        rounds = max(2, (rounds + 1) // 2)
    timeout = LONG_TIMEOUT if section.once else TIMEOUT
    for _ in range(1 if section.once else rounds):
        for contender in section.contenders:
            if contender in section.failures:
                continue
            task = {"job": section.job, "contender": contender, **common, **section.task}
            try:
                sample, exit_code = run_worker(task, timeout)
            except WorkerError as error:
                section.failures[contender] = str(error)
                continue
            samples[contender].append(sample)
            # pyreqwest 0.15.1 sometimes aborts when the interpreter exits; its sample is valid.
            crashes[contender] += exit_code != 0
    valid = {name: samples[name] for name in samples if name not in section.failures}
    section.rows = [to_row(name, found, crashes[name]) for name, found in valid.items()]
    section.bare = median_of("bare", [sample for found in valid.values() for sample in found])


class WorkerError(Exception):
    """A worker that printed no sample, or did not end."""


def run_worker(task: dict[str, Any], timeout: int) -> tuple[Sample, int]:
    """Return the sample of a task, and the worker's exit code; raise WorkerError if it fails."""
    try:
        worker = subprocess.run(
            [sys.executable, str(HERE / "worker.py"), json.dumps(task)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        what = "its process did not exit" if error.stdout else "no result"
        raise WorkerError(f"{what} within {timeout} s") from None
    if not worker.stdout:
        # The last line of a traceback is the error.
        output = worker.stderr.strip() or f"exit code {worker.returncode}"
        raise WorkerError(output.splitlines()[-1])
    return json.loads(worker.stdout), worker.returncode


def job_names(sections: list[Section]) -> list[str]:
    """Return the values of ``--job``: the jobs, and what their names begin with."""
    names = [name for section in sections for name in (section.job.partition("_")[0], section.job)]
    return [*dict.fromkeys(names)]


def main() -> None:
    """Measure, print each table when it is complete, and write the results file."""
    parser = argparse.ArgumentParser(description="Measure speed and memory of client libraries.")
    parser.add_argument(
        "--job",
        choices=job_names(all_sections()),
        help="measure only this job, or the jobs whose names begin with it",
    )
    parser.add_argument(
        "--quick", action="store_true", help="measure fewer and shorter rounds (five minutes)"
    )
    arguments = parser.parse_args()
    sections = all_sections(quick=arguments.quick)
    if arguments.job is not None:
        sections = [section for section in sections if arguments.job in job_names([section])]
    rounds, warm_up, seconds = (2, 0.1, 0.2) if arguments.quick else (3, 0.15, 0.4)

    began = time.monotonic()
    machine = describe_machine(PACKAGES)
    print(
        *(f"{name}: {value}" for name, value in machine.items()), sep="\n", end="\n\n", flush=True
    )
    with running_server() as server, temporary_folder() as folder:
        pinned = pin_server_and_clients(server.process)
        if not pinned:
            print(
                "The server and the clients share their cores: compare figures, but do not quote"
                " them.\n"
            )
        common = {
            "origin": server.origin,
            "secure_origin": server.secure_origin,
            "certificate": str(CERTIFICATE),
            "folder": str(folder),
            "server": server.process,
            "warm_up": warm_up,
            "seconds": seconds,
        }
        for section in sections:
            started = time.monotonic()
            measure(section, rounds, common)
            duration = f"  {time.monotonic() - started:.0f} s"
            print(text_table(section), duration, sep="\n", end="\n\n", flush=True)

    RESULT.parent.mkdir(exist_ok=True)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    write(RESULT, Result(date, machine, pinned, rounds, seconds, sections))
    print(f"{time.monotonic() - began:.0f} s; results in {RESULT}")


if __name__ == "__main__":
    main()
