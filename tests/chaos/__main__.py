"""The table of faults and of what becomes of them: `python tests/chaos [pattern ...]`, which `make
chaos` runs.

Without patterns (`stream-*`), all of them, and the table goes into docs/reliability.md. `--ours`
leaves 1.0.7 out. Exits with 1 if one of ours fails.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

if __name__ == "__main__":
    # In the place of this folder: its modules are the package's.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chaos import peer
from chaos.fault import Fault
from chaos.faults import FAULTS, GROUPS
from chaos.run import ANSWER, ERROR, FAILURE, Verdict, run
from conftest import Both

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- made by `make chaos`: begin -->", "<!-- made by `make chaos`: end -->"
GOOD = (ANSWER, ERROR)
# A few at a time: what 1.0.7 needs most of is waiting.
AT_A_TIME = 4


def ours(fault: Fault, mode: str) -> Verdict:
    """Run it with our client of one kind."""
    both = Both(mode)
    try:
        return run(fault, both)
    finally:
        # The loop of a call that hangs cannot be closed.
        with contextlib.suppress(RuntimeError):
            both.close()


def both_of_ours(fault: Fault) -> list[Verdict]:
    """Run it with either client; at the same time, where memory is not what is tested."""
    with ThreadPoolExecutor(1 if fault.grows else 2) as threads:
        return list(threads.map(lambda mode: ours(fault, mode), ("sync", "async")))


def table(rows: dict[str, tuple[Fault, Verdict, Verdict, str]]) -> str:
    """Write the counts, and then each group."""
    lines = ["| group | faults | sync | async | 1.0.7 |", "|---|--:|--:|--:|--:|"]
    totals: Counter[str] = Counter()
    for group, faults in GROUPS.items():
        here = [rows[fault.name] for fault in faults]
        counts = {
            "faults": len(here),
            "sync": sum(row[1].verdict in GOOD for row in here),
            "async": sum(row[2].verdict in GOOD for row in here),
            "1.0.7": sum(row[3] in GOOD for row in here),
            "known to 1.0.7": sum(row[3] != "n/a" for row in here),
        }
        totals.update(counts)
        lines.append(_count(group, counts))
    lines.append(_count("**all**", totals))
    for group, faults in GROUPS.items():
        lines += [
            "",
            f"## {group[0].upper()}{group[1:]}",
            "",
            "| fault | what is done | sync | async | 1.0.7 |",
            "|---|---|---|---|---|",
        ]
        for fault in faults:
            _, sync, asynchronous, theirs = rows[fault.name]
            what = (
                fault.what.encode("unicode_escape")
                .decode()
                .replace("|", "\\|")
                .replace("<", "&lt;")
            )
            what = (
                f"{what}; {fault.operation}" if fault.operation not in ("get", "download") else what
            )
            shown = theirs if theirs in (*GOOD, "n/a") else f"**{theirs}**"
            lines.append(
                f"| `{fault.name}` | {what[:160]} | {sync.verdict} | {asynchronous.verdict} |"
                f" {shown} |"
            )
    return "\n".join(lines)


def _count(name: str, counts: dict[str, int]) -> str:
    theirs = f"{counts['1.0.7']} of {counts['known to 1.0.7']}"
    return f"| {name} | {counts['faults']} | {counts['sync']} | {counts['async']} | {theirs} |"


def main(arguments: list[str]) -> int:
    patterns = [each for each in arguments if not each.startswith("-")] or ["*"]
    faults = [fault for fault in FAULTS if any(fnmatchcase(fault.name, each) for each in patterns)]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        theirs = (
            ["n/a"] * len(faults) if "--ours" in arguments else list(threads.map(peer.run, faults))
        )
    rows = {}
    for fault, peers in zip(faults, theirs, strict=True):
        row = rows[fault.name] = (fault, *both_of_ours(fault), peers)
        print(f"{fault.name:32} {row[1].verdict:14} {row[2].verdict:14} {peers}")
        for verdict in row[1:3]:
            if verdict.verdict == FAILURE:
                print(f"    {verdict.detail}")
    if not arguments:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}")
    return any(FAILURE in (row[1].verdict, row[2].verdict) for row in rows.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
