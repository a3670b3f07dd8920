"""Write docs/reliability.md and the table of all faults, from the verdicts on each fault.

The table has the verdicts of the last full run, so both pages can be written anew from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from chaos.fault import Fault
from chaos.faults import FAULTS, GROUPS, Group
from chaos.run import ANSWER, ERROR

DOCS = Path(__file__).resolve().parents[2] / "docs"
SUMMARY, TABLE = DOCS / "reliability.md", DOCS / "reliability-faults.md"
GOOD = (ANSWER, ERROR)
NOT_APPLICABLE = "n/a"
# What the verdicts on 1.0.7 are counted as in the summary.
FAILURES = {
    "raw": "exceptions of httpx or Python",
    "wrong answer": "wrong answers",
    "hang": "calls that had not ended after 8 seconds",
    "out of memory": "calls that took more than 500 MB",
    "leaks the token": "calls that sent the token to another origin",
    "POSTs": "calls that sent a POST several times",
}
MAX_DESCRIPTION = 160

HEADER = (
    "<!-- Written by `make chaos`: change tests/chaos, then `python tests/chaos --pages`. -->\n"
)
INTRODUCTION = """\
# Reliability

Networks, proxies and servers fail in many ways: they reset connections, stop halfway, send a byte
at a time, lie about lengths, answer with half a file or with another service's web page, redirect
in circles, show expired certificates. `tests/chaos` has a server that does all of this on purpose,
on real sockets. `make test` calls it with the blocking and with the awaited client, and accepts two
outcomes:

* **right answer**: the result that a server without a fault would have led to;
* **clear error**: an error of this library, of the class and with the text that the fault asks for.

In both cases no connection stays open, the token is in no error and is sent to no other origin, at
most one `POST` is sent (unless the fault asks for more), limits of time are kept, and where memory
is tested, the call takes less than 100 MB.

All {faults} faults end in one of the two. `make chaos` also runs them with `replicate` 1.0.7, in a
process of its own. {known} of them apply to it, and {good} end in one of the two, although it is
judged mildly: every `ReplicateException` counts as a clear error, and connections, time below 8
seconds and memory below 500 MB are not checked. The other outcomes of 1.0.7:

{failures}

| kind | what can go wrong | what the client does | faults | 1.0.7 |
|---|---|---|--:|--:|
"""
TABLE_INTRODUCTION = """\
# All faults

One row for each fault of [reliability](reliability.md): what the server does, which call meets it,
and the outcome with `Replicate`, with `AsyncReplicate` and with `replicate` 1.0.7. Outcomes in
**bold** are neither a right answer nor a clear error: an exception of a dependency or of Python
(`raw httpx.ReadError`), a wrong answer, a call that has not ended after 8 seconds (`hang`), more
than 500 MB of memory, several `POST`s, a token at another origin. `n/a`: 1.0.7 has no such
operation or option. `python tests/chaos 'stream-*'` runs the faults of these names.
"""


class Row(NamedTuple):
    """The verdicts on one fault."""

    sync: str
    is_async: str
    official: str


Rows = Mapping[str, Row]


def write(rows: Rows) -> None:
    """Write both pages."""
    SUMMARY.write_text(summary(rows))
    TABLE.write_text(table(rows))


def read() -> dict[str, Row]:
    """Return the verdicts in the table."""
    rows = {}
    for line in TABLE.read_text().splitlines():
        if line.startswith("| `"):
            name, *_, sync, is_async, official = line.strip("| ").split(" | ")
            rows[name.strip("`")] = Row(sync, is_async, official.strip("*"))
    return rows


def summary(rows: Rows) -> str:
    """Return the page with a row for each kind of fault."""
    outcomes = Counter(_outcome(rows[fault.name].official) for fault in FAULTS)
    failures = [(name, count) for name, count in outcomes.most_common() if name in FAILURES]
    text = INTRODUCTION.format(
        faults=len(FAULTS),
        known=len(FAULTS) - outcomes[NOT_APPLICABLE],
        good=sum(outcomes[name] for name in GOOD),
        failures="\n".join(f"* {count} {FAILURES[name]}" for name, count in failures),
    )
    lines = [_summary_row(rows, group) for group in GROUPS]
    total = f"| **all** | | | {len(FAULTS)} | {_count(rows, FAULTS)} |"
    return "\n".join([HEADER + text + lines[0], *lines[1:], total, ""])


def _outcome(verdict: str) -> str:
    """Return a verdict without its details."""
    return next((each for each in FAILURES if each in verdict.split()), verdict)


def _summary_row(rows: Rows, group: Group) -> str:
    link = f"[{group.title}]({TABLE.name}#{group.title.lower().replace(' ', '-')})"
    counts = f"{len(group.faults)} | {_count(rows, group.faults)}"
    return f"| {link} | {group.examples} | {group.reaction} | {counts} |"


def _count(rows: Rows, faults: list[Fault]) -> str:
    verdicts = [rows[fault.name].official for fault in faults]
    known = [each for each in verdicts if each != NOT_APPLICABLE]
    return f"{sum(each in GOOD for each in known)} of {len(known)}"


def table(rows: Rows) -> str:
    """Return the page with a row for each fault."""
    lines = [HEADER + TABLE_INTRODUCTION]
    for group in GROUPS:
        lines += [
            f"## {group.title}",
            "",
            "| fault | what the server does | call | sync | async | 1.0.7 |",
            "|---|---|---|---|---|---|",
            *(_row(fault, rows[fault.name]) for fault in group.faults),
            "",
        ]
    return "\n".join(lines)


def _row(fault: Fault, row: Row) -> str:
    what = fault.what.encode("unicode_escape").decode().replace("|", "\\|").replace("<", "&lt;")
    verdicts = " | ".join(
        each if each in (*GOOD, NOT_APPLICABLE) else f"**{each}**" for each in row
    )
    return f"| `{fault.name}` | {what[:MAX_DESCRIPTION]} | {fault.operation} | {verdicts} |"
