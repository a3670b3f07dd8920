"""The machine a run is measured on: its cores, the server on one of them, and what to call it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "target" / "release" / "examples"
SERVER, PARSER = PROGRAMS / "bench_server", PROGRAMS / "bench_parser"


def pin_server_and_clients(server: int) -> bool:
    """Give the server one core and this process, with all it starts, another; tell whether that was possible."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return False
    os.sched_setaffinity(server, cores[:1])
    os.sched_setaffinity(0, cores[1:2])
    return True


@contextmanager
def running_server() -> Iterator[tuple[int, int]]:
    """Run the server; gives its process id and its port."""
    if not SERVER.exists():
        raise SystemExit(f"{SERVER} is missing: cargo build --release --no-default-features --example bench_server")
    # A thousand idle clients hold a thousand sockets, on both sides.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with subprocess.Popen([SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def environment() -> dict[str, str]:
    """Give the environment for workers: this one, without what would send their requests elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("REPLICATE_", "PYTHON"))
    }


def cpu_seconds(process: int) -> float | None:
    """Give the CPU time another process has used, user and system; None where the system does not tell."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name, in parentheses, and may itself contain spaces; these are fields 14 and 15.
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_bytes() -> int:
    """Give the memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def describe(packages: Sequence[str]) -> dict[str, object]:
    """Say what was measured, and where."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        # More than a little, before anything ran, means that others use the machine.
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": _commit(),
        "versions": {package: _version(package) for package in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str | None:
    try:
        answer = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
