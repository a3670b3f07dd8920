"""Temporary faults: the client repeats what is safe to repeat, and nothing else."""

from __future__ import annotations

import time
from email.utils import formatdate

from chaos.fault import Error, Fault
from chaos.operations import deployment
from chaos.server import cut, good, reset
from support.wire import reply

MAYBE = Error("APIConnectionError", "may have taken this request")
LOST = Error("APIConnectionError", "connection|reset|closed")
ONCE = 0.25


def then_success(status: int) -> tuple[bytes, bytes]:
    return reply({"detail": "not now"}, status), good()


def limited(headers: str = "", **body) -> tuple[bytes, bytes]:
    return reply({"detail": "Request was throttled.", **body}, 429, headers=headers), good()


def until(seconds: float):
    """Return a script whose first response has a Retry-After date, relative to its own time."""
    responses = [
        lambda: reply(
            {}, 429, headers=f"Retry-After: {formatdate(time.time() + seconds, usegmt=True)}\r\n"
        ),
        good,
    ]
    turns = {}

    def script(stage, seen):
        turns[id(stage)] = turns.get(id(stage), -1) + 1
        return responses[min(turns[id(stage)], 1)]()

    return script


def rate_limited(
    name: str, what: str, answers, shortest: float = 0.0, longest: float = 1.5
) -> Fault:
    """Return a fault in which a POST is answered 429 once and repeated after the advised delay."""
    return Fault(
        name,
        f"429 to a POST, {what}",
        answers,
        operation="create",
        posts=2,
        lasts=(shortest, longest),
    )


def too_long(name: str, what: str, answer, min_delay: float, max_delay: float) -> Fault:
    return Fault(
        name,
        f"429 to a POST, {what}: longer than the client waits",
        answer,
        Error("RateLimitError", "429", lambda error: min_delay <= error.retry_after <= max_delay),
        "create",
        posts=1,
        lasts=(0, 1.0),
    )


def lost(name: str, what: str, answer) -> list[Fault]:
    """Return faults in which the response is lost: a GET is repeated, a POST is not."""
    return [
        Fault(f"{name}-get", f"{what}, to a GET", (answer, good())),
        Fault(f"{name}-create", f"{what}, to a POST", (answer, good()), MAYBE, "create", posts=1),
    ]


