"""Where a peer is better than ours, and why, as far as that is known."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contenders.predictions import OURS
from report.results import Row, is_peer, number, rows, unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from report.results import Section

    # A sentence for a job and a peer.
    Reasons = dict[str, dict[str, str]]

# By hand: a table for each job, and in it a sentence for each peer.
REASONS = Path(__file__).parent / "reasons.toml"
UNKNOWN = "not explained yet"


class Loss(NamedTuple):
    """A peer that is better."""

    section: Section
    ours: Row
    peer: Row

    @property
    def overlaps(self) -> bool:
        """Whether a round of ours was as good as one of the peer's."""
        return self.ours.lowest <= self.peer.highest and self.peer.lowest <= self.ours.highest


def losses(sections: Iterable[Section]) -> list[Loss]:
    """Find every peer that is better at something, in the order of the sections."""
    found = []
    for section in sections:
        by_name = {row.contender: row for row in rows(section)}
        better = [
            row
            for row in by_name.values()
            if row.ours_better_by is not None and row.ours_better_by < 1
        ]
        found += [Loss(section, by_name[OURS], row) for row in better if is_peer(row.contender)]
    return found


def unjudged(sections: Iterable[Section]) -> int:
    """Count the peers that have no ratio beside ours."""
    count = 0
    for section in sections:
        found = rows(section)
        if any(row.contender == OURS for row in found):
            count += sum(is_peer(row.contender) and row.ours_better_by is None for row in found)
    return count


def read_reasons(path: Path = REASONS) -> Reasons:
    """Read what was found out."""
    return tomllib.loads(path.read_text())


def loss_cells(found: list[Loss], reasons: Reasons) -> list[list[str]]:
    """Give the texts of the table of losses; what has no reason is told to whoever runs this, too."""
    lines = [["job", "peer", "ours", "the peer's", "ours better by", "rounds", "why"]]
    for loss in found:
        job, peer = f"{loss.section.job}: {loss.section.title}", loss.peer.contender
        why = reasons.get(loss.section.job, {}).get(peer)
        if why is None:
            print(f"{job}: {peer} is better, and {REASONS.name} does not say why", file=sys.stderr)
        figures = [
            f"{number(row.median)} {unit(loss.section.unit)}" for row in (loss.ours, loss.peer)
        ]
        rounds = "overlap" if loss.overlaps else "apart"
        lines.append(
            [
                job,
                peer,
                *figures,
                f"{number(loss.peer.ours_better_by or 0)} x",
                rounds,
                why or UNKNOWN,
            ]
        )
    return lines
