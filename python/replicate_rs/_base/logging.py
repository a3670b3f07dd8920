"""One line per attempt for `logging`, under the name ``replicate_rs``; off unless somebody turns it
on.

Attempts are logged at level DEBUG, those that are followed by another at INFO. No line holds a
token, a body, a header, or the query of a URL, which may be a signature.
"""

from __future__ import annotations

import logging

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Final

logger: logging.Logger = logging.getLogger("replicate_rs")
LEVELS = ("debug", "info", "warning", "error")


def turn_on(level: str) -> None:
    """Have lines written to standard error, as ``REPLICATE_LOG`` says.

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


# The core asks before each request, with `LEAST`, whether anybody wants lines.
is_enabled_for: Final = logger.isEnabledFor
LEAST: Final = logging.INFO


def write(
    method: str, url: str, outcome: str, attempt: int, milliseconds: float, wait: float | None
) -> None:
    """Write a line; called by the core."""
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
