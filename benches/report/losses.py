"""Where another library is better than this one, and why."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contenders import OURS
from report.results import Row, is_peer
from report.tables import number, times, unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from report.results import Section

    # A reason by job and library.
    Reasons = dict[str, dict[str, str]]

# Written by hand.
REASONS = Path(__file__).with_name("reasons.toml")
UNKNOWN = "not analysed"


class Loss(NamedTuple):
    """A section in which another library is better."""

    section: Section
    ours: Row
    peer: Row

    @property
    def overlaps(self) -> bool:
        """Whether a round of this library was as good as a round of the other."""
        return self.ours.lowest <= self.peer.highest and self.peer.lowest <= self.ours.highest


def losses(sections: Iterable[Section]) -> list[Loss]:
    """Return every loss, in the order of the sections."""
    return [
        Loss(section, ours, row)
        for section in sections
        if (ours := section.row(OURS)) is not None
        for row in section.rows
        if is_peer(row.contender) and (ratio := section.ratio(row)) is not None and ratio < 1
    ]


def noisy_comparisons(sections: Iterable[Section]) -> int:
    """Return the number of comparisons that have no ratio, since one side is noisy."""
    return sum(
        is_peer(row.contender) and section.ratio(row) is None
        for section in sections
        if section.row(OURS) is not None
        for row in section.rows
    )


def read_reasons(path: Path = REASONS) -> Reasons:
    """Read the reasons for losses."""
    return tomllib.loads(path.read_text())


def loss_cells(found: list[Loss], reasons: Reasons) -> list[list[str]]:
    """Return the table of losses; warn on standard error of those without a reason."""
    head = ["task", "library", OURS, "that library", f"{OURS} better by", "rounds", "why"]
    lines, explained = [head], set[tuple[str, str]]()
    for section, ours, peer in found:
        reason = reasons.get(section.job, {}).get(peer.contender)
        if (section.job, peer.contender) in explained:
            reason = "as above"
        elif reason is not None:
            explained.add((section.job, peer.contender))
        else:
            warning = f"{peer.contender} is better, and {REASONS.name} has no reason"
            print(f"{section.job}: {section.title}: {warning}", file=sys.stderr)
        lines.append(
            [
                section.label,
                peer.contender,
                *(f"{number(row.median)} {unit(section.unit)}" for row in (ours, peer)),
                times(section.ratio(peer)),
                "overlap" if Loss(section, ours, peer).overlaps else "apart",
                reason or UNKNOWN,
            ]
        )
    return lines
