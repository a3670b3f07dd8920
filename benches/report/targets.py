"""What this library set out to reach, whether it did, and what can be had at most on the machine
that measured it.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contenders.predictions import OURS
from report.losses import UNKNOWN
from report.results import Row, Section, is_limit, number, rows, unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# By hand: the bars, and why one is missed, as far as that is known.
BARS = Path(__file__).parent / "targets.toml"
FIGURE, CPU = "figure", "cpu"


@dataclass
class Bar:
    """A figure to reach, of all sections of a job whose title is like a pattern."""

    job: str
    at_least: float | None = None
    at_most: float | None = None
    title: str = "*"
    peer: str | None = None
    """Whose figure ours is to be so many times better than; else it is ours alone."""
    of: str = FIGURE
    """The table's first figure, ``cpu``, or the head of another column."""
    growth: tuple[int, int] | None = None
    """Two sizes: the figure is how many times the first one's CPU an operation takes at any size
    from the first to the second.
    """
    why: str = UNKNOWN
    """Why it is missed, if it is."""

    def holds(self, figure: float) -> bool:
        """Whether this is reached."""
        return (self.at_least is None or figure >= self.at_least) and (
            self.at_most is None or figure <= self.at_most
        )


def read_bars(path: Path = BARS) -> list[Bar]:
    """Read what is to be reached."""
    return [Bar(**told) for told in tomllib.loads(path.read_text())["bar"]]


def bar_cells(bars: Iterable[Bar], sections: Sequence[Section]) -> list[list[str]]:
    """Give the texts of the table of what was measured; what is missed without a reason is told to
    whoever runs this, too.
    """
    lines = [["bar", "measured", "", "the machine's limit", "why"]]
    for bar in bars:
        found = [
            section
            for section in sections
            if section.job == bar.job and fnmatchcase(section.title, bar.title)
        ]
        if bar.growth is None:
            lines += [
                _line(bar, _measured(bar, section)) for section in found if OURS in section.samples
            ]
        elif found:
            lines.append(_line(bar, _growth(bar, bar.growth, found)))
    return lines


class Measured(NamedTuple):
    """What there is of a bar's figure; None where rounds differ too much to tell."""

    what: str
    unit: str
    figure: float | None
    limit: tuple[str, float] | None
    """The best that was had without a library, by whom."""

    def shown(self, figure: float) -> str:
        """Write a figure with its unit."""
        return f"{number(figure)} {self.unit}".rstrip()


def _line(bar: Bar, measured: Measured) -> list[str]:
    bound = (
        f"at least {measured.shown(bar.at_least)}"
        if bar.at_least is not None
        else f"at most {measured.shown(bar.at_most or 0)}"
    )
    what = f"{measured.what}: {bound}{_of(bar)}{f', {bar.peer}' if bar.peer else ''}"
    limit = (
        ""
        if measured.limit is None
        else f"{measured.shown(measured.limit[1])} ({measured.limit[0]})"
    )
    if measured.figure is None:
        return [what, "noisy", "", limit, ""]
    is_met = bar.holds(measured.figure)
    if not is_met and bar.why == UNKNOWN:
        print(f"{what}: is missed, and {BARS.name} does not say why", file=sys.stderr)
    return [
        what,
        measured.shown(measured.figure),
        "met" if is_met else "**missed**",
        limit,
        "" if is_met else bar.why,
    ]


def _of(bar: Bar) -> str:
    return {FIGURE: "", CPU: " of CPU"}.get(bar.of, f" ({bar.of})")


def _measured(bar: Bar, section: Section) -> Measured:
    made = {row.contender: row for row in rows(section)}
    figures = {name: _figure(bar, section, made, row) for name, row in made.items()}
    limits = [
        (name, figure)
        for name, figure in figures.items()
        if is_limit(name) and name != bar.peer and figure is not None
    ]
    best = (max if bar.at_least is not None else min)(
        limits, key=lambda limit: limit[1], default=None
    )
    own = {FIGURE: section.unit, CPU: section.cpu_unit or ""}.get(bar.of, "")
    return Measured(
        f"{section.job}: {section.title}", "x" if bar.peer else unit(own), figures.get(OURS), best
    )


def _figure(bar: Bar, section: Section, made: dict[str, Row], row: Row) -> float | None:
    own = _value(bar, row)
    if bar.peer is None:
        return own
    # Some jobs have the official client in more than one way.
    peer = made.get(bar.peer) or next(
        (made[name] for name in made if name.startswith(bar.peer)), None
    )
    other = None if peer is None else _value(bar, peer)
    if peer is None or own is None or other is None or row.noisy or peer.noisy:
        return None
    return own / other if bar.of == FIGURE and section.more_is_better else other / own


def _value(bar: Bar, row: Row) -> float | None:
    return row.median if bar.of == FIGURE else row.cpu if bar.of == CPU else row.more.get(bar.of)


def _growth(bar: Bar, sizes: tuple[int, int], sections: Sequence[Section]) -> Measured:
    """Give the most that an operation takes between two sizes, in what it takes at the first."""
    costs: dict[int, float] = {}
    for section in sections:
        size: int = section.task["size"]
        ours = next((row for row in rows(section) if row.contender == OURS), None)
        if ours is not None and ours.cpu is not None and sizes[0] <= size <= sizes[1]:
            costs[size] = ours.cpu
    figure = max(costs.values()) / costs[sizes[0]] if sizes[0] in costs else None
    return Measured(f"{bar.job}, {sizes[0]:,} to {sizes[1]:,}, CPU", "x", figure, None)
