"""Rate limits, and how a 429 response states when to retry."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

from ..clock import Clock
from ..problem import Problem
from ..settings import Advice, RateLimits


class RateLimiter:
    """Counts requests in token buckets, which refill continuously."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The tokens in each bucket, and the time when it had them.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(
        self, method: str, path: str, limits: RateLimits | None, advice: tuple[Advice, ...]
    ) -> dict[str, str]:
        """Count a request, and return headers for its response.

        Raises `Problem` 429 if the limit is exceeded.
        """
        bucket, limit = _choose_bucket(method, path, limits or RateLimits())
        if limits is None:
            return {"ratelimit-remaining": f"{limit - 1:.0f}", "ratelimit-reset": "1"}
        now = self._clock.time()
        tokens, filled_at = self._buckets.get(bucket, (limit, now))
        tokens = min(limit, tokens + (now - filled_at) * limit / 60)
        if tokens < 1:
            self._buckets[bucket] = tokens, now
            problem = Problem(
                429,
                f"Request was throttled. Your rate limit for this endpoint is {limit:.0f} requests"
                " per minute.",
            )
            add_retry_advice(problem, (1 - tokens) * 60 / limit, advice, now=now)
            raise problem
        self._buckets[bucket] = tokens - 1, now
        return {
            "ratelimit-remaining": f"{tokens - 1:.0f}",
            "ratelimit-reset": str(math.ceil(60 / limit)),
        }


def _choose_bucket(method: str, path: str, limits: RateLimits) -> tuple[str, float]:
    if method == "POST" and path.endswith("/predictions"):
        return "create", limits.create
    if method == "GET" and path.startswith("/predictions/"):
        return "get", limits.get
    return "other", limits.other


def add_retry_advice(
    problem: Problem, delay: float, advice: tuple[Advice, ...], *, now: float | None = None
) -> None:
    """State in an error response when to retry.

    Args:
        problem: The error response.
        delay: Seconds until the retry, rounded up as the service does.
        advice: Where to state it.
        now: The current time, in seconds since 1970; None: real time.

    """
    seconds = math.ceil(delay)
    headers = {"ratelimit-remaining": "0", "ratelimit-reset": str(seconds)} | dict(
        problem.headers or {}
    )
    if "seconds" in advice:
        headers["retry-after"] = str(seconds)
    if "date" in advice:
        retry_at = (time.time() if now is None else now) + seconds
        headers["retry-after"] = formatdate(retry_at, usegmt=True)
    if "body" in advice:
        problem.body["retry_after"] = seconds
    if "text" in advice:
        problem.body["detail"] = f"{problem.body['detail']} Your rate limit resets in ~{seconds}s."
    problem.headers = headers
