"""Log each attempt of a request through `logging`, to the logger ``replicate_rs``.

Attempts are logged at level DEBUG; those that will be repeated, at INFO. No line contains a token,
a body, a header, or the query of a URL, which may be a signature.
"""

from __future__ import annotations

import logging

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Final

logger: logging.Logger = logging.getLogger("replicate_rs")
LEVELS = ("debug", "info", "warning", "error")


def turn_on(level: str) -> None:
    """Write log lines to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``, as ``REPLICATE_LOG`` says.

    Raises:
        ValueError: There is no such level.

    """
    if level.lower() not in LEVELS:
        raise ValueError(f"REPLICATE_LOG must be one of {', '.join(LEVELS)}, not {level!r}")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)


# Before each request, the core calls `is_enabled_for(MIN_LEVEL)` to find out whether to log at all.
is_enabled_for: Final = logger.isEnabledFor
MIN_LEVEL: Final = logging.INFO


def write(
    method: str, url: str, outcome: str, attempt: int, milliseconds: float, wait: float | None
) -> None:
    """Log an attempt; called by the core.

    Args:
        method: The HTTP method.
        url: The URL without its query.
        outcome: A status or an error.
        attempt: The number of the attempt, from 1.
        milliseconds: How long it took.
        wait: Seconds until the next attempt, or None if there is none.

    """
    line = {
        "method": method,
        "url": url,
        "outcome": outcome,
        "attempt": attempt,
        "milliseconds": milliseconds,
        "wait": wait,
    }
    text = "%(method)s %(url)s: %(outcome)s (attempt %(attempt)d, %(milliseconds).1f ms)"
    if wait is None:
        logger.debug(text, line)
    else:
        logger.info(text + "; again in %(wait).2f s", line)
