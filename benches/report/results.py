"""From samples to what may be said: medians, spreads, ratios, and the tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from contenders.predictions import OURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    # What worker.py prints.
    Sample = dict[str, Any]

# The largest of the rounds over the smallest, beyond which a median tells more about the machine
# than about the contender.
NOISY = 1.6
# The share of its core beyond which it is the server that is measured.
SERVER_BOUND = 0.9
# The milliseconds that one event of a hundred may be late at the server; beyond it, too, it is the
# server that is measured.
SERVER_LATE = 10
# Contenders that are no clients of this kind, and stand for what the machine or the system gives;
# so do all that begin with BARE.
LIMITS = {"curl", "C floor", "memcpy", "openssl speed", "without verification"}
BARE = "bare "


@dataclass
class Section:
    """One thing that is measured for several contenders, who become a table's rows."""

    job: str
    title: str
    unit: str
    contenders: Sequence[str]
    task: dict[str, Any] = field(default_factory=dict)
    """What a worker must know beyond the job."""
    cpu_unit: str | None = None
    more_is_better: bool = False
    slow: bool = False
    """Takes long, and gets half the rounds."""
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    crashes: dict[str, int] = field(default_factory=dict)
    """How often a contender's process ended badly after it was measured."""


@dataclass
class Row:
    """What is said of a contender."""

    contender: str
    median: float
    lowest: float
    highest: float
    cpu: float | None
    server: float | None
    noisy: bool
    server_bound: bool
    crashes: int
    more: dict[str, float] = field(default_factory=dict)
    """Medians of what else was measured, by the heads of their columns."""
    ours_better_by: float | None = None
    """Above 1 where ours is better; None for ours, and where either side is noisy."""


def is_limit(contender: str) -> bool:
    """Tell a limit from a peer."""
    return contender in LIMITS or contender.startswith(BARE)


def is_peer(contender: str) -> bool:
    """Tell a peer from a limit, and from ours in any of its ways."""
    return not contender.startswith(OURS) and not is_limit(contender)


def rows(section: Section) -> list[Row]:
    """Summarise the contenders that did not fail."""
    found = [_row(section, name) for name in section.samples if name not in section.failures]
    ours = next((row for row in found if row.contender == OURS), None)
    for row in found:
        if (
            ours is not None
            and not row.contender.startswith(OURS)
            and not ours.noisy
            and not row.noisy
        ):
            ratio = ours.median / row.median
            row.ours_better_by = ratio if section.more_is_better else 1 / ratio
    return found


def _row(section: Section, contender: str) -> Row:
    samples = section.samples[contender]
    values = [value for sample in samples if (value := sample["value"]) is not None]
    server = _median_of("server", samples)
    late = _median_of("late", samples)
    # What is measured above bare Python may, within the noise, fall below it.
    noisy = min(values) <= 0 or max(values) / min(values) > NOISY
    return Row(
        contender,
        median(values),
        min(values),
        max(values),
        _median_of("cpu", samples),
        server,
        noisy,
        (server is not None and server > SERVER_BOUND) or (late is not None and late > SERVER_LATE),
        section.crashes.get(contender, 0),
        {name: median(sample["more"][name] for sample in samples) for name in samples[0]["more"]},
    )


def _median_of(name: str, samples: Sequence[Sample]) -> float | None:
    values = [value for sample in samples if (value := sample[name]) is not None]
    return median(values) if values else None


def table(section: Section) -> str:
    """Draw a section."""
    lines = cells(section)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    drawn = [f"{section.job}: {section.title}"]
    # A head alone is not drawn: every contender failed.
    for name, *numbers, notes in lines if len(lines) > 1 else ():
        shown = [cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)]
        drawn.append("   ".join(["  " + name.ljust(widths[0]), *shown, notes]).rstrip())
    return "\n".join([*drawn, *(f"  {remark}" for remark in remarks(section))])


def cells(section: Section) -> list[list[str]]:
    """Give the texts of a section's table: the head, then a line for each contender, with its notes
    at the end.
    """
    found = rows(section)
    cpu = f"CPU {section.cpu_unit}" if section.cpu_unit else ""
    more = [*dict.fromkeys(name for row in found for name in row.more)]
    header = ["", section.unit, "lowest .. highest", cpu, "ours better by", *more, ""]
    ours = next((row for row in found if row.contender == OURS), None)
    lines = [header, *(_cells(row, ours, more) for row in found)]
    # Columns that do not apply here are left out.
    shown = [
        column
        for column in range(len(header))
        if any(line[column] for line in lines[1:]) or column == len(header) - 1
    ]
    return [[line[column] for column in shown] for line in lines]


def remarks(section: Section) -> list[str]:
    """Say who failed, and what the zero is."""
    said = [f"{name}: failed: {why}" for name, why in section.failures.items()]
    bare = _median_of(
        "bare", [sample for samples in section.samples.values() for sample in samples]
    )
    return said if bare is None else [*said, f"(bare Python, the zero: {number(bare)} ms)"]


def _cells(row: Row, ours: Row | None, more: list[str]) -> list[str]:
    ratio = ""
    if row.ours_better_by is not None:
        ratio = f"{number(row.ours_better_by)} x"
    elif ours is not None and not row.contender.startswith(OURS):
        ratio = "noisy"
    notes = {
        f"rounds differ by more than {NOISY} x": row.noisy,
        "the server's core was the bottleneck": row.server_bound,
        f"crashed {row.crashes} x at exit": row.crashes,
    }
    return [
        row.contender,
        number(row.median),
        f"{number(row.lowest)} .. {number(row.highest)}",
        "" if row.cpu is None else number(row.cpu),
        ratio,
        *(number(row.more[name]) if name in row.more else "" for name in more),
        "; ".join(note for note, holds in notes.items() if holds),
    ]


def number(value: float) -> str:
    """Give three digits or more, and a comma at the thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def unit(name: str) -> str:
    """Write a unit's microseconds as they are written where there is more than ASCII."""
    return re.sub(r"\bus\b", "µs", name)
