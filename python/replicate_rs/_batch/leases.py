"""Which workers of a journal are running: by their heartbeats, and by their processes."""

from __future__ import annotations

import os
from pathlib import Path
from socket import gethostname

# Seconds after its last heartbeat for which a worker keeps its inputs, and between two heartbeats.
LEASE = 30.0
HEARTBEAT = 5.0

# The ids of this process's workers: a worker with this process's number and another id is that of
# an earlier process of the same number, as containers have.
own_workers: set[int] = set()


def is_dead(worker: int, host: str, pid: int, seconds: float) -> bool:
    """Return whether a worker has ended without releasing its inputs.

    Args:
        worker: The worker's id.
        host: What its process number belongs to, by `get_host`.
        pid: Its process number.
        seconds: How long ago its last heartbeat was. A clock may have been set back.

    """
    if not -LEASE <= seconds < LEASE:
        return True
    if host != get_host() or worker in own_workers:
        return False
    return pid == os.getpid() or not _is_running(pid)


def get_host() -> str:
    """Return the name of what process numbers belong to: this machine, or a container on it.

    Containers may share a host name, and have the same process numbers; machines, too.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        # Not Linux.
        return gethostname()


def _is_running(pid: int) -> bool:
    """Return whether a process of this machine is running; True where that cannot be told."""
    if os.name == "nt":
        # `os.kill` would end the process. Its lease decides.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
