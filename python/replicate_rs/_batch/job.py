"""An input that this process runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .rows import CREATED, UNCERTAIN

if TYPE_CHECKING:
    from typing import Any

    from .._base.session import Async
    from ..prediction import Prediction
    from .keys import Input
    from .rows import Claim


class Job:
    """An input that was claimed, and what is known of its prediction."""

    __slots__ = ("attempts", "claim", "found", "has_turn", "input", "number", "sent")

    def __init__(self, item: Input, claim: Claim) -> None:
        self.input = item
        self.claim = claim
        self.number = claim.number
        row = claim.row
        self.attempts = (
            1
            if row is None
            else row.attempts
            if claim.kind in (UNCERTAIN, CREATED)
            else row.attempts + 1
        )
        # Whether its create may be sent without waiting for a turn.
        self.has_turn = False
        # What was found to have been created for it.
        self.found: Prediction[Async] | None = None
        # The input as it is sent, once it is known.
        self.sent: dict[str, Any] | None = None if item.has_files else item.value
