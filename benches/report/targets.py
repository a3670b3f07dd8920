"""The performance targets of this library, and what the last run measured for each."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contenders import OURS
from report.losses import UNKNOWN
from report.results import is_limit
from report.tables import number, unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from report.results import Row, Section

# Written by hand.
TARGETS = Path(__file__).with_name("targets.toml")
FIGURE, CPU, FAST = "figure", "cpu", "fast"


@dataclass
class Target:
    """A figure to reach, in each section of a job whose title matches a pattern."""

    job: str
    at_least: float | None = None
    at_most: float | None = None
    title: str = "*"
    peer: str | None = None
    """The contender to be so many times better than; None for this library's own figure."""
    of: str = FIGURE
    """``figure`` for the section's main figure, ``cpu``, ``fast`` for CPU time of fast slices, or a
    further column's head.
    """
    growth: tuple[int, int] | None = None
    """The target is the growth between these two sizes: the largest CPU time of an operation,
    divided by that at the first size.
    """
    reason: str = UNKNOWN
    """Why the target is missed, if it is."""

    def is_met(self, figure: float) -> bool:
        """Return whether a figure reaches the target."""
        return (self.at_least is None or figure >= self.at_least) and (
            self.at_most is None or figure <= self.at_most
        )


class Measurement(NamedTuple):
    """What the last run measured for a target."""

    name: str
    unit: str
    figure: float | None
    """None where the rounds differ too much."""
    limit: tuple[str, float] | None
    """The best contender that is no client library, and its figure."""

    def to_text(self, figure: float) -> str:
        """Return a figure with its unit."""
        return f"{number(figure)} {self.unit}".rstrip()


def read_targets(path: Path = TARGETS) -> list[Target]:
    """Read the targets."""
    return [Target(**target) for target in tomllib.loads(path.read_text())["target"]]


def target_cells(targets: Iterable[Target], sections: Sequence[Section]) -> list[list[str]]:
    """Return the table of targets; warn on standard error of missed ones without a reason."""
    lines = [["target", "measured", "", "limit of the machine", "reason"]]
    for target in targets:
        matching = [
            section
            for section in sections
            if section.job == target.job and fnmatchcase(section.title, target.title)
        ]
        if target.growth is not None:
            if matching:
                lines.append(_cells(target, _measure_growth(target, target.growth, matching)))
            continue
        lines += [
            _cells(target, _measure(target, section))
            for section in matching
            if section.row(OURS) is not None
        ]
    return lines


def _cells(target: Target, measurement: Measurement) -> list[str]:
    bound = (
        f"at least {measurement.to_text(target.at_least)}"
        if target.at_least is not None
        else f"at most {measurement.to_text(target.at_most or 0)}"
    )
    column = {FIGURE: "", CPU: " of CPU", FAST: " of fast CPU"}.get(target.of, f" ({target.of})")
    name = f"{measurement.name}: {bound}{column}{f', {target.peer}' if target.peer else ''}"
    limit = ""
    if measurement.limit is not None:
        contender, figure = measurement.limit
        limit = f"{measurement.to_text(figure)} ({contender})"
    if measurement.figure is None:
        return [name, "noisy", "", limit, ""]
    is_met = target.is_met(measurement.figure)
    if not is_met and target.reason == UNKNOWN:
        print(f"{name}: missed, and {TARGETS.name} has no reason", file=sys.stderr)
    return [
        name,
        measurement.to_text(measurement.figure),
        "met" if is_met else "**missed**",
        limit,
        "" if is_met else target.reason,
    ]


def _measure(target: Target, section: Section) -> Measurement:
    figures = {row.contender: _figure(target, section, row) for row in section.rows}
    limits = [
        (name, figure)
        for name, figure in figures.items()
        if is_limit(name) and name != target.peer and figure is not None
    ]
    best = max if target.at_least is not None else min
    cpu_unit = section.cpu_unit or ""
    own_unit = {FIGURE: section.unit, CPU: cpu_unit, FAST: cpu_unit}.get(target.of, "")
    return Measurement(
        f"{section.job}: {section.title}",
        "x" if target.peer else unit(own_unit),
        figures.get(OURS),
        best(limits, key=lambda limit: limit[1], default=None),
    )


def _figure(target: Target, section: Section, row: Row) -> float | None:
    own = _value(target, row)
    if target.peer is None:
        return own
    # Some sections have the official client in more than one way.
    peer = section.row(target.peer) or next(
        (each for each in section.rows if each.contender.startswith(target.peer)), None
    )
    # Fast slices are chosen from all rounds, so that rounds may differ.
    if peer is None or (target.of != FAST and (row.is_noisy or peer.is_noisy)):
        return None
    other = _value(target, peer)
    if own is None or other is None:
        return None
    return own / other if target.of == FIGURE and section.more_is_better else other / own


def _value(target: Target, row: Row) -> float | None:
    figures = {**row.more, FIGURE: row.median, CPU: row.cpu, FAST: row.fast_cpu}
    return figures.get(target.of)


def _measure_growth(
    target: Target, sizes: tuple[int, int], sections: Sequence[Section]
) -> Measurement:
    costs: dict[int, float] = {}
    for section in sections:
        size: int = section.task["size"]
        ours = section.row(OURS)
        if ours is not None and ours.cpu is not None and sizes[0] <= size <= sizes[1]:
            costs[size] = ours.cpu
    figure = max(costs.values()) / costs[sizes[0]] if sizes[0] in costs else None
    return Measurement(f"{target.job}, {sizes[0]:,} to {sizes[1]:,}, CPU", "x", figure, None)
