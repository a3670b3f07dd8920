"""The machine that measures: its cores, the server on one of them, memory and CPU time."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "target" / "release" / "examples"
SERVER, PARSER = PROGRAMS / "bench_server", PROGRAMS / "bench_parser"
# The server's self-signed certificate.
CERTIFICATE = ROOT / "tests" / "security" / "tls" / "cert.pem"
# A folder in memory, if the system has one, and the bytes that must be free there.
MEMORY_FOLDER, MIN_FREE = Path("/dev/shm"), 4_000_000_000


class Server(NamedTuple):
    """A running server."""

    process: int
    origin: str
    secure_origin: str


def pin_server_and_clients(server: int) -> bool:
    """Pin the server to one core, and this process and its children to another.

    Returns False if the system does not allow it.
    """
    if not hasattr(os, "sched_setaffinity"):
        return False
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return False
    os.sched_setaffinity(server, cores[:1])
    os.sched_setaffinity(0, cores[1:2])
    return True


@contextmanager
def running_server() -> Iterator[Server]:
    """Run the benchmark server."""
    if not SERVER.exists():
        raise SystemExit(
            f"{SERVER} is missing: run cargo build --release --no-default-features --example"
            " bench_server"
        )
    # A thousand idle clients need a thousand sockets on either side.
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    with subprocess.Popen([SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, secure_port = (int(process.stdout.readline()) for _ in range(2))
            # The certificate is for the name localhost, not for the address.
            yield Server(
                process.pid, f"http://127.0.0.1:{port}", f"https://localhost:{secure_port}"
            )
        finally:
            process.kill()


def files_are_in_memory() -> bool:
    """Return whether files can be kept in memory, so that no disk is measured."""
    return MEMORY_FOLDER.is_dir() and shutil.disk_usage(MEMORY_FOLDER).free > MIN_FREE


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a folder for files, in memory if possible."""
    with tempfile.TemporaryDirectory(
        prefix="replicate-rs-bench-", dir=MEMORY_FOLDER if files_are_in_memory() else None
    ) as folder:
        yield Path(folder)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without variables that change a library's behaviour."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("REPLICATE_", "PYTHON"))
    }


def cpu_seconds(process: int) -> float | None:
    """Return the CPU time that another process has used, or None where that is unknown."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # Fields 14 and 15. The second field, the program's name in parentheses, may contain spaces.
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def reset_peak() -> None:
    """Reset the peak of this process's memory."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(process: int | str = "self") -> int:
    """Return the peak of a process's memory since it started or was reset; 0 if it has ended."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)


def describe_machine(packages: Sequence[str]) -> dict[str, object]:
    """Return the processor, the system and the versions that a result depends on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        # A high load before the measurement means that others use the machine.
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
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _commit() -> str | None:
    try:
        process = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return process.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
