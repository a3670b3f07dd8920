"""Rate limits: token buckets by the minute, and how an answer 429 says when to come back."""

from __future__ import annotations

import math
from email.utils import formatdate

from ..clock import Clock
from ..problem import Problem
from ..settings import Advice, RateLimits


class Limiter:
    """Counts requests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # What is left, and when it was that much.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(
        self, method: str, path: str, limits: RateLimits | None, advice: tuple[Advice, ...]
    ) -> dict[str, str]:
        """Count a request. Gives the headers of its answer; raises the API's 429."""
        kind, limit = _bucket(method, path, limits or RateLimits())
        if limits is None:
            return {"ratelimit-remaining": f"{limit - 1:.0f}", "ratelimit-reset": "1"}
        now = self._clock.time()
        left, then = self._buckets.get(kind, (limit, now))
        left = min(limit, left + (now - then) * limit / 60)
        if left < 1:
            self._buckets[kind] = left, now
            problem = Problem(
                429,
                f"Request was throttled. Your rate limit for this endpoint is {limit:.0f} requests"
                " per minute.",
            )
            advise(problem, (1 - left) * 60 / limit, advice, now=now)
            raise problem
        self._buckets[kind] = left - 1, now
        return {
            "ratelimit-remaining": f"{left - 1:.0f}",
            "ratelimit-reset": str(math.ceil(60 / limit)),
        }


def _bucket(method: str, path: str, limits: RateLimits) -> tuple[str, float]:
    if method == "POST" and path.endswith("/predictions"):
        return "create", limits.create
    if method == "GET" and path.startswith("/predictions/"):
        return "get", limits.get
    return "other", limits.other


def advise(
    problem: Problem, wait: float, advice: tuple[Advice, ...], *, now: float | None = None
) -> None:
    """Say in an error when to come back.

    Args:
        problem: The error.
        wait: Seconds; whole ones are said, as the service does, unless they are given to a fault as
            a fraction.
        advice: How to say it.
        now: The present; None: real time.

    """
    seconds = math.ceil(wait)
    headers = {"ratelimit-remaining": "0", "ratelimit-reset": str(seconds)} | dict(
        problem.headers or {}
    )
    if "seconds" in advice:
        headers["retry-after"] = str(seconds)
    if "date" in advice:
        import time

        headers["retry-after"] = formatdate(
            (time.time() if now is None else now) + seconds, usegmt=True
        )
    if "body" in advice:
        problem.body["retry_after"] = seconds
    if "text" in advice:
        problem.body["detail"] = f"{problem.body['detail']} Your rate limit resets in ~{seconds}s."
    problem.headers = headers
