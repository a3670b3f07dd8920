"""Run faults with both clients and with 1.0.7: `python tests/chaos [pattern ...]`, or `make chaos`.

Without patterns (such as `stream-*`) all faults run, and docs/reliability.md is written. `--ours`
leaves out 1.0.7; `--pages` runs nothing, and writes the pages from the verdicts that they have.
Exits with 1 if a client of this library fails.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

if __name__ == "__main__":
    # Instead of this folder, so that its modules are imported as parts of their package.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chaos import pages, peer
from chaos.fault import Fault
from chaos.faults import FAULTS
from chaos.run import FAILURE, Verdict, run
from conftest import Both

# Calls of 1.0.7 that run at the same time; most of them only wait.
CONCURRENCY = 4


def ours(fault: Fault, mode: str) -> Verdict:
    """Run a fault with a client of this library."""
    both = Both(mode)
    try:
        return run(fault, both)
    finally:
        # The event loop of a call that hangs cannot be closed.
        with contextlib.suppress(RuntimeError):
            both.close()


def both_of_ours(fault: Fault) -> list[Verdict]:
    """Run a fault with both clients; at the same time, unless memory is tested."""
    with ThreadPoolExecutor(1 if fault.grows else 2) as threads:
        return list(threads.map(lambda mode: ours(fault, mode), ("sync", "async")))


def main(arguments: list[str]) -> int:
    """Run the faults whose names match the arguments."""
    if "--pages" in arguments:
        pages.write(pages.read())
        return 0
    patterns = [each for each in arguments if not each.startswith("-")] or ["*"]
    faults = [fault for fault in FAULTS if any(fnmatchcase(fault.name, each) for each in patterns)]
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        theirs = (
            [pages.NOT_APPLICABLE] * len(faults)
            if "--ours" in arguments
            else list(threads.map(peer.run, faults))
        )
    rows = {}
    for fault, official in zip(faults, theirs, strict=True):
        verdicts = both_of_ours(fault)
        rows[fault.name] = pages.Row(*(each.verdict for each in verdicts), official)
        print(f"{fault.name:32} {verdicts[0].verdict:14} {verdicts[1].verdict:14} {official}")
        for each in verdicts:
            if each.verdict == FAILURE:
                print(f"    {each.detail}")
    if not arguments:
        pages.write(rows)
    return any(FAILURE in row for row in rows.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
