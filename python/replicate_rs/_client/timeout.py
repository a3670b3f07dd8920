"""The time limits of a client's requests."""

from __future__ import annotations

from .._base.checks import PARTS, is_timeout, seconds_or_none, wrong_type
from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from types import EllipsisType

    from .._base.checks import HasTimeouts as HasTimeouts
    from .._base.checks import Limit, Seconds

# Seconds that an event stream may be silent. Replicate sends a comment after 30 silent seconds.
MAX_SILENCE = 60.0


class Timeout:
    """Seconds that each phase of a request may take; None is no limit.

    ``Timeout(60)`` sets `connect`, `read`, `write` and `pool` to 60 seconds, unless they are given
    themselves. Every limit may be a `timedelta` too. As the `timeout` of one call, such as a run, a
    `Timeout` limits the whole call: by `total`, or else by its longest phase.

    Args:
        timeout: The default of `connect`, `read`, `write` and `pool`.
        connect: Seconds to open a connection (default 5).
        read: Seconds until the response begins, and between two chunks of it (default 30). For a
            request that waits for a prediction's output, the time it waits is added.
        write: Seconds to send one chunk of a file (default 30).
        pool: Seconds to wait for one of `max_connections` (default None).
        total: Seconds for the whole request, retries included (default None).
        idle: Seconds that an event stream may be silent (default 60); then it is reconnected, and
            resumes where it was.

    """

    __slots__ = ("connect", "idle", "pool", "read", "total", "write")

    def __init__(
        self,
        timeout: Seconds | EllipsisType | None = ...,
        *,
        connect: Seconds | EllipsisType | None = ...,
        read: Seconds | EllipsisType | None = ...,
        write: Seconds | EllipsisType | None = ...,
        pool: Seconds | EllipsisType | None = ...,
        total: Seconds | None = None,
        idle: Seconds | None = MAX_SILENCE,
    ) -> None:
        if is_timeout(timeout):
            raise wrong_type("timeout", "a number of seconds", timeout)
        if timeout is not ...:
            timeout = seconds_or_none("timeout", timeout)

        def get_phase(
            name: str, value: Seconds | EllipsisType | None, default: float | None
        ) -> float | None:
            if value is not ...:
                return seconds_or_none(name, value)
            return default if timeout is ... else timeout

        self.connect: float | None = get_phase("connect", connect, 5.0)
        self.read: float | None = get_phase("read", read, 30.0)
        self.write: float | None = get_phase("write", write, 30.0)
        self.pool: float | None = get_phase("pool", pool, None)
        self.total: float | None = seconds_or_none("total", total)
        self.idle: float | None = seconds_or_none("idle", idle)

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if isinstance(other, Timeout) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


def to_timeout(timeout: Limit | None) -> Timeout:
    """Convert the `timeout` option of a client: seconds, a `Timeout`, or one of httpx."""
    if timeout is None:
        return Timeout()
    if isinstance(timeout, tuple):
        raise TypeError(
            "timeout must be seconds or a Timeout, not a tuple: Timeout(connect=…, read=…)"
        )
    if not is_timeout(timeout):
        return Timeout(seconds_or_none("timeout", timeout))
    # httpx does not check its timeouts, and a `Timeout` of this module may have been changed.
    names = (*PARTS, *(name for name in ("total", "idle") if hasattr(timeout, name)))
    return Timeout(
        **{name: seconds_or_none(f"timeout.{name}", getattr(timeout, name)) for name in names}
    )


defer_annotations(globals())