FAULTS = [
    *lost("reset-before-answer", "the connection is reset instead of a response", reset),
    *lost("closed-before-answer", "the connection is closed instead of a response", None),
    *lost(
        "reset-in-answer-head", "the connection is reset within the response head", cut(good(), 20)
    ),
    *lost(
        "closed-in-answer-head",
        "the connection is closed within the response head",
        cut(good(), 20, None),
    ),
    *lost(
        "reset-in-answer-body", "the connection is reset within the response body", cut(good(), -20)
    ),
    *lost(
        "closed-in-answer-body",
        "the connection is closed within the response body",
        cut(good(), -20, None),
    ),
    Fault(
        "closed-after-answer", "the connection is closed after the response", cut(good(), end=None)
    ),
    Fault(
        "lost-delete",
        "the connection is closed instead of a response to a DELETE",
        (None, reply(status=204)),
        operation="delete",
    ),
    Fault(
        "lost-update",
        "the connection is closed instead of a response to a PATCH",
        (None, reply(deployment())),
        LOST,
        "update",
        check=lambda stage: len(stage.home.seen) == 1,
    ),
    Fault(
        "lost-cancel",
        "the connection is closed instead of a response to a POST that cancels",
        (None, good()),
        MAYBE,
        "cancel",
        check=lambda stage: len(stage.home.seen) == 1,
    ),
    Fault(
        "lost-always",
        "every connection is closed instead of a response",
        None,
        LOST,
        options={"max_retries": 2},
        check=lambda stage: len(stage.home.seen) == 3,
    ),
    Fault(
        "lost-without-retries",
        "the connection is closed instead of a response; max_retries=0",
        (None, good()),
        LOST,
        options={"max_retries": 0},
        check=lambda stage: len(stage.home.seen) == 1,
    ),
    *(
        Fault(f"{status}-once", f"{status}, then success", then_success(status))
        for status in (408, 429, 500, 502, 503, 504, 599)
    ),
    *(
        Fault(
            f"{status}-create",
            f"{status} to a POST",
            then_success(status),
            Error("InternalServerError" if status >= 500 else "APIStatusError", f"{status}"),
            "create",
            posts=1,
        )
        for status in (408, 500, 502, 503, 504)
    ),
    Fault(
        "500-update",
        "500 to a PATCH",
        (reply({}, 500), reply(deployment())),
        Error("InternalServerError", "500"),
        "update",
    ),
    Fault(
        "503-delete",
        "503 to a DELETE, then success",
        (reply({}, 503), reply(status=204)),
        operation="delete",
    ),
    Fault(
        "500-always",
        "500 to every attempt",
        reply({"detail": "broken"}, 500),
        Error("InternalServerError", "broken"),
        options={"max_retries": 2},
        check=lambda stage: len(stage.home.seen) == 3,
    ),
    Fault(
        "429-without-retries",
        "429; max_retries=0",
        limited("Retry-After: 1\r\n"),
        Error("RateLimitError", "throttled", lambda error: error.retry_after == 1),
        "create",
        options={"max_retries": 0},
        posts=1,
    ),
    rate_limited("retry-after-seconds", "Retry-After: 1", limited("Retry-After: 1\r\n"), 1.0),
    rate_limited("retry-after-zero", "Retry-After: 0", limited("Retry-After: 0\r\n"), 0.0, 0.5),
    rate_limited(
        "retry-after-decimals", "Retry-After: 0.2", limited("Retry-After: 0.2\r\n"), 0.2, 0.6
    ),
    rate_limited(
        "retry-after-date", "Retry-After: a date in the near future", until(1.5), 0.2, 2.5
    ),
    rate_limited("retry-after-date-past", "Retry-After: yesterday's date", until(-86400), 0.0, 0.5),
    rate_limited(
        "retry-after-garbage",
        "Retry-After: soon",
        limited("Retry-After: soon\r\n"),
        0.0,
        ONCE + 0.4,
    ),
    rate_limited(
        "retry-after-negative", "Retry-After: -3", limited("Retry-After: -3\r\n"), 0.0, ONCE + 0.4
    ),
    rate_limited(
        "retry-after-infinite", "Retry-After: inf", limited("Retry-After: inf\r\n"), 0.0, ONCE + 0.4
    ),
    rate_limited(
        "retry-after-nan", "Retry-After: nan", limited("Retry-After: nan\r\n"), 0.0, ONCE + 0.4
    ),
    rate_limited(
        "retry-after-empty",
        "Retry-After without a value",
        limited("Retry-After:\r\n"),
        0.0,
        ONCE + 0.4,
    ),
    rate_limited(
        "retry-after-in-body", "retry_after: 0.2 in the body", limited(retry_after=0.2), 0.2, 0.6
    ),
    rate_limited(
        "retry-after-in-body-of-text",
        "retry_after: 'soon' in the body",
        limited(retry_after="soon"),
        0.0,
        ONCE + 0.4,
    ),
    rate_limited(
        "rate-limit-resets",
        "'resets in ~1s'",
        limited(detail="Request was throttled. Your rate limit resets in ~1s."),
        1.0,
    ),
    rate_limited(
        "rate-limit-resets-ms",
        "'resets in ~200ms'",
        limited(detail="Your rate limit resets in ~200ms."),
        0.2,
        0.6,
    ),
    rate_limited(
        "rate-limit-available",
        "'Expected available in 1 second'",
        limited(detail="Request was throttled. Expected available in 1 second."),
        1.0,
    ),
    too_long(
        "retry-after-a-day", "Retry-After: 86400", limited("Retry-After: 86400\r\n"), 86400, 86400
    ),
    too_long(
        "retry-after-an-hour-hence", "Retry-After: a date an hour ahead", until(3600), 3590, 3600
    ),
    too_long(
        "retry-after-in-body-61", "retry_after: 61 in the body", limited(retry_after=61), 61, 61
    ),
    too_long(
        "rate-limit-two-minutes",
        "'available in 2 minutes'",
        limited(detail="Expected available in 2 minutes."),
        120,
        120,
    ),
    Fault(
        "429-always",
        "429 to every attempt",
        reply({"retry_after": 0}, 429),
        Error("RateLimitError", "429"),
        "create",
        options={"max_retries": 0},
        posts=1,
    ),
    Fault(
        "429-then-lost",
        "429 to a POST, then no response",
        (reply({"retry_after": 0}, 429), None, good()),
        MAYBE,
        "create",
        posts=2,
    ),
    Fault(
        "different-faults",
        "a reset, a 503, half a response, then success",
        (reset, reply({"retry_after": 0}, 503), cut(good(), -9), good()),
    ),
]
