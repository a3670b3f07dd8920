"""How many predictions may be created a second: additive increase, multiplicative decrease.

A server refuses what is too much (status 429), and may say in its headers what it allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Factor of the rate after a refusal.
RATE_DECREASE = 0.8
# The most by which one refusal lowers the rate, where the server accepted much less.
MAX_DECREASE = 0.3
# The rate grows by this part a second, and at most by this part with each accepted create.
RATE_INCREASE = 0.006
# Until the first rate that was found is refused, and after so many creates and seconds without
# a refusal, it grows by this part with each accepted create.
PROBING_INCREASE = 0.05
PROBING_CREATES = 10
PROBING_TIME = 30.0
# The least rate, in creates a second.
MIN_RATE = 1 / 20
# Seconds that all creates pause after a refusal that names no delay, and after a failure.
DEFAULT_PAUSE = 1.0
# The longest pause.
MAX_PAUSE = 120.0


@dataclass(slots=True)
class CreateRate:
    """What is known of the rate. Times are in seconds, of any one clock."""

    rate: float | None = None
    """Creates a second; None until the server has refused one."""
    next_at: float = 0.0
    """When the next create may be sent."""
    paused_until: float = 0.0
    accepted: int = 0
    """Creates that were accepted since `measured_from`."""
    measured_from: float = 0.0
    adapts_at: float = 0.0
    """Refusals until then are answers to creates that were sent before the rate was lowered."""
    is_probing: bool = False
    """Whether the server's rate is not known roughly yet."""

    def get_limit(self, max_rate: float | None, allowed: float | None) -> float:
        """Return how many creates a second may be sent at present.

        Args:
            max_rate: Creates a second that the caller allows.
            allowed: Creates a second that the server allows at present, if it says so.

        """
        return min(self.rate or math.inf, max_rate or math.inf, allowed or math.inf)

    def take(self, now: float, limit: float, count: int = 1, late: float = 0.0) -> float:
        """Take the next turns, one after the other; return when the first one is.

        Args:
            now: The time.
            limit: Creates a second.
            count: How many turns.
            late: Seconds for which a turn that nobody took is kept.

        """
        first = max(self.next_at, self.paused_until, now - late)
        # Creates that come late have no claim to the time before them.
        self.next_at = max(self.next_at + count / limit, now)
        return first

    def accept(self, now: float, max_rate: float | None) -> None:
        """Count a create that the server accepted."""
        self.accepted += 1
        if self.rate is None or self.rate == max_rate:
            return
        is_below = self.accepted >= PROBING_CREATES and now - self.measured_from > PROBING_TIME
        self.rate *= 1 + (
            # The server has accepted creates for so long that it may accept many more.
            PROBING_INCREASE
            if self.is_probing or is_below
            else min(RATE_INCREASE, RATE_INCREASE / self.rate)
        )
        if max_rate is not None:
            self.rate = min(self.rate, max_rate)

    def refuse(self, now: float, retry_after: float | None) -> None:
        """Slow down after a create that the server refused for its rate."""
        delay = min(DEFAULT_PAUSE if retry_after is None else retry_after, MAX_PAUSE)
        self.pause(now + delay)
        if now < self.adapts_at:
            return
        # What the server accepted since it refused for the last time; at first, that includes what
        # it had saved up.
        measured = max(self.accepted, 1) / max(now - self.measured_from, DEFAULT_PAUSE)
        if self.rate is None:
            self.rate = measured * RATE_DECREASE
            self.is_probing = True
        else:
            lower = max(measured, self.rate * MAX_DECREASE)
            self.rate = min(self.rate * RATE_DECREASE, lower)
            self.is_probing = False
        self.rate = max(self.rate, MIN_RATE)
        self.accepted, self.measured_from = 0, now
        self.adapts_at = now + delay + DEFAULT_PAUSE

    def pause(self, until: float) -> None:
        """Send nothing until then."""
        self.paused_until = max(self.paused_until, until)
        self.next_at = max(self.next_at, until)
