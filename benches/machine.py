"""The machine a run is measured on: its cores, the server on one of them, and what to call it."""

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
# What the server's TLS has, and vouches for itself.
CERTIFICATE = ROOT / "tests" / "tls" / "cert.pem"
# Files in memory, where the system has such a folder, and the bytes it must have room for.
MEMORY, ROOM = Path("/dev/shm"), 4_000_000_000


class Server(NamedTuple):
    """A server that runs."""

    process: int
    origin: str
    secure_origin: str


def pin_server_and_clients(server: int) -> bool:
    """Give the server one core and this process, with all it starts, another; tell whether that was
    possible.
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
    """Run the server."""
    if not SERVER.exists():
        raise SystemExit(
            f"{SERVER} is missing: cargo build --release --no-default-features --example"
            " bench_server"
        )
    # A thousand idle clients hold a thousand sockets, on both sides.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with subprocess.Popen([SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, secure_port = (int(process.stdout.readline()) for _ in range(2))
            # The certificate is the name's, not the number's.
            yield Server(
                process.pid, f"http://127.0.0.1:{port}", f"https://localhost:{secure_port}"
            )
        finally:
            process.kill()


def in_memory() -> bool:
    """Tell whether there is room for files where no disk can be what is measured."""
    return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for files, in memory if that is possible."""
    with tempfile.TemporaryDirectory(
        prefix="replicate-rs-bench-", dir=MEMORY if in_memory() else None
    ) as folder:
        yield Path(folder)


def environment() -> dict[str, str]:
    """Give the environment for workers: this one, without what would send their requests elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("REPLICATE_", "PYTHON"))
    }


def cpu_seconds(process: int) -> float | None:
    """Give the CPU time another process has used, user and system; None where the system does not
    tell.
    """
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name, in parentheses, and may itself contain spaces; these
    # are fields 14 and 15.
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_bytes() -> int:
    """Give the memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_peak() -> None:
    """Have the system watch anew how much memory this process has at most."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(process: int | str = "self") -> int:
    """Give the most memory that a process had since then, or ever; 0 if it has ended."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)


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
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
